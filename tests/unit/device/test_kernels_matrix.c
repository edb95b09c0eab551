/* linear, conv2d (direct, grouped, depthwise, Winograd) and attention: against sums in double, and bit by bit
   across instruction sets, thread counts and slices. */
#include "support/device/kernel_test.h"

#include "device/shape.h"

#define EPS 0x1p-24

/* Rows first .. first+count-1 of a tensor. */
static ms_rows rows_slice(ms_rows r, int64_t first, int64_t count) {
    r.data = ms_elements_at(r.data, r.dtype, first * r.outer_stride);
    r.outer = count;
    return r;
}

/* ---- linear ---- */

typedef struct linear_case {
    test_tensor src[2], dst;
    test_weight weight;
    test_epilogue epilogue;
    ms_linear_args args;
} linear_case;

/* In place, because the epilogue points into the case. */
static void linear_random(uint64_t *rng, bool geglu, linear_case *c) {
    memset(c, 0, sizeof(*c));
    const int64_t outer = test_range(rng, 1, 4), inner = test_one_in(rng, 4) ? 1 : test_range(rng, 1, 60);
    const bool gaps = test_one_in(rng, 2);
    int64_t n = test_range(rng, 1, 80), channels = test_one_in(rng, 20) ? 1400 : test_range(rng, 1, 70);
    int64_t k = 0;
    c->args.n_src = test_one_in(rng, 3) ? 2 : 1;
    for (int i = 0; i < c->args.n_src; i++) {
        c->src[i] = test_tensor_random(rng, outer, inner, i ? test_range(rng, 1, 40) : channels, gaps);
        c->args.src[i] = c->src[i].rows;
        k += c->src[i].rows.channels;
    }
    c->dst = test_tensor_poison(rng, outer, inner, n, gaps);
    c->args.dst = c->dst.rows;
    c->weight = test_weight_random(rng, geglu ? MS_LAYOUT_GEGLU : MS_LAYOUT_PANEL,
                                   test_dtypes[test_range(rng, 0, 2)], geglu ? 2 * n : n, k, 1, 1, 1);
    c->args.weight = c->weight.weight;
    c->args.prologue = test_prologue_random(rng, outer, k);
    test_epilogue_random(rng, &c->epilogue, &c->dst.rows, geglu);
    c->args.epilogue = c->epilogue.e;
}

static void linear_free(linear_case *c) {
    for (int i = 0; i < 2; i++)
        test_tensor_free(&c->src[i]);
    test_tensor_free(&c->dst);
    test_weight_free(&c->weight);
    test_epilogue_free(&c->epilogue);
    free((void *)(uintptr_t)c->args.prologue.tables);
}

static void linear_run(const ms_compute *compute, const ms_linear_args *args) {
    void *workspace = test_workspace(compute->dev->kernels->linear_workspace(compute->dev, args));
    assert_int_equal(compute->dev->kernels->linear(compute->queue, args, workspace), MS_OK);
    free(workspace);
}

/* The value before the epilogue and the sum of magnitudes that bounds its rounding. */
static double linear_sum(const linear_case *c, int64_t i, int64_t j, int64_t n, double *ret_magnitude) {
    const int64_t k = c->args.weight.k;
    double sum = 0;
    int64_t at = 0;
    *ret_magnitude = 0;
    for (int s = 0; s < c->args.n_src; s++) {
        for (int64_t ch = 0; ch < c->args.src[s].channels; ch++, at++) {
            double x = test_prologue_value(&c->args.prologue, i, at, k, test_at(&c->args.src[s], i, j, ch));
            sum += x * c->weight.values[n * k + at];
            *ret_magnitude += fabs(x * c->weight.values[n * k + at]);
        }
    }
    return sum;
}

