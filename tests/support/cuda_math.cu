#include "support/cuda_math.h"

#include "device/cuda/kernels/math.cuh"

float cuda_math_exp(float x) {
    return gpu_exp(x);
}

float cuda_math_erf(float x) {
    return gpu_erf(x);
}

float cuda_math_act(float x, ms_act act, float slope) {
    return gpu_act(x, act, slope);
}
