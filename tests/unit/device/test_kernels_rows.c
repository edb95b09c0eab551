/* Norms, element-wise kernels, pooling, resizing and copying: against double, and bit by bit across
   instruction sets and thread counts. */
#include "support/device/kernel_test.h"

#define TRIALS 40

/* ---- group norm ---- */

typedef struct norm_case {
    test_tensor src[2], dst;
    double (*partials)[2];
    float *gamma, *beta, *tables;
    ms_norm_partials_args sums;
    ms_norm_tables_args tabled;
    ms_norm_apply_args apply;
    size_t partial_bytes, table_floats;
} norm_case;

static norm_case norm_random(uint64_t *rng) {
    norm_case c = {0};
    const int64_t per_table = test_range(rng, 1, 3), outer = per_table * test_range(rng, 1, 3);
    const int64_t h = test_range(rng, 1, 9), w = test_range(rng, 1, 11), groups = test_range(rng, 1, 5);
    const int64_t channels = groups * test_range(rng, 1, 70);
    const int n_src = channels > 1 && test_one_in(rng, 2) ? 2 : 1;
    const int64_t first = n_src == 2 ? test_range(rng, 1, channels - 1) : channels;
    c.sums = (ms_norm_partials_args){.n_src = n_src, .h = h, .w = w, .groups = (int)groups};
    for (int i = 0; i < n_src; i++) {
        c.src[i] = test_tensor_random(rng, outer, h * w, i ? channels - first : first, true);
        for (size_t at = 0; at < c.src[i].floats; at++)
            c.src[i].block[at] += 30.0f; /* a mean far from 0 must not cost accuracy */
        c.sums.src[i] = c.src[i].rows;
    }
    c.partial_bytes = (size_t)(outer * h * groups) * sizeof(*c.partials);
    c.partials = malloc(c.partial_bytes);
    c.gamma = test_floats(rng, channels);
    c.beta = test_floats(rng, channels);
    c.table_floats = (size_t)(outer / per_table * 2 * channels);
    c.tables = malloc(c.table_floats * sizeof(float));
    assert_true(c.partials && c.tables);
    c.sums.partials = c.partials;
    c.tabled = (ms_norm_tables_args){.partials = c.partials,
                                     .outer = outer,
                                     .h = h,
                                     .w = w,
                                     .channels = channels,
                                     .outer_per_table = per_table,
                                     .groups = (int)groups,
                                     .eps = 1e-5f,
                                     .gamma = c.gamma,
                                     .beta = c.beta,
                                     .tables = c.tables};
    /* The first source alone is normalised: its channels are the first of the tables only if it has all. */
    c.dst = test_tensor_poison(rng, outer, h * w, first, true);
    c.apply = (ms_norm_apply_args){.src = c.src[0].rows, .dst = c.dst.rows};
    c.apply.prologue = (ms_prologue){.tables = c.tables, .outer_per_table = per_table, .act = MS_ACT_SILU};
    return c;
}

static void norm_free(norm_case *c) {
    for (int i = 0; i < 2; i++)
        test_tensor_free(&c->src[i]);
    test_tensor_free(&c->dst);
    free(c->partials);
    free(c->gamma);
    free(c->beta);
    free(c->tables);
}

static void norm_run(const ms_compute *compute, norm_case *c) {
    memset(c->partials, 0xff, c->partial_bytes);
    test_poison(c->tables, c->table_floats);
    test_tensor_fill_poison(&c->dst);
    assert_int_equal(compute->dev->kernels->norm_partials(compute->queue, &c->sums), MS_OK);
    assert_int_equal(compute->dev->kernels->norm_tables(compute->queue, &c->tabled), MS_OK);
    if (c->sums.n_src == 1)
        assert_int_equal(compute->dev->kernels->norm_apply(compute->queue, &c->apply), MS_OK);
}

static double norm_value(const norm_case *c, int64_t i, int64_t pixel, int64_t channel) {
    const int64_t first = c->src[0].rows.channels;
    return channel < first ? test_at(&c->src[0].rows, i, pixel, channel)
                           : test_at(&c->src[1].rows, i, pixel, channel - first);
}

