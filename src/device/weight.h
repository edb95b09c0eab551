/* Sizes and packing of weight matrices: the layouts of kernels.h, shared by the
   back ends that compute on the processor, and by dummy. */
#ifndef MS_DEVICE_WEIGHT_H
#define MS_DEVICE_WEIGHT_H

#include "device/device.h"

/* Panels of n output channels, `groups` of which each are padded to whole panels on their own. */
int64_t ms_panels(int64_t n, int groups);

/* 0 when the shape makes no sense or its size does not fit size_t. */
size_t ms_weight_bytes(const ms_weight_shape *shape);
int64_t ms_weight_panels(const ms_weight_shape *shape);
void ms_weight_pack(const ms_weight_shape *shape, int64_t panel, const float *const rows[16], void *base);

/* ms_backend.weight_prepare() on memory that the host sees. */
ms_status ms_weight_prepare(const ms_weight_shape *shape, ms_dtype raw, int64_t first_row, int64_t rows,
                            const void *src, void *dst);

#endif
