/* Every primitive of simt.h against a plain computation, on several architectures and schedules. */
#include "test.h"

#include "base/dtype.h"
#include "device/device.h"
#include "device/simt/emulator.h"
#include "support/simt/primitives.h"

#define THREADS SEEN_THREADS
#define WARPS (THREADS / 32)

static const int archs[] = {75, 80, 86, 89, 90, 100, 120};
#define ARCHS ((int)(sizeof(archs) / sizeof(*archs)))
#define SEEDS 5

static simt_emulator *emulator;

static int close_emulator(void **state) {
    (void)state;
    if (emulator)
        simt_emulator_destroy(&emulator);
    return 0;
}

typedef struct how {
    int arch;
    uint64_t seed;
} how;

/* All that a test goes through; false after the last one. */
static bool next_how(int *i, how *ret) {
    if (*i == ARCHS * SEEDS)
        return false;
    *ret = (how){archs[*i / SEEDS], (uint64_t)(*i % SEEDS)};
    ++*i;
    return true;
}

static void run(const simt_kernel *kernel, const seen_args *args, uint32_t x, uint32_t y, uint32_t z, how h) {
    const simt_launch launch = {.name = kernel->name,
                                .entry = kernel->entry,
                                .param = args,
                                .grid = {x, y, z},
                                .threads = kernel->threads,
                                .shared_bytes = kernel->shared_bytes,
                                .arch = h.arch,
                                .seed = h.seed};
#if defined(__x86_64__)
    if (ms_isa_detect() < MS_ISA_AVX2)
        skip();
#endif
    if (!emulator)
        emulator = simt_emulator_create();
    assert_non_null(emulator);
    assert_true(simt_run(emulator, &launch));
}

static void fill(uint64_t *rng, uint32_t *words, int n) {
    for (int i = 0; i < n; i++)
        words[i] = test_rand(rng);
}

static void test_places(void **state) {
    static uint32_t out[12 * THREADS * 7];
    seen_args args = {.out = out};
    how h;
    (void)state;
    for (int i = 0; next_how(&i, &h);) {
        memset(out, 0xee, sizeof(out));
        run(&seen_places, &args, 3, 2, 2, h);
        for (uint32_t b = 0, at = 0; b < 12; b++)
            for (uint32_t t = 0; t < THREADS; t++, at += 7) {
                const uint32_t expected[7] = {t, t % 32, t / 32, b % 3, b / 3 % 2, b / 6, 3};
                assert_memory_equal(out + at, expected, sizeof(expected));
            }
    }
}

static void test_shuffles(void **state) {
    uint32_t in[THREADS], out[THREADS * SEEN_SHUFFLES];
    seen_args args = {.in = in, .out = out};
    uint64_t rng = 1;
    how h;
    (void)state;
    for (int i = 0; next_how(&i, &h);) {
        fill(&rng, in, THREADS);
        for (int t = 0; t < THREADS; t++)
            in[t] &= 0x7f7fffff; /* a NaN's bits may change on their way */
        run(&seen_shuffles, &args, 1, 1, 1, h);
        for (int t = 0; t < THREADS; t++) {
            const uint32_t *got = out + t * SEEN_SHUFFLES, *warp = in + t / 32 * 32;
            uint32_t moved = warp[(7 * (t % 32) + 3) % 32], ninth = warp[t % 32 ^ 9];
            for (int mask = 0; mask < 32; mask++)
                assert_int_equal(got[mask], warp[t % 32 ^ mask]);
            for (int j = 32; j < 37; j++)
                assert_int_equal(got[j], moved);
            assert_int_equal(got[37], ninth);
            assert_int_equal(got[38], ninth);
        }
    }
}

