/* v16 as one zmm register: AVX-512 F and DQ. */
#ifndef MS_DEVICE_CPU_SIMD_SIMD_AVX512_H
#define MS_DEVICE_CPU_SIMD_SIMD_AVX512_H

#include <immintrin.h>

typedef __m512 v16;

V16_INLINE __mmask16 v16_mask(int n) {
    return (__mmask16)((1u << n) - 1);
}

V16_INLINE v16 v16_load(const float *p) {
    return _mm512_loadu_ps(p);
}

V16_INLINE v16 v16_load_n(const float *p, int n) {
    return _mm512_maskz_loadu_ps(v16_mask(n), p);
}

V16_INLINE void v16_store(float *p, v16 x) {
    _mm512_storeu_ps(p, x);
}

V16_INLINE void v16_store_n(float *p, v16 x, int n) {
    _mm512_mask_storeu_ps(p, v16_mask(n), x);
}

V16_INLINE v16 v16_load_f16(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

V16_INLINE v16 v16_load_bf16(const uint16_t *p) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

V16_INLINE v16 v16_set1(float x) {
    return _mm512_set1_ps(x);
}

V16_INLINE v16 v16_zero(void) {
    return _mm512_setzero_ps();
}

V16_INLINE v16 v16_add(v16 a, v16 b) {
    return _mm512_add_ps(a, b);
}

V16_INLINE v16 v16_sub(v16 a, v16 b) {
    return _mm512_sub_ps(a, b);
}

V16_INLINE v16 v16_mul(v16 a, v16 b) {
    return _mm512_mul_ps(a, b);
}

V16_INLINE v16 v16_div(v16 a, v16 b) {
    return _mm512_div_ps(a, b);
}

V16_INLINE v16 v16_fma(v16 a, v16 b, v16 c) {
    return _mm512_fmadd_ps(a, b, c);
}

V16_INLINE v16 v16_fnma(v16 a, v16 b, v16 c) {
    return _mm512_fnmadd_ps(a, b, c);
}

V16_INLINE v16 v16_max(v16 a, v16 b) {
    return _mm512_max_ps(a, b);
}

V16_INLINE v16 v16_min(v16 a, v16 b) {
    return _mm512_min_ps(a, b);
}

V16_INLINE v16 v16_abs(v16 a) {
    return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a);
}

V16_INLINE v16 v16_copysign(v16 a, v16 b) {
    __m512 sign = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(sign, a), _mm512_and_ps(sign, b));
}

V16_INLINE v16 v16_select_lt(v16 a, v16 b, v16 x, v16 y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}

V16_INLINE v16 v16_keep(v16 a, int64_t n) {
    return n >= 16 ? a : _mm512_maskz_mov_ps(v16_mask((int)n), a);
}

V16_INLINE v16 v16_add_exponent(v16 x, v16 t) {
    __m512i shifted = _mm512_slli_epi32(_mm512_castps_si512(t), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), shifted));
}

V16_INLINE float v16_sum(v16 a) {
    __m256 x = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
}

/* Four rounds: pairs of rows by unpacking floats, then doubles, then 128-bit quarters twice. */
V16_INLINE void v16_transpose(v16 r[16]) {
    __m512 t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        __m512d a = _mm512_castps_pd(t[i]), b = _mm512_castps_pd(t[i + 1]);
        __m512d c = _mm512_castps_pd(t[i + 2]), d = _mm512_castps_pd(t[i + 3]);
        r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
        r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
        r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
        r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 8; i++) {
        r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
    }
}

#endif
