/* How threads read and write rows of any type: eight channels at a time, 16 bytes at once where they can. */
#ifndef MS_DEVICE_CUDA_KERNELS_ROWS_CUH
#define MS_DEVICE_CUDA_KERNELS_ROWS_CUH

#include "device/cuda/kernels/load.cuh"
#include "device/cuda/kernels/rows.h"

static_assert(CUDA_ROWS_AT_ONCE == 8, "load.cuh reads eight");

/* The channels of a row that a thread takes. */
struct place {
    int64_t inner;
    uint32_t channel;
    int count; /* CUDA_ROWS_AT_ONCE, or less at the end of a row; 0: there is nothing for this thread */
};

SIMT_FN place place_of(const cuda_space &s) {
    const uint32_t at = (uint32_t)simt_block_x() * CUDA_ROWS_THREADS + (uint32_t)simt_thread();
    const uint32_t row = at / s.chunks, channel = (at - row * s.chunks) * CUDA_ROWS_AT_ONCE;
    const int64_t inner = (int64_t)simt_block_z() * s.slab + row;
    const uint32_t left = s.channels - channel;
    const bool there = row < s.slab && inner < s.inner;
    return {inner, channel, !there ? 0 : left < CUDA_ROWS_AT_ONCE ? (int)left : CUDA_ROWS_AT_ONCE};
}

SIMT_FN int64_t offset_of(const cuda_operand &o, int64_t outer, int64_t inner, uint32_t channel) {
    return outer * o.outer_stride + inner * o.inner_stride + channel;
}

SIMT_FN void load_place(const cuda_operand &o, int64_t outer, const place &at, float x[CUDA_ROWS_AT_ONCE]) {
    load_eight_of(o.data, o.dtype, offset_of(o, outer, at.inner, at.channel), o.wide, at.count, x);
}

SIMT_FN void store_place(const cuda_operand &o, int64_t outer, const place &at,
                         const float x[CUDA_ROWS_AT_ONCE]) {
    store_eight_of(o.data, o.dtype, offset_of(o, outer, at.inner, at.channel), o.wide, at.count, x);
}

/* For eight channels x[i]. A switch stays outside, so that each case is one short loop. */
#define EACH(expression)                                                                                     \
    do {                                                                                                     \
        SIMT_UNROLL                                                                                          \
        for (int i = 0; i < CUDA_ROWS_AT_ONCE; i++)                                                          \
            x[i] = (expression);                                                                             \
    } while (0)

/* Op: sources, and run(params, outer, place, x, y, z), which leaves its result in x. */
template <class Op> SIMT_FN void each_place(const cuda_each_params &p) {
    const place at = place_of(p.space);
    if (at.count == 0)
        return;
    for (int64_t outer = simt_block_y(); outer < p.space.outer; outer += p.space.turns) {
        float x[CUDA_ROWS_AT_ONCE], y[CUDA_ROWS_AT_ONCE] = {0}, z[CUDA_ROWS_AT_ONCE] = {0};
        load_place(p.src[0], outer, at, x);
        if (Op::sources > 1)
            load_place(p.src[1], outer, at, y);
        if (Op::sources > 2)
            load_place(p.src[2], outer, at, z);
        Op::run(p, outer, at, x, y, z);
        store_place(p.dst, outer, at, x);
    }
}

#endif
