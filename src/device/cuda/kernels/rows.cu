/* Element by element: binary and unary operations, normalisation with its tables, pooling, resizing,
   copying. */
#include "device/cuda/kernels/math.cuh"
#include "device/cuda/kernels/rows.cuh"

/* A vector of all channels at a place. */
SIMT_FN void load_vector(const cuda_each_params &p, const float *vector, const place &at, float *x) {
    load_eight(vector + at.channel, p.channel_wide, at.count, x);
}

/* slope is PRELU's. */
SIMT_FN void act_eight(int act, const float *slope, float x[CUDA_ROWS_AT_ONCE]) {
    switch (act) {
    case MS_ACT_SILU:
        EACH(gpu_silu(x[i]));
        break;
    case MS_ACT_GELU:
        EACH(gpu_gelu(x[i]));
        break;
    case MS_ACT_RELU:
        EACH(gpu_act(x[i], MS_ACT_RELU, 0.0f));
        break;
    case MS_ACT_PRELU:
        EACH(gpu_act(x[i], MS_ACT_PRELU, slope[i]));
        break;
    case MS_ACT_SIGMOID:
        EACH(gpu_sigmoid(x[i]));
        break;
    default:
        break;
    }
}

struct binary_op {
    static const int sources = 1; /* the second is not always rows */
    SIMT_FN void run(const cuda_each_params &p, int64_t outer, const place &at, float *x, float *y, float *) {
        if (p.channel) {
            load_vector(p, p.channel, at, y);
        } else {
            load_place(p.src[1], outer, at, y);
        }
        switch (p.op) {
        case MS_BINARY_ADD:
            EACH(x[i] + y[i]);
            break;
        case MS_BINARY_SUB:
            EACH(x[i] - y[i]);
            break;
        case MS_BINARY_MUL:
            EACH(x[i] * y[i]);
            break;
        default:
            EACH(x[i] / y[i]);
            break;
        }
        act_eight(p.act, y, x); /* no PRELU */
    }
};

struct unary_op {
    static const int sources = 1;
    SIMT_FN void run(const cuda_each_params &p, int64_t, const place &at, float *x, float *y, float *) {
        if (p.act == MS_ACT_PRELU)
            load_vector(p, p.channel, at, y);
        act_eight(p.act, y, x);
    }
};

struct apply_op {
    static const int sources = 1;
    SIMT_FN void run(const cuda_each_params &p, int64_t outer, const place &at, float *x, float *y,
                     float *z) {
        if (!p.tables)
            return;
        const float *scale = p.tables + (p.outer_first + outer) / p.outer_per_table * 2 * p.space.channels;
        load_vector(p, scale, at, y);
        load_vector(p, scale + p.space.channels, at, z);
        EACH(simt_fma(x[i], y[i], z[i]));
        if (p.act == MS_ACT_SILU)
            EACH(gpu_silu(x[i]));
    }
};

SIMT_KERNEL(CUDA_ROWS_THREADS) binary(SIMT_PARAM(cuda_each_params, p)) {
    each_place<binary_op>(p);
}

SIMT_KERNEL(CUDA_ROWS_THREADS) unary(SIMT_PARAM(cuda_each_params, p)) {
    each_place<unary_op>(p);
}

SIMT_KERNEL(CUDA_ROWS_THREADS) apply(SIMT_PARAM(cuda_each_params, p)) {
    each_place<apply_op>(p);
}

const simt_kernel cuda_binary_kernel = SIMT_DESCRIBE(binary, cuda_each_params, CUDA_ROWS_THREADS, 0);
const simt_kernel cuda_unary_kernel = SIMT_DESCRIBE(unary, cuda_each_params, CUDA_ROWS_THREADS, 0);
const simt_kernel cuda_apply_kernel = SIMT_DESCRIBE(apply, cuda_each_params, CUDA_ROWS_THREADS, 0);

/* ---- pixels ---- */

/* How many of `kernel` taps from `at` on lie in [low, high). */
SIMT_FN int64_t overlap(int64_t at, int64_t kernel, int64_t low, int64_t high) {
    const int64_t first = at > low ? at : low, end = at + kernel < high ? at + kernel : high;
    return end > first ? end - first : 0;
}