static void linear_check_values(const linear_case *c) {
    const ms_linear_args *a = &c->args;
    const double factor = EPS * (8 + sqrt((double)a->weight.k));
    for (int64_t i = 0; i < a->dst.outer; i++) {
        for (int64_t j = 0; j < a->dst.inner; j++) {
            for (int64_t n = 0; n < a->dst.channels; n++) {
                double magnitude, gate_magnitude = 0, expected = linear_sum(c, i, j, n, &magnitude);
                if (a->epilogue.act == MS_ACT_GEGLU) {
                    const int64_t g = n + a->dst.channels;
                    ms_epilogue plain = {.bias = a->epilogue.bias, .add = a->epilogue.add};
                    double gate = linear_sum(c, i, j, g, &gate_magnitude);
                    double hidden = test_epilogue_value(&plain, i, j, n, expected);
                    gate = test_epilogue_value(&plain, i, j, g, gate);
                    double error =
                        (magnitude + 2) * (fabs(gate) + 1) + (gate_magnitude + 2) * (fabs(hidden) + 1);
                    ms_epilogue after = {.residual = a->epilogue.residual, .scale = a->epilogue.scale};
                    expected =
                        test_epilogue_value(&after, i, j, n, hidden * test_act_value(MS_ACT_GELU, gate, 0));
                    magnitude = error;
                } else {
                    expected = test_epilogue_value(&a->epilogue, i, j, n, expected);
                }
                double got = test_at(&a->dst, i, j, n);
                if (!(fabs(got - expected) <= factor * (magnitude + 3)))
                    fail_msg("row %d,%d column %d: %.9g, expected %.9g (k %d)", (int)i, (int)j, (int)n, got,
                             expected, (int)a->weight.k);
            }
        }
    }
}

/* The same layer in two calls, cut between outer rows. */
static void linear_run_sliced(const ms_compute *compute, const ms_linear_args *whole, int64_t cut) {
    for (int part = 0; part < 2; part++) {
        ms_linear_args a = *whole;
        const int64_t first = part ? cut : 0, count = part ? whole->dst.outer - cut : cut;
        if (count == 0)
            continue;
        for (int i = 0; i < a.n_src; i++)
            a.src[i] = rows_slice(a.src[i], first, count);
        a.dst = rows_slice(a.dst, first, count);
        a.prologue.outer_first += first;
        if (a.epilogue.residual.data) {
            a.epilogue.residual = rows_slice(a.epilogue.residual, first, count);
        }
        linear_run(compute, &a);
    }
}

static void linear_matches(void **state) {
    const test_devices *t = *state;
    uint64_t rng = 11;
    for (int trial = 0; trial < 120; trial++) {
        linear_case c;
        linear_random(&rng, trial % 4 == 3, &c);
        linear_run(&t->computes[0], &c.args);
        linear_check_values(&c);
        test_tensor expected = test_tensor_copy(&c.dst);
        for (int d = 1; d < t->count; d++) {
            test_tensor_fill_poison(&c.dst);
            linear_run(&t->computes[d], &c.args);
            test_same_bits(&expected, &c.dst, "linear", t->name[d]);
            test_tensor_fill_poison(&c.dst);
            linear_run_sliced(&t->computes[d], &c.args, test_range(&rng, 0, c.args.dst.outer));
            test_same_bits(&expected, &c.dst, "sliced linear", t->name[d]);
        }
        test_tensor_free(&expected);
        linear_free(&c);
    }
}

/* ---- conv2d ---- */

typedef struct conv_case {
    test_tensor src[2], dst;
    test_weight weight;
    test_epilogue epilogue;
    ms_conv2d_args args;
} conv_case;

typedef enum conv_kind { CONV_ANY, CONV_SAME_3X3, CONV_GROUPS, CONV_DEPTHWISE } conv_kind;

static void conv_random_shape(uint64_t *rng, conv_kind kind, ms_conv2d_args *a) {
    a->src_h = test_range(rng, 1, 14);
    a->src_w = test_range(rng, 1, test_one_in(rng, 8) ? 80 : 14);
    if (test_one_in(rng, 3)) {
        a->up_h = a->src_h * 2 + test_range(rng, 0, 1) * (a->src_h > 1);
        a->up_w = test_one_in(rng, 2) ? a->src_w * 2 : 0;
    }
    const int64_t in_h = a->up_h ? a->up_h : a->src_h, in_w = a->up_w ? a->up_w : a->src_w;
    a->kernel_h = a->kernel_w = 3;
    a->stride_h = a->stride_w = 1;
    a->pad_top = a->pad_left = 1;
    a->dst_h = in_h;
    a->dst_w = in_w;
    if (kind == CONV_SAME_3X3)
        return;
    a->kernel_h = (int)test_range(rng, 1, in_h < 5 ? in_h : 5);
    a->kernel_w = (int)test_range(rng, 1, in_w < 5 ? in_w : 5);
    a->stride_h = (int)test_range(rng, 1, 2);
    a->stride_w = (int)test_range(rng, 1, 3);
    a->pad_top = (int)test_range(rng, 0, a->kernel_h - 1);
    a->pad_left = (int)test_range(rng, 0, a->kernel_w - 1);
    /* Up to a kernel less one of padding at the far edges. */
    a->dst_h = (in_h + a->pad_top + test_range(rng, 0, a->kernel_h - 1) - a->kernel_h) / a->stride_h + 1;
    a->dst_w = (in_w + a->pad_left + test_range(rng, 0, a->kernel_w - 1) - a->kernel_w) / a->stride_w + 1;
}

