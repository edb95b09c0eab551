/* Convolutions and matrix products, and what is fused into them. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "models/onnx/attrs.h"

#define MAX_KERNEL 64
#define MAX_STRIDE 4096

/* ---- parameters ---- */

ms_status ms_onnx_add_param(onnx_build *b, const char *what, const onnx_recipe *recipe,
                            const char **ret_name) {
    onnx_recipe *copy = ms_region_alloc(b->region, sizeof(*copy));
    const char *name = ms_graph_text(b->graph, "%d.%s.%" PRId64, b->index, what, recipe->n);
    MS_TRY(ms_onnx_graph_status(b, b->node));
    if (!copy)
        return ms_onnx_no_region(b);
    *copy = *recipe;
    if (ms_strmap_add(&b->recipes, name, strlen(name), copy) != MS_STRMAP_ADDED)
        return ms_onnx_no_region(b);
    *ret_name = name;
    return MS_OK;
}

/* ---- the tail ---- */

ms_status ms_onnx_tail_init(const onnx_build *b, int64_t n, onnx_tail *ret_tail) {
    double *tables = ms_region_alloc_array(b->region, 2 * (size_t)n, sizeof(*tables));
    if (!tables)
        return ms_onnx_no_region(b);
    for (int64_t i = 0; i < n; i++) {
        tables[i] = 1;
        tables[n + i] = 0;
    }
    *ret_tail = (onnx_tail){.n = n, .scale = tables, .shift = tables + n, .residual = MS_NO_VALUE};
    return MS_OK;
}

ms_status ms_onnx_tail_affine(const onnx_build *b, onnx_tail *tail, const onnx_point *p) {
    for (int64_t i = 0; i < tail->n; i++) {
        int64_t at = p->entries == 1 ? 0 : i;
        tail->scale[i] *= p->scale[at];
        tail->shift[i] = tail->shift[i] * p->scale[at] + p->shift[at];
        if (!isfinite(tail->scale[i]) || !isfinite(tail->shift[i]))
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "what follows it overflows in channel %" PRId64, i);
    }
    return MS_OK;
}

static ms_status tail_act(const onnx_build *b, onnx_tail *tail, const onnx_point *p) {
    tail->act = p->act;
    if (p->act != MS_ACT_PRELU)
        return MS_OK;
    tail->slope = ms_region_alloc_array(b->region, (size_t)tail->n, sizeof(*tail->slope));
    if (!tail->slope)
        return ms_onnx_no_region(b);
    for (int64_t i = 0; i < tail->n; i++)
        tail->slope[i] = p->slope[p->entries == 1 ? 0 : i];
    return MS_OK;
}

/* The epilogue's order is product, factor and bias, activation, sum. */
static ms_status take(const onnx_build *b, onnx_tail *tail, const onnx_slot *result, ms_shape shape,
                      const onnx_point *p, bool *ret_taken) {
    bool plain = tail->act == MS_ACT_NONE && tail->residual == MS_NO_VALUE;
    *ret_taken = false;
    if (p->kind == ONNX_POINT_AFFINE && plain) {
        *ret_taken = true;
        return ms_onnx_tail_affine(b, tail, p);
    }
    if (p->kind == ONNX_POINT_ACT && plain) {
        *ret_taken = true;
        return tail_act(b, tail, p);
    }
    if (p->kind == ONNX_POINT_SUM && tail->residual == MS_NO_VALUE) {
        ms_shape s = ms_graph_shape(b->graph, p->other->value);
        onnx_slot other = *p->other;
        other.value = result->value; /* compare the views alone */
        bool same = s.n == shape.n && s.h == shape.h && s.w == shape.w && s.c == shape.c;
        if (same && ms_onnx_same_view(b, result, &other)) {
            *ret_taken = true;
            tail->residual = p->other->value;
        }
    }
    return MS_OK;
}

/* The node that alone reads a value, -1 when there is none. */
static int only_reader(const onnx_build *b, int32_t value) {
    const onnx_use *use = &b->uses[value];
    return use->count == 1 && !use->output ? use->node : -1;
}

