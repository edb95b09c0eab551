/* Elements of any type to float32 and back: one, and eight side by side, 16 bytes at a time where they
   lie so. */
#ifndef MS_DEVICE_CUDA_KERNELS_LOAD_CUH
#define MS_DEVICE_CUDA_KERNELS_LOAD_CUH

#include "device/kernels.h"
#include "device/simt/simt.h"

SIMT_FN float load_one(const void *data, int dtype, int64_t at) {
    if (dtype == MS_F32)
        return ((const float *)data)[at];
    if (dtype == MS_F16)
        return simt_to_float(((const simt_f16 *)data)[at]);
    return simt_to_float(((const simt_bf16 *)data)[at]);
}

SIMT_FN void store_one(void *data, int dtype, int64_t at, float x) {
    if (dtype == MS_F32)
        ((float *)data)[at] = x;
    else if (dtype == MS_F16)
        ((simt_f16 *)data)[at] = simt_from_float<simt_f16>(x);
    else
        ((simt_bf16 *)data)[at] = simt_from_float<simt_bf16>(x);
}

template <class T> union eight {
    T value[8];
    simt_words words[sizeof(T) * 8 / 16];
};

/* Zeros behind the first `count`. wide: they lie at a multiple of 16 bytes. */
template <class T> SIMT_FN void load_eight(const T *p, bool wide, int count, float x[8]) {
    eight<T> u;
    if (wide && count >= 8) {
        SIMT_UNROLL
        for (int i = 0; i < (int)(sizeof(u) / 16); i++)
            u.words[i] = simt_load16((const char *)p + 16 * i);
    } else {
        SIMT_UNROLL
        for (int i = 0; i < 8; i++)
            u.value[i] = i < count ? p[i] : simt_from_float<T>(0.0f);
    }
    SIMT_UNROLL
    for (int i = 0; i < 8; i++)
        x[i] = simt_to_float(u.value[i]);
}

template <class T> SIMT_FN void store_eight(T *p, bool wide, int count, const float x[8]) {
    eight<T> u;
    SIMT_UNROLL
    for (int i = 0; i < 8; i++)
        u.value[i] = simt_from_float<T>(x[i]);
    if (wide && count >= 8) {
        SIMT_UNROLL
        for (int i = 0; i < (int)(sizeof(u) / 16); i++)
            simt_store16((char *)p + 16 * i, u.words[i]);
    } else {
        SIMT_UNROLL
        for (int i = 0; i < 8; i++)
            if (i < count)
                p[i] = u.value[i];
    }
}

/* The same from element `at` on of a type that only the arguments say. */
SIMT_FN void load_eight_of(const void *data, int dtype, int64_t at, bool wide, int count, float x[8]) {
    if (dtype == MS_F32)
        load_eight((const float *)data + at, wide, count, x);
    else if (dtype == MS_F16)
        load_eight((const simt_f16 *)data + at, wide, count, x);
    else
        load_eight((const simt_bf16 *)data + at, wide, count, x);
}

SIMT_FN void store_eight_of(void *data, int dtype, int64_t at, bool wide, int count, const float x[8]) {
    if (dtype == MS_F32)
        store_eight((float *)data + at, wide, count, x);
    else if (dtype == MS_F16)
        store_eight((simt_f16 *)data + at, wide, count, x);
    else
        store_eight((simt_bf16 *)data + at, wide, count, x);
}

#endif
