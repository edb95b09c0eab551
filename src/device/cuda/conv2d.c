#include "device/cuda/matmul.h"

static cuda_layer layer_of(const ms_conv2d_args *a) {
    const int64_t in_h = ms_conv2d_in_h(a), in_w = ms_conv2d_in_w(a);
    return (cuda_layer){
        .src = a->src,
        .n_src = a->n_src,
        .dst = &a->dst,
        .weight = &a->weight,
        .prologue = &a->prologue,
        .epilogue = &a->epilogue,
        .window = {.kernel_h = a->kernel_h,
                   .kernel_w = a->kernel_w,
                   .stride_h = a->stride_h,
                   .stride_w = a->stride_w,
                   .pad_top = a->pad_top,
                   .pad_left = a->pad_left,
                   .in_h = (int32_t)in_h,
                   .in_w = (int32_t)in_w,
                   .src_h = (int32_t)a->src_h,
                   .src_w = (int32_t)a->src_w,
                   .scale_h = (float)a->src_h / (float)in_h,
                   .scale_w = (float)a->src_w / (float)in_w,
                   .src_y = (int32_t)a->src_y,
                   .dst_y = (int32_t)a->dst_y,
                   .dst_w = (int32_t)a->dst_w},
        .groups = a->groups,
    };
}

/* Coordinates, and steps beyond the edges, stay in 32 bits. */
static bool fits(const ms_conv2d_args *a) {
    const int64_t most = INT32_MAX / 4;
    return ms_conv2d_in_h(a) <= most && ms_conv2d_in_w(a) <= most && a->dst_h <= most / a->stride_h &&
           a->dst_w <= most / a->stride_w;
}

ms_status cuda_conv2d_in_tiles(ms_queue *queue, const ms_conv2d_args *args, void *workspace, cuda_tile tile) {
    MS_TRY(ms_check_conv2d_as(args, ms_cuda_conv2d_layout(args)));
    if (ms_dtypes_conv2d(args) & ~queue->dev->caps.activations || !fits(args))
        return MS_UNSUPPORTED;
    if (ms_conv2d_is_linear(args)) {
        const ms_linear_args linear = ms_conv2d_as_linear(args);
        return cuda_linear_in_tiles(queue, &linear, workspace, tile);
    }
    const cuda_layer layer = layer_of(args);
    return cuda_matmul(queue, &layer, workspace, tile);
}

ms_status ms_cuda_conv2d(ms_queue *queue, const ms_conv2d_args *args, void *workspace) {
    return cuda_conv2d_in_tiles(queue, args, workspace, CUDA_TILE_COUNT);
}
