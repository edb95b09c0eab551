/*
 * exp, erf and the activation functions, for float32: the polynomials of device/cpu/simd/vmath.h with the
 * same fused operations, so that the bits are the processor's (tests/unit/device/test_cuda_math.c). What is
 * no number stays none.
 */
#ifndef MS_DEVICE_CUDA_KERNELS_MATH_CUH
#define MS_DEVICE_CUDA_KERNELS_MATH_CUH

#include "device/kernels.h"
#include "device/simt/simt.h"

/* The processor adds n to the exponent's bits. Here it is a product, as exact: a card's NaN has all bits set,
   and the sum would make a number of it. */
SIMT_FN float gpu_exp(float x) {
    const float magic = 0x1.8p23f, least = -87.3f, most = 88.37f; /* adding magic rounds to an integer */
    float y = least > x ? least : x;
    y = most < y ? most : y;
    float t = simt_fma(y, 0x1.715476p+0f, magic);
    float n = t - magic;
    float r = simt_fma(-n, 0x1.62e4p-1f, y);
    r = simt_fma(-n, 0x1.7f7d1cp-20f, r);
    float p = simt_fma(0x1.6a23ccp-10f, r, 0x1.123a2p-7f);
    p = simt_fma(p, r, 0x1.5558f2p-5f);
    p = simt_fma(p, r, 0x1.555492p-3f);
    p = simt_fma(p, r, 0x1.fffffcp-2f);
    p = simt_fma(p, r, 1.0f);
    p = simt_fma(p, r, 1.0f);
    float power = simt_float((simt_bits(t) << 23) + 0x3f800000u); /* 2^n, n from -126 to 127 */
    return x < least ? 0.0f : p * power;
}

SIMT_FN float gpu_erf(float x) {
    float a = simt_float(simt_bits(x) & 0x7fffffffu), t = x * x;
    float p = simt_fma(0x1.574ec2p-14f, t, -0x1.a88d88p-11f);
    p = simt_fma(p, t, 0x1.549664p-8f);
    p = simt_fma(p, t, -0x1.b8098p-6f);
    p = simt_fma(p, t, 0x1.ce2dcap-4f);
    p = simt_fma(p, t, -0x1.812742p-2f);
    p = simt_fma(p, t, 0x1.06eba8p-3f);
    float inner = simt_fma(x, p, x);
    float c = 4.0f < a ? 4.0f : a;
    float q = simt_fma(-0x1.c11ce6p-13f, c, 0x1.a5962ap-9f);
    q = simt_fma(q, c, -0x1.771d1ap-6f);
    q = simt_fma(q, c, 0x1.af302p-4f);
    q = simt_fma(q, c, 0x1.457bf2p-1f);
    q = simt_fma(q, c, 0x1.20e676p+0f);
    float e = gpu_exp(q * -c);
    float outer = simt_float(simt_bits(1.0f - e) | (simt_bits(x) & 0x80000000u));
    return a < 0.92f ? inner : outer;
}

SIMT_FN float gpu_sigmoid(float x) {
    return 1.0f / (1.0f + gpu_exp(0.0f - x));
}

SIMT_FN float gpu_silu(float x) {
    return x / (1.0f + gpu_exp(0.0f - x));
}

/* 0.5 x (1 + erf(x / sqrt 2)) */
SIMT_FN float gpu_gelu(float x) {
    float half = 0.5f * x;
    return simt_fma(half, gpu_erf(x * 0x1.6a09e6p-1f), half);
}

/* slope: of PRELU. */
SIMT_FN float gpu_act(float x, ms_act act, float slope) {
    switch (act) {
    case MS_ACT_SILU:
        return gpu_silu(x);
    case MS_ACT_GELU:
        return gpu_gelu(x);
    case MS_ACT_RELU:
        return 0.0f > x ? 0.0f : x;
    case MS_ACT_PRELU:
        return x < 0.0f ? x * slope : x;
    case MS_ACT_SIGMOID:
        return gpu_sigmoid(x);
    case MS_ACT_NONE:
    case MS_ACT_GEGLU:
        break;
    }
    return x;
}

#endif
