#include "gpu/bits.h"

#include "device/simt/simt.h"

template <class T, int K> SIMT_FN void multiply(const bits_args &p) {
    const size_t at = (size_t)simt_block_x() * 32 + (size_t)simt_lane();
    uint32_t a[K / 4], b[K / 8];
    float d[4];
    SIMT_UNROLL
    for (int i = 0; i < K / 4; i++)
        a[i] = p.a[at * (K / 4) + i];
    SIMT_UNROLL
    for (int i = 0; i < K / 8; i++)
        b[i] = p.b[at * (K / 8) + i];
    SIMT_UNROLL
    for (int i = 0; i < 4; i++)
        d[i] = p.d[at * 4 + i];
    if (K == 16)
        simt_mma_16816<T>(d, a, b);
    else
        simt_mma_1688<T>(d, a, b);
    SIMT_UNROLL
    for (int i = 0; i < 4; i++)
        p.d[at * 4 + i] = d[i];
}

SIMT_KERNEL(32) f16_16(SIMT_PARAM(bits_args, p)) {
    multiply<simt_f16, 16>(p);
}

SIMT_KERNEL(32) f16_8(SIMT_PARAM(bits_args, p)) {
    multiply<simt_f16, 8>(p);
}

SIMT_KERNEL(32) bf16_16(SIMT_PARAM(bits_args, p)) {
    multiply<simt_bf16, 16>(p);
}

SIMT_KERNEL(32) bf16_8(SIMT_PARAM(bits_args, p)) {
    multiply<simt_bf16, 8>(p);
}

extern "C" const simt_kernel bits_f16_16 = SIMT_DESCRIBE(f16_16, bits_args, 32, 0);
extern "C" const simt_kernel bits_f16_8 = SIMT_DESCRIBE(f16_8, bits_args, 32, 0);
extern "C" const simt_kernel bits_bf16_16 = SIMT_DESCRIBE(bf16_16, bits_args, 32, 0);
extern "C" const simt_kernel bits_bf16_8 = SIMT_DESCRIBE(bf16_8, bits_args, 32, 0);