struct window {
    int64_t y0, y1, x0, x1; /* of src */
    float divisor;
};

SIMT_FN window window_of(const cuda_pixels_params &p, int64_t pixel) {
    const int64_t y = pixel / p.dst_w * p.stride_h - p.pad_top, x = pixel % p.dst_w * p.stride_w - p.pad_left;
    window w;
    w.y0 = y > 0 ? y : 0;
    w.x0 = x > 0 ? x : 0;
    w.y1 = y + p.kernel_h < p.src_h ? y + p.kernel_h : p.src_h;
    w.x1 = x + p.kernel_w < p.src_w ? x + p.kernel_w : p.src_w;
    w.divisor = (float)(p.count_pad ? overlap(y, p.kernel_h, -p.pad_top, p.src_h + p.pad_bottom) *
                                          overlap(x, p.kernel_w, -p.pad_left, p.src_w + p.pad_right)
                                    : (w.y1 - w.y0) * (w.x1 - w.x0));
    return w;
}

SIMT_KERNEL(CUDA_ROWS_THREADS) pool(SIMT_PARAM(cuda_pixels_params, p)) {
    const place at = place_of(p.space);
    if (at.count == 0)
        return;
    const window w = window_of(p, at.inner);
    for (int64_t outer = simt_block_y(); outer < p.space.outer; outer += p.space.turns) {
        float x[CUDA_ROWS_AT_ONCE] = {0}, tap[CUDA_ROWS_AT_ONCE];
        for (int64_t row = w.y0; row < w.y1; row++)
            for (int64_t column = w.x0; column < w.x1; column++) {
                const place from = {row * p.src_w + column, at.channel, at.count};
                load_place(p.src, outer, from, tap);
                if (row == w.y0 && column == w.x0)
                    EACH(tap[i]);
                else if (p.average)
                    EACH(x[i] + tap[i]);
                else
                    EACH(x[i] > tap[i] ? x[i] : tap[i]);
            }
        if (p.average)
            EACH(x[i] / w.divisor);
        store_place(p.dst, outer, at, x);
    }
}

SIMT_KERNEL(CUDA_ROWS_THREADS) resize(SIMT_PARAM(cuda_pixels_params, p)) {
    const place at = place_of(p.space);
    if (at.count == 0)
        return;
    const int64_t row = at.inner / p.dst_w * p.src_h / p.dst_h,
                  column = at.inner % p.dst_w * p.src_w / p.dst_w;
    const place from = {row * p.src_w + column, at.channel, at.count};
    for (int64_t outer = simt_block_y(); outer < p.space.outer; outer += p.space.turns) {
        float x[CUDA_ROWS_AT_ONCE];
        load_place(p.src, outer, from, x);
        store_place(p.dst, outer, at, x);
    }
}

const simt_kernel cuda_pool_kernel = SIMT_DESCRIBE(pool, cuda_pixels_params, CUDA_ROWS_THREADS, 0);
const simt_kernel cuda_resize_kernel = SIMT_DESCRIBE(resize, cuda_pixels_params, CUDA_ROWS_THREADS, 0);

/* ---- copying ---- */

template <class T> SIMT_KERNEL(CUDA_ROWS_THREADS) copy(SIMT_PARAM(cuda_copy_params, p)) {
    const int64_t at = (int64_t)simt_block_x() * CUDA_ROWS_THREADS + simt_thread();
    if (at >= p.n[0] * p.n[1] * p.n[2])
        return;
    const int64_t i = at / (p.n[1] * p.n[2]), j = at / p.n[2] % p.n[1], k = at % p.n[2];
    ((T *)p.dst)[i * p.dst_stride[0] + j * p.dst_stride[1] + k * p.dst_stride[2]] =
        ((const T *)p.src)[i * p.src_stride[0] + j * p.src_stride[1] + k * p.src_stride[2]];
}

const simt_kernel *cuda_copy_kernel(size_t element_bytes) {
    static const simt_kernel kernels[2] = {
        SIMT_DESCRIBE(copy<uint16_t>, cuda_copy_params, CUDA_ROWS_THREADS, 0),
        SIMT_DESCRIBE(copy<uint32_t>, cuda_copy_params, CUDA_ROWS_THREADS, 0),
    };
    return &kernels[element_bytes == 4];
}