static void test_matrices(void **state) {
    uint16_t in[WARPS][4][8][8];
    uint32_t out[THREADS * SEEN_MATRICES];
    seen_args args = {.in = in, .out = out};
    uint64_t rng = 2;
    how h;
    (void)state;
    for (int i = 0; next_how(&i, &h);) {
        fill(&rng, (uint32_t *)(void *)in, (int)(sizeof(in) / 4));
        run(&seen_matrices, &args, 1, 1, 1, h);
        for (int t = 0; t < THREADS; t++)
            for (int m = 0; m < 4; m++) {
                const uint32_t *got = out + t * SEEN_MATRICES;
                const uint16_t(*matrix)[8] = in[t / 32][m];
                int row = t % 32 / 4, column = t % 4 * 2;
                uint32_t straight = matrix[row][column] | (uint32_t)matrix[row][column + 1] << 16;
                uint32_t transposed = matrix[column][row] | (uint32_t)matrix[column + 1][row] << 16;
                assert_int_equal(got[m], straight);
                assert_int_equal(got[6 + m], transposed);
                if (m < 2) {
                    assert_int_equal(got[4 + m], straight);
                    assert_int_equal(got[10 + m], transposed);
                }
            }
    }
}

/* Small whole numbers, whose sums are exact in every order. */
static void check_mma(const simt_kernel *kernel, int k, bool bf16, uint64_t *rng, how h) {
    uint16_t a[WARPS * 16 * 16], b[WARPS * 16 * 8];
    float c[WARPS * 128], d[WARPS * 128];
    seen_args args = {.in = a, .more = b, .sum = c, .out = (uint32_t *)(void *)d};
    for (int i = 0; i < WARPS * 16 * k + WARPS * k * 8; i++) {
        float x = (float)(int)(test_rand(rng) % 15) - 7;
        uint16_t bits = bf16 ? ms_f32_to_bf16(x) : ms_f32_to_f16(x);
        *(i < WARPS * 16 * k ? &a[i] : &b[i - WARPS * 16 * k]) = bits;
    }
    for (int i = 0; i < WARPS * 128; i++)
        c[i] = (float)(int)(test_rand(rng) % 2001) - 1000;
    run(kernel, &args, 1, 1, 1, h);
    for (int w = 0; w < WARPS; w++)
        for (int row = 0; row < 16; row++)
            for (int column = 0; column < 8; column++) {
                float sum = c[w * 128 + row * 8 + column];
                for (int i = 0; i < k; i++) {
                    uint16_t x = a[(w * 16 + row) * k + i], y = b[(w * k + i) * 8 + column];
                    sum += bf16 ? ms_bf16_to_f32(x) * ms_bf16_to_f32(y) : ms_f16_to_f32(x) * ms_f16_to_f32(y);
                }
                assert_true(d[w * 128 + row * 8 + column] == sum);
            }
}

static void test_mma(void **state) {
    uint64_t rng = 3;
    how h;
    (void)state;
    for (int i = 0; next_how(&i, &h);) {
        check_mma(&seen_mma_16816_f16, 16, false, &rng, h);
        check_mma(&seen_mma_1688_f16, 8, false, &rng, h);
        if (h.arch < 80)
            continue;
        check_mma(&seen_mma_16816_bf16, 16, true, &rng, h);
        check_mma(&seen_mma_1688_bf16, 8, true, &rng, h);
    }
}

static void test_copies(void **state) {
    _Alignas(16) uint32_t in[THREADS][3][4];
    uint32_t out[THREADS * SEEN_COPIES];
    seen_args args = {.in = in, .out = out};
    uint64_t rng = 4;
    how h;
    (void)state;
    for (int i = 0; next_how(&i, &h);) {
        fill(&rng, &in[0][0][0], THREADS * 12);
        run(&seen_copies, &args, 1, 1, 1, h);
        for (int t = 0; t < THREADS; t++)
            for (int waits = 0; waits < 4; waits++)
                for (int j = 0; j < 3; j++) {
                    bool there = j < waits || h.arch < 80; /* no copy is asynchronous on Turing */
                    uint32_t value = j == 1 && t % 2 ? 0 : in[t][j][0];
                    assert_int_equal(out[t * SEEN_COPIES + 3 * waits + j], there ? value : 0xffffffff);
                }
    }
}

