/* What the host has to know of a kernel to launch it. */
#ifndef MS_DEVICE_SIMT_KERNEL_H
#define MS_DEVICE_SIMT_KERNEL_H

#include <stddef.h>
#include <stdint.h>

typedef struct simt_kernel {
    const char *name;
    const void *entry; /* for cudaLaunchKernel(); in the emulator a simt_entry */
    uint32_t threads;  /* of a block */
    uint32_t param_bytes;
    size_t shared_bytes; /* of a block, all of it asked for at the launch */
} simt_kernel;

#endif
