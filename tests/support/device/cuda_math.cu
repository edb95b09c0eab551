#include "support/device/cuda_math.h"

#include "device/cuda/kernels/math.cuh"
#include "device/cuda/kernels/math64.cuh"

float cuda_math_exp(float x) {
    return gpu_exp(x);
}

float cuda_math_erf(float x) {
    return gpu_erf(x);
}

float cuda_math_act(float x, ms_act act, float slope) {
    return gpu_act(x, act, slope);
}

double cuda_math_log64(double x) {
    return gpu_log64(x);
}

double cuda_math_sin64(double x) {
    double sine, cosine;
    gpu_sincos64(x, &sine, &cosine);
    return sine;
}

double cuda_math_cos64(double x) {
    double sine, cosine;
    gpu_sincos64(x, &sine, &cosine);
    return cosine;
}

double cuda_math_exp64(double x) {
    return gpu_exp64(x);
}
