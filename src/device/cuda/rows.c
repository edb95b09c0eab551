/* Element by element: binary and unary operations, pooling, resizing, copying. */
#include "device/cuda/rows.h"

#include "device/cuda/ops.h"
#include "device/shape.h"

#define MOST_THREADS_X (1u << 30)     /* along x */
#define MOST_CHANNELS (INT32_MAX - 8) /* counted in 32 bits, eight at a time */

static bool wide(const cuda_operand *o, int64_t outer, int64_t inner) {
    const int64_t bytes = (int64_t)ms_dtype_bytes((ms_dtype)o->dtype);
    return (uintptr_t)o->data % 16 == 0 && (inner == 1 || o->inner_stride * bytes % 16 == 0) &&
           (outer == 1 || o->outer_stride * bytes % 16 == 0);
}

cuda_operand cuda_operand_of(const ms_rows *r) {
    cuda_operand o = {.data = r->data,
                      .outer_stride = r->outer_stride,
                      .inner_stride = r->inner_stride,
                      .dtype = (int32_t)r->dtype};
    o.wide = wide(&o, r->outer, r->inner);
    return o;
}

bool cuda_vectors_wide(const float *vectors, int64_t channels) {
    return (uintptr_t)vectors % 16 == 0 && channels % 4 == 0;
}

/* ---- what a grid goes through ---- */

typedef struct extents {
    int64_t outer, inner, channels;
} extents;

static bool gapless(cuda_operand *const *operands, int count, int64_t inner_stride, int64_t outer_stride) {
    for (int i = 0; i < count; i++) {
        if (inner_stride >= 0 && operands[i]->inner_stride != inner_stride)
            return false;
        if (outer_stride >= 0 && operands[i]->outer_stride != outer_stride)
            return false;
    }
    return true;
}

/* Rows of pixels to rows of images, and those to one. */
static extents join(extents e, cuda_operand *const *operands, int count) {
    if (e.inner > 1 && e.inner <= MOST_CHANNELS / e.channels && gapless(operands, count, e.channels, -1)) {
        e.channels *= e.inner;
        e.inner = 1;
    }
    if (e.outer > 1 && e.inner == 1 && e.outer <= MOST_CHANNELS / e.channels &&
        gapless(operands, count, -1, e.channels)) {
        e.channels *= e.outer;
        e.outer = 1;
    }
    return e;
}

ms_status cuda_space_of(const ms_rows *shape, cuda_operand *const *operands, int count,
                        cuda_space *ret_space) {
    extents e = {shape->outer, shape->inner, shape->channels};
    if (e.channels > MOST_CHANNELS)
        return MS_UNSUPPORTED;
    if (operands)
        e = join(e, operands, count);
    for (int i = 0; i < count; i++)
        operands[i]->wide = wide(operands[i], e.outer, e.inner);
    const int64_t chunks = cuda_ceil_div(e.channels, CUDA_ROWS_AT_ONCE);
    const int64_t slab = chunks < MOST_THREADS_X ? MOST_THREADS_X / chunks : 1;
    *ret_space = (cuda_space){.outer = e.outer,
                              .inner = e.inner,
                              .channels = (uint32_t)e.channels,
                              .chunks = (uint32_t)chunks,
                              .slab = cuda_most(e.inner, (uint32_t)slab),
                              .turns = cuda_most(e.outer, CUDA_MOST_BLOCKS)};
    return e.inner > slab * CUDA_MOST_BLOCKS ? MS_UNSUPPORTED : MS_OK;
}

ms_status cuda_launch_space(ms_queue *queue, const simt_kernel *kernel, const cuda_space *s,
                            const void *param) {
    const int64_t threads = (int64_t)s->slab * s->chunks;
    return cuda_launch(queue, kernel, (uint32_t)cuda_ceil_div(threads, CUDA_ROWS_THREADS), s->turns,
                       (uint32_t)cuda_ceil_div(s->inner, s->slab), param);
}

ms_status cuda_launch_each(ms_queue *queue, const simt_kernel *kernel, const ms_rows *shape, bool plain,
                           cuda_each_params *p) {
    cuda_operand *operands[4] = {&p->dst};
    int count = 1;
    for (int i = 0; i < 3; i++)
        if (p->src[i].data)
            operands[count++] = &p->src[i];
    MS_TRY(cuda_space_of(shape, plain ? operands : NULL, plain ? count : 0, &p->space));
    return cuda_launch_space(queue, kernel, &p->space, p);
}

/* ---- the kernels' functions ---- */

