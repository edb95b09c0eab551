/* The inner loops in plain C. */
#define MS_SIMD_ISA 0
#define ISA_NAME(name) name##_c
#include "device/cpu/ops_tmpl.h"
