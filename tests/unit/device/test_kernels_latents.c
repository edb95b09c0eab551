/* Kernels on latents: the bits of plain loops, on the cpu and on the remote device,
   with random shapes and gaps between rows. */
#include "support/device/kernel_test.h"

#include <math.h>

#include "base/philox.h"

#define TRIALS 60

/* Those of the fixture, and the device whose memory is apart. */
typedef struct places {
    const test_devices *cpus;
    ms_compute remote;
} places;

static int places_open(void **state) {
    places *p = calloc(1, sizeof(*p));
    void *cpus = NULL;
    ms_error err;
    const ms_compute_params params = {
        .device = "remote", .threads = 1, .isa_limit = MS_ISA_AVX512, .memory_bytes = (size_t)1 << 28};
    if (!p || test_devices_open(&cpus) != 0 || ms_compute_open(&params, &p->remote, &err) != MS_OK)
        return -1;
    p->cpus = cpus;
    *state = p;
    return 0;
}

static int places_close(void **state) {
    places *p = *state;
    void *cpus = (void *)(uintptr_t)p->cpus;
    ms_compute_close(&p->remote);
    int failed = test_devices_close(&cpus);
    free(p);
    return failed;
}

static int place_count(const places *p) {
    return p->cpus->count + 1;
}

static const ms_compute *place(const places *p, int i) {
    return i < p->cpus->count ? &p->cpus->computes[i] : &p->remote;
}

static const char *place_name(const places *p, int i) {
    return i < p->cpus->count ? p->cpus->name[i] : "remote";
}

/* The tensor's rows on a device, gaps and all. */
static ms_rows sent(const ms_compute *c, const test_tensor *t) {
    ms_rows rows = t->rows;
    rows.data = c->dev->backend->alloc(c->dev, MS_LEDGER_ACTIVATIONS, t->floats * sizeof(float));
    assert_non_null(rows.data);
    assert_int_equal(ms_compute_upload(c, rows.data, t->block, t->floats * sizeof(float)), MS_OK);
    return rows;
}

static void *sent_words(const ms_compute *c, const void *data, size_t bytes) {
    void *block = c->dev->backend->alloc(c->dev, MS_LEDGER_ACTIVATIONS, bytes);
    assert_non_null(block);
    assert_int_equal(ms_compute_upload(c, block, data, bytes), MS_OK);
    return block;
}

static void freed(const ms_compute *c, void *block) {
    assert_int_equal(ms_compute_finish(c), MS_OK);
    c->dev->backend->free(c->dev, block);
}

/* What came out has the bits of `expected`. */
static void got(const ms_compute *c, const char *name, ms_rows rows, const test_tensor *expected,
                const char *what) {
    test_tensor back = test_tensor_copy(expected);
    test_tensor_fill_poison(&back);
    assert_int_equal(ms_compute_download(c, back.block, rows.data, back.floats * sizeof(float)), MS_OK);
    test_same_bits(expected, &back, what, name);
    test_tensor_free(&back);
    freed(c, rows.data);
}

static float *at(test_tensor *t, int64_t i, int64_t j, int64_t c) {
    return t->block + i * t->rows.outer_stride + j * t->rows.inner_stride + c;
}

typedef struct shape {
    int64_t outer, inner, channels;
} shape;

static shape random_shape(uint64_t *rng) {
    return (shape){test_range(rng, 1, 4), test_range(rng, 1, test_one_in(rng, 4) ? 3000 : 50),
                   test_range(rng, 1, 9)};
}

#define EACH(t)                                                                                              \
    for (int64_t i = 0; i < (t).rows.outer; i++)                                                             \
        for (int64_t j = 0; j < (t).rows.inner; j++)                                                         \
            for (int64_t c = 0; c < (t).rows.channels; c++)

