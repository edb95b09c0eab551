/*
 * Parameters of kernels are copied byte for byte, and the emulator looks at every word of them for addresses. So no
 * byte of them is left to chance: structs between BEGIN and END have no padding, and a compiler that finds some says so.
 */
#ifndef MS_DEVICE_CUDA_KERNELS_PARAMS_H
#define MS_DEVICE_CUDA_KERNELS_PARAMS_H

#define CUDA_PARAMS_BEGIN _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic warning \"-Wpadded\"")
#define CUDA_PARAMS_END _Pragma("GCC diagnostic pop")

#endif
