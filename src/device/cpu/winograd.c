/*
 * 3x3 convolution by Winograd's F(4x4, 3x3). The tiles of 4x4 outputs of all images of a call are numbered
 * region by region (a region is a part of an image of up to 64 tiles) and taken a block at a time through
 * three steps: the input transform of all channels; then, for each pair of output panels, weight transform
 * and matrix products, 12 of the 36 points and up to 320 input channels at a time; then the output transform.
 * Transformed weights never exist as a whole: 12 points of a chunk stay in the second-level cache, and making
 * them is a cost that the tiles of a block share.
 *
 * Blocks, regions and chunks do not show in the results: every sum is one chain over the input channels.
 */
#include "device/cpu/cpu.h"

/* Of a block's transformed input: 113 tiles of 1280 channels. */
#define BLOCK_BYTES ((int64_t)20 << 20)
/* At 192 tiles the weight transform is 2 % of the products. */
#define BLOCK_TILES 192
/* Input channels whose transformed weights a worker holds: 12 x 320 x 32 floats are 480 KB. */
#define CHUNK_CHANNELS 320
/* Channels of a region that are normalised and transformed at a time; divides CHUNK_CHANNELS. */
#define STRIP_CHANNELS 64
#define REGION_W 16
#define REGION_TILES 64
#define TASKS_PER_THREAD 3
/* Points are not a multiple of 4096 bytes apart: 36 such streams would share a cache set. */
#define POINT_PAD 80

typedef struct winograd_run {
    const ms_conv2d_args *args;
    const ms_cpu_ops *ops;
    int64_t tiles_h, tiles_w, tiles;
    int64_t channels, pairs;
    int64_t region_h, region_w;   /* tiles of a region, less at the edges */
    int64_t regions_h, regions_w; /* regions of an image */
    int64_t regions, block_regions;
    int64_t block_tiles; /* the most that a block has */
    int64_t chunk, chunks;
    int64_t v_point, u_point, m_point;
    int64_t splits; /* of a block's tiles among tasks of one pair */
    int64_t worker_floats;
    float *v, *workers;
    int64_t first_region, end_region, first_tile, block_count; /* the block at hand */
} winograd_run;

typedef struct region {
    int64_t image, y, x, h, w; /* in tiles */
    int64_t first;             /* number of its first tile */
} region;

static region region_at(const winograd_run *r, int64_t index) {
    const int64_t in_image = index % (r->regions_h * r->regions_w);
    region g = {.image = index / (r->regions_h * r->regions_w)};
    g.y = in_image / r->regions_w * r->region_h;
    g.x = in_image % r->regions_w * r->region_w;
    g.h = ms_min(r->region_h, r->tiles_h - g.y);
    g.w = ms_min(r->region_w, r->tiles_w - g.x);
    g.first = g.image * r->tiles_h * r->tiles_w + g.y * r->tiles_w + g.x * g.h;
    return g;
}

/* The number of tiles in front of a region; all of them for the one behind the last. */
static int64_t tiles_before(const winograd_run *r, int64_t index) {
    return index == r->regions ? r->tiles : region_at(r, index).first;
}

static int64_t strip_floats(const winograd_run *r) {
    return (4 * r->region_h + 2) * (4 * r->region_w + 2) * STRIP_CHANNELS;
}

static winograd_run make_run(const ms_conv2d_args *args, int threads) {
    winograd_run r = {.args = args};
    r.tiles_h = ms_ceil_div(ms_conv2d_dst_rows(args), 4);
    r.tiles_w = ms_ceil_div(args->dst_w, 4);
    r.tiles = args->dst.outer * r.tiles_h * r.tiles_w;
    r.channels = ms_source_channels(args->src, args->n_src);
    r.pairs = ms_ceil_div(args->dst.channels, MS_PAIR);
    r.region_w = ms_min(r.tiles_w, REGION_W);
    r.region_h = ms_min(r.tiles_h, ms_max(1, REGION_TILES / r.region_w));
    r.regions_h = ms_ceil_div(r.tiles_h, r.region_h);
    r.regions_w = ms_ceil_div(r.tiles_w, r.region_w);
    r.regions = args->dst.outer * r.regions_h * r.regions_w;
    const int64_t region_tiles = r.region_h * r.region_w;
    int64_t limit = BLOCK_BYTES / (r.channels * MS_WINOGRAD_POINTS * (int64_t)sizeof(float));
    r.block_regions = ms_min(r.regions, ms_max(1, ms_min(BLOCK_TILES, limit) / region_tiles));
    r.block_tiles = ms_min(r.tiles, r.block_regions * region_tiles);
    r.chunk = ms_min(r.channels, CHUNK_CHANNELS);
    r.chunks = ms_ceil_div(r.channels, r.chunk);
    r.splits = ms_min(ms_ceil_div(threads * TASKS_PER_THREAD, r.pairs), ms_ceil_div(r.block_tiles, 16));
    r.v_point = r.block_tiles * r.chunks * r.chunk + POINT_PAD;
    r.u_point = r.chunk * MS_PAIR + POINT_PAD;
    r.m_point = ms_ceil_div(r.block_tiles, r.splits) * MS_PAIR + POINT_PAD;
    r.worker_floats =
        ms_max(strip_floats(&r), MS_WINOGRAD_GROUP_POINTS * r.u_point + MS_WINOGRAD_POINTS * r.m_point);
    return r;
}

