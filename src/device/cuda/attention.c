/* Which kernel does an attention follows from its layer's shape, strides and type alone, never from how many
   queries or batches a call has. */
#include "device/cuda/kernels/attention.h"
#include "device/cuda/ops.h"
#include "device/cuda/rows.h"
#include "device/shape.h"

/* So many blocks that no multiprocessor is without one: then a block takes twice as many queries. */
#define MANY_BLOCKS 512

/* In steps of 16 bytes, and the tokens that a block fetches at a time within 2^31 elements. */
static bool in_steps_of_16(const void *data, const int64_t stride[3], int tokens) {
    return (uintptr_t)data % 16 == 0 && stride[0] % 8 == 0 && stride[1] % 8 == 0 && stride[2] % 8 == 0 &&
           stride[2] <= INT32_MAX / tokens;
}

static bool for_tensor_cores(const ms_attention_args *a) {
    const int tokens = a->kv_tokens <= CUDA_TEMPORAL_TOKENS ? CUDA_TEMPORAL_TOKENS : 128;
    return a->dtype != MS_F32 && a->head_dim % 8 == 0 && a->scale >= 1e-6f && a->scale <= 1e3f &&
           in_steps_of_16(a->q, a->q_stride, tokens) && in_steps_of_16(a->k, a->k_stride, tokens) &&
           in_steps_of_16(a->v, a->v_stride, tokens) && in_steps_of_16(a->out, a->out_stride, tokens);
}

typedef struct choice {
    const simt_kernel *kernel;
    int tile, per_block; /* queries of a tile, tiles of a block */
    int slice;           /* channels of the output along z; 0: all */
} choice;

static int64_t tiles_of(const ms_attention_args *a, int tile) {
    return a->batch_outer * a->batch_inner * a->heads * cuda_ceil_div(a->q_tokens, tile);
}

/* Tiles of 64 and of 128 give the same bits. */
static bool wants_large_tile(const ms_attention_args *a, int form) {
    return form ? form == 1 : a->q_tokens > 64 && tiles_of(a, 128) >= MANY_BLOCKS;
}

static choice choose(const ms_attention_args *a, int form) {
    choice c = {.per_block = 1};
    if (for_tensor_cores(a)) {
        c.kernel = a->kv_tokens <= CUDA_TEMPORAL_TOKENS ? cuda_temporal_kernel(a->dtype, a->head_dim) : NULL;
        if (c.kernel) {
            c.tile = CUDA_TEMPORAL_TOKENS;
            c.per_block = (int)c.kernel->threads / 32;
            return c;
        }
        c.tile = wants_large_tile(a, form) ? 128 : 64;
        c.kernel = cuda_attention_kernel(a->dtype, a->head_dim, c.tile);
        if (!c.kernel && c.tile == 128) {
            c.tile = 64;
            c.kernel = cuda_attention_kernel(a->dtype, a->head_dim, c.tile);
        }
        if (!c.kernel) {
            c.tile = CUDA_ATTENTION_WIDE_TILE;
            c.kernel = cuda_attention_wide_kernel(a->dtype, a->head_dim);
        }
    }
    if (!c.kernel) {
        c.tile = CUDA_ATTENTION_F32_TILE;
        c.kernel = cuda_attention_f32_kernel(a->dtype, a->head_dim, &c.slice);
    }
    return c;
}

ms_status ms_cuda_attention(ms_queue *queue, const ms_attention_args *a, void *workspace) {
    (void)workspace;
    MS_TRY_KERNEL_ARGS(queue->dev, attention, a);
    if (a->q_tokens > INT32_MAX - 128 || a->kv_tokens > INT32_MAX - MS_ATTENTION_KEYS ||
        a->batch_outer > INT32_MAX / a->batch_inner || a->batch_outer * a->batch_inner > INT32_MAX / a->heads)
        return MS_UNSUPPORTED;
    const choice c = choose(a, cuda_form(queue->dev));
    const int64_t tiles = cuda_ceil_div(a->q_tokens, c.tile);
    const int64_t blocks = cuda_ceil_div(tiles_of(a, c.tile), c.per_block);
    if (blocks > INT32_MAX)
        return MS_UNSUPPORTED;
    cuda_attention_params p = {.q = a->q,
                               .k = a->k,
                               .v = a->v,
                               .out = a->out,
                               .batches = a->batch_outer * a->batch_inner,
                               .batch_inner = a->batch_inner,
                               .q_tokens = (int32_t)a->q_tokens,
                               .kv_tokens = (int32_t)a->kv_tokens,
                               .heads = a->heads,
                               .head_dim = a->head_dim,
                               .tiles = (int32_t)tiles,
                               .scale = a->scale};
    for (int i = 0; i < 3; i++) {
        p.q_stride[i] = a->q_stride[i];
        p.k_stride[i] = a->k_stride[i];
        p.v_stride[i] = a->v_stride[i];
        p.out_stride[i] = a->out_stride[i];
    }
    const int64_t slices = c.slice ? cuda_ceil_div(a->head_dim, c.slice) : 1;
    return cuda_launch(queue, c.kernel, (uint32_t)blocks, 1, (uint32_t)slices, &p);
}
