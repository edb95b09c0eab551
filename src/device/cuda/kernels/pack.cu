#include "device/cuda/kernels/pack.h"

#include "device/simt/simt.h"

/* Where row `row` of the matrix begins in dst, in rows. GEGLU: eight hidden rows, then their eight gates. */
SIMT_FN int64_t place_of(const cuda_pack_params &p, int64_t row) {
    if (p.half > 0) {
        int64_t at = row < p.half ? row : row - p.half;
        return at / 8 * 16 + (row < p.half ? 0 : 8) + at % 8;
    }
    return row / p.group_n * p.n_pad + row % p.group_n;
}

template <class Raw, class Stored> SIMT_FN Stored convert(Raw x) {
    return simt_from_float<Stored>(simt_to_float(x));
}

SIMT_FN int64_t thread_of_grid() {
    return (int64_t)simt_block_x() * CUDA_PACK_THREADS + simt_thread();
}

/* Reads are strided by the taps, and what lies between is read by the neighbours; writes are side by side. */
template <class Raw, class Stored> SIMT_KERNEL(CUDA_PACK_THREADS) pack(SIMT_PARAM(cuda_pack_params, p)) {
    const int64_t per_tap = p.c_pad / CUDA_PACK_AT_ONCE, per_row = per_tap * p.taps, at = thread_of_grid();
    if (at >= p.rows * per_row)
        return;
    const int64_t row = at / per_row, tap = at % per_row / per_tap, c = at % per_tap * CUDA_PACK_AT_ONCE;
    const Raw *src = (const Raw *)p.src + (row * p.c_in + c) * p.taps + tap;
    const int there = p.c_in - c < CUDA_PACK_AT_ONCE ? (int)(p.c_in - c) : CUDA_PACK_AT_ONCE;
    union {
        Stored value[CUDA_PACK_AT_ONCE];
        simt_words words[sizeof(Stored) * CUDA_PACK_AT_ONCE / 16];
    } out;
    SIMT_UNROLL
    for (int i = 0; i < CUDA_PACK_AT_ONCE; i++)
        out.value[i] =
            i < there ? convert<Raw, Stored>(src[(int64_t)i * p.taps]) : simt_from_float<Stored>(0);
    Stored *dst = (Stored *)p.dst + place_of(p, p.first_row + row) * p.k_pad + tap * p.c_pad + c;
    SIMT_UNROLL
    for (int i = 0; i < (int)(sizeof(out) / 16); i++)
        simt_store16(dst + i * 16 / (int)sizeof(Stored), out.words[i]);
}

template <class Raw, class Stored>
SIMT_KERNEL(CUDA_PACK_THREADS)
pack_depthwise(SIMT_PARAM(cuda_pack_params, p)) {
    const int64_t at = thread_of_grid();
    if (at >= p.rows * p.taps)
        return;
    const int64_t row = at % p.rows, tap = at / p.rows;
    ((Stored *)p.dst)[tap * p.group_n + p.first_row + row] =
        convert<Raw, Stored>(((const Raw *)p.src)[row * p.taps + tap]);
}

/* From float32 to what is stored, or as it is: a row for each stored type. */
#define PACK(kernel)                                                                                         \
    static const simt_kernel kernel##_kernels[3][2] = {                                                      \
        {PACK_OF(kernel, float, float), PACK_OF(kernel, float, float)},                                      \
        {PACK_OF(kernel, float, simt_f16), PACK_OF(kernel, simt_f16, simt_f16)},                             \
        {PACK_OF(kernel, float, simt_bf16), PACK_OF(kernel, simt_bf16, simt_bf16)},                          \
    };                                                                                                       \
    const simt_kernel *cuda_##kernel##_kernel(ms_dtype raw, ms_dtype stored) {                               \
        return &kernel##_kernels[stored == MS_F32 ? 0 : stored == MS_F16 ? 1 : 2][raw == MS_F32 ? 0 : 1];    \
    }
#define PACK_OF(kernel, Raw, Stored)                                                                         \
    SIMT_DESCRIBE((kernel<Raw, Stored>), cuda_pack_params, CUDA_PACK_THREADS, 0)

PACK(pack)
PACK(pack_depthwise)
