/* Average and maximum pooling with ONNX's ceil mode. */
#include "graph/ops/common.h"

static ms_status run(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    const ms_pool_desc *d = node->desc;
    ms_shape s = ms_graph_shape(x->graph, d->src), o = ms_graph_shape(x->graph, node->output);
    ms_pool_args a = {.average = d->average,
                      .count_pad = d->count_pad,
                      .src = ms_exec_rows(x, d->src),
                      .dst = ms_exec_rows(x, node->output),
                      .src_h = s.h,
                      .src_w = s.w,
                      .dst_h = o.h,
                      .dst_w = o.w,
                      .kernel_h = d->kernel_h,
                      .kernel_w = d->kernel_w,
                      .stride_h = d->stride_h,
                      .stride_w = d->stride_w,
                      .pad_top = d->pad_top,
                      .pad_left = d->pad_left,
                      .pad_bottom = d->pad_bottom,
                      .pad_right = d->pad_right};
    return x->dev->kernels->pool(x->queue, &a);
}

static const ms_op op = {.name = "pool", .run = run};

/* Number of windows along one side; in ceil mode the last one must still begin inside the image or its
   leading pad (ONNX: the window that would start in the trailing padding is ignored). */
static int64_t windows(int64_t size, int kernel, int stride, int before, int after, bool ceil_mode) {
    int64_t space = size + before + after - kernel;
    if (space < 0)
        return 0;
    int64_t n = (space + (ceil_mode ? stride - 1 : 0)) / stride + 1;
    if (ceil_mode && (n - 1) * stride >= size + before)
        n--;
    return n;
}

ms_value ms_op_pool(ms_graph *g, const ms_pool_desc *desc) {
    if (!op_input(g, desc->name, desc->src))
        return MS_NO_VALUE;
    if (desc->kernel_h <= 0 || desc->kernel_w <= 0 || desc->stride_h <= 0 || desc->stride_w <= 0) {
        ms_graph_fail(g, MS_INVALID_ARGUMENT, "%s: kernel %dx%d with stride %dx%d", desc->name,
                      desc->kernel_h, desc->kernel_w, desc->stride_h, desc->stride_w);
        return MS_NO_VALUE;
    }
    ms_shape s = ms_graph_shape(g, desc->src), o = s;
    o.h = windows(s.h, desc->kernel_h, desc->stride_h, desc->pad_top, desc->pad_bottom, desc->ceil_mode);
    o.w = windows(s.w, desc->kernel_w, desc->stride_w, desc->pad_left, desc->pad_right, desc->ceil_mode);
    ms_node node = {.op = &op,
                    .name = desc->name,
                    .n_inputs = 1,
                    .input = {desc->src},
                    .in_place = -1,
                    .desc = ms_graph_copy(g, desc, sizeof(*desc))};
    return ms_graph_append(g, &node, o, false);
}
