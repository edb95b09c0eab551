#include "support/simt/primitives.h"

#include "device/simt/simt.h"

SIMT_KERNEL(SEEN_THREADS) places(SIMT_PARAM(seen_args, p)) {
    int block = (simt_block_z() * 2 + simt_block_y()) * simt_blocks_x() + simt_block_x();
    uint32_t *out = p.out + ((size_t)block * SEEN_THREADS + (size_t)simt_thread()) * 7;
    out[0] = (uint32_t)simt_thread();
    out[1] = (uint32_t)simt_lane();
    out[2] = (uint32_t)simt_warp();
    out[3] = (uint32_t)simt_block_x();
    out[4] = (uint32_t)simt_block_y();
    out[5] = (uint32_t)simt_block_z();
    out[6] = (uint32_t)simt_blocks_x();
}

SIMT_FN void put_double(uint32_t *out, double x) {
    uint64_t bits = simt_bits64(x);
    out[0] = (uint32_t)bits;
    out[1] = (uint32_t)(bits >> 32);
}

SIMT_KERNEL(SEEN_THREADS) shuffles(SIMT_PARAM(seen_args, p)) {
    uint32_t word = ((const uint32_t *)p.in)[simt_thread()];
    uint32_t *out = p.out + simt_thread() * SEEN_SHUFFLES;
    int from = (7 * simt_lane() + 3) % 32;
    double twice = simt_double((uint64_t)word << 32 | word);
    for (int mask = 0; mask < 32; mask++)
        out[mask] = simt_shuffle_xor(word, mask);
    out[32] = simt_shuffle(word, from);
    out[33] = (uint32_t)simt_shuffle((int)word, from);
    out[34] = simt_bits(simt_shuffle(simt_float(word), from));
    put_double(out + 35, simt_shuffle(twice, from));
    put_double(out + 37, simt_shuffle_xor(twice, 9));
}

struct matrices_shared {
    alignas(16) uint16_t row[SEEN_THREADS][24]; /* 8 of them used */
};

/* The rows of a warp lie in an order of their own. */
SIMT_KERNEL(SEEN_THREADS) matrices(SIMT_PARAM(seen_args, p)) {
    SIMT_SHARED(matrices_shared, s);
    int place = simt_warp() * 32 + simt_lane() * 5 % 32;
    uint32_t *out = p.out + simt_thread() * SEEN_MATRICES;
    uint16_t *row = s.row[place];
    const uint16_t *in = (const uint16_t *)p.in + simt_thread() * 8;
    uint32_t r[4];
    for (int i = 0; i < 8; i++)
        row[i] = in[i];
    simt_warp_barrier();
    simt_load_matrix_x4(r, row);
    for (int i = 0; i < 4; i++)
        out[i] = r[i];
    simt_load_matrix_x2(r, simt_lane() < 16 ? row : s.row[0]);
    for (int i = 0; i < 2; i++)
        out[4 + i] = r[i];
    simt_load_matrix_x4_transposed(r, row);
    for (int i = 0; i < 4; i++)
        out[6 + i] = r[i];
    simt_load_matrix_x2_transposed(r, simt_lane() < 16 ? row : s.row[0]);
    for (int i = 0; i < 2; i++)
        out[10 + i] = r[i];
}

template <class T> SIMT_FN uint32_t pair(const T *low, const T *high) {
    return simt_pack(*low, *high);
}

/* Fragments by "Matrix fragments for mma.m16n8k16" and "... for mma.m16n8k8" of the PTX ISA: a group of four
   lanes has a row of a and a column of b. */
