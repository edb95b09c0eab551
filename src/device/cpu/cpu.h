/* The cpu back end's own types and the kernels' entry points, which trust their arguments. */
#ifndef MS_DEVICE_CPU_CPU_H
#define MS_DEVICE_CPU_CPU_H

#include "device/cpu/ops.h"
#include "device/cpu/plan.h"
#include "device/shape.h"

typedef struct ms_cpu {
    ms_device base;
    ms_pool *pool; /* borrowed */
    ms_isa isa;
    ms_cpu_ops ops;
} ms_cpu;

static inline ms_pool *ms_cpu_threads(const ms_device *dev) {
    return ((const ms_cpu *)dev->impl)->pool;
}

static inline const ms_cpu_ops *ms_ops(const ms_device *dev) {
    return &((const ms_cpu *)dev->impl)->ops;
}

void ms_cpu_linear(ms_device *dev, const ms_linear_args *args, void *workspace);
void ms_cpu_conv2d(ms_device *dev, const ms_conv2d_args *args, void *workspace);
void ms_cpu_winograd(ms_device *dev, const ms_conv2d_args *args, void *workspace);
size_t ms_winograd_workspace_bytes(const ms_conv2d_args *args, int threads);
void ms_cpu_depthwise(ms_device *dev, const ms_conv2d_args *args);
void ms_cpu_attention(ms_device *dev, const ms_attention_args *args, void *workspace);
void ms_cpu_norm_partials(ms_device *dev, const ms_norm_partials_args *args);
void ms_cpu_norm_tables(ms_device *dev, const ms_norm_tables_args *args);
void ms_cpu_norm_apply(ms_device *dev, const ms_norm_apply_args *args);
void ms_cpu_layer_norm(ms_device *dev, const ms_layer_norm_args *args);
void ms_cpu_binary(ms_device *dev, const ms_binary_args *args);
void ms_cpu_unary(ms_device *dev, const ms_unary_args *args);
void ms_cpu_pool(ms_device *dev, const ms_pool_args *args);
void ms_cpu_resize(ms_device *dev, const ms_resize_args *args);
void ms_cpu_copy(ms_device *dev, const ms_copy_args *args);
void ms_cpu_noise(ms_device *dev, const ms_noise_args *args);
void ms_cpu_posterior(ms_device *dev, const ms_posterior_args *args);
void ms_cpu_rescale(ms_device *dev, const ms_rescale_args *args);
void ms_cpu_guide(ms_device *dev, const ms_guide_args *args);
void ms_cpu_ddim(ms_device *dev, const ms_ddim_args *args);
void ms_cpu_check_finite(ms_device *dev, const ms_check_finite_args *args);

static inline float *ms_row(const ms_rows *rows, int64_t outer, int64_t inner) {
    return (float *)rows->data + outer * rows->outer_stride + inner * rows->inner_stride;
}

/* Whether row m = outer * inner_count + inner lies at m * inner_stride for all m. */
static inline bool ms_rows_flat(const ms_rows *r) {
    return r->outer == 1 || r->outer_stride == r->inner * r->inner_stride;
}

/* The scale row of the table that serves an outer row; the shift row follows it. NULL without a prologue. */
static inline const float *ms_prologue_scale(const ms_prologue *p, int64_t outer, int64_t channels) {
    if (!p->tables)
        return NULL;
    return p->tables + (p->outer_first + outer) / p->outer_per_table * 2 * channels;
}

static inline const ms_rows *ms_epilogue_residual(const ms_epilogue *e) {
    return e->residual.data ? &e->residual : NULL;
}

/* Moves an epilogue's tables to column n; act and scale are made explicit. */
static inline ms_columns_epilogue ms_epilogue_at(const ms_epilogue *e, int64_t n) {
    return (ms_columns_epilogue){
        .bias = e->bias ? e->bias + n : NULL,
        .add = e->add ? e->add + n : NULL,
        .slope = e->slope ? e->slope + n : NULL,
        .act = e->act,
        .scale = e->scale == 0.0f ? 1.0f : e->scale,
    };
}

#endif
