/* The copy of the activations that the tensor cores' kernels read where they cannot read them in place. */
#include "device/cuda/kernels/load.cuh"
#include "device/cuda/kernels/math.cuh"
#include "device/cuda/kernels/matmul.h"

/* Channel c of the concatenated sources; 0 behind the last one. */
template <class T>
SIMT_FN float read_channel(const cuda_prologue_params &p, int64_t outer, int64_t inner, int c) {
    const int second = c >= p.src[0].channels ? 1 : 0;
    const cuda_source &from = p.src[second];
    const int at = second ? c - p.src[0].channels : c;
    if (at >= from.channels)
        return 0.0f;
    return simt_to_float(((const T *)from.data)[outer * from.outer_stride + inner * from.inner_stride + at]);
}

template <class T>
SIMT_FN void read_eight(const cuda_prologue_params &p, int64_t outer, int64_t inner, int c, float x[8]) {
    if (p.aligned) {
        const int second = c >= p.src[0].channels ? 1 : 0;
        const cuda_source &from = p.src[second];
        const int at = second ? c - p.src[0].channels : c;
        load_eight((const T *)from.data + outer * from.outer_stride + inner * from.inner_stride + at, true, 8,
                   x);
        return;
    }
    SIMT_UNROLL
    for (int i = 0; i < 8; i++)
        x[i] = read_channel<T>(p, outer, inner, c + i);
}

template <class T> SIMT_FN void copy_rows(const cuda_prologue_params &p) {
    const int64_t across = p.c_pad / 8, at = (int64_t)simt_block_x() * CUDA_PROLOGUE_THREADS + simt_thread();
    if (at >= p.rows * across)
        return;
    const int64_t row = at / across, outer = row / p.inner;
    const int c = (int)(at - row * across) * 8;
    float x[8];
    read_eight<T>(p, outer, row - outer * p.inner, c, x);
    const cuda_prologue &pro = p.prologue;
    if (pro.tables) {
        const float *table =
            pro.tables + (pro.outer_first + outer) / pro.outer_per_table * 2 * pro.channels + c;
        SIMT_UNROLL
        for (int i = 0; i < 8; i++) {
            if (c + i >= pro.channels)
                continue; /* the zeros behind stay zeros */
            x[i] = simt_fma(x[i], table[i], table[pro.channels + i]);
            if (pro.act == MS_ACT_SILU)
                x[i] = gpu_silu(x[i]);
        }
    }
    store_eight((T *)p.dst + row * p.c_pad + c, true, 8, x);
}

SIMT_KERNEL(CUDA_PROLOGUE_THREADS) prologue_f16(SIMT_PARAM(cuda_prologue_params, p)) {
    copy_rows<simt_f16>(p);
}

SIMT_KERNEL(CUDA_PROLOGUE_THREADS) prologue_bf16(SIMT_PARAM(cuda_prologue_params, p)) {
    copy_rows<simt_bf16>(p);
}

const simt_kernel *cuda_prologue_kernel(ms_dtype dtype) {
    static const simt_kernel kernels[2] = {
        SIMT_DESCRIBE(prologue_f16, cuda_prologue_params, CUDA_PROLOGUE_THREADS, 0),
        SIMT_DESCRIBE(prologue_bf16, cuda_prologue_params, CUDA_PROLOGUE_THREADS, 0)};
    return &kernels[dtype == MS_F16 ? 0 : 1];
}
