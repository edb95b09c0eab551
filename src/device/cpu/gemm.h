/*
 * The blocked matrix product behind linear layers and direct convolutions: dst rows = epilogue(a rows x
 * weight panels), possibly in groups.
 */
#ifndef MS_DEVICE_CPU_GEMM_H
#define MS_DEVICE_CPU_GEMM_H

#include "device/cpu/cpu.h"

typedef struct ms_gemm_layer ms_gemm_layer;

/* Writes rows first .. first+count-1 of a group's input, k floats each, to dst at a stride of dst_row. */
typedef void (*ms_gemm_pack_fn)(const ms_gemm_layer *layer, int group, int64_t first, int64_t count,
                                float *dst, int64_t dst_row);

struct ms_gemm_layer {
    int64_t m, k, n; /* rows, inputs and dst columns of a group */
    int groups;
    bool geglu;
    const ms_weight *weight;
    const float *a; /* rows in place, or NULL: pack */
    int64_t a_row;
    ms_gemm_pack_fn pack;
    const void *args; /* pack's own */
    const ms_cpu_ops *ops;
    const ms_rows *dst; /* row m is (m / inner, m % inner) */
    const ms_epilogue *epilogue;
};

size_t ms_gemm_workspace_bytes(const ms_gemm_layer *layer, int threads);
void ms_gemm_run(ms_device *dev, const ms_gemm_layer *layer, void *workspace);

#endif
