/* What happens to finished sums: the steps of ms_epilogue, in float32, rounded once when stored. */
#ifndef MS_DEVICE_CUDA_KERNELS_EPILOGUE_CUH
#define MS_DEVICE_CUDA_KERNELS_EPILOGUE_CUH

#include "device/cuda/kernels/load.cuh"
#include "device/cuda/kernels/math.cuh"
#include "device/cuda/kernels/matmul.h"

/* The tables of eight outputs, read once for all rows of a thread. */
struct epilogue_columns {
    int column; /* of the group */
    int count;  /* of those that are there; below 1: none */
    float bias[8], add[8];
};

SIMT_FN void read_table(const float *table, int count, float x[8]) {
    SIMT_UNROLL
    for (int i = 0; i < 8; i++)
        x[i] = table && i < count ? table[i] : 0.0f;
}

SIMT_FN epilogue_columns epilogue_begin(const cuda_epilogue &e, int group, int column) {
    epilogue_columns c;
    const int at = group * e.n + column;
    c.column = column;
    c.count = e.n - column;
    read_table(e.bias ? e.bias + at : nullptr, c.count, c.bias);
    read_table(e.add ? e.add + at : nullptr, c.count, c.add);
    return c;
}

/* A step that is absent is left out: adding 0 would make -0 of a sum to 0. */
SIMT_FN void add_table(const float *table, int count, float x[8]) {
    SIMT_UNROLL
    for (int i = 0; i < 8; i++)
        if (table && i < count)
            x[i] = x[i] + table[i];
}

SIMT_FN void add_tables(const cuda_epilogue &e, const float bias[8], const float add[8], float x[8]) {
    SIMT_UNROLL
    for (int i = 0; i < 8; i++) {
        if (e.bias)
            x[i] = x[i] + bias[i];
        if (e.add)
            x[i] = x[i] + add[i];
    }
}

/* One loop for each function rather than a choice for each value. */
template <ms_act act> SIMT_FN void activate_as(const float slope[8], float x[8]) {
    SIMT_UNROLL
    for (int i = 0; i < 8; i++)
        x[i] = gpu_act(x[i], act, slope[i]);
}

SIMT_FN void activate(const cuda_epilogue &e, int group, const epilogue_columns &c, float x[8]) {
    float slope[8];
    read_table(e.act == MS_ACT_PRELU ? e.slope + group * e.n + c.column : nullptr, c.count, slope);
    if (e.act == MS_ACT_SILU)
        activate_as<MS_ACT_SILU>(slope, x);
    else if (e.act == MS_ACT_GELU)
        activate_as<MS_ACT_GELU>(slope, x);
    else if (e.act == MS_ACT_RELU)
        activate_as<MS_ACT_RELU>(slope, x);
    else if (e.act == MS_ACT_PRELU)
        activate_as<MS_ACT_PRELU>(slope, x);
    else if (e.act == MS_ACT_SIGMOID)
        activate_as<MS_ACT_SIGMOID>(slope, x);
}

/* Eight sums of one row (GEGLU: of the hidden half; their gates in `gates`) to dst. */
SIMT_FN void epilogue_store(const cuda_epilogue &e, int group, const epilogue_columns &c, int64_t outer,
                            int64_t inner, float x[8], float gates[8]) {
    add_tables(e, c.bias, c.add, x);
    if (e.act == MS_ACT_GEGLU) {
        /* Read for each row: kept, they would be registers that few layers need. */
        add_table(e.bias ? e.bias + e.n + c.column : nullptr, c.count, gates);
        add_table(e.add ? e.add + e.n + c.column : nullptr, c.count, gates);
        SIMT_UNROLL
        for (int i = 0; i < 8; i++)
            x[i] = x[i] * gpu_gelu(gates[i]);
    } else {
        activate(e, group, c, x);
    }
    const int64_t column = (int64_t)group * e.n + c.column;
    if (e.residual) {
        const int64_t at = outer * e.residual_outer_stride + inner * e.residual_inner_stride + column;
        float r[8];
        load_eight_of(e.residual, e.residual_dtype, at, e.residual_aligned, c.count, r);
        SIMT_UNROLL
        for (int i = 0; i < 8; i++)
            x[i] = x[i] + r[i];
    }
    if (e.scale != 1.0f) {
        SIMT_UNROLL
        for (int i = 0; i < 8; i++)
            x[i] = x[i] * e.scale;
    }
    const int64_t at = outer * e.dst_outer_stride + inner * e.dst_inner_stride + column;
    store_eight_of(e.dst, e.dst_dtype, at, e.dst_aligned, c.count, x);
}

#endif