ms_status ms_cuda_binary(ms_queue *queue, const ms_binary_args *a) {
    MS_TRY_KERNEL_ARGS(queue->dev, binary, a);
    cuda_each_params p = {.src = {cuda_operand_of(&a->a)},
                          .dst = cuda_operand_of(&a->dst),
                          .op = (int32_t)a->op,
                          .act = (int32_t)a->act,
                          .channel = a->b_channel,
                          .channel_wide = cuda_vectors_wide(a->b_channel, a->dst.channels)};
    if (!a->b_channel)
        p.src[1] = cuda_operand_of(&a->b);
    return cuda_launch_each(queue, &cuda_binary_kernel, &a->dst, !a->b_channel, &p);
}

ms_status ms_cuda_unary(ms_queue *queue, const ms_unary_args *a) {
    MS_TRY_KERNEL_ARGS(queue->dev, unary, a);
    const float *slope = a->act == MS_ACT_PRELU ? a->slope : NULL;
    cuda_each_params p = {.src = {cuda_operand_of(&a->src)},
                          .dst = cuda_operand_of(&a->dst),
                          .act = (int32_t)a->act,
                          .channel = slope,
                          .channel_wide = cuda_vectors_wide(slope, a->dst.channels)};
    return cuda_launch_each(queue, &cuda_unary_kernel, &a->dst, !slope, &p);
}

static ms_status launch_pixels(ms_queue *queue, const simt_kernel *kernel, const ms_rows *src,
                               const ms_rows *dst, cuda_pixels_params *p) {
    p->src = cuda_operand_of(src);
    p->dst = cuda_operand_of(dst);
    MS_TRY(cuda_space_of(dst, NULL, 0, &p->space));
    return cuda_launch_space(queue, kernel, &p->space, p);
}

ms_status ms_cuda_pool(ms_queue *queue, const ms_pool_args *a) {
    MS_TRY_KERNEL_ARGS(queue->dev, pool, a);
    cuda_pixels_params p = {.src_h = a->src_h,
                            .src_w = a->src_w,
                            .dst_h = a->dst_h,
                            .dst_w = a->dst_w,
                            .average = a->average,
                            .count_pad = a->count_pad,
                            .kernel_h = a->kernel_h,
                            .kernel_w = a->kernel_w,
                            .stride_h = a->stride_h,
                            .stride_w = a->stride_w,
                            .pad_top = a->pad_top,
                            .pad_left = a->pad_left,
                            .pad_bottom = a->pad_bottom,
                            .pad_right = a->pad_right};
    return launch_pixels(queue, &cuda_pool_kernel, &a->src, &a->dst, &p);
}

ms_status ms_cuda_resize(ms_queue *queue, const ms_resize_args *a) {
    MS_TRY_KERNEL_ARGS(queue->dev, resize, a);
    cuda_pixels_params p = {.src_h = a->src_h, .src_w = a->src_w, .dst_h = a->dst_h, .dst_w = a->dst_w};
    return launch_pixels(queue, &cuda_resize_kernel, &a->src, &a->dst, &p);
}

/* Channels that lie side by side in both are rows like others. */
static ms_status copy_rows(ms_queue *queue, const ms_copy_args *a) {
    ms_rows src = {(void *)(uintptr_t)a->src, a->outer,         a->inner, a->channels,
                   a->src_stride[0],          a->src_stride[1], a->dtype};
    ms_rows dst = src;
    dst.data = a->dst;
    dst.outer_stride = a->dst_stride[0];
    dst.inner_stride = a->dst_stride[1];
    cuda_each_params p = {.src = {cuda_operand_of(&src)}, .dst = cuda_operand_of(&dst)};
    return cuda_launch_each(queue, &cuda_apply_kernel, &dst, true, &p);
}

/* Writes run side by side where dst's channels or its inner rows do. */
ms_status ms_cuda_copy(ms_queue *queue, const ms_copy_args *a) {
    MS_TRY_KERNEL_ARGS(queue->dev, copy, a);
    if (a->src_stride[2] == 1 && a->dst_stride[2] == 1)
        return copy_rows(queue, a);
    const int order[3] = {0, a->dst_stride[1] < a->dst_stride[2] ? 2 : 1,
                          a->dst_stride[1] < a->dst_stride[2] ? 1 : 2};
    const int64_t extent[3] = {a->outer, a->inner, a->channels};
    cuda_copy_params p = {.src = a->src, .dst = a->dst};
    for (int i = 0; i < 3; i++) {
        p.n[i] = extent[order[i]];
        p.src_stride[i] = a->src_stride[order[i]];
        p.dst_stride[i] = a->dst_stride[order[i]];
    }
    const int64_t most = INT32_MAX * (int64_t)CUDA_ROWS_THREADS;
    if (p.n[1] > most / p.n[2] || p.n[0] > most / (p.n[1] * p.n[2]))
        return MS_UNSUPPORTED;
    const int64_t blocks = cuda_ceil_div(p.n[0] * p.n[1] * p.n[2], CUDA_ROWS_THREADS);
    return cuda_launch(queue, cuda_copy_kernel(ms_dtype_bytes(a->dtype)), (uint32_t)blocks, 1, 1, &p);
}
