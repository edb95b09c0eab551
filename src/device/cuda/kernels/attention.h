/*
 * Kernels of attention. `tile` of a kernel: how many queries of one head of one batch a block takes
 * (temporal: a warp). All blocks lie along x, tiles fastest, then heads, then batches.
 */
#ifndef MS_DEVICE_CUDA_KERNELS_ATTENTION_H
#define MS_DEVICE_CUDA_KERNELS_ATTENTION_H

#include "base/dtype.h"
#include "device/simt/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

SIMT_PARAMS_BEGIN

/* Batch (i, j), token t at + i * stride[0] + j * stride[1] + t * stride[2], in elements. */
typedef struct cuda_attention_params {
    const void *q, *k, *v;
    void *out;
    int64_t q_stride[3], k_stride[3], v_stride[3], out_stride[3];
    int64_t batches, batch_inner;
    int32_t q_tokens, kv_tokens, heads, head_dim;
    int32_t tiles; /* of a head's queries */
    float scale;
} cuda_attention_params;

/* In float32, for any strides and head size: the processor's bits. Along z slices of `slice` channels of the
   output, each of which computes all scores. */
#define CUDA_ATTENTION_F32_TILE 32
const simt_kernel *cuda_attention_f32_kernel(ms_dtype dtype, int head_dim, int *ret_slice);

/*
 * By tensor cores, for 16-bit types where the head size, all strides and all addresses are in steps of 16
 * bytes, and scale is from 1e-6 to 1e3. Key blocks of 64 from key 0. Scores are float32, scaled after the
 * product; p_j = 2^(score log2 e - maximum + 14) is added up as float32 and rounded to the type for the
 * product with v; the factor of 2^14, which keeps small p_j from the end of fp16's range, falls out in the
 * division.
 */

/* tile: 64, or 128 where there is such a kernel. NULL: none for this head size. */
const simt_kernel *cuda_attention_kernel(ms_dtype dtype, int head_dim, int tile);

/* Heads of 168 to 512 channels. */
#define CUDA_ATTENTION_WIDE_TILE 32
const simt_kernel *cuda_attention_wide_kernel(ms_dtype dtype, int head_dim);

/* Up to CUDA_TEMPORAL_TOKENS keys, as in attention along the frames: each warp of a block has a tile of its
   own; a block has kernel.threads / 32. */
#define CUDA_TEMPORAL_TOKENS 16
const simt_kernel *cuda_temporal_kernel(ms_dtype dtype, int head_dim);

SIMT_PARAMS_END

#ifdef __cplusplus
}
#endif

#endif
