#include "device/cuda/predicted.h"

#include <string.h>

#include "device/cuda/launch.h"

/* [0]: cuda-sm7x8x, [1]: cuda-sm9x. Kernels whose bits change need new ones:
   tests/unit/device/test_cuda_predicted says how they are written. */
static const struct {
    const char *family;
    ms_dtype dtype;
    uint64_t bits[2];
} table[] = {
#include "device/cuda/predicted_bits.inc"
};

uint64_t cuda_predicted_bits(const ms_device *dev, const char *family, ms_dtype dtype) {
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].dtype == dtype && strcmp(table[i].family, family) == 0)
            return table[i].bits[cuda_arch(dev) >= 90];
    return 0;
}
