/* Norms of the CUDA back end: the processor's bits for the widened values, rounded once. */
#include "support/device/typed.h"

#include "device/cuda/ops.h"

#define TRIALS 40
#define CPU(name, args) assert_int_equal(d->cpu.dev->kernels->name(d->cpu.queue, args), MS_OK)
#define CARD(name, args) assert_int_equal(ms_cuda_##name(&card->queue, args), MS_OK)

/* Partial sums and tables of the two back ends are compared each, so that neither hides the other's. */
static void check_group_norm(typed_devices *d, uint64_t *rng, int64_t groups, int64_t per_group) {
    simt_direct *card = typed_card(d, rng);
    const int64_t per_table = test_range(rng, 1, 3), outer = per_table * test_range(rng, 1, 2);
    const int64_t h = test_range(rng, 1, 40), w = test_range(rng, 1, 11), channels = groups * per_group;
    const int n_src = channels > 1 && test_one_in(rng, 2) ? 2 : 1;
    const int64_t first = n_src == 2 ? test_range(rng, 1, channels - 1) : channels;
    typed src[2];
    ms_norm_partials_args sums = {.n_src = n_src, .h = h, .w = w, .groups = (int)groups};
    ms_norm_partials_args plain_sums = sums;
    for (int i = 0; i < n_src; i++) {
        src[i] = typed_random(rng, outer, h * w, i ? channels - first : first, typed_dtype(card, rng));
        for (size_t at = src[i].offset; at < src[i].elements; at++)
            typed_set(&src[i], at, src[i].widened[at] + 5.0f);
        sums.src[i] = src[i].rows;
        plain_sums.src[i] = src[i].floats;
    }
    const size_t count = (size_t)(outer * h * groups);
    double(*partials)[2] = malloc(count * sizeof(*partials)),
    (*expected)[2] = malloc(count * sizeof(*expected));
    assert_true(partials && expected);
    memset(partials, 0xff, count * sizeof(*partials));
    sums.partials = partials;
    plain_sums.partials = expected;
    CPU(norm_partials, &plain_sums);
    CARD(norm_partials, &sums);
    assert_memory_equal(partials, expected, count * sizeof(*partials));

    const size_t floats = (size_t)(outer / per_table * 2 * channels);
    float *gamma = test_floats(rng, channels), *beta = test_floats(rng, channels);
    float *tables = malloc(floats * sizeof(float)), *expected_tables = malloc(floats * sizeof(float));
    assert_true(tables && expected_tables);
    memset(tables, 0xff, floats * sizeof(float));
    ms_norm_tables_args tabled = {.partials = (const double(*)[2])partials,
                                  .outer = outer,
                                  .h = h,
                                  .w = w,
                                  .channels = channels,
                                  .outer_per_table = per_table,
                                  .groups = (int)groups,
                                  .eps = 1e-5f,
                                  .gamma = gamma,
                                  .beta = beta,
                                  .tables = tables};
    ms_norm_tables_args plain_tabled = tabled;
    plain_tabled.tables = expected_tables;
    CPU(norm_tables, &plain_tabled);
    CARD(norm_tables, &tabled);
    assert_memory_equal(tables, expected_tables, floats * sizeof(float));
    for (int i = 0; i < n_src; i++)
        typed_free(&src[i]);
    free(partials);
    free(expected);
    free(gamma);
    free(beta);
    free(tables);
    free(expected_tables);
}

static void group_norm_matches(void **state) {
    uint64_t rng = 41;
    for (int trial = 0; trial < TRIALS; trial++)
        check_group_norm(*state, &rng, test_range(&rng, 1, 70), test_range(&rng, 1, 30));
}

/* Groups of more channels than a block sums up at a time, one a channel, more than a block merges. */
static void group_norm_of_odd_shapes(void **state) {
    uint64_t rng = 42;
    static const int64_t shapes[][2] = {{1, 256}, {1, 257}, {2, 600}, {1, 1},    {300, 1},
                                        {129, 2}, {32, 40}, {3, 255}, {33, 128}, {32, 10}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        check_group_norm(*state, &rng, shapes[i][0], shapes[i][1]);
}

static void layer_norm_matches(void **state) {
    typed_devices *d = *state;
    uint64_t rng = 43;
    for (int trial = 0; trial < 2 * TRIALS; trial++) {
        simt_direct *card = typed_card(d, &rng);
        const int64_t n = test_one_in(&rng, 2) ? 16 * test_range(&rng, 1, 20) : test_range(&rng, 1, 90);
        const int64_t outer = test_range(&rng, 1, 4), inner = test_range(&rng, 1, 40);
        const bool in_place = test_one_in(&rng, 3);
        typed src = typed_random(&rng, outer, inner, n, typed_dtype(card, &rng));
        typed other = typed_poison(&rng, outer, inner, n, typed_dtype(card, &rng));
        typed *dst = in_place ? &src : &other;
        float *gamma = test_floats(&rng, n), *beta = test_floats(&rng, n),
              *position = test_floats(&rng, 3 * n);
        ms_layer_norm_args args = {.src = src.rows,
                                   .dst = dst->rows,
                                   .gamma = gamma,
                                   .beta = beta,
                                   .eps = 1e-5f,
                                   .position_rows = 3,
                                   .outer_first = test_range(&rng, 0, 5)};
        args.position = test_one_in(&rng, 2) ? position : NULL;
        ms_layer_norm_args plain = args;
        plain.src = src.floats;
        plain.dst = dst->floats;
        CPU(layer_norm, &plain);
        /* In two slices. */
        const int64_t cut = test_range(&rng, 0, inner - 1);
        for (int part = cut > 0 ? 0 : 1; part < 2; part++) {
            ms_layer_norm_args slice = args;
            const int64_t first = part ? cut : 0;
            slice.src.inner = slice.dst.inner = part ? inner - cut : cut;
            slice.src.data = ms_elements_at(args.src.data, args.src.dtype, first * args.src.inner_stride);
            slice.dst.data = ms_elements_at(args.dst.data, args.dst.dtype, first * args.dst.inner_stride);
            CARD(layer_norm, &slice);
        }
        typed_assert_same(dst, "layer norm");
        typed_free(&src);
        typed_free(&other);
        free(gamma);
        free(beta);
        free(position);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(group_norm_matches),
        cmocka_unit_test(group_norm_of_odd_shapes),
        cmocka_unit_test(layer_norm_matches),
    };
    return cmocka_run_group_tests(tests, typed_devices_open, typed_devices_close);
}
