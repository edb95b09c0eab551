#include "device/cuda/matmul.h"

/* Each outer row is an image of one line. */
static cuda_layer layer_of(const ms_linear_args *a) {
    const int32_t inner = a->dst.inner > INT32_MAX ? INT32_MAX : (int32_t)a->dst.inner;
    return (cuda_layer){
        .src = a->src,
        .n_src = a->n_src,
        .dst = &a->dst,
        .weight = &a->weight,
        .prologue = &a->prologue,
        .epilogue = &a->epilogue,
        .window = {.kernel_h = 1,
                   .kernel_w = 1,
                   .stride_h = 1,
                   .stride_w = 1,
                   .in_h = 1,
                   .in_w = inner,
                   .src_h = 1,
                   .src_w = inner,
                   .dst_w = inner},
        .groups = 1,
        .is_linear = true,
    };
}

ms_status cuda_linear_in_tiles(ms_queue *queue, const ms_linear_args *args, void *workspace, cuda_tile tile) {
    MS_TRY_KERNEL_ARGS(queue->dev, linear, args);
    const cuda_layer layer = layer_of(args);
    return cuda_matmul(queue, &layer, workspace, tile);
}

ms_status ms_cuda_linear(ms_queue *queue, const ms_linear_args *args, void *workspace) {
    return cuda_linear_in_tiles(queue, args, workspace, CUDA_TILE_COUNT);
}
