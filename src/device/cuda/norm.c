/* Group norm in two passes and its application, layer norm. */
#include "device/cuda/ops.h"
#include "device/cuda/rows.h"
#include "device/shape.h"

ms_status cuda_norm_apply(ms_queue *queue, const ms_norm_apply_args *a) {
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
