/* What the self-test's results are on cards of each class of arithmetic, by the emulator. */
#ifndef MS_DEVICE_CUDA_PREDICTED_H
#define MS_DEVICE_CUDA_PREDICTED_H

#include "device/device.h"

/* ms_backend.predicted_bits */
uint64_t cuda_predicted_bits(const ms_device *dev, const char *family, ms_dtype dtype);

#endif
