/*
 * log, sine and cosine in double, for noise, and exp for posteriors. The processor takes the C library's;
 * these are polynomials of this project, fitted by Chebyshev's series at 40 digits, with fused operations
 * where it says so: the same bits on every card and in the emulator, each within 1 ulp of a double
 * (tests/unit/device/test_cuda_math.c), so that what is rounded to float is nearly always the processor's.
 */
#ifndef MS_DEVICE_CUDA_KERNELS_MATH64_CUH
#define MS_DEVICE_CUDA_KERNELS_MATH64_CUH

#include "device/simt/simt.h"

/* Adding it rounds to an integer, in the low bits. */
#define GPU_MAGIC64 0x1.8p52

/*
 * Of a normal number above 0. x = 2^e (1 + f), 1 + f from sqrt(1/2) to sqrt(2); with s = f / (2 + f),
 * log(1 + f) = f - f^2/2 + s (f^2/2 + s^2 P(s^2)). The first part of ln 2 has 32 bits: e times it is exact.
 */
SIMT_FN double gpu_log64(double x) {
    const uint64_t bits = simt_bits64(x);
    /* What is above sqrt(2) goes to the next power. */
    const uint64_t shifted = bits + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu);
    const int e = (int)(shifted >> 52) - 1023;
    const double f = simt_double(bits - ((uint64_t)(int64_t)e << 52)) - 1.0;
    const double s = f / (2.0 + f), z = s * s;
    double p = simt_fma(0x1.2b5900de53b32p-3, z, 0x1.39fe51a7c18f9p-3);
    p = simt_fma(p, z, 0x1.7462b51cb66b1p-3);
    p = simt_fma(p, z, 0x1.c71c62e3f11e6p-3);
    p = simt_fma(p, z, 0x1.2492492df281ap-2);
    p = simt_fma(p, z, 0x1.99999999952d7p-2);
    p = simt_fma(p, z, 0x1.5555555555558p-1);
    const double half = 0.5 * f * f, n = (double)e;
    const double small = simt_fma(s, half + z * p, n * 0x1.a39ef35793c76p-33);
    return simt_fma(n, 0x1.62e42feep-1, f - (half - small));
}

/* Of an angle from 0 to 2 pi. */
SIMT_FN void gpu_sincos64(double x, double *ret_sin, double *ret_cos) {
    const double t = simt_fma(x, 0x1.45f306dc9c883p-1, GPU_MAGIC64), k = t - GPU_MAGIC64;
    /* x - k pi / 2 = r + rest; the first difference is exact, as k is small. */
    const double whole = simt_fma(-k, 0x1.921fb54442d18p+0, x);
    const double r = simt_fma(-k, 0x1.1a62633145c07p-54, whole);
    const double rest = simt_fma(-k, 0x1.1a62633145c07p-54, whole - r), z = r * r;
    double p = simt_fma(0x1.5e0b05bff20f2p-33, z, -0x1.ae600aca92c64p-26);
    p = simt_fma(p, z, 0x1.71de379654304p-19);
    p = simt_fma(p, z, -0x1.a01a019e83816p-13);
    p = simt_fma(p, z, 0x1.1111111110bb2p-7);
    p = simt_fma(p, z, -0x1.5555555555555p-3);
    const double sine = r + simt_fma(r * z, p, rest);
    double q = simt_fma(-0x1.907d8f29fe831p-37, z, 0x1.1eeb68cd22f56p-29);
    q = simt_fma(q, z, -0x1.27e4fa17bf139p-22);
    q = simt_fma(q, z, 0x1.a01a019f4e9b4p-16);
    q = simt_fma(q, z, -0x1.6c16c16c16967p-10);
    q = simt_fma(q, z, 0x1.5555555555555p-5);
    const double half = 0.5 * z, near = 1.0 - half;
    const double cosine = near + (((1.0 - near) - half) + simt_fma(z * z, q, -(r * rest)));
    const int quarter = (int)(simt_bits64(t) & 3);
    const double a = quarter & 1 ? cosine : sine, b = quarter & 1 ? sine : cosine;
    *ret_sin = quarter & 2 ? -a : a;
    *ret_cos = (quarter + 1) & 2 ? -b : b;
}

/* Of a number from -700 to 700. */
SIMT_FN double gpu_exp64(double x) {
    const double t = simt_fma(x, 0x1.71547652b82fep+0, GPU_MAGIC64), n = t - GPU_MAGIC64;
    /* x - n ln 2 = r + rest */
    const double whole = simt_fma(-n, 0x1.62e42feep-1, x), r = simt_fma(-n, 0x1.a39ef35793c76p-33, whole);
    const double rest = simt_fma(-n, 0x1.a39ef35793c76p-33, whole - r);
    double p = simt_fma(0x1.af38a9b0ec855p-26, r, 0x1.289185613a3d6p-22);
    p = simt_fma(p, r, 0x1.71de0dae63bb3p-19);
    p = simt_fma(p, r, 0x1.a019b90d2ae7ap-16);
    p = simt_fma(p, r, 0x1.a01a01a7c41d5p-13);
    p = simt_fma(p, r, 0x1.6c16c1788bd90p-10);
    p = simt_fma(p, r, 0x1.11111111109b3p-7);
    p = simt_fma(p, r, 0x1.5555555553d63p-5);
    p = simt_fma(p, r, 0x1.5555555555556p-3);
    p = simt_fma(p, r, 0x1.0000000000001p-1);
    p = 1.0 + (r + simt_fma(r * r, p, rest));
    return p * simt_double((simt_bits64(t) << 52) + 0x3ff0000000000000u);
}

#endif
