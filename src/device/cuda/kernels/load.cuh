/* Eight elements of any type to float32 and back, 16 bytes at a time where they lie so. */
#ifndef MS_DEVICE_CUDA_KERNELS_LOAD_CUH
#define MS_DEVICE_CUDA_KERNELS_LOAD_CUH

#include "device/kernels.h"
#include "device/simt/simt.h"

SIMT_FN float load_one(const void *data, ms_dtype dtype, int64_t at) {
    if (dtype == MS_F32)
        return ((const float *)data)[at];
    if (dtype == MS_F16)
        return simt_to_float(((const simt_f16 *)data)[at]);
    return simt_to_float(((const simt_bf16 *)data)[at]);
}

SIMT_FN void store_one(void *data, ms_dtype dtype, int64_t at, float x) {
    if (dtype == MS_F32)
        ((float *)data)[at] = x;
    else if (dtype == MS_F16)
        ((simt_f16 *)data)[at] = simt_from_float<simt_f16>(x);
    else
        ((simt_bf16 *)data)[at] = simt_from_float<simt_bf16>(x);
}

/* Two of them in a register. */
template <class T> SIMT_FN void unpack(uint32_t pair, float x[2]) {
    const T low = {(uint16_t)pair}, high = {(uint16_t)(pair >> 16)};
    x[0] = simt_to_float(low);
    x[1] = simt_to_float(high);
}

template <class T> SIMT_FN uint32_t pack_pair(const float x[2]) {
    return simt_pack(simt_from_float<T>(x[0]), simt_from_float<T>(x[1]));
}

template <class T> SIMT_FN void unpack_eight(simt_words w, float x[8]) {
    SIMT_UNROLL
    for (int i = 0; i < 4; i++)
        unpack<T>(w.w[i], x + 2 * i);
}

template <class T> SIMT_FN simt_words pack_eight(const float x[8]) {
    simt_words w;
    SIMT_UNROLL
    for (int i = 0; i < 4; i++)
        w.w[i] = pack_pair<T>(x + 2 * i);
    return w;
}

/* Eight from element `at` on, which lies at a multiple of 16 bytes. */
SIMT_FN void load_eight(const void *data, ms_dtype dtype, int64_t at, float x[8]) {
    if (dtype == MS_F32) {
        SIMT_UNROLL
        for (int i = 0; i < 2; i++) {
            const simt_words w = simt_load16((const float *)data + at + 4 * i);
            SIMT_UNROLL
            for (int j = 0; j < 4; j++)
                x[4 * i + j] = simt_float(w.w[j]);
        }
    } else if (dtype == MS_F16) {
        unpack_eight<simt_f16>(simt_load16((const simt_f16 *)data + at), x);
    } else {
        unpack_eight<simt_bf16>(simt_load16((const simt_bf16 *)data + at), x);
    }
}

SIMT_FN void store_eight(void *data, ms_dtype dtype, int64_t at, const float x[8]) {
    if (dtype == MS_F32) {
        SIMT_UNROLL
        for (int i = 0; i < 2; i++) {
            simt_words w;
            SIMT_UNROLL
            for (int j = 0; j < 4; j++)
                w.w[j] = simt_bits(x[4 * i + j]);
            simt_store16((float *)data + at + 4 * i, w);
        }
    } else if (dtype == MS_F16) {
        simt_store16((simt_f16 *)data + at, pack_eight<simt_f16>(x));
    } else {
        simt_store16((simt_bf16 *)data + at, pack_eight<simt_bf16>(x));
    }
}

#endif