static void conv_random(uint64_t *rng, conv_kind kind, conv_case *c) {
    memset(c, 0, sizeof(*c));
    ms_conv2d_args *a = &c->args;
    const int64_t outer = test_range(rng, 1, 4);
    const bool gaps = test_one_in(rng, 2);
    int64_t channels[2] = {test_range(rng, 1, 40), test_range(rng, 1, 40)}, n = test_range(rng, 1, 50),
            all = 0;
    conv_random_shape(rng, kind, a);
    a->groups = 1;
    a->n_src = test_one_in(rng, 3) ? 2 : 1;
    if (kind == CONV_GROUPS || kind == CONV_DEPTHWISE) {
        a->n_src = 1;
        a->groups = kind == CONV_DEPTHWISE ? (int)n : (int)test_range(rng, 2, 3);
        channels[0] = kind == CONV_DEPTHWISE ? n : a->groups * test_range(rng, 1, 9);
        n = kind == CONV_DEPTHWISE ? n : a->groups * test_range(rng, 1, 40);
    } else if (test_one_in(rng, 25)) {
        channels[0] = 700; /* more than Winograd transforms weights for at a time */
        n = test_range(rng, 1, 20);
    }
    for (int i = 0; i < a->n_src; i++) {
        c->src[i] = test_tensor_random(rng, outer, a->src_h * a->src_w, channels[i], gaps);
        a->src[i] = c->src[i].rows;
        all += channels[i];
    }
    c->dst = test_tensor_poison(rng, outer, a->dst_h * a->dst_w, n, gaps);
    a->dst = c->dst.rows;
    ms_weight_layout layout = ms_conv2d_layout(a);
    c->weight = test_weight_random(rng, layout, test_dtypes[test_range(rng, 0, 2)], n, all / a->groups,
                                   a->kernel_h, a->kernel_w, a->groups);
    a->weight = c->weight.weight;
    a->prologue = test_prologue_random(rng, outer, all);
    test_epilogue_random(rng, &c->epilogue, &c->dst.rows, false);
    a->epilogue = c->epilogue.e;
}

static void conv_free(conv_case *c) {
    for (int i = 0; i < 2; i++)
        test_tensor_free(&c->src[i]);
    test_tensor_free(&c->dst);
    test_weight_free(&c->weight);
    test_epilogue_free(&c->epilogue);
    free((void *)(uintptr_t)c->args.prologue.tables);
}

static void conv_run(const ms_compute *compute, const ms_conv2d_args *args) {
    void *workspace = test_workspace(compute->dev->kernels->conv2d_workspace(compute->dev, args));
    assert_int_equal(compute->dev->kernels->conv2d(compute->queue, args, workspace), MS_OK);
    free(workspace);
}

static void conv_run_sliced(const ms_compute *compute, const ms_conv2d_args *whole, int64_t cut) {
    for (int part = 0; part < 2; part++) {
        ms_conv2d_args a = *whole;
        const int64_t first = part ? cut : 0, count = part ? whole->dst.outer - cut : cut;
        if (count == 0)
            continue;
        for (int i = 0; i < a.n_src; i++)
            a.src[i] = rows_slice(a.src[i], first, count);
        a.dst = rows_slice(a.dst, first, count);
        a.prologue.outer_first += first;
        if (a.epilogue.residual.data) {
            a.epilogue.residual = rows_slice(a.epilogue.residual, first, count);
        }
        conv_run(compute, &a);
    }
}

/* Rows of images of w pixels. */
static ms_rows image_rows(ms_rows r, int64_t first, int64_t count, int64_t w) {
    r.data = ms_elements_at(r.data, r.dtype, first * w * r.inner_stride);
    r.inner = count * w;
    return r;
}