static void test_barriers(void **state) {
    uint32_t in[THREADS], of_block[THREADS], of_warp[THREADS], x[THREADS], y[THREADS], before[THREADS];
    uint64_t rng = 5;
    how h;
    (void)state;
    for (int i = 0; next_how(&i, &h);) {
        fill(&rng, in, THREADS);
        run(&seen_barriers, &(seen_args){.in = in, .out = of_block}, 1, 1, 1, h);
        run(&seen_warp_barriers, &(seen_args){.in = in, .out = of_warp}, 1, 1, 1, h);
        memcpy(x, in, sizeof(x));
        memcpy(y, in, sizeof(y));
        for (int round = 0; round < 8; round++) {
            memcpy(before, x, sizeof(x));
            for (int t = 0; t < THREADS; t++)
                x[t] = 3 * x[t] + before[(t + 37) % THREADS];
            memcpy(before, y, sizeof(y));
            for (int t = 0; t < THREADS; t++)
                y[t] = 3 * y[t] + before[t / 32 * 32 + (t + 5) % 32];
        }
        assert_memory_equal(of_block, x, sizeof(x));
        assert_memory_equal(of_warp, y, sizeof(y));
    }
}

/* Each block finds shared memory full of NaNs, and not what the block before has left. */
static void test_nothing(void **state) {
    uint32_t out[3 * THREADS];
    how h;
    (void)state;
    for (int i = 0; next_how(&i, &h);) {
        memset(out, 0, sizeof(out));
        run(&seen_nothing, &(seen_args){.out = out}, 3, 1, 1, h);
        for (int t = 0; t < 3 * THREADS; t++)
            assert_int_equal(out[t], 0xffffffff);
    }
}

static double as_double(const uint32_t *words) {
    double x;
    memcpy(&x, words, sizeof(x));
    return x;
}

static void test_arithmetic(void **state) {
    _Alignas(16) uint32_t in[THREADS][4];
    _Alignas(16) uint32_t out[THREADS][SEEN_ARITHMETIC];
    uint64_t rng = 6;
    how h;
    (void)state;
    for (int i = 0; next_how(&i, &h);) {
        for (int t = 0; t < THREADS; t++) {
            for (int j = 0; j < 3; j++)
                in[t][j] = ms_float_bits(fabsf(test_uniform(&rng)) + 0.1f);
            in[t][3] = test_rand(&rng);
        }
        run(&seen_arithmetic, &(seen_args){.in = in, .out = &out[0][0]}, 1, 1, 1, h);
        for (int t = 0; t < THREADS; t++) {
            float x = ms_bits_float(in[t][0]), y = ms_bits_float(in[t][1]), z = ms_bits_float(in[t][2]);
            volatile float product = x * y;
            assert_true(ms_bits_float(out[t][0]) == fmaf(x, y, z));
            assert_true(ms_bits_float(out[t][1]) == sqrtf(x));
            assert_true(as_double(out[t] + 2) == fma((double)x, (double)y, (double)z / 3));
            assert_true(as_double(out[t] + 4) == sqrt((double)x));
            /* rounded twice: nothing is fused by itself */
            assert_true(ms_bits_float(out[t][6]) == product + z);
            assert_int_equal(out[t][7], in[t][3] << 16 | in[t][3] >> 16);
            assert_memory_equal(out[t] + 8, in[t], 16);
        }
    }
}

