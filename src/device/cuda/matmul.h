/*
 * What linear layers and convolutions have in common: which kernel they go to, and the copy of their
 * sources that the tensor cores' kernels may want.
 *
 * By tensor cores goes a layer whose sources and weights are of one 16-bit type, and whose groups, where
 * there are several, have a multiple of 8 channels: that depends on the layer alone, as its bits do. The
 * rest is summed in float32.
 */
#ifndef MS_DEVICE_CUDA_MATMUL_H
#define MS_DEVICE_CUDA_MATMUL_H

#include "device/cuda/kernels/matmul.h"
#include "device/cuda/sizes/sizes.h"

/* A linear layer is one whose window is a pixel. */
typedef struct cuda_layer {
    const ms_rows *src;
    int n_src;
    const ms_rows *dst;
    const ms_weight *weight;
    const ms_prologue *prologue;
    const ms_epilogue *epilogue;
    cuda_window window;
    int groups;
    bool is_linear;
} cuda_layer;

/* A tile to be used whatever the number of rows, for tests; CUDA_TILE_COUNT: the best one. */
ms_status cuda_matmul(ms_queue *queue, const cuda_layer *layer, void *workspace, cuda_tile tile);

/* The functions of ms_kernels. */
ms_status ms_cuda_linear(ms_queue *queue, const ms_linear_args *args, void *workspace);
ms_status ms_cuda_conv2d(ms_queue *queue, const ms_conv2d_args *args, void *workspace);

/* The same with a tile. */
ms_status cuda_linear_in_tiles(ms_queue *queue, const ms_linear_args *args, void *workspace, cuda_tile tile);
ms_status cuda_conv2d_in_tiles(ms_queue *queue, const ms_conv2d_args *args, void *workspace, cuda_tile tile);

#endif