/* In stripes, each with no more of the source than it reads, and now and then a little more. */
static void conv_run_striped(const ms_compute *compute, const ms_conv2d_args *whole, uint64_t *rng) {
    const int64_t step = whole->weight.layout == MS_LAYOUT_WINOGRAD ? 4 : 1;
    for (int64_t y = 0, count; y < whole->dst_h; y += count) {
        ms_conv2d_args a = *whole;
        int64_t first = 0, last = 0;
        count = step * test_range(rng, 1, 3);
        count = count < whole->dst_h - y ? count : whole->dst_h - y;
        ms_conv2d_reads(whole, y, y + count - 1, &first, &last);
        first -= first > 0 && test_one_in(rng, 2);
        last += last + 1 < whole->src_h && test_one_in(rng, 2);
        a.src_y = first;
        a.src_rows = last + 1 - first;
        a.dst_y = y;
        a.dst_rows = count;
        for (int i = 0; i < a.n_src; i++)
            a.src[i] = image_rows(a.src[i], first, a.src_rows, a.src_w);
        a.dst = image_rows(a.dst, y, count, a.dst_w);
        if (a.epilogue.residual.data) {
            a.epilogue.residual = image_rows(a.epilogue.residual, y, count, a.dst_w);
        }
        conv_run(compute, &a);
    }
}

/* The enlarged input's value at (y, x) behind the prologue, 0 in the padding. */
static double conv_input(const ms_conv2d_args *a, int64_t i, int64_t y, int64_t x, int64_t channel) {
    const int64_t in_h = a->up_h ? a->up_h : a->src_h, in_w = a->up_w ? a->up_w : a->src_w;
    if (y < 0 || x < 0 || y >= in_h || x >= in_w)
        return 0;
    if (a->up_h) {
        y = (int64_t)floorf((float)y * ((float)a->src_h / (float)a->up_h));
        y = y < a->src_h ? y : a->src_h - 1;
    }
    if (a->up_w) {
        x = (int64_t)floorf((float)x * ((float)a->src_w / (float)a->up_w));
        x = x < a->src_w ? x : a->src_w - 1;
    }
    int64_t all = a->src[0].channels + (a->n_src == 2 ? a->src[1].channels : 0), at = channel, s = 0;
    if (at >= a->src[0].channels) {
        at -= a->src[0].channels;
        s = 1;
    }
    return test_prologue_value(&a->prologue, i, channel, all, test_at(&a->src[s], i, y * a->src_w + x, at));
}

static double conv_sum(const conv_case *c, int64_t i, int64_t y, int64_t x, int64_t n,
                       double *ret_magnitude) {
    const ms_conv2d_args *a = &c->args;
    const int64_t c_in = c->weight.shape.c_in, group = n / (a->dst.channels / a->groups);
    double sum = 0;
    *ret_magnitude = 0;
    for (int64_t ch = 0; ch < c_in; ch++) {
        for (int ky = 0; ky < a->kernel_h; ky++) {
            for (int kx = 0; kx < a->kernel_w; kx++) {
                double v = conv_input(a, i, y * a->stride_h - a->pad_top + ky,
                                      x * a->stride_w - a->pad_left + kx, group * c_in + ch);
                v *= c->weight.values[((n * c_in + ch) * a->kernel_h + ky) * a->kernel_w + kx];
                sum += v;
                *ret_magnitude += fabs(v);
            }
        }
    }
    return sum;
}

/* Winograd's rounding follows the size of everything under the tile, not of one output's terms: sqrt(9 c_in)
   terms of about 1/3, with a factor for what the transforms amplify. */
static double conv_tolerance(const conv_case *c, double magnitude) {
    const double k = (double)c->args.weight.k;
    if (c->args.weight.layout == MS_LAYOUT_WINOGRAD)
        return 2e-5 * sqrt(k) * (c->args.prologue.tables ? 1.5 : 1);
    return EPS * (8 + sqrt(k)) * (magnitude + 3);
}