size_t ms_winograd_workspace_bytes(const ms_conv2d_args *args, int threads) {
    winograd_run r = make_run(args, threads);
    return (size_t)(MS_WINOGRAD_POINTS * r.v_point + threads * r.worker_floats) * sizeof(float);
}

/* Transformed input of a block: [point][chunk][tile][channel of the chunk]. */
static float *v_at(const winograd_run *r, int64_t point, int64_t tile, int64_t channel) {
    const int64_t chunk = channel / r->chunk;
    return r->v + point * r->v_point + (chunk * r->block_tiles + tile) * r->chunk + channel % r->chunk;
}

/* ---- input ---- */

/* Channels c .. c+n-1 of `count` pixels of one image row from x on, through the prologue, to dst. */
static void fill_pixels(const winograd_run *r, int64_t outer, int64_t y, int64_t x, int64_t count, int64_t c,
                        int64_t n, float *dst) {
    const ms_conv2d_args *a = r->args;
    const float *scale = ms_prologue_scale(&a->prologue, outer, r->channels);
    const bool enlarged = ms_conv2d_in_w(a) != a->src_w;
    const int64_t sy = ms_nearest(y, a->src_h, ms_conv2d_in_h(a)) - a->src_y, step = enlarged ? 1 : count;
    int64_t base = 0;
    for (int i = 0; i < a->n_src; i++) {
        const ms_rows *src = &a->src[i];
        int64_t begin = ms_max(c, base), end = ms_min(c + n, base + src->channels);
        for (int64_t p = 0; begin < end && p < count; p += step) {
            int64_t sx = ms_nearest(x + p, a->src_w, ms_conv2d_in_w(a));
            ms_scale_job job = {
                .src = ms_row(src, outer, sy * a->src_w + sx) + (begin - base),
                .src_row = src->inner_stride,
                .dst = dst + p * STRIP_CHANNELS + (begin - c),
                .dst_row = STRIP_CHANNELS,
                .rows = step,
                .n = end - begin,
                .scale = scale ? scale + begin : NULL,
                .shift = scale ? scale + r->channels + begin : NULL,
                .act = a->prologue.act,
            };
            r->ops->scale(&job);
        }
        base += src->channels;
    }
}

static void zero_pixels(float *dst, int64_t count) {
    memset(dst, 0, (size_t)(count * STRIP_CHANNELS) * sizeof(float));
}

/* The (4 h + 2) x (4 w + 2) pixels under a region, zeros outside of the image. */
static void fill_region(const winograd_run *r, const region *g, int64_t c, int64_t n, float *pixels) {
    const ms_conv2d_args *a = r->args;
    const int64_t width = 4 * g->w + 2, x0 = 4 * g->x - 1;
    const int64_t begin = ms_max(x0, 0), end = ms_min(x0 + width, ms_conv2d_in_w(a));
    for (int64_t row = 0; row < 4 * g->h + 2; row++, pixels += width * STRIP_CHANNELS) {
        const int64_t y = a->dst_y + 4 * g->y - 1 + row;
        if (y < 0 || y >= ms_conv2d_in_h(a)) {
            zero_pixels(pixels, width);
            continue;
        }
        zero_pixels(pixels, begin - x0);
        fill_pixels(r, g->image, y, begin, end - begin, c, n, pixels + (begin - x0) * STRIP_CHANNELS);
        zero_pixels(pixels + (end - x0) * STRIP_CHANNELS, x0 + width - end);
    }
}

/* One region, up to 64 channels. */
static void input_task(void *arg, int64_t task, int worker) {
    const winograd_run *r = arg;
    const int64_t count = r->end_region - r->first_region, c = task / count * STRIP_CHANNELS;
    const region g = region_at(r, r->first_region + task % count);
    const int64_t n = ms_min(STRIP_CHANNELS, r->channels - c), width = 4 * g.w + 2;
    float *pixels = r->workers + worker * r->worker_floats;
    fill_region(r, &g, c, n, pixels);
    for (int64_t t = 0; t < g.h * g.w; t++) {
        ms_winograd_input_job job = {
            .src = pixels + (t / g.w * 4 * width + t % g.w * 4) * STRIP_CHANNELS,
            .src_y = width * STRIP_CHANNELS,
            .src_x = STRIP_CHANNELS,
            .n = n,
            .v = v_at(r, 0, g.first - r->first_tile + t, c),
            .v_point = r->v_point,
        };
        r->ops->winograd_input(&job);
    }
}

/* ---- products and output ---- */

