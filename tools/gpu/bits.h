/* The kernels of `bits`: a warp multiplies a tile by mma.sync. */
#ifndef MS_TOOLS_GPU_BITS_H
#define MS_TOOLS_GPU_BITS_H

#include "device/simt/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Registers of tile after tile, of lane after lane: k / 4 of a, k / 8 of b, 4 of d, which is added to. A
   block is a warp, and does the tile of its number. */
typedef struct bits_args {
    const uint32_t *a, *b;
    float *d;
} bits_args;

/* m16n8k16 and m16n8k8. */
extern const simt_kernel bits_f16_16, bits_f16_8, bits_bf16_16, bits_bf16_8;

#ifdef __cplusplus
}
#endif

#endif