static void conv_check_values(const conv_case *c, uint64_t *rng) {
    const ms_conv2d_args *a = &c->args;
    /* All outputs of small cases, a sample of large ones. */
    const int64_t outputs = a->dst.outer * a->dst.inner * a->dst.channels;
    const int64_t checks = outputs * a->weight.k > 200000 ? 200000 / a->weight.k : outputs;
    for (int64_t check = 0; check < checks; check++) {
        const int64_t at = checks == outputs ? check : test_range(rng, 0, outputs - 1);
        const int64_t n = at % a->dst.channels, pixel = at / a->dst.channels % a->dst.inner;
        const int64_t i = at / a->dst.channels / a->dst.inner;
        double magnitude, sum = conv_sum(c, i, pixel / a->dst_w, pixel % a->dst_w, n, &magnitude);
        double expected = test_epilogue_value(&a->epilogue, i, pixel, n, sum),
               got = test_at(&a->dst, i, pixel, n);
        if (!(fabs(got - expected) <= conv_tolerance(c, magnitude)))
            fail_msg("image %d pixel %d channel %d: %.9g, expected %.9g (layout %d, k %d)", (int)i,
                     (int)pixel, (int)n, got, expected, (int)a->weight.layout, (int)a->weight.k);
    }
}

static void conv_matches(const test_devices *t, conv_kind kind, uint64_t seed, int trials) {
    uint64_t rng = seed;
    for (int trial = 0; trial < trials; trial++) {
        conv_case c;
        conv_random(&rng, kind, &c);
        conv_run(&t->computes[0], &c.args);
        conv_check_values(&c, &rng);
        test_tensor expected = test_tensor_copy(&c.dst);
        for (int d = 1; d < t->count; d++) {
            test_tensor_fill_poison(&c.dst);
            conv_run(&t->computes[d], &c.args);
            test_same_bits(&expected, &c.dst, "conv2d", t->name[d]);
            test_tensor_fill_poison(&c.dst);
            conv_run_sliced(&t->computes[d], &c.args, test_range(&rng, 0, c.args.dst.outer));
            test_same_bits(&expected, &c.dst, "sliced conv2d", t->name[d]);
            test_tensor_fill_poison(&c.dst);
            conv_run_striped(&t->computes[d], &c.args, &rng);
            test_same_bits(&expected, &c.dst, "striped conv2d", t->name[d]);
        }
        test_tensor_free(&expected);
        conv_free(&c);
    }
}

static void conv_any_matches(void **state) {
    conv_matches(*state, CONV_ANY, 21, 120);
}

static void conv_winograd_matches(void **state) {
    conv_matches(*state, CONV_SAME_3X3, 22, 80);
}

static void conv_groups_match(void **state) {
    conv_matches(*state, CONV_GROUPS, 23, 50);
}

static void conv_depthwise_matches(void **state) {
    conv_matches(*state, CONV_DEPTHWISE, 24, 50);
}

/* ---- attention ---- */

typedef struct attention_case {
    float *q, *k, *v, *out;
    size_t out_floats;
    ms_attention_args args;
} attention_case;

/* Strides of tokens beside each other (spatial) or a frame apart (temporal); floats that they reach. */
static int64_t attention_strides(uint64_t *rng, const ms_attention_args *a, int64_t tokens, bool temporal,
                                 int64_t stride[3]) {
    const int64_t width = (int64_t)a->heads * a->head_dim + test_range(rng, 0, 1) * 7;
    stride[1] = temporal ? width : tokens * width;
    stride[2] = temporal ? a->batch_inner * width : width;
    stride[0] = a->batch_inner * tokens * width;
    return (a->batch_outer - 1) * stride[0] + (a->batch_inner - 1) * stride[1] + (tokens - 1) * stride[2] +
           (int64_t)a->heads * a->head_dim;
}

static attention_case attention_random(uint64_t *rng) {
    attention_case c = {0};
    ms_attention_args *a = &c.args;
    const bool temporal = test_one_in(rng, 2);
    a->batch_outer = test_range(rng, 1, 2);
    a->batch_inner = temporal ? test_range(rng, 1, 5) : 1;
    a->q_tokens = test_one_in(rng, 3) ? test_range(rng, 60, 140) : test_range(rng, 1, 40);
    a->kv_tokens = test_one_in(rng, 3) ? test_range(rng, 60, 200) : test_range(rng, 1, 66);
    if (temporal && test_one_in(rng, 2)) /* a window's frames: gathered up to 32 */
        a->q_tokens = a->kv_tokens = test_range(rng, 1, 34);
    a->heads = (int)test_range(rng, 1, 3);
    a->head_dim = (int)test_range(rng, 1, 50);
    a->scale = 4.0f / sqrtf((float)a->head_dim);
    c.q = test_floats(rng, attention_strides(rng, a, a->q_tokens, temporal, a->q_stride));
    c.k = test_floats(rng, attention_strides(rng, a, a->kv_tokens, temporal, a->k_stride));
    c.v = test_floats(rng, attention_strides(rng, a, a->kv_tokens, temporal, a->v_stride));
    c.out_floats = (size_t)attention_strides(rng, a, a->q_tokens, temporal, a->out_stride);
    c.out = malloc(c.out_floats * sizeof(float));
    assert_non_null(c.out);
    a->q = c.q;
    a->k = c.k;
    a->v = c.v;
    a->out = c.out;
    return c;
}

