/* The kernels of the back end as kernels.h wants them. */
#ifndef MS_DEVICE_CUDA_TABLE_H
#define MS_DEVICE_CUDA_TABLE_H

#include "device/kernels.h"

extern const ms_kernels cuda_kernels;

#endif