static void norm_check_group(const norm_case *c, int64_t table, int64_t group) {
    const ms_norm_tables_args *t = &c->tabled;
    const int64_t per_group = t->channels / t->groups, pixels = t->h * t->w;
    double sum = 0, squares = 0, count = (double)(t->outer_per_table * pixels * per_group);
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = table * t->outer_per_table; i < (table + 1) * t->outer_per_table; i++)
            for (int64_t p = 0; p < pixels; p++)
                for (int64_t ch = group * per_group; ch < (group + 1) * per_group; ch++) {
                    double d = norm_value(c, i, p, ch) - (pass ? sum / count : 0);
                    sum += pass ? 0 : d;
                    squares += pass ? d * d : 0;
                }
    const double rstd = 1 / sqrt(squares / count + t->eps);
    for (int64_t ch = group * per_group; ch < (group + 1) * per_group; ch++) {
        const float *scale = c->tables + table * 2 * t->channels, *shift = scale + t->channels;
        double s = t->gamma[ch] * rstd, expected = t->beta[ch] - sum / count * s;
        assert_true(fabs(scale[ch] - s) <= 3e-7 * fabs(s));
        assert_true(fabs(shift[ch] - expected) <= 3e-7 * (fabs(expected) + fabs(s) * 30));
    }
}

static void norm_matches(void **state) {
    const test_devices *t = *state;
    uint64_t rng = 41;
    for (int trial = 0; trial < TRIALS; trial++) {
        norm_case c = norm_random(&rng);
        norm_run(&t->computes[0], &c);
        for (int64_t table = 0; table < c.tabled.outer / c.tabled.outer_per_table; table++)
            for (int64_t g = 0; g < c.tabled.groups; g++)
                norm_check_group(&c, table, g);
        const ms_rows *dst = &c.dst.rows;
        for (int64_t i = 0; c.sums.n_src == 1 && i < dst->outer; i++)
            for (int64_t p = 0; p < dst->inner; p++)
                for (int64_t ch = 0; ch < dst->channels; ch++) {
                    double expected = test_prologue_value(&c.apply.prologue, i, ch, dst->channels,
                                                          norm_value(&c, i, p, ch));
                    /* x and shift are up to 30 times the result */
                    assert_true(fabs(test_at(dst, i, p, ch) - expected) <= 2e-5);
                }
        test_tensor expected = test_tensor_copy(&c.dst);
        float *tables = malloc(c.table_floats * sizeof(float));
        assert_non_null(tables);
        memcpy(tables, c.tables, c.table_floats * sizeof(float));
        for (int d = 1; d < t->count; d++) {
            norm_run(&t->computes[d], &c);
            assert_memory_equal(tables, c.tables, c.table_floats * sizeof(float));
            test_same_bits(&expected, &c.dst, "group norm", t->name[d]);
        }
        free(tables);
        test_tensor_free(&expected);
        norm_free(&c);
    }
}

/* ---- layer norm ---- */

static void layer_norm_matches(void **state) {
    const test_devices *t = *state;
    uint64_t rng = 42;
    for (int trial = 0; trial < TRIALS; trial++) {
        const int64_t n = test_range(&rng, 1, 90), outer = test_range(&rng, 1, 5),
                      inner = test_range(&rng, 1, 9);
        test_tensor src = test_tensor_random(&rng, outer, inner, n, true);
        test_tensor dst = test_tensor_poison(&rng, outer, inner, n, true);
        float *gamma = test_floats(&rng, n), *beta = test_floats(&rng, n),
              *position = test_floats(&rng, 3 * n);
        ms_layer_norm_args a = {.src = src.rows,
                                .dst = dst.rows,
                                .gamma = gamma,
                                .beta = beta,
                                .eps = 1e-5f,
                                .position_rows = 3,
                                .outer_first = 2};
        a.position = test_one_in(&rng, 2) ? position : NULL;
        assert_int_equal(t->computes[0].dev->kernels->layer_norm(t->computes[0].queue, &a), MS_OK);
        for (int64_t i = 0; i < outer; i++) {
            for (int64_t j = 0; j < inner; j++) {
                double mean = 0, variance = 0;
                for (int64_t c = 0; c < n; c++)
                    mean += test_at(&src.rows, i, j, c) / (double)n;
                for (int64_t c = 0; c < n; c++)
                    variance += pow(test_at(&src.rows, i, j, c) - mean, 2) / (double)n;
                for (int64_t c = 0; c < n; c++) {
                    double expected =
                        (test_at(&src.rows, i, j, c) - mean) / sqrt(variance + 1e-5) * gamma[c] + beta[c];
                    expected += a.position ? position[(2 + i) % 3 * n + c] : 0;
                    /* two channels may lie close: a variance near eps makes 316 out of an error */
                    assert_true(fabs(test_at(&dst.rows, i, j, c) - expected) <= (n < 8 ? 4e-5 : 3e-6));
                }
            }
        }
        test_tensor expected = test_tensor_copy(&dst);
        for (int d = 1; d < t->count; d++) {
            test_tensor_fill_poison(&dst);
            assert_int_equal(t->computes[d].dev->kernels->layer_norm(t->computes[d].queue, &a), MS_OK);
            test_same_bits(&expected, &dst, "layer norm", t->name[d]);
        }
        test_tensor_free(&expected);
        test_tensor_free(&src);
        test_tensor_free(&dst);
        free(gamma);
        free(beta);
        free(position);
    }
}