static void attention_free(attention_case *c) {
    free(c->q);
    free(c->k);
    free(c->v);
    free(c->out);
}

static void attention_run(const ms_compute *compute, const ms_attention_args *args) {
    void *workspace = test_workspace(compute->dev->kernels->attention_workspace(compute->dev, args));
    assert_int_equal(compute->dev->kernels->attention(compute->queue, args, workspace), MS_OK);
    free(workspace);
}

static void attention_check_row(const ms_attention_args *a, int64_t i, int64_t j, int64_t token, int head) {
    const int64_t d = a->head_dim, channel = head * d;
    const float *q =
        (const float *)a->q + i * a->q_stride[0] + j * a->q_stride[1] + token * a->q_stride[2] + channel;
    const float *out = (const float *)a->out + i * a->out_stride[0] + j * a->out_stride[1] +
                       token * a->out_stride[2] + channel;
    const float *k = (const float *)a->k + i * a->k_stride[0] + j * a->k_stride[1] + channel;
    const float *v = (const float *)a->v + i * a->v_stride[0] + j * a->v_stride[1] + channel;
    double p[256], most = -INFINITY, total = 0;
    for (int64_t t = 0; t < a->kv_tokens; t++) {
        p[t] = 0;
        for (int64_t c = 0; c < d; c++)
            p[t] += (double)a->scale * q[c] * k[t * a->k_stride[2] + c];
        most = p[t] > most ? p[t] : most;
    }
    for (int64_t t = 0; t < a->kv_tokens; t++)
        total += p[t] = exp(p[t] - most);
    for (int64_t c = 0; c < d; c++) {
        double expected = 0;
        for (int64_t t = 0; t < a->kv_tokens; t++)
            expected += p[t] / total * v[t * a->v_stride[2] + c];
        if (!(fabs(out[c] - expected) <= 3e-6))
            fail_msg("token %d head %d channel %d: %.9g, expected %.9g", (int)token, head, (int)c, out[c],
                     expected);
    }
}

static void attention_check_values(const ms_attention_args *a) {
    for (int64_t i = 0; i < a->batch_outer; i++)
        for (int64_t j = 0; j < a->batch_inner; j++)
            for (int64_t token = 0; token < a->q_tokens; token++)
                for (int head = 0; head < a->heads; head++)
                    attention_check_row(a, i, j, token, head);
}

/* The batches in single calls. */
static void attention_run_sliced(const ms_compute *compute, const ms_attention_args *whole) {
    for (int64_t i = 0; i < whole->batch_outer; i++) {
        for (int64_t j = 0; j < whole->batch_inner; j++) {
            ms_attention_args a = *whole;
            a.batch_outer = a.batch_inner = 1;
            a.q = ms_elements_at(a.q, a.dtype, i * a.q_stride[0] + j * a.q_stride[1]);
            a.k = ms_elements_at(a.k, a.dtype, i * a.k_stride[0] + j * a.k_stride[1]);
            a.v = ms_elements_at(a.v, a.dtype, i * a.v_stride[0] + j * a.v_stride[1]);
            a.out = ms_elements_at(a.out, a.dtype, i * a.out_stride[0] + j * a.out_stride[1]);
            attention_run(compute, &a);
        }
    }
}

