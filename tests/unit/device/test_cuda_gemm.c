/*
 * The CUDA back end's tensor cores: linear layers and convolutions near the rounding of their type, with the
 * same bits for every tile, cut, schedule and alignment.
 */
#include "support/device/matrix_case.h"

#define SCHEDULES 3

/* Everything behind the prologue as one tensor in float32, rounded to the type that the kernels read. */
static test_tensor joined_sources(const ms_compute *compute, const matrix_case *c, ms_dtype dtype) {
    const ms_conv2d_args *a = &c->host;
    const int64_t outer = a->src[0].outer, inner = a->src[0].inner;
    const int64_t channels = ms_source_channels(a->src, a->n_src);
    uint64_t rng = 1;
    test_tensor t = test_tensor_poison(&rng, outer, inner, channels, false);
    for (int64_t i = 0; i < outer * inner; i++)
        for (int64_t k = 0; k < channels; k++) {
            const int second = k >= a->src[0].channels;
            t.block[i * channels + k] =
                test_at(&a->src[second], i / inner, i % inner, second ? k - a->src[0].channels : k);
        }
    if (a->prologue.tables) {
        const ms_norm_apply_args apply = {.src = t.rows, .dst = t.rows, .prologue = a->prologue};
        assert_int_equal(compute->dev->kernels->norm_apply(compute->queue, &apply), MS_OK);
    }
    for (size_t i = 0; i < t.floats; i++)
        t.block[i] = test_rounded(t.block[i], dtype);
    return t;
}

/* The sums of magnitudes under each output; of GEGLU's rows all, hidden ones first. */
static test_tensor magnitudes(const ms_compute *compute, const matrix_case *c, const test_tensor *joined) {
    uint64_t rng = 1;
    matrix_case sums = {.kind = c->kind == MATRIX_GEGLU ? MATRIX_LINEAR : c->kind};
    const ms_weight_shape *s = &c->weight.shape;
    const int64_t values = s->n * s->c_in * s->kernel_h * s->kernel_w;
    float *w = malloc((size_t)values * sizeof(float));
    assert_non_null(w);
    for (int64_t i = 0; i < values; i++)
        w[i] = fabsf(c->weight.values[i]);
    ms_weight_shape panel = *s;
    panel.layout = MS_LAYOUT_PANEL;
    test_weight weight = test_weight_of(&panel, w);
    test_tensor src = test_tensor_copy(joined);
    for (size_t i = 0; i < src.floats; i++)
        src.block[i] = fabsf(src.block[i]);
    test_tensor dst = test_tensor_poison(&rng, c->host.dst.outer, c->host.dst.inner, s->n, false);
    ms_conv2d_args a = c->host;
    a.src[0] = src.rows;
    a.n_src = 1;
    a.dst = dst.rows;
    a.weight = weight.weight;
    a.prologue = (ms_prologue){0};
    a.epilogue = (ms_epilogue){0};
    matrix_case_on_host(compute, &sums, &a);
    test_weight_free(&weight);
    test_tensor_free(&src);
    return dst;
}

/* What the sums may be off by: each of k / 8 or k / 16 steps of the tensor cores loses bits below 2^-24
   of the largest term, and the processor's chain with which they are compared rounds k times. */
static double sum_error(const matrix_case *c, double magnitude) {
    return (magnitude + 2) * 0x1p-24 * (16 + (double)c->host.weight.k / 4);
}

static double half_place(ms_dtype dtype) {
    return dtype == MS_F16 ? 0x1p-11 : dtype == MS_BF16 ? 0x1p-8 : 0x1p-24;
}

