/*
 * exp, erf and the activation functions on v16. Polynomials are this project's own, fitted by Remez's
 * exchange to the functions at 50 digits. Largest errors found over every third float: exp 0.88 ulp, erf 1.19
 * ulp; sigmoid and SiLU stay within 2.2 (tests/unit/device/test_vmath.c repeats that on a sample).
 */
#ifndef MS_DEVICE_CPU_SIMD_VMATH_H
#define MS_DEVICE_CPU_SIMD_VMATH_H

#include "device/cpu/simd/simd.h"
#include "device/kernels.h"

/*
 * exp(x) = 2^n exp(r), |r| <= ln(2) / 2. ln 2 is taken off in two parts, the first of 15 bits so that n times
 * it is exact. Below -87.3 (exp is about the least normal float) the result is 0, above 88.37 it stays at
 * exp(88.37) = 2.4e38; NaN stays NaN.
 */
V16_INLINE v16 v16_exp(v16 x) {
    const v16 magic = v16_set1(0x1.8p23f); /* adding it rounds to an integer, in the low bits */
    v16 least = v16_set1(-87.3f);
    v16 y = v16_min(v16_set1(88.37f), v16_max(least, x));
    v16 t = v16_fma(y, v16_set1(0x1.715476p+0f), magic);
    v16 n = v16_sub(t, magic);
    v16 r = v16_fnma(n, v16_set1(0x1.62e4p-1f), y);
    r = v16_fnma(n, v16_set1(0x1.7f7d1cp-20f), r);
    v16 p = v16_fma(v16_set1(0x1.6a23ccp-10f), r, v16_set1(0x1.123a2p-7f));
    p = v16_fma(p, r, v16_set1(0x1.5558f2p-5f));
    p = v16_fma(p, r, v16_set1(0x1.555492p-3f));
    p = v16_fma(p, r, v16_set1(0x1.fffffcp-2f));
    p = v16_fma(p, r, v16_set1(1.0f));
    p = v16_fma(p, r, v16_set1(1.0f));
    return v16_select_lt(x, least, v16_zero(), v16_add_exponent(p, t));
}

/*
 * erf: x + x P(x^2) below 0.92, above it 1 - exp(-a Q(a)) with a = |x|, at most 4 (erf(4) rounds to 1).
 */
V16_INLINE v16 v16_erf(v16 x) {
    v16 a = v16_abs(x), t = v16_mul(x, x);
    v16 p = v16_fma(v16_set1(0x1.574ec2p-14f), t, v16_set1(-0x1.a88d88p-11f));
    p = v16_fma(p, t, v16_set1(0x1.549664p-8f));
    p = v16_fma(p, t, v16_set1(-0x1.b8098p-6f));
    p = v16_fma(p, t, v16_set1(0x1.ce2dcap-4f));
    p = v16_fma(p, t, v16_set1(-0x1.812742p-2f));
    p = v16_fma(p, t, v16_set1(0x1.06eba8p-3f));
    v16 inner = v16_fma(x, p, x);
    v16 c = v16_min(v16_set1(4.0f), a);
    v16 q = v16_fma(v16_set1(-0x1.c11ce6p-13f), c, v16_set1(0x1.a5962ap-9f));
    q = v16_fma(q, c, v16_set1(-0x1.771d1ap-6f));
    q = v16_fma(q, c, v16_set1(0x1.af302p-4f));
    q = v16_fma(q, c, v16_set1(0x1.457bf2p-1f));
    q = v16_fma(q, c, v16_set1(0x1.20e676p+0f));
    v16 e = v16_exp(v16_mul(q, v16_sub(v16_zero(), c)));
    v16 outer = v16_copysign(v16_sub(v16_set1(1.0f), e), x);
    return v16_select_lt(a, v16_set1(0.92f), inner, outer);
}

V16_INLINE v16 v16_sigmoid(v16 x) {
    v16 one = v16_set1(1.0f);
    return v16_div(one, v16_add(one, v16_exp(v16_sub(v16_zero(), x))));
}

V16_INLINE v16 v16_silu(v16 x) {
    return v16_div(x, v16_add(v16_set1(1.0f), v16_exp(v16_sub(v16_zero(), x))));
}

/* 0.5 x (1 + erf(x / sqrt 2)) */
V16_INLINE v16 v16_gelu(v16 x) {
    v16 half = v16_mul(v16_set1(0.5f), x);
    return v16_fma(half, v16_erf(v16_mul(x, v16_set1(0x1.6a09e6p-1f))), half);
}

V16_INLINE v16 v16_relu(v16 x) {
    return v16_max(v16_zero(), x);
}

V16_INLINE v16 v16_prelu(v16 x, v16 slope) {
    return v16_select_lt(x, v16_zero(), v16_mul(x, slope), x);
}

V16_INLINE v16 v16_act(v16 x, ms_act act, v16 slope) {
    switch (act) {
    case MS_ACT_SILU:
        return v16_silu(x);
    case MS_ACT_GELU:
        return v16_gelu(x);
    case MS_ACT_RELU:
        return v16_relu(x);
    case MS_ACT_PRELU:
        return v16_prelu(x, slope);
    case MS_ACT_SIGMOID:
        return v16_sigmoid(x);
    case MS_ACT_NONE:
    case MS_ACT_GEGLU:
        break;
    }
    return x;
}

#endif
