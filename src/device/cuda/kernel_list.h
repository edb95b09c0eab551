/* Every kernel of the back end, so that all are loaded when a card is opened. */
#ifndef MS_DEVICE_CUDA_KERNEL_LIST_H
#define MS_DEVICE_CUDA_KERNEL_LIST_H

#include <stdbool.h>

#include "device/simt/kernel.h"

/* Calls fn for each, for some more than once, until it says false; false then. */
bool cuda_each_kernel(bool (*fn)(void *arg, const simt_kernel *kernel), void *arg);

#endif
