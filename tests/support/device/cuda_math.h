/* The functions of device/cuda/kernels/math.cuh and math64.cuh, for tests. */
#ifndef MS_TESTS_CUDA_MATH_H
#define MS_TESTS_CUDA_MATH_H

#include "device/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

float cuda_math_exp(float x);
float cuda_math_erf(float x);
float cuda_math_act(float x, ms_act act, float slope);
double cuda_math_log64(double x);
double cuda_math_sin64(double x);
double cuda_math_cos64(double x);
double cuda_math_exp64(double x);

#ifdef __cplusplus
}
#endif

#endif
