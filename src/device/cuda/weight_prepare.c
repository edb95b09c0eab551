#include "base/error.h"
#include "device/cuda/kernels/pack.h"
#include "device/cuda/launch.h"
#include "device/cuda/weight_prepare.h"
#include "device/cuda/sizes/weight_layout.h"

ms_status cuda_weight_prepare(ms_queue *queue, const ms_weight_shape *s, ms_dtype raw, int64_t first_row,
                              int64_t rows, const void *src, void *dst) {
    if (!ms_cuda_weight_bytes(s) || !src || !dst || first_row < 0 || rows < 1 || first_row > s->n - rows ||
        (raw != MS_F32 && raw != s->dtype))
        return MS_INVALID_ARGUMENT;
    const bool depthwise = s->layout == MS_LAYOUT_DEPTHWISE;
    const cuda_matrix m = cuda_matrix_of(s);
    cuda_pack_params p = {
        .dst = dst,
        .c_in = (int32_t)s->c_in,
        .taps = s->kernel_h * s->kernel_w,
        .c_pad = (int32_t)m.c_pad,
        .k_pad = m.k_pad,
        .group_n = depthwise ? s->n : s->n / s->groups,
        .n_pad = m.n_pad,
        .half = s->layout == MS_LAYOUT_GEGLU ? s->n / 2 : 0,
    };
    const simt_kernel *kernel =
        depthwise ? cuda_pack_depthwise_kernel(raw, s->dtype) : cuda_pack_kernel(raw, s->dtype);
    /* So many rows at a time as one grid has threads for. */
    const int64_t per_row = depthwise ? p.taps : p.taps * (m.c_pad / CUDA_PACK_AT_ONCE);
    const int64_t most = INT32_MAX / CUDA_PACK_THREADS * (int64_t)CUDA_PACK_THREADS / per_row;
    const size_t row_bytes = (size_t)s->c_in * (size_t)p.taps * ms_dtype_bytes(raw);
    if (most == 0)
        return MS_INVALID_ARGUMENT;
    for (int64_t done = 0; done < rows; done += p.rows) {
        p.first_row = first_row + done;
        p.rows = rows - done < most ? rows - done : most;
        p.src = (const char *)src + (size_t)done * row_bytes;
        int64_t blocks = (p.rows * per_row + CUDA_PACK_THREADS - 1) / CUDA_PACK_THREADS;
        MS_TRY(cuda_launch(queue, kernel, (uint32_t)blocks, 1, 1, &p));
    }
    return MS_OK;
}
