/*
 * How weight matrices lie on a card, in their stored precision: [groups][n_pad][k_pad], a row for each
 * output, so that a row of eight 16-bit inputs is one copy of 16 bytes. k = tap * c_pad + c,
 * tap = ky * kernel_w + kx; padding is zeros. GEGLU: n_pad counts both halves, which alternate: 8 hidden
 * rows, then their 8 gates. DEPTHWISE: [taps][n], without padding.
 */
#ifndef MS_DEVICE_CUDA_SIZES_WEIGHT_LAYOUT_H
#define MS_DEVICE_CUDA_SIZES_WEIGHT_LAYOUT_H

#include "device/device.h"

/* Of one group. */
typedef struct cuda_matrix {
    int64_t n_pad, k_pad;
    int64_t c_pad; /* inputs of a tap */
} cuda_matrix;

static inline int64_t cuda_round_up(int64_t a, int64_t to) {
    return (a + to - 1) / to * to;
}

static inline cuda_matrix cuda_matrix_of(const ms_weight_shape *s) {
    cuda_matrix m;
    m.c_pad = cuda_round_up(s->c_in, 8);
    m.k_pad = cuda_round_up(m.c_pad * s->kernel_h * s->kernel_w, 32);
    m.n_pad =
        s->layout == MS_LAYOUT_GEGLU ? 2 * cuda_round_up(s->n / 2, 8) : cuda_round_up(s->n / s->groups, 8);
    return m;
}

/* ms_backend.weight_bytes. */
size_t ms_cuda_weight_bytes(const ms_weight_shape *shape);

#endif
