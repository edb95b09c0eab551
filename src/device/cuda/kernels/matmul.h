/*
 * The matrix kernels: linear layers and convolutions, by tensor cores (gemm.cu, conv.cu) and in float32 by
 * chains (matrix_simt.cu, conv_depthwise.cu), and the copy that the former want where they cannot read the
 * activations in place (prologue.cu).
 *
 * Results are rows: row m is outer m / inner, inner m % inner. A linear layer is a convolution of one tap
 * over images of one line. Grids of those with tiles: x = tiles, as cuda_matmul_tiles() counts them;
 * z = groups.
 */
#ifndef MS_DEVICE_CUDA_KERNELS_MATMUL_H
#define MS_DEVICE_CUDA_KERNELS_MATMUL_H

#include "device/kernels.h"
#include "device/simt/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

SIMT_PARAMS_BEGIN

/* Strides in elements. */
typedef struct cuda_source {
    const void *data;
    int64_t outer_stride, inner_stride;
    int32_t channels; /* of a group */
    ms_dtype dtype;
} cuda_source;

/* Where a convolution reads. src_*, dst_*: see ms_conv2d_args. */
typedef struct cuda_window {
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
    int32_t in_h, in_w;     /* of the image as it is read, which may be enlarged */
    int32_t src_h, src_w;   /* and as it is stored */
    float scale_h, scale_w; /* the latter by the former */
    int32_t src_y, dst_y, dst_w;
} cuda_window;

typedef struct cuda_prologue {
    const float *tables; /* NULL: none */
    int64_t outer_per_table, outer_first;
    int32_t channels; /* of all sources and groups */
    ms_act act;
} cuda_prologue;

/* Steps as in ms_epilogue. */
typedef struct cuda_epilogue {
    void *dst;
    const void *residual; /* NULL: none */
    int64_t dst_outer_stride, dst_inner_stride, residual_outer_stride, residual_inner_stride;
    const float *bias, *add, *slope; /* NULL: none. GEGLU: the gates' follow after n */
    float scale;                     /* 1: none */
    ms_act act;
    ms_dtype dst_dtype, residual_dtype;
    int32_t n;                             /* outputs of a group */
    int16_t dst_aligned, residual_aligned; /* eight elements of a row from a multiple of 8 on: at 16 bytes */
} cuda_epilogue;

typedef struct cuda_matmul_params {
    cuda_source src[2]; /* channels 0: there is no second one */
    cuda_window window;
    int32_t unused;
    cuda_prologue prologue; /* of the kernels in float32 */
    const void *weight;     /* weight_layout.h */
    ms_dtype weight_dtype;
    int32_t c_pad, k_pad, n_pad; /* of a group */
    int32_t rows, inner;
    cuda_epilogue epilogue;
} cuda_matmul_params;

/* Results of one block; the choice never shows in the bits. */
typedef enum cuda_tile {
    CUDA_TILE_128X128,
    CUDA_TILE_256X64,
    CUDA_TILE_128X64,
    CUDA_TILE_64X64,
    CUDA_TILE_64X32,
    CUDA_TILE_COUNT
} cuda_tile;

typedef struct cuda_tile_size {
    int32_t rows, columns; /* columns of n_pad */
} cuda_tile_size;

static inline cuda_tile_size cuda_tile_size_of(cuda_tile tile) {
    static const cuda_tile_size sizes[CUDA_TILE_COUNT] = {
        {128, 128}, {256, 64}, {128, 64}, {64, 64}, {64, 32}};
    return sizes[tile];
}

/* Of one group. */
static inline int64_t cuda_matmul_tiles(const cuda_matmul_params *p, cuda_tile_size size) {
    return (((int64_t)p->rows + size.rows - 1) / size.rows) * ((p->n_pad + size.columns - 1) / size.columns);
}

/*
 * By tensor cores: sources and weights are of one type, F16 or BF16 (from sm_80 on). A source's channels,
 * its strides and c_pad are multiples of 8; its data lie at a multiple of 16 bytes, but for
 * cuda_conv_any_kernel(), of CUDA_TILE_64X64, which reads element by element. No prologue. The sum of an
 * output is a chain of mma.sync m16n8k16 over ascending k from 0.
 */
const simt_kernel *cuda_gemm_kernel(ms_dtype dtype, cuda_tile tile); /* window is not read */
const simt_kernel *cuda_conv_kernel(ms_dtype dtype, cuda_tile tile);
const simt_kernel *cuda_conv_any_kernel(ms_dtype dtype);

/* By chains of fused multiply-adds in float32, any types: one of two tiles. */
const simt_kernel *cuda_matrix_simt_kernel(bool large);

static inline cuda_tile_size cuda_matrix_simt_size(bool large) {
    cuda_tile_size size = {large ? 128 : 64, large ? 128 : 64};
    return size;
}

/* The same where each channel is a group of its own (DEPTHWISE): n channels, k_pad taps. A thread takes
   a row's eight channels; as many threads as there are of these, along x. */
#define CUDA_DEPTHWISE_THREADS 128
extern const simt_kernel cuda_conv_depthwise;

/* Sources through the prologue, side by side and rounded to dst's type: dst[rows][c_pad], zeros behind
   the last channel. A thread takes eight of them; as many threads as there are of these, along x. */
#define CUDA_PROLOGUE_THREADS 128
typedef struct cuda_prologue_params {
    cuda_source src[2];
    cuda_prologue prologue;
    void *dst;
    int64_t rows, inner;
    int32_t c_pad;
    int32_t aligned; /* eight channels are of one source and lie at a multiple of 16 bytes */
} cuda_prologue_params;

const simt_kernel *cuda_prologue_kernel(ms_dtype dtype); /* of sources and dst: F16 or BF16 */

SIMT_PARAMS_END

#ifdef __cplusplus
}
#endif

#endif
