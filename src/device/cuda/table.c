#include "device/cuda/table.h"

#include "device/cuda/matmul.h"
#include "device/cuda/ops.h"

/* Those that are there; a device that lacks one is refused when it is opened. */
const ms_kernels cuda_kernels = {
    .conv2d_layout = cuda_conv2d_layout,
    .linear_workspace = cuda_linear_workspace,
    .linear = cuda_linear,
    .conv2d_workspace = cuda_conv2d_workspace,
    .conv2d = cuda_conv2d,
    .norm_partials = cuda_norm_partials,
    .norm_tables = cuda_norm_tables,
    .norm_apply = cuda_norm_apply,
    .layer_norm = cuda_layer_norm,
    .binary = cuda_binary,
    .unary = cuda_unary,
    .pool = cuda_pool,
    .resize = cuda_resize,
    .copy = cuda_copy,
    .noise = cuda_noise,
    .posterior = cuda_posterior,
    .rescale = cuda_rescale,
    .guide = cuda_guide,
    .ddim = cuda_ddim,
    .check_finite = cuda_check_finite,
};
