/* Rows of the checkpoint's matrix to where the matrix kernels read them (weight_layout.h). */
#ifndef MS_DEVICE_CUDA_KERNELS_PACK_H
#define MS_DEVICE_CUDA_KERNELS_PACK_H

#include "base/dtype.h"
#include "device/simt/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

SIMT_PARAMS_BEGIN

#define CUDA_PACK_THREADS 128
#define CUDA_PACK_AT_ONCE 8 /* values of one thread */

typedef struct cuda_pack_params {
    const void *src; /* [rows][c_in][taps] */
    void *dst;
    int64_t first_row, rows;
    int32_t c_in, taps;
    int32_t c_pad, unused;  /* channels of a tap in dst */
    int64_t k_pad;          /* from row to row of dst */
    int64_t group_n, n_pad; /* rows of a group in the matrix and in dst */
    int64_t half;           /* GEGLU: hidden rows; else 0 */
} cuda_pack_params;

/* A thread takes CUDA_PACK_AT_ONCE channels of a tap of a row; as many as there are in all, along x. */
const simt_kernel *cuda_pack_kernel(ms_dtype raw, ms_dtype stored);
/* dst is [taps][group_n]; a thread takes one value. */
const simt_kernel *cuda_pack_depthwise_kernel(ms_dtype raw, ms_dtype stored);

SIMT_PARAMS_END

#ifdef __cplusplus
}
#endif

#endif
