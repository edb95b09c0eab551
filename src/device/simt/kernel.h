/* What the host has to know of a kernel to launch it. */
#ifndef MS_DEVICE_SIMT_KERNEL_H
#define MS_DEVICE_SIMT_KERNEL_H

#include <stddef.h>
#include <stdint.h>

/*
 * Parameters are copied byte for byte, and the emulator looks at every word of them for addresses. So no byte
 * of them is left to chance: structs between BEGIN and END have no padding, and a compiler that finds some
 * says so.
 */
#define SIMT_PARAMS_BEGIN _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic warning \"-Wpadded\"")
#define SIMT_PARAMS_END _Pragma("GCC diagnostic pop")

typedef struct simt_kernel {
    const char *name;
    const void *entry; /* for cudaLaunchKernel(); in the emulator a simt_entry */
    uint32_t threads;  /* of a block */
    uint32_t param_bytes;
    size_t shared_bytes; /* of a block, all of it asked for at the launch */
} simt_kernel;

#endif