ms_status ms_onnx_follow(onnx_build *b, const onnx_slot *result, ms_shape shape, onnx_tail *tail) {
    int32_t at = b->node->output[0];
    for (int next = only_reader(b, at); next >= 0; next = only_reader(b, at)) {
        const ms_onnx_node *node = &b->file->nodes[next];
        const onnx_op *op;
        onnx_point p;
        bool taken = false;
        MS_TRY(ms_onnx_check_node(b, node, &op));
        if (op->live != ms_onnx_visit_point)
            return MS_OK;
        int input = node->input[0] == at ? 0 : 1;
        MS_TRY(ms_onnx_point_of(b, node, input, result, &p));
        MS_TRY(take(b, tail, result, shape, &p, &taken));
        if (!taken)
            return MS_OK;
        b->pass[next] = input;
        at = node->output[0];
    }
    return MS_OK;
}

static bool all_equal(const double *values, int64_t n, double value) {
    for (int64_t i = 0; i < n; i++)
        if (values[i] != value)
            return false;
    return true;
}

/* scale * bias + shift; NULL in ret_bias when it is 0. */
static ms_status make_bias(onnx_build *b, const onnx_tail *tail, const float *bias, const char **ret_name) {
    if (!bias && all_equal(tail->shift, tail->n, 0))
        return MS_OK;
    float *values = ms_region_alloc_array(b->region, (size_t)tail->n, sizeof(*values));
    if (!values)
        return ms_onnx_no_region(b);
    for (int64_t i = 0; i < tail->n; i++) {
        values[i] = (float)(tail->scale[i] * (bias ? (double)bias[i] : 0) + tail->shift[i]);
        if (!isfinite(values[i]))
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "its bias overflows in channel %" PRId64, i);
    }
    onnx_recipe recipe = {.values = values, .n = tail->n, .k = 1, .origin = -1};
    return ms_onnx_add_param(b, "bias", &recipe, ret_name);
}

ms_status ms_onnx_tail_finish(onnx_build *b, const onnx_tail *tail, const float *bias, ms_out_desc *ret_out,
                              onnx_recipe *weight) {
    ms_out_desc out = MS_NO_OUT;
    out.act = tail->act;
    out.residual = tail->residual;
    MS_TRY(make_bias(b, tail, bias, &out.bias));
    if (tail->act == MS_ACT_PRELU) {
        onnx_recipe recipe = {.values = tail->slope, .n = tail->n, .k = 1, .origin = -1};
        MS_TRY(ms_onnx_add_param(b, "slope", &recipe, &out.slope));
    }
    if (!all_equal(tail->scale, tail->n, 1))
        weight->row_scale = tail->scale;
    *ret_out = out;
    return MS_OK;
}

/* ---- weights ---- */

/* A constant matrix [n, k...]. Values that were given back before are with the weights by then. */
static ms_status read_weight(const onnx_build *b, const onnx_slot *w, int rank, onnx_recipe *ret_weight) {
    char text[ONNX_DIMS_TEXT];
    if (w->kind != ONNX_CONST || w->dtype != MS_F32)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "weights that are no constant floating numbers");
    if (w->rank != rank || w->elements == 0)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "weights of shape %s",
                            ms_onnx_dims_text(text, w->rank, w->dim));
    onnx_recipe r = {.values = w->data, .n = w->dim[0], .k = w->elements / w->dim[0], .origin = -1};
    if (w->origin >= 0 && only_reader(b, w->origin) == b->index)
        r.origin = w->origin;
    *ret_weight = r;
    return MS_OK;
}

/* A constant vector of n entries, one entry (then spread out), or nothing. */
static ms_status read_bias(const onnx_build *b, const onnx_slot *c, int64_t n, bool spread,
                           const float **ret_bias) {
    char text[ONNX_DIMS_TEXT];
    *ret_bias = NULL;
    if (!c)
        return MS_OK;
    bool row = c->rank == 1 || (spread && c->rank == 2 && c->dim[0] == 1);
    bool one = spread && c->elements == 1 && c->rank <= 2;
    if (!one && (!row || c->elements != n))
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "a bias of shape %s for %" PRId64 " outputs",
                            ms_onnx_dims_text(text, c->rank, c->dim), n);
    MS_TRY(ms_onnx_const_floats(b, b->node, c, "its biases", ret_bias));
    if (!one)
        return MS_OK;
    float *values = ms_region_alloc_array(b->region, (size_t)n, sizeof(*values));
    if (!values)
        return ms_onnx_no_region(b);
    for (int64_t i = 0; i < n; i++)
        values[i] = **ret_bias;
    *ret_bias = values;
    return MS_OK;
}

