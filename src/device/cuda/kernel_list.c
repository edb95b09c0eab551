#include "device/cuda/kernel_list.h"

#include "device/cuda/kernels/pack.h"

static const ms_dtype types[] = {MS_F32, MS_F16, MS_BF16};

#define EACH_TYPE(t) for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++)
#define TELL(kernel)                                                                                         \
    if (!fn(arg, kernel))                                                                                    \
        return false;

static bool each_pack(bool (*fn)(void *arg, const simt_kernel *kernel), void *arg) {
    EACH_TYPE(t) {
        TELL(cuda_pack_kernel(MS_F32, types[t]))
        TELL(cuda_pack_kernel(types[t], types[t]))
        TELL(cuda_pack_depthwise_kernel(MS_F32, types[t]))
        TELL(cuda_pack_depthwise_kernel(types[t], types[t]))
    }
    return true;
}

bool cuda_each_kernel(bool (*fn)(void *arg, const simt_kernel *kernel), void *arg) {
    return each_pack(fn, arg);
}
