/*
 * Sixteen floats at a time, on every instruction set: one zmm register (AVX-512), two ymm registers (AVX2) or
 * a vector of the compiler's own. A file that includes this defines MS_SIMD_ISA first; the same source then
 * gives one object per instruction set. Every operation rounds once and the same way everywhere, so the three
 * agree bit by bit: fma is fused, div and sqrt are the exact ones, and max keeps x86's rule (b unless a > b),
 * which passes a NaN in b on.
 */
#ifndef MS_DEVICE_CPU_SIMD_SIMD_H
#define MS_DEVICE_CPU_SIMD_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/dtype.h"

#define MS_SIMD_C 0
#define MS_SIMD_AVX2 1
#define MS_SIMD_AVX512 2

#define V16_INLINE static inline __attribute__((always_inline, unused))

#if MS_SIMD_ISA == MS_SIMD_AVX512
#include "device/cpu/simd/simd_avx512.h"
#elif MS_SIMD_ISA == MS_SIMD_AVX2
#include "device/cpu/simd/simd_avx2.h"
#elif MS_SIMD_ISA == MS_SIMD_C
#include "device/cpu/simd/simd_c.h"
#else
#error "MS_SIMD_ISA is not one of MS_SIMD_C, MS_SIMD_AVX2, MS_SIMD_AVX512"
#endif

/* The first n of sixteen; n may be 16 or more. */
V16_INLINE v16 v16_load_tail(const float *p, int64_t n) {
    return n >= 16 ? v16_load(p) : v16_load_n(p, (int)n);
}

V16_INLINE void v16_store_tail(float *p, v16 x, int64_t n) {
    if (n >= 16)
        v16_store(p, x);
    else
        v16_store_n(p, x, (int)n);
}

/* Sixteen weights of a dtype that is known at compile time, widened. */
V16_INLINE v16 v16_load_weight(const void *base, int64_t index, ms_dtype dtype) {
    if (dtype == MS_F32)
        return v16_load((const float *)base + index);
    if (dtype == MS_F16)
        return v16_load_f16((const uint16_t *)base + index);
    return v16_load_bf16((const uint16_t *)base + index);
}

#endif