/* c->dst has the processor's values. */
static void check_values(const matrix_case *c, const test_tensor *magnitude) {
    const ms_rows *r = &c->card_dst.rows;
    for (int64_t i = 0; i < r->outer; i++)
        for (int64_t j = 0; j < r->inner; j++)
            for (int64_t n = 0; n < r->channels; n++) {
                const double expected = test_at(&c->dst.rows, i, j, n), got = card_at(r, i, j, n);
                const double m = test_at(&magnitude->rows, i, j, n);
                double error = 1.2 * sum_error(c, m);
                if (c->kind == MATRIX_GEGLU) {
                    const double gate = test_at(&magnitude->rows, i, j, n + r->channels);
                    error = 1.2 * (sum_error(c, m) * (gate + 2) + sum_error(c, gate) * (m + 2));
                }
                error += half_place(r->dtype) * (fabs(expected) + error) + 0x1p-25;
                if (!(fabs(got - expected) <= error))
                    fail_msg("kind %d, row %d,%d of %d, channel %d of %d, k %d: %.9g, expected %.9g +- %.3g",
                             c->kind, (int)i, (int)j, (int)r->inner, (int)n, (int)r->channels,
                             (int)c->host.weight.k, got, expected, error);
            }
}

static void on_host(const ms_compute *compute, const matrix_case *c, ms_dtype dtype) {
    test_tensor joined = joined_sources(compute, c, dtype);
    ms_conv2d_args a = c->host;
    a.src[0] = joined.rows;
    a.n_src = 1;
    a.prologue = (ms_prologue){0};
    matrix_case_on_host(compute, c, &a);
    test_tensor m = magnitudes(compute, c, &joined);
    check_values(c, &m);
    test_tensor_free(&m);
    test_tensor_free(&joined);
}

static void check_bits_are_the_same(simt_direct *d, uint64_t *rng, matrix_case *c) {
    static const char *const names[] = {"128x128", "256x64", "128x64", "64x64", "64x32", "the best tile"};
    const uint64_t seed = d->seed;
    void *kept = matrix_case_keep(c);
    for (int tile = 0; tile <= CUDA_TILE_COUNT; tile++) {
        d->seed = seed + (uint64_t)test_range(rng, 1, SCHEDULES);
        matrix_case_reset(c);
        matrix_case_on_card(d, c, &c->card, (cuda_tile)tile);
        matrix_case_same_as(c, kept, names[tile]);
    }
    matrix_case_reset(c);
    matrix_case_sliced(d, c, test_range(rng, 0, c->card.dst.outer), (cuda_tile)test_range(rng, 2, 4));
    matrix_case_same_as(c, kept, "in slices");
    if (c->kind >= MATRIX_CONV) {
        matrix_case_reset(c);
        matrix_case_striped(d, c, rng, (cuda_tile)test_range(rng, 2, 4));
        matrix_case_same_as(c, kept, "in stripes");
    }
    matrix_case_misalign(c);
    matrix_case_reset(c);
    matrix_case_on_card(d, c, &c->card, CUDA_TILE_COUNT);
    matrix_case_same_as(c, kept, "not at 16 bytes");
    free(kept);
}

/* The kernels that should run did: not the ones in float32. */
static void check_kernel(const simt_direct *d, const matrix_case *c) {
    const bool of_rows = strncmp(d->last, "linear_", 7) == 0, of_windows = strncmp(d->last, "conv_", 5) == 0;
    if (!of_rows && !(of_windows && c->kind >= MATRIX_CONV))
        fail_msg("kind %d went to %s", c->kind, d->last);
}

static void check(const ms_compute *compute, int arch, ms_dtype dtype, const matrix_sizes *sizes, int trials,
                  uint64_t rng) {
    static const matrix_kind kinds[] = {MATRIX_LINEAR, MATRIX_CONV, MATRIX_GEGLU, MATRIX_GROUPS};
    simt_direct d;
    simt_direct_open(&d, arch, 0);
    for (int trial = 0; trial < trials; trial++) {
        const matrix_types types = {{dtype, dtype},
                                    dtype,
                                    test_one_in(&rng, 3) ? MS_F32 : dtype,
                                    test_one_in(&rng, 4) ? MS_F32 : dtype};
        matrix_sizes s = *sizes;
        matrix_case c;
        const matrix_kind kind = kinds[trial % 4];
        if (kind == MATRIX_GROUPS || test_one_in(&rng, 2))
            s.step = 8;
        matrix_case_random(&rng, kind, &types, &s, &d, &c);
        d.seed = (uint64_t)test_range(&rng, 0, SCHEDULES);
        matrix_case_reset(&c);
        matrix_case_on_card(&d, &c, &c.card, (cuda_tile)test_range(&rng, 0, CUDA_TILE_COUNT));
        check_kernel(&d, &c);
        on_host(compute, &c, dtype);
        check_bits_are_the_same(&d, &rng, &c);
        matrix_case_free(&c);
    }
    simt_direct_close(&d);
}

