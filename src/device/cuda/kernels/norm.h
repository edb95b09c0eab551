/* Kernels of group norm's two passes and of layer norm. Its application is cuda_apply_kernel (rows.h). */
#ifndef MS_DEVICE_CUDA_KERNELS_NORM_H
#define MS_DEVICE_CUDA_KERNELS_NORM_H

#include <stdbool.h>

#include "device/cuda/kernels/rows.h"

#ifdef __cplusplus
extern "C" {
#endif

SIMT_PARAMS_BEGIN

/* ---- partial sums ---- */

#define CUDA_PARTIALS_THREADS 128
#define CUDA_PARTIALS_CHANNELS 256 /* that a block sums up at a time: a thread takes two */

/* A block takes an image row, all rows along x, and `block_groups` groups, along y. operand.wide here: every
   two channels lie on a border of two elements. */
typedef struct cuda_partials_params {
    cuda_operand src[2];
    int64_t h, w;
    int32_t first_channels; /* those of src[0] */
    int32_t channels, groups;
    int32_t block_groups; /* one, or such as have CUDA_PARTIALS_CHANNELS together or less */
    double (*partials)[2];
} cuda_partials_params;

extern const simt_kernel cuda_partials_kernel;

/* ---- tables ---- */

#define CUDA_TABLES_THREADS 128
#define CUDA_TABLES_GROUPS 32 /* of a block */

/* A block takes a table, along x, and CUDA_TABLES_GROUPS groups, along y. */
typedef struct cuda_tables_params {
    const double (*partials)[2];
    int64_t rows; /* image rows of a table */
    int64_t w;
    int32_t channels, groups;
    float eps;
    int32_t unused;
    const float *gamma, *beta;
    float *tables;
} cuda_tables_params;

extern const simt_kernel cuda_tables_kernel;

/* ---- layer norm ---- */

#define CUDA_LAYER_NORM_THREADS 128
#define CUDA_LAYER_NORM_ROWS 16 /* of a block */

/* All rows along x. operand.wide as above, vectors_wide: of the vectors. */
typedef struct cuda_layer_norm_params {
    cuda_operand src, dst;
    int64_t outer, inner;
    int32_t channels, vectors_wide;
    const float *gamma, *beta, *position;
    int64_t position_rows, outer_first;
    float eps;
    int32_t unused;
} cuda_layer_norm_params;

/* wide: src.wide, and an even number of channels. */
const simt_kernel *cuda_layer_norm_kernel(ms_dtype src, bool wide);

SIMT_PARAMS_END

#ifdef __cplusplus
}
#endif

#endif
