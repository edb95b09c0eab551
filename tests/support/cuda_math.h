/* The functions of device/cuda/kernels/math.cuh, for tests. */
#ifndef MS_TESTS_CUDA_MATH_H
#define MS_TESTS_CUDA_MATH_H

#include "device/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

float cuda_math_exp(float x);
float cuda_math_erf(float x);
float cuda_math_act(float x, ms_act act, float slope);

#ifdef __cplusplus
}
#endif

#endif
