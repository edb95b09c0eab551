/*
 * Kernels with a fault each, which is there when `broken` says so. Sound, every one gives the same:
 * out[t] = in[4 * ((t + 32) % 64)] + 1, what a thread of the other warp has, plus one.
 */
#ifndef MS_TESTS_SIMT_PLANTED_H
#define MS_TESTS_SIMT_PLANTED_H

#include "device/simt/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PLANTED_THREADS 64

typedef struct planted_args {
    const uint32_t *in; /* 4 words a thread, aligned to 16 bytes */
    uint32_t *out;      /* a word a thread */
    int broken;
} planted_args;

typedef struct planted_bug {
    const simt_kernel *kernel;
    uint32_t blocks;
    size_t broken_shared_bytes; /* in place of the kernel's own */
} planted_bug;

extern const planted_bug planted_bugs[];
extern const int planted_bug_count;

#ifdef __cplusplus
}
#endif

#endif
