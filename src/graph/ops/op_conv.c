/* Convolutions over images; which algorithm runs is the back end's choice by the layer's shape. */
#include "device/shape.h"
#include "graph/ops/common.h"

static int or_one(int value) {
    return value ? value : 1;
}

static ms_conv2d_args shape_arguments(const ms_conv_desc *d, ms_shape src, ms_shape dst) {
    return (ms_conv2d_args){.src_h = src.h,
                            .src_w = src.w,
                            .dst_h = dst.h,
                            .dst_w = dst.w,
                            .kernel_h = d->kernel_h,
                            .kernel_w = d->kernel_w,
                            .stride_h = or_one(d->stride_h),
                            .stride_w = or_one(d->stride_w),
                            .pad_top = d->pad_top,
                            .pad_left = d->pad_left,
                            .groups = or_one(d->groups),
                            .up_h = d->up_h,
                            .up_w = d->up_w};
}

static ms_conv2d_args arguments(const ms_exec_context *x, const ms_node *node) {
    const ms_conv_desc *d = node->desc;
    ms_conv2d_args a =
        shape_arguments(d, ms_graph_shape(x->graph, d->src), ms_graph_shape(x->graph, node->output));
    a.n_src = d->src2 == MS_NO_VALUE ? 1 : 2;
    a.src[0] = ms_exec_rows(x, d->src);
    a.src[1] = ms_exec_rows(x, d->src2);
    a.dst = ms_exec_rows(x, node->output);
    if (x->axis == MS_AXIS_ROWS) {
        ms_row_range src = ms_exec_range(x, d->src), dst = ms_exec_range(x, node->output);
        a.src_y = src.first;
        a.src_rows = src.end - src.first;
        a.dst_y = dst.first;
        a.dst_rows = dst.end - dst.first;
    }
    a.weight = ms_exec_matrix(x, node->param[OP_WEIGHT]);
    a.prologue = ms_op_prologue(x, node, &d->norm);
    a.epilogue = ms_op_epilogue(x, node, &d->out);
    return a;
}

static size_t workspace(const ms_exec_context *x, const ms_node *node) {
    ms_conv2d_args a = arguments(x, node);
    return x->dev->kernels->conv2d_workspace(x->dev, &a);
}

static ms_status run(const ms_exec_context *x, const ms_node *node, void *ws) {
    ms_conv2d_args a = arguments(x, node);
    return x->dev->kernels->conv2d(x->queue, &a, ws);
}

static double flops(const ms_graph *g, const ms_node *node) {
    const ms_conv_desc *d = node->desc;
    double k = (double)(ms_graph_shape(g, d->src).c + ms_graph_shape(g, d->src2).c) / or_one(d->groups);
    return 2.0 * (double)ms_shape_elements(ms_graph_shape(g, node->output)) * k * d->kernel_h * d->kernel_w;
}

static ms_row_range reads(const ms_graph *g, const ms_node *node, int input, ms_row_range out) {
    const ms_conv_desc *d = node->desc;
    ms_conv2d_args a = shape_arguments(d, ms_graph_shape(g, d->src), ms_graph_shape(g, node->output));
    int64_t first = 0, last = 0;
    if (input != OP_SRC && input != OP_SRC2)
        return out;
    ms_conv2d_reads(&a, out.first, out.end - 1, &first, &last);
    return (ms_row_range){first, last + 1};
}

static const ms_op op = {
    .name = "conv", .rows = true, .reads = reads, .workspace = workspace, .run = run, .flops = flops};

static ms_param declare_weight(ms_graph *g, const ms_conv_desc *d, ms_shape src, ms_shape dst, int64_t k) {
    int groups = or_one(d->groups);
    ms_conv2d_args a = shape_arguments(d, src, dst);
    a.n_src = 1;
    a.src[0] = (ms_rows){.outer = 1, .inner = src.h * src.w, .channels = k};
    a.dst = (ms_rows){.outer = 1, .inner = dst.h * dst.w, .channels = dst.c};
    ms_param_decl decl = {.parts = 1,
                          .name = {d->weight},
                          .rank = d->weight_rank ? d->weight_rank : 4,
                          .shape = {d->channels, k / groups, d->kernel_h, d->kernel_w},
                          .layout = ms_graph_device(g)->kernels->conv2d_layout(&a),
                          .groups = groups};
    if (decl.rank == 3)
        decl.shape[2] = d->kernel_w;
    return ms_graph_matrix(g, &decl);
}

ms_value ms_op_conv(ms_graph *g, const ms_conv_desc *desc) {
    return ms_op_conv_onto(g, desc, MS_NO_VALUE);
}

ms_value ms_op_conv_onto(ms_graph *g, const ms_conv_desc *desc, ms_value taken) {
    if (!op_input(g, desc->name, desc->src))
        return MS_NO_VALUE;
    ms_shape s = ms_graph_shape(g, desc->src);
    int64_t k = s.c + ms_graph_shape(g, desc->src2).c;
    int64_t in_h = desc->up_h ? desc->up_h : s.h, in_w = desc->up_w ? desc->up_w : s.w;
    int64_t space_h = in_h + desc->pad_top + desc->pad_bottom - desc->kernel_h,
            space_w = in_w + desc->pad_left + desc->pad_right - desc->kernel_w;
    int groups = or_one(desc->groups);
    if (desc->kernel_h <= 0 || desc->kernel_w <= 0 || space_h < 0 || space_w < 0 || desc->channels <= 0 ||
        groups < 1 || k % groups || desc->channels % groups || desc->stride_h < 0 || desc->stride_w < 0 ||
        (desc->weight_rank == 3 && desc->kernel_h != 1)) {
        ms_graph_fail(g, MS_INVALID_ARGUMENT,
                      "%s: a %dx%d kernel with %d groups does not fit an input of %lldx%lldx%lld", desc->name,
                      desc->kernel_h, desc->kernel_w, groups, (long long)in_h, (long long)in_w, (long long)k);
        return MS_NO_VALUE;
    }
    ms_shape dst = {s.n, space_h / or_one(desc->stride_h) + 1, space_w / or_one(desc->stride_w) + 1,
                    desc->channels};
    ms_node node = {.op = &op, .name = desc->name};
    if (!ms_op_matrix_inputs(g, &node, desc->src, desc->src2, &desc->norm, &desc->out, dst, dst.c))
        return MS_NO_VALUE;
    if (taken != MS_NO_VALUE) {
        if (!op_same_shape(g, desc->name, taken, dst))
            return MS_NO_VALUE;
        node.input[OP_TAKEN] = taken;
        node.n_inputs = OP_TAKEN + 1;
        node.in_place = OP_TAKEN;
        node.unread = true;
    }
    node.param[OP_WEIGHT] = declare_weight(g, desc, s, dst, k);
    node.desc = ms_graph_copy(g, desc, sizeof(*desc));
    return ms_graph_append(g, &node, dst, false);
}
