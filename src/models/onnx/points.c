/* Operators that work on one element at a time: normalisation with constant statistics, arithmetic,
   activations. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "models/onnx/attrs.h"

static bool is_op(const ms_onnx_node *node, const char *name) {
    return strcmp(node->op, name) == 0;
}

static double *doubles(const onnx_build *b, int64_t n) {
    return ms_region_alloc_array(b->region, (size_t)n, sizeof(double));
}

/* ---- constants ---- */

/* A constant that is the same for all elements of x (1 entry) or one per channel. */
static ms_status read_table(onnx_build *b, const ms_onnx_node *node, const onnx_slot *c, const onnx_slot *x,
                            const float **ret_values, int64_t *ret_entries) {
    char text[2][ONNX_DIMS_TEXT];
    bool fits = c->rank <= x->rank && c->elements > 0;
    for (int i = 0; i < c->rank && fits; i++) {
        int at = i + x->rank - c->rank;
        fits = c->dim[i] == 1 || (at == 1 && c->dim[i] == x->dim[1]);
    }
    if (!fits)
        return ms_onnx_fail(
            b, node, MS_BAD_MODEL, "a constant of shape %s for data of shape %s is not supported",
            ms_onnx_dims_text(text[0], c->rank, c->dim), ms_onnx_dims_text(text[1], x->rank, x->dim));
    MS_TRY(ms_onnx_const_floats(b, node, c, "its constants", ret_values));
    *ret_entries = c->elements;
    return MS_OK;
}

/* ---- what a node does ---- */

static ms_status batch_norm(onnx_build *b, const ms_onnx_node *node, const onnx_slot *x, onnx_point *p) {
    static const char *const names[] = {"scales", "biases", "means", "variances"};
    const float *table[4];
    onnx_attrs a = ms_onnx_attrs_begin(b, node);
    float epsilon = ms_onnx_attr_float(&a, "epsilon", 1e-5f);
    ms_onnx_attr_float(&a, "momentum", 0.9f);       /* of training */
    ms_onnx_attr_int(&a, "training_mode", 0, 0, 0); /* operator set 14 on */
    if (b->file->opset < 9)
        ms_onnx_attr_int(&a, "spatial", 1, 1, 1);
    MS_TRY(ms_onnx_attrs_end(&a));
    int64_t n = x->rank >= 2 ? x->dim[1] : 1;
    for (int i = 0; i < 4; i++) {
        const onnx_slot *c = ms_onnx_in(b, node, i + 1);
        if (c->rank != 1 || c->dim[0] != n)
            return ms_onnx_fail(b, node, MS_BAD_MODEL, "its %s are not those of %" PRId64 " channels",
                                names[i], n);
        MS_TRY(ms_onnx_const_floats(b, node, c, names[i], &table[i]));
    }
    double *scale = doubles(b, n), *shift = doubles(b, n);
    if (!scale || !shift)
        return ms_onnx_no_region(b);
    for (int64_t i = 0; i < n; i++) {
        double variance = (double)table[3][i] + (double)epsilon;
        if (!(variance > 0))
            return ms_onnx_fail(b, node, MS_BAD_MODEL, "the variance of channel %" PRId64 " is %g", i,
                                variance);
        scale[i] = (double)table[0][i] / sqrt(variance);
        shift[i] = (double)table[1][i] - (double)table[2][i] * scale[i];
    }
    *p = (onnx_point){.kind = ONNX_POINT_AFFINE, .entries = n, .scale = scale, .shift = shift};
    return MS_OK;
}

/* Add, Sub, Mul, Div with a constant. */
static ms_status arithmetic(onnx_build *b, const ms_onnx_node *node, int input, const onnx_slot *x,
                            const onnx_slot *c, onnx_point *p) {
    const float *values;
    int64_t n;
    MS_TRY(read_table(b, node, c, x, &values, &n));
    if (is_op(node, "Div") && input == 1)
        return ms_onnx_fail(b, node, MS_BAD_MODEL, "a constant divided by data is not supported");
    double *scale = doubles(b, n), *shift = doubles(b, n);
    if (!scale || !shift)
        return ms_onnx_no_region(b);
    for (int64_t i = 0; i < n; i++) {
        double v = (double)values[i];
        scale[i] = 1;
        shift[i] = 0;
        if (is_op(node, "Add"))
            shift[i] = v;
        else if (is_op(node, "Mul"))
            scale[i] = v;
        else if (is_op(node, "Div"))
            scale[i] = 1 / v;
        else if (input == 0) /* x - c */
            shift[i] = -v;
        else /* c - x */
            scale[i] = -1, shift[i] = v;
        if (!isfinite(scale[i]))
            return ms_onnx_fail(b, node, MS_BAD_MODEL, "divides by 0");
    }
    *p = (onnx_point){.kind = ONNX_POINT_AFFINE, .entries = n, .scale = scale, .shift = shift};
    return MS_OK;
}