/* ---- element-wise ---- */

static double binary_value(ms_binary op, double a, double b) {
    switch (op) {
    case MS_BINARY_ADD:
        return a + b;
    case MS_BINARY_SUB:
        return a - b;
    case MS_BINARY_MUL:
        return a * b;
    case MS_BINARY_DIV:
        break;
    }
    return a / b;
}

static void binary_matches(void **state) {
    const test_devices *t = *state;
    uint64_t rng = 43;
    for (int trial = 0; trial < TRIALS; trial++) {
        const int64_t n = test_range(&rng, 1, 70), outer = test_range(&rng, 1, 4),
                      inner = test_range(&rng, 1, 30);
        test_tensor a = test_tensor_random(&rng, outer, inner, n, true);
        test_tensor b = test_tensor_random(&rng, outer, inner, n, true);
        test_tensor dst = test_tensor_poison(&rng, outer, inner, n, true);
        float *channel = test_floats(&rng, n);
        ms_binary_args args = {
            .op = (ms_binary)test_range(&rng, 0, 3), .a = a.rows, .b = b.rows, .dst = dst.rows};
        args.act = test_one_in(&rng, 3) ? MS_ACT_RELU : MS_ACT_NONE;
        args.b_channel = test_one_in(&rng, 2) ? channel : NULL;
        assert_int_equal(t->computes[0].dev->kernels->binary(t->computes[0].queue, &args), MS_OK);
        for (int64_t i = 0; i < outer; i++)
            for (int64_t j = 0; j < inner; j++)
                for (int64_t c = 0; c < n; c++) {
                    double y = args.b_channel ? channel[c] : test_at(&b.rows, i, j, c);
                    double expected =
                        test_act_value(args.act, binary_value(args.op, test_at(&a.rows, i, j, c), y), 0);
                    assert_true(fabs(test_at(&dst.rows, i, j, c) - expected) <= 6e-8 * fabs(expected));
                }
        test_tensor expected = test_tensor_copy(&dst);
        for (int d = 1; d < t->count; d++) {
            test_tensor_fill_poison(&dst);
            assert_int_equal(t->computes[d].dev->kernels->binary(t->computes[d].queue, &args), MS_OK);
            test_same_bits(&expected, &dst, "binary", t->name[d]);
        }
        test_tensor_free(&expected);
        test_tensor_free(&a);
        test_tensor_free(&b);
        test_tensor_free(&dst);
        free(channel);
    }
}

