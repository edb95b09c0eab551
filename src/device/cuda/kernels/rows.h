/* Kernels that go through rows element by element: what they are given, for the host and for them. */
#ifndef MS_DEVICE_CUDA_KERNELS_ROWS_H
#define MS_DEVICE_CUDA_KERNELS_ROWS_H

#include "base/dtype.h"
#include "device/simt/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

SIMT_PARAMS_BEGIN

#define CUDA_ROWS_THREADS 256
#define CUDA_ROWS_AT_ONCE 8 /* channels of a thread */

/* Rows that are read or written. Strides are in elements. */
typedef struct cuda_operand {
    void *data;
    int64_t outer_stride, inner_stride;
    int32_t dtype;
    int32_t wide; /* whether every eight channels of all rows begin on a 16-byte border */
} cuda_operand;

/*
 * What a grid goes through. A thread takes CUDA_ROWS_AT_ONCE channels of a row; `slab` rows' threads along x,
 * slabs along z, and along y outer rows, `turns` of them at a time.
 */
typedef struct cuda_space {
    int64_t outer, inner;
    uint32_t channels, chunks; /* of a row */
    uint32_t slab, turns;
} cuda_space;

/* dst = an operation on up to three sources. What it does not use is 0. */
typedef struct cuda_each_params {
    cuda_space space;
    cuda_operand src[3], dst;
    int32_t op, act;
    const float *channel; /* [channels]: the second operand, or PRELU's slope */
    const float *tables;  /* ms_prologue's */
    int64_t channel_wide; /* whether these two are on 16-byte borders every eight channels */
    int64_t outer_per_table, outer_first;
    const float *step; /* ms_ddim_args' */
    float number[2];
} cuda_each_params;

extern const simt_kernel cuda_binary_kernel; /* src 0, and src 1 or channel */
extern const simt_kernel cuda_unary_kernel;
extern const simt_kernel cuda_apply_kernel; /* act(fma(x, scale, shift)); a copy without tables */

extern const simt_kernel cuda_posterior_kernel; /* mean, log variance, normals; shift, scale */
extern const simt_kernel cuda_rescale_kernel;   /* divisor, shift */
extern const simt_kernel cuda_guide_kernel;     /* without, with; scale */
extern const simt_kernel cuda_ddim_kernel;      /* sample, noise */

typedef struct cuda_finite_params {
    cuda_space space;
    cuda_operand src;
    uint32_t *flag;
} cuda_finite_params;

extern const simt_kernel cuda_finite_kernel;

/* Pixels of dst from pixels of src; inner runs over dst_h * dst_w. */
typedef struct cuda_pixels_params {
    cuda_space space; /* of dst */
    cuda_operand src, dst;
    int64_t src_h, src_w, dst_h, dst_w;
    int32_t average, count_pad; /* of pooling, like all below */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, pad_bottom, pad_right;
} cuda_pixels_params;

extern const simt_kernel cuda_pool_kernel;
extern const simt_kernel cuda_resize_kernel;

/* Element (i, j, k) with k running fastest, a thread each, all along x; strides in elements. */
typedef struct cuda_copy_params {
    const void *src;
    void *dst;
    int64_t n[3], src_stride[3], dst_stride[3];
} cuda_copy_params;

const simt_kernel *cuda_copy_kernel(size_t element_bytes); /* 2 or 4 */

/* Normals of base/philox.h. A thread makes four; as many along x as an outer row has, outer rows in turns
   along y. */
typedef struct cuda_noise_params {
    cuda_operand dst;
    int64_t outer, inner, channels;
    uint64_t seed;
    const uint32_t (*numbers)[2];
    uint32_t turns, unused;
} cuda_noise_params;

extern const simt_kernel cuda_noise_kernel;

SIMT_PARAMS_END

#ifdef __cplusplus
}
#endif

#endif