static ms_status leaky_relu(onnx_build *b, const ms_onnx_node *node, onnx_point *p) {
    onnx_attrs a = ms_onnx_attrs_begin(b, node);
    float *slope = ms_region_alloc(b->region, sizeof(*slope));
    if (!slope)
        return ms_onnx_no_region(b);
    *slope = ms_onnx_attr_float(&a, "alpha", 0.01f);
    MS_TRY(ms_onnx_attrs_end(&a));
    *p = (onnx_point){.kind = ONNX_POINT_ACT, .act = MS_ACT_PRELU, .entries = 1, .slope = slope};
    return MS_OK;
}

static ms_status no_attributes(onnx_build *b, const ms_onnx_node *node) {
    onnx_attrs a = ms_onnx_attrs_begin(b, node);
    return ms_onnx_attrs_end(&a);
}

ms_status ms_onnx_point_of(onnx_build *b, const ms_onnx_node *node, int input, const onnx_slot *x,
                           onnx_point *ret_point) {
    *ret_point = (onnx_point){.kind = ONNX_POINT_NONE};
    if (is_op(node, "BatchNormalization"))
        return input == 0 ? batch_norm(b, node, x, ret_point) : MS_OK;
    if (is_op(node, "LeakyRelu"))
        return leaky_relu(b, node, ret_point);
    bool relu = is_op(node, "Relu"), add = is_op(node, "Add");
    if (relu || is_op(node, "Sigmoid")) {
        *ret_point = (onnx_point){.kind = ONNX_POINT_ACT, .act = relu ? MS_ACT_RELU : MS_ACT_SIGMOID};
        return no_attributes(b, node);
    }
    if (is_op(node, "PRelu")) {
        const onnx_slot *slope = ms_onnx_in(b, node, 1);
        if (input != 0 || slope->kind != ONNX_CONST)
            return MS_OK;
        MS_TRY(no_attributes(b, node));
        ret_point->kind = ONNX_POINT_ACT;
        ret_point->act = MS_ACT_PRELU;
        return read_table(b, node, slope, x, &ret_point->slope, &ret_point->entries);
    }
    if (!add && !is_op(node, "Sub") && !is_op(node, "Mul") && !is_op(node, "Div"))
        return MS_OK;
    MS_TRY(no_attributes(b, node));
    const onnx_slot *other = ms_onnx_in(b, node, 1 - input);
    if (other->kind == ONNX_CONST)
        return arithmetic(b, node, input, x, other, ret_point);
    if (add && other->kind == ONNX_LIVE)
        *ret_point = (onnx_point){.kind = ONNX_POINT_SUM, .other = other};
    return MS_OK;
}

/* ---- as an operation of its own ---- */

static ms_status like(onnx_build *b, const onnx_slot *x, ms_value value) {
    onnx_slot to = *x;
    MS_TRY(ms_onnx_graph_status(b, b->node));
    to.value = value;
    return ms_onnx_out(b, &to);
}

/* Images and rows become what the runtime has for them. */
static ms_status settle(onnx_build *b, onnx_slot *x) {
    ms_value ignored;
    if (x->rank == 4)
        return ms_onnx_image(b, x, &ignored);
    return ms_onnx_rows(b, x, &ignored);
}

static ms_status two_live(onnx_build *b, onnx_slot *x, onnx_slot *y) {
    static const struct {
        const char *name;
        ms_binary op;
    } ops[] = {
        {"Add", MS_BINARY_ADD}, {"Sub", MS_BINARY_SUB}, {"Mul", MS_BINARY_MUL}, {"Div", MS_BINARY_DIV}};
    char text[2][ONNX_DIMS_TEXT];
    MS_TRY(no_attributes(b, b->node));
    bool same = x->rank == y->rank && memcmp(x->dim, y->dim, (size_t)x->rank * sizeof(*x->dim)) == 0;
    if (same && !ms_onnx_same_view(b, x, y)) {
        MS_TRY(settle(b, x));
        MS_TRY(settle(b, y));
    }
    for (size_t i = 0; i < sizeof(ops) / sizeof(*ops) && same; i++)
        if (is_op(b->node, ops[i].name))
            return like(b, x, ms_op_binary(b->graph, b->node->name, ops[i].op, x->value, y->value));
    return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "data of shapes %s and %s is not supported",
                        ms_onnx_dims_text(text[0], x->rank, x->dim),
                        ms_onnx_dims_text(text[1], y->rank, y->dim));
}

