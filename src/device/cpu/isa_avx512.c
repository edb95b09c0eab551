/* The inner loops for AVX-512 (F, BW, DQ, VL); compiled with those switched on. */
#define MS_SIMD_ISA 2
#define ISA_NAME(name) name##_avx512
#include "device/cpu/ops_tmpl.h"
