/* Element-wise kernels, pooling, resizing, copying. */
#include "device/cpu/cpu.h"

typedef struct rows_run {
    const void *args;
    const ms_cpu_ops *ops;
    int64_t rows_per_task, tasks_per_outer;
} rows_run;

/* Rows of a task: about 64 KB. */
static rows_run make_run(ms_device *dev, const void *args, int64_t inner, int64_t channels) {
    int64_t rows = ms_max(1, ms_min(inner, 16384 / channels));
    return (rows_run){args, ms_ops(dev), rows, ms_ceil_div(inner, rows)};
}

static void binary_task(void *arg, int64_t task, int worker) {
    (void)worker;
    const rows_run *r = arg;
    const ms_binary_args *a = r->args;
    const int64_t outer = task / r->tasks_per_outer, first = task % r->tasks_per_outer * r->rows_per_task;
    ms_binary_job job = {
        .op = a->op,
        .act = a->act,
        .a = ms_row(&a->a, outer, first),
        .b = a->b_channel ? a->b_channel : ms_row(&a->b, outer, first),
        .dst = ms_row(&a->dst, outer, first),
        .a_row = a->a.inner_stride,
        .b_row = a->b_channel ? 0 : a->b.inner_stride,
        .dst_row = a->dst.inner_stride,
        .rows = ms_min(r->rows_per_task, a->a.inner - first),
        .n = a->a.channels,
    };
    r->ops->binary(&job);
}

void ms_cpu_binary(ms_device *dev, const ms_binary_args *args) {
    rows_run r = make_run(dev, args, args->a.inner, args->a.channels);
    ms_pool_run(ms_cpu_threads(dev), args->a.outer * r.tasks_per_outer, binary_task, &r);
}

static void unary_task(void *arg, int64_t task, int worker) {
    (void)worker;
    const rows_run *r = arg;
    const ms_unary_args *a = r->args;
    const int64_t outer = task / r->tasks_per_outer, first = task % r->tasks_per_outer * r->rows_per_task;
    ms_unary_job job = {
        .act = a->act,
        .src = ms_row(&a->src, outer, first),
        .slope = a->act == MS_ACT_PRELU ? a->slope : NULL,
        .dst = ms_row(&a->dst, outer, first),
        .src_row = a->src.inner_stride,
        .dst_row = a->dst.inner_stride,
        .rows = ms_min(r->rows_per_task, a->src.inner - first),
        .n = a->src.channels,
    };
    r->ops->unary(&job);
}

void ms_cpu_unary(ms_device *dev, const ms_unary_args *args) {
    rows_run r = make_run(dev, args, args->src.inner, args->src.channels);
    ms_pool_run(ms_cpu_threads(dev), args->src.outer * r.tasks_per_outer, unary_task, &r);
}

/* ---- pooling ---- */

#define POOL_TAPS 256 /* taps of one pass; larger windows take several */

/* How many of `kernel` taps from `at` on lie in [low, high). */
static int64_t overlap(int64_t at, int64_t kernel, int64_t low, int64_t high) {
    return ms_max(0, ms_min(at + kernel, high) - ms_max(at, low));
}

/* One row of output pixels. */
static void pool_task(void *arg, int64_t task, int worker) {
    (void)worker;
    const rows_run *r = arg;
    const ms_pool_args *a = r->args;
    const int64_t outer = task / a->dst_h, y = task % a->dst_h * a->stride_h - a->pad_top;
    const int64_t y0 = ms_max(y, 0), y1 = ms_min(y + a->kernel_h, a->src_h);
    for (int64_t ox = 0; ox < a->dst_w; ox++) {
        const int64_t x = ox * a->stride_w - a->pad_left;
        const int64_t x0 = ms_max(x, 0), x1 = ms_min(x + a->kernel_w, a->src_w);
        int64_t counted = (y1 - y0) * (x1 - x0);
        if (a->count_pad)
            counted = overlap(y, a->kernel_h, -a->pad_top, a->src_h + a->pad_bottom) *
                      overlap(x, a->kernel_w, -a->pad_left, a->src_w + a->pad_right);
        float *dst = ms_row(&a->dst, outer, task % a->dst_h * a->dst_w + ox);
        const float *taps[POOL_TAPS];
        ms_pool_job job = {
            .taps = taps, .average = a->average, .divisor = 1.0f, .dst = dst, .n = a->dst.channels};
        const int64_t n_taps = (y1 - y0) * (x1 - x0);
        for (int64_t t = 0; t < n_taps; t++) {
            taps[job.n_taps++] = ms_row(&a->src, outer, (y0 + t / (x1 - x0)) * a->src_w + x0 + t % (x1 - x0));
            if (t + 1 == n_taps)
                job.divisor = (float)counted;
            if (job.n_taps == POOL_TAPS || t + 1 == n_taps) {
                r->ops->pool(&job);
                taps[0] = dst; /* the next pass goes on from here */
                job.n_taps = 1;
            }
        }
    }
}

void ms_cpu_pool(ms_device *dev, const ms_pool_args *args) {
    rows_run r = {.args = args, .ops = ms_ops(dev)};
    ms_pool_run(ms_cpu_threads(dev), args->dst.outer * args->dst_h, pool_task, &r);
}

/* ---- resizing, copying ---- */

/* One row of output pixels. */
static void resize_task(void *arg, int64_t task, int worker) {
    (void)worker;
    const ms_resize_args *a = ((const rows_run *)arg)->args;
    const int64_t outer = task / a->dst_h, y = task % a->dst_h, sy = y * a->src_h / a->dst_h;
    for (int64_t x = 0; x < a->dst_w; x++) {
        int64_t sx = x * a->src_w / a->dst_w;
        memcpy(ms_row(&a->dst, outer, y * a->dst_w + x), ms_row(&a->src, outer, sy * a->src_w + sx),
               (size_t)a->dst.channels * sizeof(float));
    }
}

void ms_cpu_resize(ms_device *dev, const ms_resize_args *args) {
    rows_run r = {.args = args};
    ms_pool_run(ms_cpu_threads(dev), args->dst.outer * args->dst_h, resize_task, &r);
}

static void copy_task(void *arg, int64_t task, int worker) {
    (void)worker;
    const rows_run *r = arg;
    const ms_copy_args *a = r->args;
    const int64_t outer = task / r->tasks_per_outer, first = task % r->tasks_per_outer * r->rows_per_task;
    const int64_t end = ms_min(first + r->rows_per_task, a->inner);
    const float *src = (const float *)a->src + outer * a->src_stride[0];
    float *dst = (float *)a->dst + outer * a->dst_stride[0];
    for (int64_t i = first; i < end; i++) {
        const float *from = src + i * a->src_stride[1];
        float *to = dst + i * a->dst_stride[1];
        if (a->src_stride[2] == 1 && a->dst_stride[2] == 1) {
            memcpy(to, from, (size_t)a->channels * sizeof(float));
            continue;
        }
        for (int64_t c = 0; c < a->channels; c++)
            to[c * a->dst_stride[2]] = from[c * a->src_stride[2]];
    }
}

void ms_cpu_copy(ms_device *dev, const ms_copy_args *args) {
    rows_run r = make_run(dev, args, args->inner, args->channels);
    ms_pool_run(ms_cpu_threads(dev), args->outer * r.tasks_per_outer, copy_task, &r);
}