/* 12 points of one pair of panels and one chunk of channels: weights, then products of `rows` tiles. */
static void multiply_group(const winograd_run *r, int64_t pair, int group, int64_t c, int64_t first,
                           int64_t rows, float *u, float *m) {
    const ms_weight *w = &r->args->weight;
    const bool two = pair * MS_PAIR + MS_PANEL < r->args->dst.channels;
    const int64_t count = ms_min(r->chunk, r->channels - c), panel = r->channels * 9 * MS_PANEL;
    const char *taps =
        (const char *)w->data + (size_t)(2 * pair * panel + c * 9 * MS_PANEL) * ms_dtype_bytes(w->dtype);
    ms_winograd_weight_job weights = {
        .taps = {taps, two ? taps + (size_t)panel * ms_dtype_bytes(w->dtype) : NULL},
        .dtype = w->dtype,
        .group = group,
        .c_in = count,
        .u = u,
        .u_point = r->u_point,
    };
    r->ops->winograd_weight(&weights);
    for (int i = 0; i < MS_WINOGRAD_GROUP_POINTS; i++) {
        const int point = ms_winograd_point(group, i);
        const float *b = u + i * r->u_point;
        ms_gemm_job job = {
            .rows = rows,
            .k = count,
            .a = v_at(r, point, first, c),
            .a_row = r->chunk,
            .a_k = 1,
            .b = {b, two ? b + MS_PANEL : NULL},
            .b_k = MS_PAIR,
            .c = m + point * r->m_point,
            .c_row = MS_PAIR,
            .accumulate = c > 0,
        };
        r->ops->gemm_f32(&job);
    }
}

static void transform_output(const winograd_run *r, int64_t pair, const region *g, int64_t tile,
                             const float *m) {
    const ms_conv2d_args *a = r->args;
    const ms_rows *residual = ms_epilogue_residual(&a->epilogue);
    const int64_t column = pair * MS_PAIR, y = (g->y + tile / g->w) * 4, x = (g->x + tile % g->w) * 4;
    ms_winograd_output_job job = {
        .m = m,
        .m_point = r->m_point,
        .columns = ms_min(MS_PAIR, a->dst.channels - column),
        .h = (int)ms_min(4, ms_conv2d_dst_rows(a) - y),
        .w = (int)ms_min(4, a->dst_w - x),
        .dst = ms_row(&a->dst, g->image, y * a->dst_w + x) + column,
        .dst_y = a->dst_w * a->dst.inner_stride,
        .dst_x = a->dst.inner_stride,
        .residual = residual ? ms_row(residual, g->image, y * a->dst_w + x) + column : NULL,
        .residual_y = residual ? a->dst_w * residual->inner_stride : 0,
        .residual_x = residual ? residual->inner_stride : 0,
        .epilogue = ms_epilogue_at(&a->epilogue, column),
    };
    r->ops->winograd_output(&job);
}

/* One pair of panels, a share of the block's tiles. */
static void pair_task(void *arg, int64_t task, int worker) {
    const winograd_run *r = arg;
    const int64_t pair = task / r->splits, share = ms_ceil_div(r->block_count, r->splits);
    const int64_t first = task % r->splits * share, end = ms_min(first + share, r->block_count);
    if (first >= end)
        return;
    float *u = r->workers + worker * r->worker_floats, *m = u + MS_WINOGRAD_GROUP_POINTS * r->u_point;
    for (int group = 0; group < MS_WINOGRAD_GROUPS; group++) {
        for (int64_t c = 0; c < r->channels; c += r->chunk)
            multiply_group(r, pair, group, c, first, end - first, u, m);
    }
    for (int64_t index = r->first_region; index < r->end_region; index++) {
        const region g = region_at(r, index);
        const int64_t at = g.first - r->first_tile;
        for (int64_t t = ms_max(at, first); t < ms_min(at + g.h * g.w, end); t++)
            transform_output(r, pair, &g, t - at, m + (t - first) * MS_PAIR);
    }
}

void ms_cpu_winograd(ms_device *dev, const ms_conv2d_args *args, void *workspace) {
    winograd_run r = make_run(args, ms_pool_threads(ms_cpu_threads(dev)));
    r.ops = ms_ops(dev);
    r.v = workspace;
    r.workers = r.v + MS_WINOGRAD_POINTS * r.v_point;
    for (r.first_region = 0; r.first_region < r.regions; r.first_region = r.end_region) {
        r.end_region = ms_min(r.regions, r.first_region + r.block_regions);
        r.first_tile = tiles_before(&r, r.first_region);
        r.block_count = tiles_before(&r, r.end_region) - r.first_tile;
        int64_t strips = ms_ceil_div(r.channels, STRIP_CHANNELS);
        ms_pool_run(ms_cpu_threads(dev), (r.end_region - r.first_region) * strips, input_task, &r);
        ms_pool_run(ms_cpu_threads(dev), r.pairs * r.splits, pair_task, &r);
    }
}
