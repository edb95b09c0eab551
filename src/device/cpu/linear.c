#include "device/cpu/gemm.h"

/* Rows of the concatenated sources through the prologue. */
static void pack_rows(const ms_gemm_layer *layer, int group, int64_t first, int64_t count, float *dst,
                      int64_t dst_row) {
    (void)group;
    const ms_linear_args *args = layer->args;
    const int64_t inner = args->src[0].inner;
    for (int64_t done = 0, rows; done < count; done += rows) {
        int64_t outer = (first + done) / inner, at = (first + done) % inner, channel = 0;
        rows = ms_min(count - done, inner - at);
        const float *scale = ms_prologue_scale(&args->prologue, outer, layer->k);
        for (int i = 0; i < args->n_src; i++) {
            const ms_rows *src = &args->src[i];
            ms_scale_job job = {
                .src = ms_row(src, outer, at),
                .src_row = src->inner_stride,
                .dst = dst + done * dst_row + channel,
                .dst_row = dst_row,
                .rows = rows,
                .n = src->channels,
                .scale = scale ? scale + channel : NULL,
                .shift = scale ? scale + layer->k + channel : NULL,
                .act = args->prologue.act,
            };
            layer->ops->scale(&job);
            channel += src->channels;
        }
    }
}

/* Rows can be read where they are when nothing happens to them on the way in, unless their distance is a
   multiple of 2 KB: twelve such rows want the same few sets of the first-level cache. */
static bool in_place(const ms_linear_args *args) {
    const ms_rows *src = &args->src[0];
    bool plain = args->n_src == 1 && !args->prologue.tables && ms_rows_flat(src);
    return plain && (src->inner_stride % 512 != 0 || src->outer * src->inner == 1);
}

static ms_gemm_layer linear_layer(const ms_linear_args *args) {
    static const float present;
    const ms_rows *src = &args->src[0];
    return (ms_gemm_layer){
        .m = src->outer * src->inner,
        .k = args->weight.k,
        .n = args->dst.channels,
        .groups = 1,
        .geglu = args->weight.layout == MS_LAYOUT_GEGLU,
        .weight = &args->weight,
        .a = !in_place(args) ? NULL
             : src->data     ? src->data
                             : &present, /* NULL when sizes are asked for */
        .a_row = src->inner == 1 ? src->outer_stride : src->inner_stride,
        .pack = pack_rows,
        .args = args,
        .dst = &args->dst,
        .epilogue = &args->epilogue,
    };
}

size_t ms_linear_workspace_bytes(const ms_linear_args *args, int threads) {
    ms_gemm_layer layer = linear_layer(args);
    return ms_gemm_workspace_bytes(&layer, threads);
}

void ms_cpu_linear(ms_device *dev, const ms_linear_args *args, void *workspace) {
    ms_gemm_layer layer = linear_layer(args);
    layer.ops = ms_ops(dev);
    ms_gemm_run(dev, &layer, workspace);
}
