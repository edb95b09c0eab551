/*
 * Fills an ms_cpu_ops from the sources that are written on v16. The including file defines MS_SIMD_ISA and
 * ISA_NAME; everything but the one function at the end is static.
 */
#include "device/cpu/ops.h"

#include "device/cpu/simd/vmath.h"

/* clang-format off: in order of use */
#include "device/cpu/gemm_tmpl.h"
#include "device/cpu/rows_tmpl.h"
#include "device/cpu/winograd_tmpl.h"
#include "device/cpu/attention_tmpl.h"
/* clang-format on */

void ISA_NAME(ms_cpu_ops)(ms_cpu_ops *ops) {
    *ops = (ms_cpu_ops){
        .gemm_f32 = gemm_f32,
        .gemm_f16 = gemm_f16,
        .gemm_bf16 = gemm_bf16,
        .store = store,
        .scale = scale,
        .winograd_input = winograd_input,
        .winograd_weight = winograd_weight,
        .winograd_output = winograd_output,
        .attention = attention,
        .norm_row = norm_row,
        .layer_norm = layer_norm,
        .binary = binary,
        .unary = unary,
        .depthwise = depthwise,
        .pool = pool,
        .peak = peak,
    };
}
