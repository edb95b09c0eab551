/* The inner loops for AVX2, FMA and F16C; compiled with those switched on. */
#define MS_SIMD_ISA 1
#define ISA_NAME(name) name##_avx2
#include "device/cpu/ops_tmpl.h"