static void attention_matches(void **state) {
    const test_devices *t = *state;
    uint64_t rng = 31;
    for (int trial = 0; trial < 60; trial++) {
        attention_case c = attention_random(&rng);
        test_poison(c.out, c.out_floats);
        attention_run(&t->computes[0], &c.args);
        attention_check_values(&c.args);
        test_tensor expected = {.block = c.out, .floats = c.out_floats}, got;
        expected = test_tensor_copy(&expected);
        got = (test_tensor){.block = c.out, .floats = c.out_floats};
        for (int d = 1; d < t->count; d++) {
            test_poison(c.out, c.out_floats);
            attention_run(&t->computes[d], &c.args);
            test_same_bits(&expected, &got, "attention", t->name[d]);
            test_poison(c.out, c.out_floats);
            attention_run_sliced(&t->computes[d], &c.args);
            test_same_bits(&expected, &got, "sliced attention", t->name[d]);
        }
        test_tensor_free(&expected);
        attention_free(&c);
    }
}

/* Scores far apart: the small ones vanish, nothing becomes NaN. */
static void attention_with_large_scores(void **state) {
    const test_devices *t = *state;
    float q[1] = {1}, k[130], v[130], out[1];
    for (int i = 0; i < 130; i++) {
        k[i] = i == 100 ? 3e4f : i == 3 ? 2e4f : -3e4f;
        v[i] = (float)i;
    }
    ms_attention_args a = {.q = q,
                           .k = k,
                           .v = v,
                           .out = out,
                           .q_stride = {1, 1, 1},
                           .k_stride = {1, 1, 1},
                           .v_stride = {1, 1, 1},
                           .out_stride = {1, 1, 1},
                           .batch_outer = 1,
                           .batch_inner = 1,
                           .q_tokens = 1,
                           .kv_tokens = 130,
                           .heads = 1,
                           .head_dim = 1,
                           .scale = 1};
    for (int d = 0; d < t->count; d++) {
        attention_run(&t->computes[d], &a);
        assert_true(out[0] == 100.0f);
    }
}

/* A stripe of Winograd's off its tiles, or without the rows that it reads, is refused. */
static void wrong_stripes_are_refused(void **state) {
    const test_devices *t = *state;
    const ms_compute *compute = &t->computes[1];
    float src[12 * 8 * 16] = {0}, dst[12 * 8 * 16], taps[9 * 16 * 16] = {0};
    const ms_rows rows = {
        .data = src, .outer = 1, .inner = 96, .channels = 16, .outer_stride = 1536, .inner_stride = 16};
    const ms_conv2d_args whole = {
        .src = {rows},
        .n_src = 1,
        .src_h = 12,
        .src_w = 8,
        .dst = rows,
        .dst_h = 12,
        .dst_w = 8,
        .kernel_h = 3,
        .kernel_w = 3,
        .stride_h = 1,
        .stride_w = 1,
        .pad_top = 1,
        .pad_left = 1,
        .groups = 1,
        .weight = {.data = taps, .dtype = MS_F32, .layout = MS_LAYOUT_WINOGRAD, .n = 16, .k = 144}};
    static const struct {
        int64_t src_y, src_rows, dst_y, dst_rows;
        bool good;
    } cases[] = {{0, 12, 0, 12, true}, {0, 12, 4, 4, true},  {3, 6, 4, 4, true},   {3, 9, 4, 8, true},
                 {4, 5, 4, 4, false},  {3, 5, 4, 4, false},  {0, 12, 2, 4, false}, {0, 12, 4, 3, false},
                 {0, 12, 8, 8, false}, {1, 12, 4, 4, false}, {0, 12, -4, 4, false}};
    char *workspace = test_workspace(compute->dev->kernels->conv2d_workspace(compute->dev, &whole));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ms_conv2d_args a = whole;
        a.src_y = cases[i].src_y;
        a.src_rows = cases[i].src_rows;
        a.dst_y = cases[i].dst_y;
        a.dst_rows = cases[i].dst_rows;
        a.src[0].inner = 8 * a.src_rows;
        a.dst.data = dst;
        a.dst.inner = 8 * a.dst_rows;
        ms_status status = compute->dev->kernels->conv2d(compute->queue, &a, workspace);
        assert_int_equal(status, cases[i].good ? MS_OK : MS_INVALID_ARGUMENT);
    }
    free(workspace);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_matches),
        cmocka_unit_test(conv_any_matches),
        cmocka_unit_test(conv_winograd_matches),
        cmocka_unit_test(conv_groups_match),
        cmocka_unit_test(wrong_stripes_are_refused),
        cmocka_unit_test(conv_depthwise_matches),
        cmocka_unit_test(attention_matches),
        cmocka_unit_test(attention_with_large_scores),
    };
    return cmocka_run_group_tests(tests, test_devices_open, test_devices_close);
}
