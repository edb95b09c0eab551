#include "device/cuda/table.h"

#include "device/cuda/matmul.h"
#include "device/cuda/ops.h"

#define NAMED(kernel) .kernel = ms_cuda_##kernel,

const ms_kernels cuda_kernels = {MS_KERNELS(NAMED).conv2d_layout = ms_cuda_conv2d_layout};
