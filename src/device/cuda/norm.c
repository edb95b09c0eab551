/* Group norm in two passes and its application, layer norm. */
#include "device/cuda/kernels/norm.h"
#include "device/cuda/ops.h"
#include "device/cuda/rows.h"
#include "device/shape.h"

/* Wide here: every two channels lie on a border of two elements. */
static cuda_operand operand_by_two(const ms_rows *r) {
    cuda_operand o = cuda_operand_of(r);
    o.wide = (uintptr_t)r->data % (2 * ms_dtype_bytes(r->dtype)) == 0 &&
             (r->inner == 1 || r->inner_stride % 2 == 0) && (r->outer == 1 || r->outer_stride % 2 == 0);
    return o;
}

ms_status ms_cuda_norm_partials(ms_queue *queue, const ms_norm_partials_args *a) {
    MS_TRY_KERNEL_ARGS(queue->dev, norm_partials, a);
    const int64_t channels = ms_source_channels(a->src, a->n_src), per_group = channels / a->groups;
    const int64_t rows = a->src[0].outer * a->h;
    if (channels > INT32_MAX / 2 || rows > INT32_MAX)
        return MS_UNSUPPORTED;
    const int64_t fit = CUDA_PARTIALS_CHANNELS / per_group;
    const int64_t most = fit < 1 ? 1 : fit < CUDA_PARTIALS_THREADS ? fit : CUDA_PARTIALS_THREADS;
    const int64_t blocks = cuda_ceil_div(a->groups, most), groups = cuda_ceil_div(a->groups, blocks);
    cuda_partials_params p = {.src = {operand_by_two(&a->src[0])},
                              .h = a->h,
                              .w = a->w,
                              .first_channels = (int32_t)a->src[0].channels,
                              .channels = (int32_t)channels,
                              .groups = a->groups,
                              .block_groups = (int32_t)groups,
                              .partials = a->partials};
    if (a->n_src == 2)
        p.src[1] = operand_by_two(&a->src[1]);
    if (blocks > CUDA_MOST_BLOCKS)
        return MS_UNSUPPORTED;
    return cuda_launch(queue, &cuda_partials_kernel, (uint32_t)rows, (uint32_t)blocks, 1, &p);
}

ms_status ms_cuda_norm_tables(ms_queue *queue, const ms_norm_tables_args *a) {
    MS_TRY_KERNEL_ARGS(queue->dev, norm_tables, a);
    const int64_t tables = a->outer / a->outer_per_table,
                  blocks = cuda_ceil_div(a->groups, CUDA_TABLES_GROUPS);
    if (a->channels > INT32_MAX / 2 || tables > INT32_MAX || blocks > CUDA_MOST_BLOCKS)
        return MS_UNSUPPORTED;
    const cuda_tables_params p = {.partials = a->partials,
                                  .rows = a->outer_per_table * a->h,
                                  .w = a->w,
                                  .channels = (int32_t)a->channels,
                                  .groups = a->groups,
                                  .eps = a->eps,
                                  .gamma = a->gamma,
                                  .beta = a->beta,
                                  .tables = a->tables};
    return cuda_launch(queue, &cuda_tables_kernel, (uint32_t)tables, (uint32_t)blocks, 1, &p);
}

ms_status ms_cuda_norm_apply(ms_queue *queue, const ms_norm_apply_args *a) {
    MS_TRY_KERNEL_ARGS(queue->dev, norm_apply, a);
    cuda_each_params p = {.src = {cuda_operand_of(&a->src)},
                          .dst = cuda_operand_of(&a->dst),
                          .act = (int32_t)a->prologue.act,
                          .tables = a->prologue.tables,
                          .channel_wide = cuda_vectors_wide(a->prologue.tables, a->src.channels),
                          .outer_per_table = a->prologue.outer_per_table,
                          .outer_first = a->prologue.outer_first};
    return cuda_launch_each(queue, &cuda_apply_kernel, &a->dst, !a->prologue.tables, &p);
}

ms_status ms_cuda_layer_norm(ms_queue *queue, const ms_layer_norm_args *a) {
    MS_TRY_KERNEL_ARGS(queue->dev, layer_norm, a);
    const int64_t blocks = cuda_ceil_div(a->src.outer * a->src.inner, CUDA_LAYER_NORM_ROWS);
    if (a->src.channels > INT32_MAX / 2 || blocks > INT32_MAX)
        return MS_UNSUPPORTED;
    const uintptr_t vectors = (uintptr_t)a->gamma | (uintptr_t)a->beta | (uintptr_t)a->position;
    const cuda_layer_norm_params p = {.src = operand_by_two(&a->src),
                                      .dst = operand_by_two(&a->dst),
                                      .outer = a->src.outer,
                                      .inner = a->src.inner,
                                      .channels = (int32_t)a->src.channels,
                                      .vectors_wide = vectors % 8 == 0 && a->src.channels % 2 == 0,
                                      .gamma = a->gamma,
                                      .beta = a->beta,
                                      .position = a->position,
                                      .position_rows = a->position_rows,
                                      .outer_first = a->outer_first,
                                      .eps = a->eps};
    const bool wide = p.src.wide && p.channels % 2 == 0;
    return cuda_launch(queue, cuda_layer_norm_kernel(a->src.dtype, wide), (uint32_t)blocks, 1, 1, &p);
}
