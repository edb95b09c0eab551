/* Convolutions of each channel by itself: a chain over the taps, in float32, any types. */
#include "device/cuda/kernels/epilogue.cuh"
#include "device/cuda/kernels/window.cuh"

struct channel_tables {
    float scale[8], shift[8];
};

/* Eight channels under a tap times its weights, added to the sums. pixel -1: padding. */
SIMT_FN void add_tap(const cuda_matmul_params &p, const row_place &row, int64_t pixel, int tap, int channel,
                     int count, const channel_tables &tables, float sum[8]) {
    const cuda_source &from = p.src[0];
    const int64_t at = row.outer * from.outer_stride + pixel * from.inner_stride + channel;
    SIMT_UNROLL
    for (int i = 0; i < 8; i++) {
        if (i >= count)
            continue;
        float x = pixel < 0 ? 0.0f : load_one(from.data, from.dtype, at + i);
        if (p.prologue.tables && pixel >= 0) {
            x = simt_fma(x, tables.scale[i], tables.shift[i]);
            if (p.prologue.act == MS_ACT_SILU)
                x = gpu_silu(x);
        }
        sum[i] = simt_fma(x, load_one(p.weight, p.weight_dtype, (int64_t)tap * p.epilogue.n + channel + i),
                          sum[i]);
    }
}

SIMT_KERNEL(CUDA_DEPTHWISE_THREADS) conv_depthwise(SIMT_PARAM(cuda_matmul_params, p)) {
    const int across = (p.epilogue.n + 7) / 8;
    const int64_t at = (int64_t)simt_block_x() * CUDA_DEPTHWISE_THREADS + simt_thread();
    if (at >= (int64_t)p.rows * across)
        return;
    const int channel = (int)(at % across) * 8;
    const row_place row = place_of_row(p, (int)(at / across));
    const int count = p.epilogue.n - channel;
    const cuda_prologue &pro = p.prologue;
    const float *table = nullptr;
    if (pro.tables)
        table = pro.tables + (pro.outer_first + row.outer) / pro.outer_per_table * 2 * pro.channels + channel;
    channel_tables tables;
    read_table(table, count, tables.scale);
    read_table(table ? table + pro.channels : nullptr, count, tables.shift);
    float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (int ky = 0; ky < p.window.kernel_h; ky++)
        for (int kx = 0; kx < p.window.kernel_w; kx++)
            add_tap(p, row, pixel_of_tap(p.window, row, ky, kx), ky * p.window.kernel_w + kx, channel, count,
                    tables, sum);
    const epilogue_columns c = epilogue_begin(p.epilogue, 0, channel);
    epilogue_store(p.epilogue, 0, c, row.outer, row.inner, sum, sum);
}

const simt_kernel cuda_conv_depthwise =
    SIMT_DESCRIBE(conv_depthwise, cuda_matmul_params, CUDA_DEPTHWISE_THREADS, 0);