static void noise_counts_planes(void **state) {
    const places *p = *state;
    uint64_t rng = 51;
    for (int trial = 0; trial < TRIALS; trial++) {
        const shape s = random_shape(&rng);
        const bool numbered = test_one_in(&rng, 2);
        test_tensor dst = test_tensor_poison(&rng, s.outer, s.inner, s.channels, true),
                    expected = test_tensor_copy(&dst);
        uint32_t numbers[4][2];
        float *planes = malloc((size_t)(s.inner * s.channels) * sizeof(float));
        assert_non_null(planes);
        ms_noise_args a = {.seed = test_rand(&rng)};
        for (int64_t i = 0; i < s.outer; i++) {
            numbers[i][0] = (uint32_t)test_range(&rng, 0, 3);
            numbers[i][1] = (uint32_t)test_rand(&rng);
            ms_noise_normals(a.seed, numbered ? numbers[i][0] : 0, numbered ? numbers[i][1] : 0, 0,
                             (uint64_t)(s.inner * s.channels), planes);
            for (int64_t j = 0; j < s.inner; j++)
                for (int64_t c = 0; c < s.channels; c++)
                    *at(&expected, i, j, c) = planes[c * s.inner + j];
        }
        for (int d = 0; d < place_count(p); d++) {
            const ms_compute *c = place(p, d);
            void *words = sent_words(c, numbers, sizeof(numbers));
            a.dst = sent(c, &dst);
            a.numbers = numbered ? words : NULL;
            assert_int_equal(c->dev->kernels->noise(c->queue, &a), MS_OK);
            got(c, place_name(p, d), a.dst, &expected, "noise");
            freed(c, words);
        }
        free(planes);
        test_tensor_free(&dst);
        test_tensor_free(&expected);
    }
}

static void posteriors_are_sampled(void **state) {
    const places *p = *state;
    uint64_t rng = 52;
    for (int trial = 0; trial < TRIALS; trial++) {
        const shape s = random_shape(&rng);
        test_tensor moments = test_tensor_random(&rng, s.outer, s.inner, 2 * s.channels, true),
                    normals = test_tensor_random(&rng, s.outer, s.inner, s.channels, true),
                    dst = test_tensor_poison(&rng, s.outer, s.inner, s.channels, true),
                    expected = test_tensor_copy(&dst);
        ms_posterior_args a = {.shift = test_uniform(&rng), .scale = test_uniform(&rng)};
        EACH(dst) {
            float *logvar = at(&moments, i, j, s.channels + c);
            *logvar *= test_one_in(&rng, 5) ? 100.0f : 5.0f; /* outside of what they are clamped to, too */
            float clamped = fminf(fmaxf(*logvar, -30.0f), 20.0f);
            float x = *at(&moments, i, j, c) + expf(0.5f * clamped) * *at(&normals, i, j, c);
            *at(&expected, i, j, c) = (x - a.shift) * a.scale;
        }
        for (int d = 0; d < place_count(p); d++) {
            const ms_compute *c = place(p, d);
            a.moments = sent(c, &moments);
            a.normals = sent(c, &normals);
            a.dst = sent(c, &dst);
            assert_int_equal(c->dev->kernels->posterior(c->queue, &a), MS_OK);
            got(c, place_name(p, d), a.dst, &expected, "posterior");
            freed(c, a.moments.data);
            freed(c, a.normals.data);
        }
        test_tensor_free(&moments);
        test_tensor_free(&normals);
        test_tensor_free(&dst);
        test_tensor_free(&expected);
    }
}

/* In place and not. */
static void latents_are_rescaled(void **state) {
    const places *p = *state;
    uint64_t rng = 53;
    for (int trial = 0; trial < TRIALS; trial++) {
        const shape s = random_shape(&rng);
        const bool in_place = test_one_in(&rng, 2);
        test_tensor src = test_tensor_random(&rng, s.outer, s.inner, s.channels, true),
                    dst = in_place ? test_tensor_copy(&src)
                                   : test_tensor_poison(&rng, s.outer, s.inner, s.channels, true),
                    expected = test_tensor_copy(&dst);
        ms_rescale_args a = {.divisor = 0.18215f + test_uniform(&rng) / 10, .shift = test_uniform(&rng)};
        EACH(dst)
        *at(&expected, i, j, c) = *at(&src, i, j, c) / a.divisor + a.shift;
        for (int d = 0; d < place_count(p); d++) {
            const ms_compute *c = place(p, d);
            a.src = sent(c, &src);
            a.dst = in_place ? a.src : sent(c, &dst);
            assert_int_equal(c->dev->kernels->rescale(c->queue, &a), MS_OK);
            got(c, place_name(p, d), a.dst, &expected, "rescale");
            if (!in_place)
                freed(c, a.src.data);
        }
        test_tensor_free(&src);
        test_tensor_free(&dst);
        test_tensor_free(&expected);
    }
}

