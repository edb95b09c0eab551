#include "device/cpu/gemm.h"

/* The image coordinate that a tap falls on, before the input is enlarged; -1 in the padding. */
static int64_t tap_at(int64_t out, int stride, int pad, int tap, int64_t size, int64_t up) {
    int64_t at = out * stride - pad + tap, large = up ? up : size;
    return at < 0 || at >= large ? -1 : ms_nearest(at, size, large);
}

/* A group's channels of one pixel of the concatenated sources through the prologue. */
static void pack_pixel(const ms_gemm_layer *layer, int64_t outer, int64_t pixel, int64_t channel,
                       int64_t count, float *dst) {
    const ms_conv2d_args *args = layer->args;
    const int64_t channels = ms_source_channels(args->src, args->n_src);
    const float *scale = ms_prologue_scale(&args->prologue, outer, channels);
    int64_t base = 0;
    for (int i = 0; i < args->n_src; i++) {
        const ms_rows *src = &args->src[i];
        int64_t begin = ms_max(channel, base), end = ms_min(channel + count, base + src->channels);
        if (begin < end) {
            ms_scale_job job = {
                .src = ms_row(src, outer, pixel) + (begin - base),
                .dst = dst + (begin - channel),
                .rows = 1,
                .n = end - begin,
                .scale = scale ? scale + begin : NULL,
                .shift = scale ? scale + channels + begin : NULL,
                .act = args->prologue.act,
            };
            layer->ops->scale(&job);
        }
        base += src->channels;
    }
}

/* Rows of taps: the pixels under the kernel, in the order of PANEL. */
static void pack_taps(const ms_gemm_layer *layer, int group, int64_t first, int64_t count, float *dst,
                      int64_t dst_row) {
    const ms_conv2d_args *a = layer->args;
    const int64_t channels = ms_source_channels(a->src, a->n_src) / a->groups,
                  pixels = ms_conv2d_dst_rows(a) * a->dst_w;
    for (int64_t r = 0; r < count; r++) {
        int64_t outer = (first + r) / pixels, x = (first + r) % a->dst_w;
        int64_t y = a->dst_y + (first + r) % pixels / a->dst_w;
        float *to = dst + r * dst_row;
        for (int ky = 0; ky < a->kernel_h; ky++) {
            int64_t sy = tap_at(y, a->stride_h, a->pad_top, ky, a->src_h, a->up_h);
            for (int kx = 0; kx < a->kernel_w; kx++, to += channels) {
                int64_t sx = tap_at(x, a->stride_w, a->pad_left, kx, a->src_w, a->up_w);
                if (sy < 0 || sx < 0)
                    memset(to, 0, (size_t)channels * sizeof(float));
                else
                    pack_pixel(layer, outer, (sy - a->src_y) * a->src_w + sx, group * channels, channels, to);
            }
        }
    }
}

/* The pixels under a kernel's row lie side by side when there is one source without gaps, read as it is. */
static bool side_by_side(const ms_conv2d_args *a) {
    return a->n_src == 1 && a->groups == 1 && !a->prologue.tables && !a->up_h && !a->up_w &&
           (a->src[0].inner == 1 || a->src[0].inner_stride == a->src[0].channels);
}

/* The same as pack_taps for such a source: one copy per kernel row. With the 3 channels of a picture the
   copies of single taps took longer than the products. */
static void pack_kernel_rows(const ms_gemm_layer *layer, int group, int64_t first, int64_t count, float *dst,
                             int64_t dst_row) {
    (void)group;
    const ms_conv2d_args *a = layer->args;
    const int64_t channels = a->src[0].channels, pixels = ms_conv2d_dst_rows(a) * a->dst_w;
    for (int64_t r = 0; r < count; r++) {
        int64_t outer = (first + r) / pixels, x = (first + r) % a->dst_w;
        int64_t y = a->dst_y + (first + r) % pixels / a->dst_w;
        const int64_t sy = y * a->stride_h - a->pad_top, sx = x * a->stride_w - a->pad_left;
        const int64_t begin = ms_max(0, -sx), end = ms_max(begin, ms_min(a->kernel_w, a->src_w - sx));
        float *to = dst + r * dst_row;
        for (int64_t ky = 0; ky < a->kernel_h; ky++, to += a->kernel_w * channels) {
            bool inside = sy + ky >= 0 && sy + ky < a->src_h;
            int64_t from = inside ? begin * channels : a->kernel_w * channels, until = end * channels;
            memset(to, 0, (size_t)from * sizeof(float));
            if (!inside)
                continue;
            if (until > from)
                memcpy(to + from, ms_row(&a->src[0], outer, (sy + ky - a->src_y) * a->src_w + sx + begin),
                       (size_t)(until - from) * sizeof(float));
            memset(to + until, 0, (size_t)(a->kernel_w * channels - until) * sizeof(float));
        }
    }
}