static const matrix_sizes small = {3, 6, 40, 50, 1}, large = {2, 14, 200, 300, 1};

static void in_f16(void **state) {
    const test_devices *t = *state;
    static const int archs[] = {75, 86, 90};
    for (int i = 0; i < 3; i++) {
        check(&t->computes[t->count - 1], archs[i], MS_F16, &small, 20, 2000 + (uint64_t)i);
        check(&t->computes[t->count - 1], archs[i], MS_F16, &large, 2, 3000 + (uint64_t)i);
    }
}

static void in_bf16(void **state) {
    const test_devices *t = *state;
    static const int archs[] = {86, 90};
    for (int i = 0; i < 2; i++) {
        check(&t->computes[t->count - 1], archs[i], MS_BF16, &small, 20, 4000 + (uint64_t)i);
        check(&t->computes[t->count - 1], archs[i], MS_BF16, &large, 2, 5000 + (uint64_t)i);
    }
}

/* A card with few multiprocessors takes large tiles, one with many small ones; the bits are the same. */
static void the_tile_follows_the_card(void **state) {
    (void)state;
    static const int processors[] = {1, 200};
    static const matrix_types types = {{MS_F16, MS_F16}, MS_F16, MS_F16, MS_F16};
    const char *names[2];
    uint64_t rng = 6000;
    int differ = 0;
    simt_direct d;
    simt_direct_open(&d, 86, 0);
    for (int trial = 0; trial < 6; trial++) {
        matrix_case c;
        void *kept = NULL;
        matrix_case_random(&rng, MATRIX_LINEAR, &types, &large, &d, &c);
        for (int i = 0; i < 2; i++) {
            d.processors = processors[i];
            matrix_case_reset(&c);
            matrix_case_on_card(&d, &c, &c.card, CUDA_TILE_COUNT);
            names[i] = d.last;
            if (i == 0)
                kept = matrix_case_keep(&c);
            else
                matrix_case_same_as(&c, kept, d.last);
        }
        differ += strcmp(names[0], names[1]) != 0;
        free(kept);
        matrix_case_free(&c);
    }
    assert_true(differ > 0);
    simt_direct_close(&d);
}

/* The self-test's: whatever the size of a call is, every kernel is come to, and the bits are the same. */
static void every_form_is_a_kernel(void **state) {
    (void)state;
    static const char *const tiles[CUDA_FORMS] = {"_128x128", "_256x64", "_128x64",
                                                  "_64x64",   "_64x32",  "_any"};
    static const matrix_types types = {{MS_F16, MS_F16}, MS_F16, MS_F16, MS_F16};
    static const matrix_kind kinds[] = {MATRIX_LINEAR, MATRIX_CONV};
    uint64_t rng = 7000;
    simt_direct d;
    simt_direct_open(&d, 86, 0);
    for (int k = 0; k < 2; k++) {
        matrix_case c;
        void *kept = NULL;
        matrix_case_random(&rng, kinds[k], &types, &small, &d, &c);
        for (d.form = 0; d.form <= CUDA_FORMS; d.form++) {
            matrix_case_reset(&c);
            matrix_case_on_card(&d, &c, &c.card, CUDA_TILE_COUNT);
            if (d.form == 0)
                kept = matrix_case_keep(&c);
            else
                assert_non_null(strstr(d.last, tiles[d.form - 1]));
            matrix_case_same_as(&c, kept, d.last);
        }
        free(kept);
        matrix_case_free(&c);
    }
    simt_direct_close(&d);
}

