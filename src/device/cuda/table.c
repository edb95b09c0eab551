#include "device/cuda/table.h"

/* Those that are there; a device that lacks one is refused when it is opened. */
const ms_kernels cuda_kernels = {.linear = NULL};