template <class T, int K> SIMT_FN void multiply(const seen_args &p) {
    int group = simt_lane() / 4, in_group = simt_lane() % 4;
    const T *a = (const T *)p.in + simt_warp() * 16 * K, *b = (const T *)p.more + simt_warp() * K * 8;
    const float *c = p.sum + simt_warp() * 128;
    float *out = (float *)p.out + simt_warp() * 128;
    uint32_t of_a[K / 4], of_b[K / 8];
    float d[4];
    for (int i = 0; i < K / 4; i++) {
        int row = group + (i % 2) * 8, column = in_group * 2 + (i / 2) * 8;
        of_a[i] = pair(a + row * K + column, a + row * K + column + 1);
    }
    for (int i = 0; i < K / 8; i++) {
        int row = in_group * 2 + i * 8;
        of_b[i] = pair(b + row * 8 + group, b + (row + 1) * 8 + group);
    }
    for (int i = 0; i < 4; i++)
        d[i] = c[(group + (i / 2) * 8) * 8 + in_group * 2 + i % 2];
    if (K == 16)
        simt_mma_16816<T>(d, of_a, of_b);
    else
        simt_mma_1688<T>(d, of_a, of_b);
    for (int i = 0; i < 4; i++)
        out[(group + (i / 2) * 8) * 8 + in_group * 2 + i % 2] = d[i];
}

SIMT_KERNEL(SEEN_THREADS) mma_16816_f16(SIMT_PARAM(seen_args, p)) {
    multiply<simt_f16, 16>(p);
}

SIMT_KERNEL(SEEN_THREADS) mma_16816_bf16(SIMT_PARAM(seen_args, p)) {
    multiply<simt_bf16, 16>(p);
}

SIMT_KERNEL(SEEN_THREADS) mma_1688_f16(SIMT_PARAM(seen_args, p)) {
    multiply<simt_f16, 8>(p);
}

SIMT_KERNEL(SEEN_THREADS) mma_1688_bf16(SIMT_PARAM(seen_args, p)) {
    multiply<simt_bf16, 8>(p);
}

struct copies_shared {
    simt_words place[3][SEEN_THREADS];
};

SIMT_FN void look(const copies_shared &s, uint32_t *out) {
    for (int i = 0; i < 3; i++)
        out[i] = s.place[i][simt_thread()].w[0];
}

SIMT_KERNEL(SEEN_THREADS) copies(SIMT_PARAM(seen_args, p)) {
    SIMT_SHARED(copies_shared, s);
    const simt_words *in = (const simt_words *)p.in + simt_thread() * 3;
    uint32_t *out = p.out + simt_thread() * SEEN_COPIES;
    for (int i = 0; i < 3; i++) {
        bool valid = i != 1 || simt_thread() % 2 == 0;
        simt_copy16_async(&s.place[i][simt_thread()], valid ? in + i : NULL, valid);
        simt_copy_commit();
    }
    look(s, out);
    simt_copy_wait<2>();
    look(s, out + 3);
    simt_copy_wait<1>();
    look(s, out + 6);
    simt_copy_wait<0>();
    look(s, out + 9);
}

struct barriers_shared {
    uint32_t x[SEEN_THREADS];
};

SIMT_KERNEL(SEEN_THREADS) barriers(SIMT_PARAM(seen_args, p)) {
    SIMT_SHARED(barriers_shared, s);
    int t = simt_thread();
    uint32_t x = ((const uint32_t *)p.in)[t];
    for (int i = 0; i < 8; i++) {
        s.x[t] = x;
        simt_barrier();
        x = 3 * x + s.x[(t + 37) % SEEN_THREADS];
        simt_barrier();
    }
    p.out[t] = x;
}

SIMT_KERNEL(SEEN_THREADS) warp_barriers(SIMT_PARAM(seen_args, p)) {
    SIMT_SHARED(barriers_shared, s);
    int t = simt_thread();
    uint32_t x = ((const uint32_t *)p.in)[t];
    for (int i = 0; i < 8; i++) {
        s.x[t] = x;
        simt_warp_barrier();
        x = 3 * x + s.x[simt_warp() * 32 + (simt_lane() + 5) % 32];
        simt_warp_barrier();
    }
    p.out[t] = x;
}

SIMT_KERNEL(SEEN_THREADS) order(SIMT_PARAM(seen_args, p)) {
    for (int phase = 0; phase < SEEN_PHASES; phase++) {
        for (int step = 0; step < SEEN_STEPS; step++) {
            uint32_t place = __atomic_fetch_add(p.out, 1, __ATOMIC_RELAXED);
            p.out[1 + place] = (uint32_t)(simt_block_x() << 24 | phase << 16 | step << 12 | simt_thread());
            simt_warp_barrier();
        }
        simt_barrier();
    }
}

