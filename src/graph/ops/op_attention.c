/* Attention within an image (tokens are pixels), across to another sequence, or along a window's frames. */
#include <math.h>

#include "graph/ops/common.h"

enum { ATTENTION_Q, ATTENTION_KV };

static void strides(const ms_rows *rows, int64_t frames, int64_t ret_stride[3]) {
    if (frames) { /* batch: window, pixel; token: frame */
        ret_stride[0] = frames * rows->outer_stride;
        ret_stride[1] = rows->inner_stride;
        ret_stride[2] = rows->outer_stride;
    } else { /* batch: image; token: pixel */
        ret_stride[0] = rows->outer_stride;
        ret_stride[1] = 0;
        ret_stride[2] = rows->inner_stride;
    }
}

static ms_attention_args arguments(const ms_exec_context *x, const ms_node *node) {
    const ms_attention_desc *d = node->desc;
    ms_rows q = ms_exec_rows(x, d->q), dst = ms_exec_rows(x, node->output);
    ms_rows kv = d->kv == MS_NO_VALUE ? q : ms_exec_rows(x, d->kv);
    ms_attention_args a = {.q = ms_elements_at(q.data, q.dtype, d->q_channel),
                           .k = ms_elements_at(kv.data, kv.dtype, d->k_channel),
                           .v = ms_elements_at(kv.data, kv.dtype, d->v_channel),
                           .out = dst.data,
                           .dtype = dst.dtype,
                           .batch_outer = d->frames ? q.outer / d->frames : q.outer,
                           .batch_inner = d->frames ? q.inner : 1,
                           .q_tokens = d->frames ? d->frames : q.inner,
                           .kv_tokens = d->frames ? d->frames : kv.inner,
                           .heads = d->heads,
                           .head_dim = (int)d->head_dim,
                           .scale = (float)(1.0 / sqrt((double)d->head_dim))};
    strides(&q, d->frames, a.q_stride);
    strides(&kv, d->frames, a.k_stride);
    strides(&kv, d->frames, a.v_stride);
    strides(&dst, d->frames, a.out_stride);
    return a;
}

static size_t workspace(const ms_exec_context *x, const ms_node *node) {
    ms_attention_args a = arguments(x, node);
    return x->dev->kernels->attention_workspace(x->dev, &a);
}

static ms_status run(const ms_exec_context *x, const ms_node *node, void *ws) {
    ms_attention_args a = arguments(x, node);
    return x->dev->kernels->attention(x->queue, &a, ws);
}

static double flops(const ms_graph *g, const ms_node *node) {
    const ms_attention_desc *d = node->desc;
    ms_shape q = ms_graph_shape(g, d->q), kv = d->kv == MS_NO_VALUE ? q : ms_graph_shape(g, d->kv);
    double keys = d->frames ? (double)d->frames : (double)(kv.h * kv.w);
    return 4.0 * (double)(q.n * q.h * q.w) * keys * d->heads * (double)d->head_dim;
}

/* Over pixels for temporal attention, over frames for the spatial kinds. */
static const ms_op op_spatial = {
    .name = "attention", .attention = true, .workspace = workspace, .run = run, .flops = flops};
static const ms_op op_temporal = {.name = "temporal_attention",
                                  .pixels = true,
                                  .attention = true,
                                  .workspace = workspace,
                                  .run = run,
                                  .flops = flops};

ms_value ms_op_attention(ms_graph *g, const ms_attention_desc *desc) {
    if (!op_input(g, desc->name, desc->q))
        return MS_NO_VALUE;
    ms_shape q = ms_graph_shape(g, desc->q), kv = desc->kv == MS_NO_VALUE ? q : ms_graph_shape(g, desc->kv);
    int64_t width = desc->heads * desc->head_dim;
    if (desc->heads <= 0 || desc->head_dim <= 0 || desc->q_channel + width > q.c ||
        desc->k_channel + width > kv.c || desc->v_channel + width > kv.c || kv.n != q.n ||
        (desc->kv != MS_NO_VALUE && ms_graph_dtype(g, desc->kv) != ms_graph_dtype(g, desc->q)) ||
        (desc->frames && q.n % desc->frames)) {
        ms_graph_fail(g, MS_INVALID_ARGUMENT, "%s: %d heads of %lld do not fit %lld channels", desc->name,
                      desc->heads, (long long)desc->head_dim, (long long)q.c);
        return MS_NO_VALUE;
    }
    ms_node node = {.op = desc->frames ? &op_temporal : &op_spatial,
                    .name = desc->name,
                    .n_inputs = 2,
                    .input = {desc->q, desc->kv},
                    .in_place = -1,
                    .desc = ms_graph_copy(g, desc, sizeof(*desc))};
    ms_value made = ms_graph_append(g, &node, (ms_shape){q.n, q.h, q.w, width}, false);
    ms_graph_set_dtype(g, made, ms_graph_dtype(g, desc->q));
    return made;
}
