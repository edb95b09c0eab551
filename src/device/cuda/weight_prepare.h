/* Packing weights on the card. */
#ifndef MS_DEVICE_CUDA_WEIGHT_PREPARE_H
#define MS_DEVICE_CUDA_WEIGHT_PREPARE_H

#include "device/device.h"

/* ms_backend.weight_prepare. */
ms_status cuda_weight_prepare(ms_queue *queue, const ms_weight_shape *shape, ms_dtype raw, int64_t first_row,
                              int64_t rows, const void *src, void *dst);

#endif
