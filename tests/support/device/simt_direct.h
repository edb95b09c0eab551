/*
 * A device for the functions of the CUDA back end without its plug-in: cuda_launch() runs a kernel on the
 * emulator before it returns, memory is the host's. The rest of launch.h is here too.
 */
#ifndef MS_TESTS_SIMT_DIRECT_H
#define MS_TESTS_SIMT_DIRECT_H

#include "test.h"

#include "device/cuda/launch.h"
#include "device/simt/emulator.h"

/* In place: queue.dev points at dev. */
typedef struct simt_direct {
    ms_device dev;  /* no back end and no table of kernels; activations F32, F16 and from sm_80 on BF16 */
    ms_queue queue; /* for what is tested */
    simt_emulator *emulator;
    int arch;
    int processors;    /* 60 unless changed */
    int form;          /* cuda_form(); may be changed */
    uint64_t seed;     /* of the next launches; may be changed */
    uint64_t launches; /* so far */
    const char *last;  /* name of the kernel that was launched last */
} simt_direct;

/* Skips the test where the processor has not what kernels are compiled for. */
void simt_direct_open(simt_direct *direct, int arch, uint64_t seed);
void simt_direct_close(simt_direct *direct);

#endif