/* 16 x 16 pixels of 32 channels. */
static ms_conv2d_args plain_layer(void *data, ms_dtype dtype) {
    const ms_rows rows = {data, 1, 256, 32, 256 * 32, 32, dtype};
    return (ms_conv2d_args){.src = {rows, rows},
                            .n_src = 1,
                            .src_h = 16,
                            .src_w = 16,
                            .dst = rows,
                            .dst_h = 16,
                            .dst_w = 16,
                            .kernel_h = 3,
                            .kernel_w = 3,
                            .stride_h = 1,
                            .stride_w = 1,
                            .pad_top = 1,
                            .pad_left = 1,
                            .groups = 1,
                            .weight = {data, dtype, MS_LAYOUT_PANEL, 32, 288}};
}

/* A copy is made where a normalisation comes first or 16 bytes are not in one place, else none; it does not
   depend on the weights, which are loaded later. */
static void copies_only_where_it_must(void **state) {
    (void)state;
    static float data[16 * 16 * 64];
    const size_t copy = (size_t)256 * 32 * 2;
    simt_direct d;
    simt_direct_open(&d, 86, 0);
    ms_conv2d_args a = plain_layer(data, MS_F16);
    assert_int_equal(ms_cuda_conv2d_layout(&a), MS_LAYOUT_PANEL);
    assert_int_equal(ms_cuda_conv2d_workspace(&d.dev, &a), 0);
    a.n_src = 2;
    assert_int_equal(ms_cuda_conv2d_workspace(&d.dev, &a), 0);
    a.prologue.tables = data;
    assert_int_equal(ms_cuda_conv2d_workspace(&d.dev, &a), 2 * copy);
    a.n_src = 1;
    assert_int_equal(ms_cuda_conv2d_workspace(&d.dev, &a), copy);
    a.weight.dtype = MS_F32;
    assert_int_equal(ms_cuda_conv2d_workspace(&d.dev, &a), copy);
    a.src[0].dtype = MS_F32; /* summed in float32, which reads through the normalisation */
    assert_int_equal(ms_cuda_conv2d_workspace(&d.dev, &a), 0);
    a = plain_layer(data, MS_F16);
    a.src[0].inner_stride = 33;
    assert_int_equal(ms_cuda_conv2d_workspace(&d.dev, &a), copy);
    a = plain_layer(data, MS_F16);
    a.src[0].channels = 13;
    assert_int_equal(ms_cuda_conv2d_workspace(&d.dev, &a), (size_t)256 * 16 * 2);
    a.src[0].channels = a.dst.channels = a.groups = 32;
    assert_int_equal(ms_cuda_conv2d_layout(&a), MS_LAYOUT_DEPTHWISE);
    assert_int_equal(ms_cuda_conv2d_workspace(&d.dev, &a), 0);
    simt_direct_close(&d);
}

static void what_a_card_cannot_is_refused(void **state) {
    (void)state;
    static float data[16 * 16 * 64];
    simt_direct d;
    simt_direct_open(&d, 75, 0);
    ms_conv2d_args a = plain_layer(data, MS_BF16);
    assert_int_equal(ms_cuda_conv2d(&d.queue, &a, NULL), MS_UNSUPPORTED);
    a = plain_layer(data, MS_F16);
    a.weight.layout = MS_LAYOUT_WINOGRAD;
    assert_int_equal(ms_cuda_conv2d(&d.queue, &a, NULL), MS_INVALID_ARGUMENT);
    a = plain_layer(data, MS_F16);
    a.src[0].outer_stride = INT64_C(1) << 40; /* further than rows are counted */
    a.src[0].outer = a.dst.outer = 2;
    assert_int_equal(ms_cuda_conv2d(&d.queue, &a, NULL), MS_UNSUPPORTED);
    assert_int_equal(d.launches, 0);
    simt_direct_close(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_f16),
        cmocka_unit_test(in_bf16),
        cmocka_unit_test(the_tile_follows_the_card),
        cmocka_unit_test(every_form_is_a_kernel),
        cmocka_unit_test(copies_only_where_it_must),
        cmocka_unit_test(what_a_card_cannot_is_refused),
    };
    return cmocka_run_group_tests(tests, test_devices_open, test_devices_close);
}