static void unary_matches(void **state) {
    static const ms_act acts[] = {MS_ACT_NONE, MS_ACT_SILU,  MS_ACT_GELU,
                                  MS_ACT_RELU, MS_ACT_PRELU, MS_ACT_SIGMOID};
    const test_devices *t = *state;
    uint64_t rng = 44;
    for (int trial = 0; trial < TRIALS; trial++) {
        const int64_t n = test_range(&rng, 1, 70), outer = test_range(&rng, 1, 4),
                      inner = test_range(&rng, 1, 30);
        test_tensor src = test_tensor_random(&rng, outer, inner, n, true);
        for (size_t i = 0; i < src.floats; i++)
            src.block[i] *= 12.0f;
        test_tensor work = test_tensor_copy(&src), expected;
        float *slope = test_floats(&rng, n);
        /* in place */
        ms_unary_args a = {.src = work.rows, .dst = work.rows, .act = acts[trial % 6], .slope = slope};
        assert_int_equal(t->computes[0].dev->kernels->unary(t->computes[0].queue, &a), MS_OK);
        for (int64_t i = 0; i < outer; i++)
            for (int64_t j = 0; j < inner; j++)
                for (int64_t c = 0; c < n; c++) {
                    double exact = test_act_value(a.act, test_at(&src.rows, i, j, c), slope[c]);
                    assert_true(fabs(test_at(&work.rows, i, j, c) - exact) <= 3e-7 * fabs(exact) + 1e-6);
                }
        expected = test_tensor_copy(&work);
        for (int d = 1; d < t->count; d++) {
            memcpy(work.block, src.block, src.floats * sizeof(float));
            assert_int_equal(t->computes[d].dev->kernels->unary(t->computes[d].queue, &a), MS_OK);
            test_same_bits(&expected, &work, "unary", t->name[d]);
        }
        test_tensor_free(&expected);
        test_tensor_free(&src);
        test_tensor_free(&work);
        free(slope);
    }
}

/* ---- pooling, resizing, copying ---- */

static double pool_value(const ms_pool_args *a, int64_t i, int64_t oy, int64_t ox, int64_t c) {
    double most = -INFINITY, sum = 0;
    int64_t count = 0;
    for (int ky = 0; ky < a->kernel_h; ky++) {
        for (int kx = 0; kx < a->kernel_w; kx++) {
            int64_t y = oy * a->stride_h - a->pad_top + ky, x = ox * a->stride_w - a->pad_left + kx;
            bool inside = y >= 0 && x >= 0 && y < a->src_h && x < a->src_w;
            bool padded = y < a->src_h + a->pad_bottom && x < a->src_w + a->pad_right;
            count += inside || (a->count_pad && padded);
            if (!inside)
                continue;
            double v = test_at(&a->src, i, y * a->src_w + x, c);
            most = v > most ? v : most;
            sum += v;
        }
    }
    return a->average ? sum / (double)count : most;
}

static void pool_matches(void **state) {
    const test_devices *t = *state;
    uint64_t rng = 45;
    for (int trial = 0; trial < TRIALS; trial++) {
        const int64_t n = test_range(&rng, 1, 40), outer = test_range(&rng, 1, 2);
        ms_pool_args a = {.average = trial % 2, .count_pad = test_one_in(&rng, 2)};
        bool global = test_one_in(&rng, 5);
        a.src_h = test_range(&rng, 3, 20);
        a.src_w = test_range(&rng, 3, 20);
        a.kernel_h = global ? (int)a.src_h : (int)test_range(&rng, 1, 3);
        a.kernel_w = global ? (int)a.src_w : (int)test_range(&rng, 1, 3);
        a.stride_h = (int)test_range(&rng, 1, 2);
        a.stride_w = (int)test_range(&rng, 1, 3);
        a.pad_top = (int)test_range(&rng, 0, a.kernel_h - 1);
        a.pad_left = (int)test_range(&rng, 0, a.kernel_w - 1);
        a.pad_bottom = (int)test_range(&rng, 0, a.kernel_h - 1);
        a.pad_right = (int)test_range(&rng, 0, a.kernel_w - 1);
        a.dst_h = (a.src_h + a.pad_top + a.pad_bottom - a.kernel_h) / a.stride_h + 1;
        a.dst_w = (a.src_w + a.pad_left + a.pad_right - a.kernel_w) / a.stride_w + 1;
        test_tensor src = test_tensor_random(&rng, outer, a.src_h * a.src_w, n, true);
        test_tensor dst = test_tensor_poison(&rng, outer, a.dst_h * a.dst_w, n, true);
        a.src = src.rows;
        a.dst = dst.rows;
        assert_int_equal(t->computes[0].dev->kernels->pool(t->computes[0].queue, &a), MS_OK);
        for (int64_t i = 0; i < outer; i++)
            for (int64_t p = 0; p < a.dst_h * a.dst_w; p++)
                for (int64_t c = 0; c < n; c++) {
                    double exact = pool_value(&a, i, p / a.dst_w, p % a.dst_w, c);
                    assert_true(fabs(test_at(&dst.rows, i, p, c) - exact) <= (a.average ? 1e-6 : 0));
                }
        test_tensor expected = test_tensor_copy(&dst);
        for (int d = 1; d < t->count; d++) {
            test_tensor_fill_poison(&dst);
            assert_int_equal(t->computes[d].dev->kernels->pool(t->computes[d].queue, &a), MS_OK);
            test_same_bits(&expected, &dst, "pool", t->name[d]);
        }
        test_tensor_free(&expected);
        test_tensor_free(&src);
        test_tensor_free(&dst);
    }
}