/* ---- convolution ---- */

static ms_status read_conv(onnx_build *b, const onnx_slot *w, ms_conv_desc *d) {
    int64_t kernel[2], stride[2], dilation[2], pad[4];
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    const char *auto_pad = ms_onnx_attr_text(&a, "auto_pad", "NOTSET");
    if (strcmp(auto_pad, "NOTSET") != 0 && strcmp(auto_pad, "VALID") != 0)
        ms_onnx_attr_refuse(&a, "auto_pad", "is supported as NOTSET and VALID only");
    d->groups = (int)ms_onnx_attr_int(&a, "group", 1, 1, INT32_MAX);
    ms_onnx_attr_ints(&a, "strides", 2, 1, 1, MAX_STRIDE, stride);
    ms_onnx_attr_ints(&a, "dilations", 2, 1, 1, 1, dilation);
    ms_onnx_attr_ints(&a, "pads", 4, 0, 0, MAX_KERNEL - 1, pad);
    ms_onnx_attr_ints(&a, "kernel_shape", 2, -1, 1, MAX_KERNEL, kernel);
    for (int i = 0; i < 2; i++) {
        if (kernel[i] == -1)
            kernel[i] = w->dim[2 + i];
        if (kernel[i] != w->dim[2 + i] || kernel[i] > MAX_KERNEL)
            ms_onnx_attr_refuse(&a, "kernel_shape", "is not that of the weights, or more than %d",
                                MAX_KERNEL);
        if (pad[i] >= kernel[i] || pad[2 + i] >= kernel[i])
            ms_onnx_attr_refuse(&a, "pads", "holds a padding that is not smaller than the kernel");
    }
    bool padded = pad[0] || pad[1] || pad[2] || pad[3];
    if (padded && strcmp(auto_pad, "VALID") == 0)
        ms_onnx_attr_refuse(&a, "pads", "contradicts auto_pad VALID");
    MS_TRY(ms_onnx_attrs_end(&a));
    d->kernel_h = (int)kernel[0], d->kernel_w = (int)kernel[1];
    d->stride_h = (int)stride[0], d->stride_w = (int)stride[1];
    d->pad_top = (int)pad[0], d->pad_left = (int)pad[1];
    d->pad_bottom = (int)pad[2], d->pad_right = (int)pad[3];
    return MS_OK;
}

/* The result before it is computed: its dimensions, and an image's strides. */
static ms_status conv_result(const onnx_build *b, const ms_conv_desc *d, ms_shape s, ms_value like,
                             onnx_slot *ret_result, ms_shape *ret_shape) {
    int64_t space_h = s.h + d->pad_top + d->pad_bottom - d->kernel_h;
    int64_t space_w = s.w + d->pad_left + d->pad_right - d->kernel_w;
    if (space_h < 0 || space_w < 0)
        return ms_onnx_fail(b, b->node, MS_INVALID_ARGUMENT,
                            "a kernel of %dx%d does not fit an image of %" PRId64 "x%" PRId64
                            ": the network's input is too small",
                            d->kernel_h, d->kernel_w, s.h, s.w);
    ms_shape o = {s.n, space_h / d->stride_h + 1, space_w / d->stride_w + 1, d->channels};
    const int64_t dim[4] = {o.n, o.c, o.h, o.w};
    onnx_slot result = {.kind = ONNX_LIVE, .value = like};
    MS_TRY(ms_onnx_set_dims(b, &result, 4, dim));
    const int64_t stride[4] = {o.h * o.w * o.c, 1, o.w * o.c, o.c};
    memcpy(result.stride, stride, sizeof(stride));
    *ret_result = result;
    *ret_shape = o;
    return MS_OK;
}