SIMT_KERNEL(SEEN_THREADS) nothing(SIMT_PARAM(seen_args, p)) {
    SIMT_SHARED(barriers_shared, s);
    int t = simt_thread();
    p.out[simt_block_x() * SEEN_THREADS + t] = s.x[t];
    s.x[t] = 0;
}

SIMT_KERNEL(SEEN_THREADS) arithmetic(SIMT_PARAM(seen_args, p)) {
    uint32_t *out = p.out + simt_thread() * SEEN_ARITHMETIC;
    simt_words in = simt_load16((const simt_words *)p.in + simt_thread());
    float x = simt_float(in.w[0]), y = simt_float(in.w[1]), z = simt_float(in.w[2]);
    simt_f16 low = {(uint16_t)in.w[3]}, high = {(uint16_t)(in.w[3] >> 16)};
    out[0] = simt_bits(simt_fma(x, y, z));
    out[1] = simt_bits(simt_sqrt(x));
    put_double(out + 2, simt_fma((double)x, (double)y, (double)z / 3));
    put_double(out + 4, simt_sqrt((double)x));
    out[6] = simt_bits(x * y + z);
    out[7] = simt_pack(high, low);
    simt_store16(out + 8, in);
}

SIMT_KERNEL(SEEN_THREADS) conversions(SIMT_PARAM(seen_args, p)) {
    int threads = simt_blocks_x() * SEEN_THREADS;
    for (int i = simt_block_x() * SEEN_THREADS + simt_thread(); i < SEEN_PATTERNS; i += threads) {
        simt_f16 h = {(uint16_t)i};
        simt_bf16 b = {(uint16_t)i};
        p.out[3 * i] = simt_bits(simt_to_float(h));
        p.out[3 * i + 1] = simt_bits(simt_to_float(b));
        p.out[3 * i + 2] = (uint32_t)simt_from_float<simt_f16>(simt_to_float(h)).bits |
                           (uint32_t)simt_from_float<simt_bf16>(simt_to_float(b)).bits << 16;
    }
}

extern "C" {
const simt_kernel seen_places = SIMT_DESCRIBE(places, seen_args, SEEN_THREADS, 0);
const simt_kernel seen_shuffles = SIMT_DESCRIBE(shuffles, seen_args, SEEN_THREADS, 0);
const simt_kernel seen_matrices = SIMT_DESCRIBE(matrices, seen_args, SEEN_THREADS, sizeof(matrices_shared));
const simt_kernel seen_mma_16816_f16 = SIMT_DESCRIBE(mma_16816_f16, seen_args, SEEN_THREADS, 0);
const simt_kernel seen_mma_16816_bf16 = SIMT_DESCRIBE(mma_16816_bf16, seen_args, SEEN_THREADS, 0);
const simt_kernel seen_mma_1688_f16 = SIMT_DESCRIBE(mma_1688_f16, seen_args, SEEN_THREADS, 0);
const simt_kernel seen_mma_1688_bf16 = SIMT_DESCRIBE(mma_1688_bf16, seen_args, SEEN_THREADS, 0);
const simt_kernel seen_copies = SIMT_DESCRIBE(copies, seen_args, SEEN_THREADS, sizeof(copies_shared));
const simt_kernel seen_barriers = SIMT_DESCRIBE(barriers, seen_args, SEEN_THREADS, sizeof(barriers_shared));
const simt_kernel seen_warp_barriers =
    SIMT_DESCRIBE(warp_barriers, seen_args, SEEN_THREADS, sizeof(barriers_shared));
const simt_kernel seen_order = SIMT_DESCRIBE(order, seen_args, SEEN_THREADS, 0);
const simt_kernel seen_nothing = SIMT_DESCRIBE(nothing, seen_args, SEEN_THREADS, sizeof(barriers_shared));
const simt_kernel seen_arithmetic = SIMT_DESCRIBE(arithmetic, seen_args, SEEN_THREADS, 0);
const simt_kernel seen_conversions = SIMT_DESCRIBE(conversions, seen_args, SEEN_THREADS, 0);
}
