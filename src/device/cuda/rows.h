/* How the functions of this back end describe rows to kernels that go through them. */
#ifndef MS_DEVICE_CUDA_ROWS_H
#define MS_DEVICE_CUDA_ROWS_H

#include "device/cuda/kernels/rows.h"
#include "device/cuda/launch.h"

#define CUDA_MOST_BLOCKS 65535u /* of a grid along y, and along z */

static inline int64_t cuda_ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static inline uint32_t cuda_most(int64_t n, uint32_t most) {
    return n < most ? (uint32_t)n : most;
}

cuda_operand cuda_operand_of(const ms_rows *rows);

/* Whether float vectors that follow each other, of so many channels each, lie on 16-byte borders. */
bool cuda_vectors_wide(const float *vectors, int64_t channels);

/*
 * What a grid goes through for rows of this shape. Where every operand's rows follow each other without gaps
 * and no channel has anything of its own (`operands` not NULL), rows are joined to long ones, so that a few
 * channels leave no thread idle, and the operands may become wide.
 * MS_UNSUPPORTED: more channels than are counted in 32 bits.
 */
ms_status cuda_space_of(const ms_rows *shape, cuda_operand *const *operands, int count,
                        cuda_space *ret_space);

/* The grid of a space, for its kernel. */
ms_status cuda_launch_space(ms_queue *queue, const simt_kernel *kernel, const cuda_space *space,
                            const void *param);

/* p.src, .dst: shape's rows; the space is filled in. plain: no channel has anything of its own. */
ms_status cuda_launch_each(ms_queue *queue, const simt_kernel *kernel, const ms_rows *shape, bool plain,
                           cuda_each_params *p);

#endif