ms_status ms_onnx_visit_conv(onnx_build *b) {
    onnx_slot *x = ms_onnx_in(b, b->node, 0), result;
    const onnx_slot *w = ms_onnx_in(b, b->node, 1);
    ms_conv_desc d = {.name = b->node->name, .src2 = MS_NO_VALUE, .norm = MS_NO_NORM};
    onnx_recipe weight;
    const float *bias;
    onnx_tail tail;
    ms_shape shape;
    MS_TRY(ms_onnx_image(b, x, &d.src));
    MS_TRY(read_weight(b, w, 4, &weight));
    MS_TRY(read_conv(b, w, &d));
    d.channels = weight.n;
    ms_shape s = ms_graph_shape(b->graph, d.src);
    if (s.c % d.groups || s.c / d.groups != w->dim[1] || weight.n % d.groups)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL,
                            "%" PRId64 " channels in %d groups do not fit weights of %" PRId64 "x%" PRId64,
                            s.c, d.groups, w->dim[0], w->dim[1]);
    MS_TRY(read_bias(b, ms_onnx_in(b, b->node, 2), weight.n, false, &bias));
    MS_TRY(conv_result(b, &d, s, d.src, &result, &shape));
    MS_TRY(ms_onnx_tail_init(b, weight.n, &tail));
    MS_TRY(ms_onnx_follow(b, &result, shape, &tail));
    MS_TRY(ms_onnx_tail_finish(b, &tail, bias, &d.out, &weight));
    MS_TRY(ms_onnx_add_param(b, "weight", &weight, &d.weight));
    return ms_onnx_out_value(b, ms_op_conv(b->graph, &d), 4);
}

/* ---- matrix product ---- */

/* x [m, k] times weight's n rows, or, transposed, columns. */
static ms_status product(onnx_build *b, onnx_recipe *weight, const onnx_slot *c, float alpha, float beta) {
    onnx_slot *x = ms_onnx_in(b, b->node, 0), result;
    ms_linear_desc d = {
        .name = b->node->name, .src2 = MS_NO_VALUE, .n = weight->n, .weight_rank = 2, .norm = MS_NO_NORM};
    const float *bias;
    onnx_tail tail;
    MS_TRY(ms_onnx_rows(b, x, &d.src));
    ms_shape s = ms_graph_shape(b->graph, d.src), shape = {s.n, 1, 1, weight->n};
    if (s.c != weight->k)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "%" PRId64 " columns meet weights for %" PRId64, s.c,
                            weight->k);
    MS_TRY(read_bias(b, c, weight->n, true, &bias));
    MS_TRY(ms_onnx_tail_init(b, weight->n, &tail));
    for (int64_t i = 0; i < weight->n; i++) {
        tail.scale[i] = (double)alpha;
        tail.shift[i] = bias ? (double)beta * (double)bias[i] : 0;
    }
    result = (onnx_slot){.kind = ONNX_LIVE, .value = d.src, .stride = {weight->n, 1}};
    MS_TRY(ms_onnx_set_dims(b, &result, 2, (const int64_t[]){s.n, weight->n}));
    MS_TRY(ms_onnx_follow(b, &result, shape, &tail));
    MS_TRY(ms_onnx_tail_finish(b, &tail, NULL, &d.out, weight));
    MS_TRY(ms_onnx_add_param(b, "weight", weight, &d.weight[0]));
    return ms_onnx_out_value(b, ms_op_linear(b->graph, &d), 2);
}

static void transpose(onnx_recipe *weight) {
    int64_t n = weight->n;
    weight->n = weight->k;
    weight->k = n;
    weight->transposed = true;
}

ms_status ms_onnx_visit_gemm(onnx_build *b) {
    onnx_recipe weight;
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    float alpha = ms_onnx_attr_float(&a, "alpha", 1), beta = ms_onnx_attr_float(&a, "beta", 1);
    ms_onnx_attr_int(&a, "transA", 0, 0, 0);
    bool rows = ms_onnx_attr_int(&a, "transB", 0, 0, 1) == 1;
    MS_TRY(ms_onnx_attrs_end(&a));
    MS_TRY(read_weight(b, ms_onnx_in(b, b->node, 1), 2, &weight));
    if (!rows)
        transpose(&weight);
    return product(b, &weight, ms_onnx_in(b, b->node, 2), alpha, beta);
}

ms_status ms_onnx_visit_matmul(onnx_build *b) {
    onnx_recipe weight;
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    MS_TRY(ms_onnx_attrs_end(&a));
    MS_TRY(read_weight(b, ms_onnx_in(b, b->node, 1), 2, &weight));
    transpose(&weight);
    return product(b, &weight, NULL, 1, 1);
}