static void resize_takes_the_nearest(void **state) {
    const test_devices *t = *state;
    uint64_t rng = 46;
    for (int trial = 0; trial < TRIALS; trial++) {
        const int64_t n = test_range(&rng, 1, 40), outer = test_range(&rng, 1, 3);
        ms_resize_args a = {.src_h = test_range(&rng, 1, 9),
                            .src_w = test_range(&rng, 1, 9),
                            .dst_h = test_range(&rng, 1, 20),
                            .dst_w = test_range(&rng, 1, 20)};
        test_tensor src = test_tensor_random(&rng, outer, a.src_h * a.src_w, n, true);
        test_tensor dst = test_tensor_poison(&rng, outer, a.dst_h * a.dst_w, n, true);
        a.src = src.rows;
        a.dst = dst.rows;
        for (int d = 0; d < t->count; d++) {
            test_tensor_fill_poison(&dst);
            assert_int_equal(t->computes[d].dev->kernels->resize(t->computes[d].queue, &a), MS_OK);
            for (int64_t i = 0; i < outer; i++)
                for (int64_t y = 0; y < a.dst_h; y++)
                    for (int64_t x = 0; x < a.dst_w; x++)
                        for (int64_t c = 0; c < n; c++) {
                            int64_t from = y * a.src_h / a.dst_h * a.src_w + x * a.src_w / a.dst_w;
                            assert_true(test_at(&dst.rows, i, y * a.dst_w + x, c) ==
                                        test_at(&src.rows, i, from, c));
                        }
        }
        test_tensor_free(&src);
        test_tensor_free(&dst);
    }
}

static void copy_changes_layout(void **state) {
    const test_devices *t = *state;
    uint64_t rng = 47;
    for (int trial = 0; trial < TRIALS; trial++) {
        const int64_t n = test_range(&rng, 1, 70), pixels = test_range(&rng, 1, 120),
                      outer = test_range(&rng, 1, 3);
        const bool from_planar = test_one_in(&rng, 2), to_planar = test_one_in(&rng, 2);
        float *src = test_floats(&rng, outer * pixels * n),
              *dst = malloc((size_t)(outer * pixels * n) * sizeof(float));
        assert_non_null(dst);
        ms_copy_args a = {.src = src, .dst = dst, .outer = outer, .inner = pixels, .channels = n};
        a.src_stride[0] = a.dst_stride[0] = pixels * n;
        a.src_stride[1] = from_planar ? 1 : n;
        a.src_stride[2] = from_planar ? pixels : 1;
        a.dst_stride[1] = to_planar ? 1 : n;
        a.dst_stride[2] = to_planar ? pixels : 1;
        for (int d = 0; d < t->count; d++) {
            test_poison(dst, (size_t)(outer * pixels * n));
            assert_int_equal(t->computes[d].dev->kernels->copy(t->computes[d].queue, &a), MS_OK);
            for (int64_t i = 0; i < outer * pixels * n; i++) {
                int64_t o = i / (pixels * n), p = i / n % pixels, c = i % n;
                assert_true(src[o * pixels * n + p * a.src_stride[1] + c * a.src_stride[2]] ==
                            dst[o * pixels * n + p * a.dst_stride[1] + c * a.dst_stride[2]]);
            }
        }
        free(src);
        free(dst);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norm_matches),        cmocka_unit_test(layer_norm_matches),
        cmocka_unit_test(binary_matches),      cmocka_unit_test(unary_matches),
        cmocka_unit_test(pool_matches),        cmocka_unit_test(resize_takes_the_nearest),
        cmocka_unit_test(copy_changes_layout),
    };
    return cmocka_run_group_tests(tests, test_devices_open, test_devices_close);
}