static void guidance_and_steps_match(void **state) {
    const places *p = *state;
    uint64_t rng = 54;
    for (int trial = 0; trial < TRIALS; trial++) {
        const shape s = random_shape(&rng);
        test_tensor one = test_tensor_random(&rng, s.outer, s.inner, s.channels, true),
                    other = test_tensor_random(&rng, s.outer, s.inner, s.channels, true),
                    guided = test_tensor_poison(&rng, s.outer, s.inner, s.channels, true),
                    expected = test_tensor_copy(&guided), stepped = test_tensor_copy(&one);
        const float step[4] = {0.3f + test_uniform(&rng) / 4, test_uniform(&rng), test_uniform(&rng),
                               test_uniform(&rng)};
        ms_guide_args g = {.scale = 1.5f + test_uniform(&rng)};
        ms_ddim_args m = {.step = NULL};
        EACH(one) {
            float n = *at(&one, i, j, c), w = *at(&other, i, j, c);
            *at(&expected, i, j, c) = n + g.scale * (w - n);
            float original = (n - step[1] * w) / step[0];
            *at(&stepped, i, j, c) = step[2] * original + step[3] * w;
        }
        for (int d = 0; d < place_count(p); d++) {
            const ms_compute *c = place(p, d);
            g.without = sent(c, &one);
            g.with = sent(c, &other);
            g.dst = sent(c, &guided);
            m.sample = m.dst = g.without; /* in place */
            m.noise = g.with;
            void *words = sent_words(c, step, sizeof(step));
            m.step = words;
            assert_int_equal(c->dev->kernels->guide(c->queue, &g), MS_OK);
            assert_int_equal(c->dev->kernels->ddim(c->queue, &m), MS_OK);
            got(c, place_name(p, d), g.dst, &expected, "guide");
            got(c, place_name(p, d), m.dst, &stepped, "ddim");
            freed(c, g.with.data);
            freed(c, words);
        }
        test_tensor_free(&one);
        test_tensor_free(&other);
        test_tensor_free(&guided);
        test_tensor_free(&expected);
        test_tensor_free(&stepped);
    }
}

/* One bad element anywhere is found, what lies in gaps is not looked at, and a flag that is set stays. */
static void what_is_not_finite_is_found(void **state) {
    static const float bad[] = {INFINITY, -INFINITY, NAN};
    const places *p = *state;
    uint64_t rng = 55;
    for (int trial = 0; trial < TRIALS; trial++) {
        const shape s = random_shape(&rng);
        test_tensor src = test_tensor_random(&rng, s.outer, s.inner, s.channels, true);
        const bool spoiled = test_one_in(&rng, 2);
        const uint32_t before = test_one_in(&rng, 4);
        if (spoiled)
            *at(&src, test_range(&rng, 0, s.outer - 1), test_range(&rng, 0, s.inner - 1),
                test_range(&rng, 0, s.channels - 1)) = bad[trial % 3];
        for (int d = 0; d < place_count(p); d++) {
            const ms_compute *c = place(p, d);
            ms_check_finite_args a = {.src = sent(c, &src), .flag = sent_words(c, &before, sizeof(before))};
            uint32_t flag = 77;
            assert_int_equal(c->dev->kernels->check_finite(c->queue, &a), MS_OK);
            assert_int_equal(ms_compute_download(c, &flag, a.flag, sizeof(flag)), MS_OK);
            assert_int_equal(flag, spoiled || before);
            freed(c, a.src.data);
            freed(c, a.flag);
        }
        test_tensor_free(&src);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_counts_planes),         cmocka_unit_test(posteriors_are_sampled),
        cmocka_unit_test(latents_are_rescaled),        cmocka_unit_test(guidance_and_steps_match),
        cmocka_unit_test(what_is_not_finite_is_found),
    };
    return cmocka_run_group_tests(tests, places_open, places_close);
}
