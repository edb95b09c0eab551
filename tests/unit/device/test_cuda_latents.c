/* What the CUDA back end does to latents: the processor's bits, but for noise and posteriors, whose
   logarithms, sines and exponentials are the C library's there and this project's here. */
#include "support/device/typed.h"

#include "device/cuda/ops.h"

#define TRIALS 40
#define CPU(name, args) assert_int_equal(d->cpu.dev->kernels->name(d->cpu.queue, args), MS_OK)
#define CARD(name, args) assert_int_equal(ms_cuda_##name(&card->queue, args), MS_OK)

typedef struct three {
    int64_t outer, inner, channels;
    typed a, b, dst;
} three;

static three random_three(const simt_direct *card, uint64_t *rng) {
    three t = {0};
    t.outer = test_range(rng, 1, 4);
    t.inner = test_range(rng, 1, 80);
    t.channels = test_range(rng, 1, 9);
    t.a = typed_random(rng, t.outer, t.inner, t.channels, typed_dtype(card, rng));
    t.b = typed_random(rng, t.outer, t.inner, t.channels, typed_dtype(card, rng));
    t.dst = typed_poison(rng, t.outer, t.inner, t.channels, typed_dtype(card, rng));
    return t;
}

static void free_three(three *t) {
    typed_free(&t->a);
    typed_free(&t->b);
    typed_free(&t->dst);
}

static void arithmetic_matches(void **state) {
    typed_devices *d = *state;
    uint64_t rng = 21;
    for (int trial = 0; trial < TRIALS; trial++) {
        simt_direct *card = typed_card(d, &rng);
        three t = random_three(card, &rng);
        ms_rescale_args rescale = {
            .src = t.a.rows, .dst = t.dst.rows, .divisor = 0.18215f, .shift = test_uniform(&rng)};
        ms_rescale_args plain_rescale = rescale;
        plain_rescale.src = t.a.floats;
        plain_rescale.dst = t.dst.floats;
        CPU(rescale, &plain_rescale);
        CARD(rescale, &rescale);
        typed_assert_same(&t.dst, "rescale");

        typed_fill_poison(&t.dst);
        ms_guide_args guide = {.without = t.a.rows, .with = t.b.rows, .dst = t.dst.rows, .scale = 1.5f};
        ms_guide_args plain_guide = guide;
        plain_guide.without = t.a.floats;
        plain_guide.with = t.b.floats;
        plain_guide.dst = t.dst.floats;
        CPU(guide, &plain_guide);
        CARD(guide, &guide);
        typed_assert_same(&t.dst, "guide");

        /* in place */
        const float step[4] = {0.9f, test_uniform(&rng), 0.97f, 0.2f};
        ms_ddim_args ddim = {.sample = t.a.rows, .noise = t.b.rows, .dst = t.a.rows, .step = step};
        ms_ddim_args plain_ddim = ddim;
        plain_ddim.sample = plain_ddim.dst = t.a.floats;
        plain_ddim.noise = t.b.floats;
        CPU(ddim, &plain_ddim);
        CARD(ddim, &ddim);
        typed_assert_same(&t.a, "ddim");
        free_three(&t);
    }
}

/* ---- with functions of their own ---- */

/* Places between two floats of one sign. */
static int64_t ulps_apart(float a, float b) {
    const int64_t x = ms_float_bits(a) & 0x7fffffff, y = ms_float_bits(b) & 0x7fffffff;
    return (ms_float_bits(a) ^ ms_float_bits(b)) >> 31 ? x + y : x > y ? x - y : y - x;
}

/* Float rows: how many differ from the processor's, none by more than a place. */
static int64_t count_differing(const typed *t) {
    int64_t differing = 0;
    for (size_t i = 0; i < t->elements; i++) {
        const float got = test_element(t->block, MS_F32, i), expected = t->widened[i];
        const bool both_nan = isnan(got) && isnan(expected);
        const int64_t apart = both_nan ? 0 : ulps_apart(got, expected);
        if (apart > 1)
            fail_msg("element %zu is %a, the processor has %a", i, (double)got, (double)expected);
        differing += apart > 0;
    }
    return differing;
}

static void noise_is_nearly_the_processors(void **state) {
    typed_devices *d = *state;
    uint64_t rng = 22;
    int64_t differing = 0;
    const uint32_t numbers[4][2] = {{0, 0}, {1, 77}, {2, 3}, {0xffffffff, 0x80000000}};
    for (int arch = 0; arch < TYPED_ARCHS; arch++) {
        simt_direct *card = &d->card[arch];
        typed dst = typed_poison(&rng, 4, arch == 0 ? 62501 : 1001, 4, MS_F32);
        ms_noise_args args = {.seed = 0x123456789abcdef0u, .numbers = numbers, .dst = dst.rows};
        ms_noise_args plain = args;
        plain.dst = dst.floats;
        CPU(noise, &plain);
        CARD(noise, &args);
        const int64_t here = count_differing(&dst);
        if (arch == 0)
            print_message("noise: %lld of %lld floats differ by a place\n", (long long)here,
                          (long long)(4 * 62501 * 4));
        differing += here;
        typed_free(&dst);
    }
    assert_true(differing < 5);
}