static ms_gemm_layer conv2d_layer(const ms_conv2d_args *args) {
    return (ms_gemm_layer){
        .m = args->dst.outer * args->dst.inner,
        .k = args->weight.k,
        .n = args->dst.channels / args->groups,
        .groups = args->groups,
        .weight = &args->weight,
        .pack = side_by_side(args) ? pack_kernel_rows : pack_taps,
        .args = args,
        .dst = &args->dst,
        .epilogue = &args->epilogue,
    };
}

size_t ms_conv2d_workspace_bytes(const ms_conv2d_args *args, int threads) {
    switch (ms_conv2d_layout(args)) {
    case MS_LAYOUT_WINOGRAD:
        return ms_winograd_workspace_bytes(args, threads);
    case MS_LAYOUT_DEPTHWISE:
        return 0;
    case MS_LAYOUT_PANEL:
    case MS_LAYOUT_GEGLU:
        break;
    }
    if (ms_conv2d_is_linear(args)) {
        ms_linear_args linear = ms_conv2d_as_linear(args);
        return ms_linear_workspace_bytes(&linear, threads);
    }
    ms_gemm_layer layer = conv2d_layer(args);
    return ms_gemm_workspace_bytes(&layer, threads);
}

void ms_cpu_conv2d(ms_device *dev, const ms_conv2d_args *args, void *workspace) {
    switch (args->weight.layout) {
    case MS_LAYOUT_WINOGRAD:
        ms_cpu_winograd(dev, args, workspace);
        return;
    case MS_LAYOUT_DEPTHWISE:
        ms_cpu_depthwise(dev, args);
        return;
    case MS_LAYOUT_PANEL:
    case MS_LAYOUT_GEGLU:
        break;
    }
    if (ms_conv2d_is_linear(args)) {
        ms_linear_args linear = ms_conv2d_as_linear(args);
        ms_cpu_linear(dev, &linear, workspace);
        return;
    }
    ms_gemm_layer layer = conv2d_layer(args);
    layer.ops = ms_ops(dev);
    ms_gemm_run(dev, &layer, workspace);
}

/* ---- depthwise ---- */

#define MAX_TAPS 4096 /* kernels are at most 64 x 64 */

typedef struct depthwise_run {
    const ms_conv2d_args *args;
    const ms_cpu_ops *ops;
} depthwise_run;

/* One row of output pixels. */
static void depthwise_task(void *arg, int64_t task, int worker) {
    (void)worker;
    const depthwise_run *run = arg;
    const ms_conv2d_args *a = run->args;
    const int64_t rows = ms_conv2d_dst_rows(a), outer = task / rows, row = task % rows, y = a->dst_y + row;
    const ms_rows *residual = ms_epilogue_residual(&a->epilogue);
    const float *scale = ms_prologue_scale(&a->prologue, outer, a->dst.channels);
    const float *taps[MAX_TAPS];
    ms_depthwise_job job = {
        .taps = taps,
        .n_taps = a->kernel_h * a->kernel_w,
        .weight = a->weight.data,
        .dtype = a->weight.dtype,
        .n = a->dst.channels,
        .scale = scale,
        .shift = scale ? scale + a->dst.channels : NULL,
        .act = a->prologue.act,
        .epilogue = ms_epilogue_at(&a->epilogue, 0),
    };
    for (int64_t x = 0; x < a->dst_w; x++) {
        for (int t = 0; t < job.n_taps; t++) {
            int64_t sy = tap_at(y, a->stride_h, a->pad_top, t / a->kernel_w, a->src_h, a->up_h);
            int64_t sx = tap_at(x, a->stride_w, a->pad_left, t % a->kernel_w, a->src_w, a->up_w);
            taps[t] = sy < 0 || sx < 0 ? NULL : ms_row(&a->src[0], outer, (sy - a->src_y) * a->src_w + sx);
        }
        job.dst = ms_row(&a->dst, outer, row * a->dst_w + x);
        job.residual = residual ? ms_row(residual, outer, row * a->dst_w + x) : NULL;
        run->ops->depthwise(&job);
    }
}

void ms_cpu_depthwise(ms_device *dev, const ms_conv2d_args *args) {
    depthwise_run run = {args, ms_ops(dev)};
    ms_pool_run(ms_cpu_threads(dev), args->dst.outer * ms_conv2d_dst_rows(args), depthwise_task, &run);
}