static void test_conversions(void **state) {
    uint32_t *out = malloc(3 * SEEN_PATTERNS * sizeof(*out));
    (void)state;
    assert_non_null(out);
    run(&seen_conversions, &(seen_args){.out = out}, 5, 1, 1, (how){86, 0});
    for (int i = 0; i < SEEN_PATTERNS; i++) {
        int field = i >> 10 & 31, fraction = i & 1023;
        float size = field ? ldexpf((float)(1024 + fraction), field - 25) : ldexpf((float)fraction, -24);
        assert_int_equal(out[3 * i + 1], (uint32_t)i << 16);
        if (field == 31)
            continue;
        assert_int_equal(out[3 * i], ms_float_bits(i >> 15 ? -size : size));
        assert_int_equal(out[3 * i + 2] & 0xffff, i);
        if ((i >> 7 & 255) != 255)
            assert_int_equal(out[3 * i + 2] >> 16, i);
    }
    free(out);
}

/* ---- the schedules that emulator.h promises ---- */

#define BLOCKS 3
#define EVENTS (BLOCKS * SEEN_PHASES * SEEN_STEPS * THREADS)

static uint32_t events[1 + EVENTS];

static int block_of(uint32_t event) {
    return (int)(event >> 24);
}

static int warp_of(uint32_t event) {
    return (int)(event & 0xfff) / 32;
}

static uint32_t phase_of(uint32_t event) {
    return event >> 16;
}

/* How often another warp goes on while one has not come to the block's barrier. */
static int interruptions(void) {
    int count = 0;
    uint32_t steps[WARPS] = {0};
    for (int i = 1; i <= EVENTS; i++) {
        int w = warp_of(events[i]);
        uint32_t done = ++steps[w] % (SEEN_STEPS * 32);
        count += i < EVENTS && done != 0 && warp_of(events[i + 1]) != w;
    }
    return count;
}

/* Which warp came first in a phase, as bits. */
static void first_warps(int *ret_in_first, int *ret_in_later) {
    for (int i = 1; i <= EVENTS; i++)
        if (i == 1 || phase_of(events[i]) != phase_of(events[i - 1]))
            *((phase_of(events[i]) & 0xff) == 0 ? ret_in_first : ret_in_later) |= 1 << warp_of(events[i]);
}

static void run_order(uint64_t seed) {
    events[0] = 0;
    run(&seen_order, &(seen_args){.out = events}, BLOCKS, 1, 1, (how){86, seed});
    assert_int_equal(events[0], EVENTS);
}

static void test_first_schedule(void **state) {
    (void)state;
    run_order(0);
    assert_int_equal(interruptions(), 0);
    for (int i = 0; i < EVENTS; i++)
        assert_int_equal(block_of(events[1 + i]), i / (EVENTS / BLOCKS));
    for (int i = 0; i < SEEN_STEPS * THREADS; i++)
        assert_int_equal(warp_of(events[1 + i]), i / (SEEN_STEPS * 32));
}

/* Any warp may be ahead of all others, in any phase; any block, any lane may be the first. */
static void test_drawn_schedules(void **state) {
    int first = 0, later = 0, blocks = 0, lanes = 0, odd = 0;
    (void)state;
    for (uint64_t seed = 2; seed < 60; seed += 2) {
        run_order(seed);
        assert_int_equal(interruptions(), 0);
        first_warps(&first, &later);
        blocks |= 1 << block_of(events[1]);
        lanes += (events[1] & 31) != 0;
    }
    assert_int_equal(first, (1 << WARPS) - 1);
    assert_int_equal(later, (1 << WARPS) - 1);
    assert_int_equal(blocks, (1 << BLOCKS) - 1);
    assert_in_range(lanes, 20, 29);
    for (uint64_t seed = 1; seed < 20; seed += 2) {
        run_order(seed);
        odd += interruptions() > 0;
    }
    assert_int_equal(odd, 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),          cmocka_unit_test(test_shuffles),
        cmocka_unit_test(test_matrices),        cmocka_unit_test(test_mma),
        cmocka_unit_test(test_copies),          cmocka_unit_test(test_barriers),
        cmocka_unit_test(test_nothing),         cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_conversions),     cmocka_unit_test(test_first_schedule),
        cmocka_unit_test(test_drawn_schedules),
    };
    return cmocka_run_group_tests_name("emulator", tests, NULL, close_emulator);
}