static ms_status activation(onnx_build *b, const onnx_slot *x, const onnx_point *p) {
    const char *name = NULL;
    if (p->act == MS_ACT_PRELU) {
        int64_t c = ms_graph_shape(b->graph, x->value).c;
        float *slope = ms_region_alloc_array(b->region, (size_t)c, sizeof(*slope));
        if (!slope)
            return ms_onnx_no_region(b);
        for (int64_t i = 0; i < c; i++)
            slope[i] = p->slope[p->entries == 1 ? 0 : i];
        onnx_recipe recipe = {.values = slope, .n = c, .k = 1, .origin = -1};
        MS_TRY(ms_onnx_add_param(b, "slope", &recipe, &name));
    }
    return like(b, x, ms_op_unary(b->graph, b->node->name, x->value, p->act, name));
}

/* x * scale + shift in up to two passes. */
static ms_status factor_and_sum(onnx_build *b, const onnx_slot *x, const onnx_tail *tail) {
    static const ms_binary ops[2] = {MS_BINARY_MUL, MS_BINARY_ADD};
    static const char *const names[2] = {"scale", "shift"};
    const double *const tables[2] = {tail->scale, tail->shift};
    ms_value v = x->value;
    for (int pass = 0; pass < 2; pass++) {
        const char *name;
        bool needed = pass == 1 && v == x->value; /* one of them, so that there is a new value */
        for (int64_t i = 0; i < tail->n && !needed; i++)
            needed = tables[pass][i] != 1 - pass;
        if (!needed)
            continue;
        float *values = ms_region_alloc_array(b->region, (size_t)tail->n, sizeof(*values));
        if (!values)
            return ms_onnx_no_region(b);
        for (int64_t i = 0; i < tail->n; i++)
            values[i] = (float)tables[pass][i];
        onnx_recipe recipe = {.values = values, .n = tail->n, .k = 1, .origin = -1};
        MS_TRY(ms_onnx_add_param(b, names[pass], &recipe, &name));
        v = ms_op_binary_param(b->graph, b->node->name, ops[pass], v, name, 1);
    }
    return like(b, x, v);
}

/* As a convolution in which every channel reads itself: the epilogue comes with it. */
static ms_status diagonal(onnx_build *b, const onnx_slot *x, const onnx_tail *tail) {
    ms_shape s = ms_graph_shape(b->graph, x->value);
    float *ones = ms_region_alloc_array(b->region, (size_t)s.c, sizeof(*ones));
    if (!ones)
        return ms_onnx_no_region(b);
    for (int64_t i = 0; i < s.c; i++)
        ones[i] = 1;
    if (s.c > INT32_MAX)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "%" PRId64 " channels are not supported", s.c);
    ms_conv_desc d = {.name = b->node->name,
                      .src = x->value,
                      .src2 = MS_NO_VALUE,
                      .channels = s.c,
                      .kernel_h = 1,
                      .kernel_w = 1,
                      .groups = (int)s.c,
                      .norm = MS_NO_NORM};
    onnx_recipe weight = {.values = ones, .n = s.c, .k = 1, .origin = -1};
    MS_TRY(ms_onnx_tail_finish(b, tail, NULL, &d.out, &weight));
    MS_TRY(ms_onnx_add_param(b, "weight", &weight, &d.weight));
    return like(b, x, ms_op_conv(b->graph, &d));
}

/* scale * x + shift and what follows it. */
static ms_status affine(onnx_build *b, const onnx_slot *x, const onnx_point *p) {
    ms_shape s = ms_graph_shape(b->graph, x->value);
    onnx_tail tail;
    MS_TRY(ms_onnx_tail_init(b, s.c, &tail));
    MS_TRY(ms_onnx_tail_affine(b, &tail, p));
    if (ms_onnx_channels_second(b, x))
        MS_TRY(ms_onnx_follow(b, x, s, &tail));
    bool plain = tail.act == MS_ACT_NONE && tail.residual == MS_NO_VALUE;
    return plain ? factor_and_sum(b, x, &tail) : diagonal(b, x, &tail);
}

ms_status ms_onnx_visit_point(onnx_build *b) {
    onnx_slot *x = ms_onnx_in(b, b->node, 0), *y = ms_onnx_in(b, b->node, 1);
    int input = x->kind == ONNX_LIVE ? 0 : 1;
    if (b->node->n_inputs == 2 && x->kind == ONNX_LIVE && y->kind == ONNX_LIVE)
        return two_live(b, x, y);
    if (input == 1)
        x = y;
    onnx_point p;
    MS_TRY(ms_onnx_point_of(b, b->node, input, x, &p));
    if (p.kind == ONNX_POINT_NONE)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "these inputs are not supported");
    bool per_channel = p.entries > 1;
    if (per_channel && !ms_onnx_channels_second(b, x))
        MS_TRY(settle(b, x));
    return p.kind == ONNX_POINT_ACT ? activation(b, x, &p) : affine(b, x, &p);
}