/* Of other types, and of one image: the float's rounding; NULL numbers are 0 and 0. */
static void noise_of_any_rows(void **state) {
    typed_devices *d = *state;
    uint64_t rng = 23;
    for (int trial = 0; trial < TRIALS; trial++) {
        simt_direct *card = typed_card(d, &rng);
        const int64_t outer = test_range(&rng, 1, 3), inner = test_range(&rng, 1, 90),
                      channels = test_range(&rng, 1, 9);
        typed dst = typed_poison(&rng, outer, inner, channels, typed_dtype(card, &rng));
        typed floats = typed_poison(&rng, outer, inner, channels, MS_F32);
        ms_noise_args args = {.seed = test_rand(&rng), .dst = dst.rows};
        ms_noise_args other = {.seed = args.seed, .dst = floats.rows}, plain = other;
        plain.dst = floats.floats;
        CPU(noise, &plain);
        CARD(noise, &args);
        CARD(noise, &other);
        assert_true(count_differing(&floats) <= 1);
        for (int64_t i = 0; i < outer; i++)
            for (int64_t j = 0; j < inner; j++)
                for (int64_t c = 0; c < channels; c++) {
                    const int64_t at = i * dst.rows.outer_stride + j * dst.rows.inner_stride + c;
                    ((float *)dst.floats.data)[at] = test_at(&floats.rows, i, j, c);
                }
        typed_assert_same(&dst, "noise");
        typed_free(&dst);
        typed_free(&floats);
    }
}

/* Where the deviation has another last place, the result is off by what that makes of it. */
static int64_t count_posterior(const ms_posterior_args *card, const ms_posterior_args *cpu) {
    int64_t differing = 0;
    for (int64_t i = 0; i < card->dst.outer; i++)
        for (int64_t j = 0; j < card->dst.inner; j++)
            for (int64_t c = 0; c < 4; c++) {
                const double got = test_at(&card->dst, i, j, c), expected = test_at(&cpu->dst, i, j, c);
                const double mean = test_at(&card->moments, i, j, c),
                             normal = test_at(&card->normals, i, j, c);
                const double logvar = fmin(fmax(test_at(&card->moments, i, j, 4 + c), -30), 20);
                const double size = fabs(mean) + exp(0.5 * logvar) * fabs(normal);
                assert_true(fabs(got - expected) <= 0x1p-22 * size * 0.18215);
                differing += got != expected;
            }
    return differing;
}

static void posterior_is_nearly_the_processors(void **state) {
    typed_devices *d = *state;
    uint64_t rng = 24;
    int64_t differing = 0, elements = 0;
    for (int trial = 0; trial < TRIALS; trial++) {
        simt_direct *card = typed_card(d, &rng);
        const int64_t outer = test_range(&rng, 1, 3), inner = test_range(&rng, 100, 900);
        typed moments = typed_random(&rng, outer, inner, 8, MS_F32);
        typed normals = typed_random(&rng, outer, inner, 4, MS_F32);
        typed dst = typed_poison(&rng, outer, inner, 4, MS_F32);
        for (int64_t i = 0; i < outer; i++)
            for (int64_t j = 0; j < inner; j++)
                for (int64_t c = 4; c < 8; c++) { /* log variances beyond both clamps */
                    const int64_t at = i * moments.rows.outer_stride + j * moments.rows.inner_stride + c;
                    typed_set(&moments, moments.offset + (size_t)at, test_uniform(&rng) * 40);
                }
        ms_posterior_args args = {
            .moments = moments.rows, .normals = normals.rows, .dst = dst.rows, .scale = 0.18215f};
        ms_posterior_args plain = args;
        plain.moments = moments.floats;
        plain.normals = normals.floats;
        plain.dst = dst.floats;
        CPU(posterior, &plain);
        CARD(posterior, &args);
        elements += outer * inner * 4;
        differing += count_posterior(&args, &plain);
        typed_free(&moments);
        typed_free(&normals);
        typed_free(&dst);
    }
    print_message("posterior: %lld of %lld floats differ\n", (long long)differing, (long long)elements);
    assert_true(differing < elements / 200);
}

static void finds_what_is_not_finite(void **state) {
    typed_devices *d = *state;
    uint64_t rng = 25;
    for (int trial = 0; trial < TRIALS; trial++) {
        simt_direct *card = typed_card(d, &rng);
        const int64_t outer = test_range(&rng, 1, 4), inner = test_range(&rng, 1, 300),
                      channels = test_range(&rng, 1, 20);
        typed src = typed_random(&rng, outer, inner, channels, typed_dtype(card, &rng));
        uint32_t flag = 0;
        ms_check_finite_args args = {.src = src.rows, .flag = &flag};
        CARD(check_finite, &args);
        assert_int_equal(flag, 0);
        static const float bad[3] = {INFINITY, -INFINITY, NAN};
        const int64_t at = test_range(&rng, 0, outer - 1) * src.rows.outer_stride +
                           test_range(&rng, 0, inner - 1) * src.rows.inner_stride +
                           test_range(&rng, 0, channels - 1);
        typed_set(&src, src.offset + (size_t)at, bad[trial % 3]);
        CARD(check_finite, &args);
        assert_int_equal(flag, 1);
        /* A flag that is set stays so. */
        typed_set(&src, src.offset + (size_t)at, 0);
        CARD(check_finite, &args);
        assert_int_equal(flag, 1);
        typed_free(&src);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic_matches),       cmocka_unit_test(noise_is_nearly_the_processors),
        cmocka_unit_test(noise_of_any_rows),        cmocka_unit_test(posterior_is_nearly_the_processors),
        cmocka_unit_test(finds_what_is_not_finite),
    };
    return cmocka_run_group_tests(tests, typed_devices_open, typed_devices_close);
}
