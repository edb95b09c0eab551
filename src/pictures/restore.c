#include "pictures/restore.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "pictures/fma.h"
#include "pictures/resize.h"
#include "pictures/scratch.h"
#include "pictures/soft_mask.h"
#include "pictures/warp.h"

#define ROWS_PER_TASK 32
#define PAD 1 /* black pixels around the resized face: neighbours outside it count as zero */

typedef struct box {
    int x0, y0, x1, y1;
} box;

/* Two mask rows that follow each other, the second one current. */
typedef struct mask_pair {
    float *above, *here;
    int y; /* of here; -2 = nothing yet */
} mask_pair;

typedef struct worker {
    float *x, *y; /* [width]: source position of each column */
    mask_pair asked, pasted;
    float *eroded; /* [width] */
    ms_soft_mask_rows soft;
} worker;

/* What a row of the mask adds to its area, and where. */
typedef struct row_sum {
    double area;
    int first, end; /* columns that are not zero; first >= end: none */
} row_sum;

typedef struct restore {
    const ms_restore_args *args;
    ms_warp_map map;  /* crop <- frame */
    box roi;          /* the mask is zero outside */
    float *gx0, *gx1; /* [frame width]: gx(x) m00 and gx(x) m10, for the columns of the box and one before */
    row_sum *sums;    /* [frame height] */
    float *face;      /* [crop_height + 2][crop_width + 2][3] */
    worker *workers;
    ms_soft_mask soft;
    int rows_per_strip;
    float rounding; /* added before a byte is cut off: 0 as in the reference, or half */
} restore;

typedef struct restore_layout {
    float *gx0, *gx1, *face, *kernel;
    row_sum *sums;
    worker *workers;
    void *resize; /* shares its place with the soft mask's rows: one is done before the other begins */
    size_t resize_bytes, total_bytes;
} restore_layout;

static restore_layout lay_out(const ms_face_geometry *g, int frame_width, int frame_height, int threads,
                              void *work) {
    restore_layout l;
    size_t width = (size_t)frame_width, cw = (size_t)g->crop_width, ch = (size_t)g->crop_height;
    ms_scratch s = ms_scratch_begin(work);
    l.gx0 = ms_scratch_take(&s, width, sizeof(float));
    l.gx1 = ms_scratch_take(&s, width, sizeof(float));
    l.sums = ms_scratch_take(&s, (size_t)frame_height, sizeof(row_sum));
    l.face = ms_scratch_take(&s, (cw + 2 * PAD) * (ch + 2 * PAD), 3 * sizeof(float));
    /* Bilinear weights sum to 1 within a few roundings, so the area is at most this. */
    ms_soft_mask mask = {.image_width = frame_width,
                         .image_height = frame_height,
                         .x1 = frame_width,
                         .y1 = frame_height,
                         .edge_px = ms_soft_mask_edge_px(1.001 * frame_width * frame_height)};
    ms_soft_mask_init(&mask);
    l.kernel = ms_scratch_take(&s, (size_t)mask.taps, sizeof(float));
    l.workers = ms_scratch_take(&s, (size_t)threads, sizeof(worker));
    for (int t = 0; t < threads; t++) {
        worker w = {.asked = {.y = -2}, .pasted = {.y = -2}};
        float **rows[] = {&w.x,           &w.y,     &w.asked.above, &w.asked.here, &w.pasted.above,
                          &w.pasted.here, &w.eroded};
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
            *rows[i] = ms_scratch_take(&s, width + 1, sizeof(float));
        if (l.workers)
            l.workers[t] = w;
    }
    ms_scratch resize = s;
    l.resize_bytes = ms_resize_bicubic_workspace_bytes(g->resolution, g->resolution, g->crop_width,
                                                       g->crop_height, 3, threads);
    l.resize = ms_scratch_take(&resize, l.resize_bytes, 1);
    for (int t = 0; t < threads; t++) {
        ms_soft_mask_rows rows = ms_soft_mask_lay_out(&s, &mask);
        if (l.workers)
            l.workers[t].soft = rows;
    }
    if (s.used_bytes < resize.used_bytes)
        s = resize;
    l.total_bytes = ms_scratch_total(&s);
    return l;
}

static bool frame_size_valid(int width, int height) {
    return width >= 2 && height >= 2 && width <= MS_IMAGE_MAX_PX && height <= MS_IMAGE_MAX_PX;
}

size_t ms_restore_workspace_bytes(const ms_face_geometry *geometry, int frame_width, int frame_height,
                                  int threads) {
    if (!frame_size_valid(frame_width, frame_height) || threads < 1)
        return 0;
    return lay_out(geometry, frame_width, frame_height, threads, NULL).total_bytes;
}

/* Source positions of columns x0 .. x1-1 of row y. */
MS_INLINE_BODY void positions_body(const restore *r, int y, int x0, int x1, float *restrict xs,
                                   float *restrict ys) {
    const ms_warp_map *map = &r->map;
    float gy = ms_warp_grid(y, map->dst_height), a = gy * map->m[0][1], b = gy * map->m[1][1];
    float c = map->m[0][2], d = map->m[1][2], half_width = map->half_width, half_height = map->half_height;
    const float *restrict gx0 = r->gx0 + x0, *restrict gx1 = r->gx1 + x0;
    for (int i = 0; i < x1 - x0; i++) {
        xs[i] = (((gx0[i] + a) + c) + 1.0f) * half_width;
        ys[i] = (((gx1[i] + b) + d) + 1.0f) * half_height;
    }
}

/* A bilinear sample of ones with zeros around them: the weights of the neighbours that lie inside, summed in
   their order. Positions are pulled to within two pixels of the picture, where the sum is zero all the same.
   Written with integer comparisons because compilers do not vectorise floorf() and float comparisons while
   floating-point traps count. */
MS_INLINE_BODY void ones_body(const float *restrict xs, const float *restrict ys, int n, int width,
                              int height, float *restrict out) {
    float far_x = (float)width + 1.0f, far_y = (float)height + 1.0f;
    for (int i = 0; i < n; i++) {
        float x = xs[i] > -2.0f ? xs[i] : -2.0f, y = ys[i] > -2.0f ? ys[i] : -2.0f;
        x = x < far_x ? x : far_x;
        y = y < far_y ? y : far_y;
        int xi = (int)x, yi = (int)y;
        xi -= (float)xi > x;
        yi -= (float)yi > y;
        float w = x - (float)xi, e = 1.0f - w, nn = y - (float)yi, s = 1.0f - nn;
        int west = (unsigned)xi < (unsigned)width, east = (unsigned)(xi + 1) < (unsigned)width;
        int north = (unsigned)yi < (unsigned)height, south = (unsigned)(yi + 1) < (unsigned)height;
        out[i] = (((s * e) * (float)(north & west) + (s * w) * (float)(north & east)) +
                  (nn * e) * (float)(south & west)) +
                 (nn * w) * (float)(south & east);
    }
}

MS_INLINE_BODY void mask_row_body(const restore *r, int y, int x0, int x1, float *xs, float *ys, float *out) {
    positions_body(r, y, x0, x1, xs, ys);
    ones_body(xs, ys, x1 - x0, r->map.src_width, r->map.src_height, out);
}
MS_FMA_VARIANTS(mask_row, (const restore *r, int y, int x0, int x1, float *xs, float *ys, float *out),
                (r, y, x0, x1, xs, ys, out))

static inline float min_of(float a, float b) {
    return a < b ? a : b;
}

/* Makes row y the pair's current one: the mask's columns x0-1 .. x1-1, so index i + 1 is column x0 + i. What
   lies beyond the picture's left and top border is never the smallest. Leaves row y's positions in w. */
static void advance(const restore *r, worker *w, mask_pair *pair, int y, int x0, int x1) {
    int lead = x0 > 0; /* is there a column before x0? */
    bool follows = pair->y == y - 1;
    float *t = pair->above;
    pair->above = pair->here;
    pair->here = t;
    if (!lead)
        pair->above[0] = pair->here[0] = INFINITY;
    if (y == 0)
        for (int i = 0; i < x1 - x0 + 1; i++)
            pair->above[i] = INFINITY;
    else if (!follows)
        mask_row(r, y - 1, x0 - lead, x1, w->x, w->y, pair->above + 1 - lead);
    mask_row(r, y, x0 - lead, x1, w->x, w->y, pair->here + 1 - lead);
    pair->y = y;
}

/* 2x2 erosion to the left and above (kornia.morphology.erosion, origin 1, 1). */
static void erode_pair(const mask_pair *pair, int n, float *restrict out) {
    const float *restrict a = pair->above, *restrict h = pair->here;
    for (int i = 0; i < n; i++)
        out[i] = min_of(min_of(a[i], a[i + 1]), min_of(h[i], h[i + 1]));
}

static void sum_rows(void *arg, int64_t task, int worker_index) {
    restore *r = arg;
    worker *w = &r->workers[worker_index];
    int first = r->roi.y0 + (int)task * ROWS_PER_TASK, end = first + ROWS_PER_TASK, n = r->roi.x1 - r->roi.x0;
    end = end < r->roi.y1 ? end : r->roi.y1;
    w->asked.y = -2;
    for (int y = first; y < end; y++) {
        row_sum sum = {0, n, 0};
        advance(r, w, &w->asked, y, r->roi.x0, r->roi.x1);
        erode_pair(&w->asked, n, w->eroded);
        for (int i = 0; i < n; i++) {
            sum.area += w->eroded[i];
            if (w->eroded[i] > 0.0f) {
                sum.first = sum.first < i ? sum.first : i;
                sum.end = i + 1;
            }
        }
        r->sums[y] = sum;
    }
}

/* The mask's area, in the order of the rows, and the box of what is not zero. */
static double total_area(const restore *r, box *ret_box) {
    double area = 0;
    box b = {r->roi.x1, r->roi.y1, r->roi.x0, r->roi.y0};
    for (int y = r->roi.y0; y < r->roi.y1; y++) {
        const row_sum *s = &r->sums[y];
        area += s->area;
        if (s->first >= s->end)
            continue;
        b.x0 = b.x0 < r->roi.x0 + s->first ? b.x0 : r->roi.x0 + s->first;
        b.x1 = b.x1 > r->roi.x0 + s->end ? b.x1 : r->roi.x0 + s->end;
        b.y0 = b.y0 < y ? b.y0 : y;
        b.y1 = y + 1;
    }
    *ret_box = b;
    return area;
}

static box grow(box b, int by, int width, int height) {
    box g = {b.x0 - by, b.y0 - by, b.x1 + by, b.y1 + by};
    g.x0 = g.x0 < 0 ? 0 : g.x0;
    g.y0 = g.y0 < 0 ? 0 : g.y0;
    g.x1 = g.x1 > width ? width : g.x1;
    g.y1 = g.y1 > height ? height : g.y1;
    return g;
}

/*
 * The box outside of which the warped mask is zero. A sample is zero where its position is a pixel or more
 * outside the crop; the corners of that rectangle, in double, are carried to the frame. The reference's
 * positions are float32: two matrix inversions and a chain of six operations, off by some 1e-6 of the larger
 * of the frame (0.02 frame pixels at most) and the crop (0.003 crop pixels). One pixel of each is allowed
 * for.
 */
static box mask_box(const float affine[2][3], const ms_face_geometry *g, int width, int height) {
    double a = affine[0][0], b = affine[0][1], c = affine[1][0], d = affine[1][1], det = a * d - b * c;
    double x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY;
    for (int i = 0; i < 4; i++) {
        double u = (i & 1 ? g->crop_width + 1 : -2) - (double)affine[0][2];
        double v = (i & 2 ? g->crop_height + 1 : -2) - (double)affine[1][2];
        double x = (d * u - b * v) / det, y = (a * v - c * u) / det;
        x0 = fmin(x0, x);
        x1 = fmax(x1, x);
        y0 = fmin(y0, y);
        y1 = fmax(y1, y);
    }
    /* Clamped before they become integers; a corner that is not finite means the whole picture. */
    box r = {0, 0, width, height};
    if (isfinite(x0) && isfinite(x1) && isfinite(y0) && isfinite(y1)) {
        r.x0 = (int)fmin(fmax(floor(x0) - 1, 0), width);
        r.y0 = (int)fmin(fmax(floor(y0) - 1, 0), height);
        r.x1 = (int)fmin(fmax(ceil(x1) + 2, 0), width);
        r.y1 = (int)fmin(fmax(ceil(y1) + 2, 0), height);
    }
    return r;
}

typedef struct strip {
    const restore *r;
    worker *w;
} strip;

static void source_row(void *arg, int y, float *ret_row) {
    strip *s = arg;
    const ms_soft_mask *m = &s->r->soft;
    advance(s->r, s->w, &s->w->asked, y, m->x0, m->x1);
    erode_pair(&s->w->asked, m->x1 - m->x0, ret_row);
}

/* Blends n pixels of one row. xs, ys: positions in the crop; ones, eroded, soft: mask values there. */
MS_INLINE_BODY void paste_row_body(const restore *r, const float *xs, const float *ys, const float *ones,
                                   const float *eroded, const float *soft, int n, uint8_t *out) {
    size_t step = ((size_t)r->map.src_width + 2 * PAD) * 3;
    for (int i = 0; i < n; i++, out += 3) {
        if (soft[i] == 0.0f)
            continue;
        float back = 1.0f - soft[i];
        if (eroded[i] == 0.0f) {
            for (int c = 0; c < 3; c++)
                out[c] = (uint8_t)(0.0f + back * out[c]);
            continue;
        }
        float xf = floorf(xs[i]), yf = floorf(ys[i]), w = xs[i] - xf, e = 1.0f - w, nn = ys[i] - yf;
        float s = 1.0f - nn, nw = s * e, ne = s * w, sw = nn * e, se = nn * w;
        const float *p = r->face + (size_t)((int)yf + PAD) * step + (size_t)((int)xf + PAD) * 3;
        float fill = (1.0f - ones[i]) * 127.0f;
        for (int c = 0; c < 3; c++) {
            float v = fmaf(p[step + 3 + c], se, fmaf(p[step + c], sw, fmaf(p[3 + c], ne, p[c] * nw))) + fill;
            v = v / 2.0f + 0.5f;
            v = v > 0.0f ? v : 0.0f; /* also NaN */
            v = (v < 1.0f ? v : 1.0f) * 255.0f;
            out[c] = (uint8_t)((soft[i] * (eroded[i] * v) + back * out[c]) + r->rounding);
        }
    }
}
MS_FMA_VARIANTS(paste_row,
                (const restore *r, const float *xs, const float *ys, const float *ones, const float *eroded,
                 const float *soft, int n, uint8_t *out),
                (r, xs, ys, ones, eroded, soft, n, out))

static void paste_soft(void *arg, int y, const float *soft) {
    strip *s = arg;
    worker *w = s->w;
    const ms_soft_mask *m = &s->r->soft;
    const ms_image *frame = s->r->args->frame;
    int n = m->x1 - m->x0, lead = m->x0 > 0;
    advance(s->r, w, &w->pasted, y, m->x0, m->x1);
    erode_pair(&w->pasted, n, w->eroded);
    paste_row(s->r, w->x + lead, w->y + lead, w->pasted.here + 1, w->eroded, soft, n,
              frame->data + (size_t)y * frame->stride_bytes + (size_t)m->x0 * 3);
}

static void paste_strip(void *arg, int64_t task, int worker_index) {
    restore *r = arg;
    strip s = {r, &r->workers[worker_index]};
    int first = r->soft.y0 + (int)task * r->rows_per_strip, end = first + r->rows_per_strip;
    end = end < r->soft.y1 ? end : r->soft.y1;
    s.w->asked.y = s.w->pasted.y = -2;
    if (first < end)
        ms_soft_mask_run(&r->soft, &s.w->soft, first, end, source_row, paste_soft, &s);
}

/* The region's weights at n positions of the crop, bilinear between the face's
   pixels. Past the outermost ones there is nothing; NaN fails the comparison, too. */
static void region_row(const restore *r, const float *xs, const float *ys, int n, float *ret_weights) {
    int side = r->args->geometry->resolution;
    float last = (float)(side - 1), kx = (float)side / (float)r->map.src_width,
          ky = (float)side / (float)r->map.src_height;
    for (int i = 0; i < n; i++) {
        float x = (xs[i] + 0.5f) * kx - 0.5f, y = (ys[i] + 0.5f) * ky - 0.5f;
        ret_weights[i] = 0;
        if (!(x >= 0 && x < last && y >= 0 && y < last))
            continue;
        int xi = (int)x, yi = (int)y;
        float w = x - (float)xi, nn = y - (float)yi;
        const float *p = r->args->region + (size_t)yi * (size_t)side + xi;
        ret_weights[i] = (p[0] * (1 - w) + p[1] * w) * (1 - nn) + (p[side] * (1 - w) + p[side + 1] * w) * nn;
    }
}

/* A strip of the box, where only the region goes in: all of its pixels lie well
   inside the crop, so the warped mask is 1. */
static void paste_region_rows(void *arg, int64_t task, int worker_index) {
    restore *r = arg;
    worker *w = &r->workers[worker_index];
    const ms_image *frame = r->args->frame;
    int first = r->roi.y0 + (int)task * ROWS_PER_TASK, end = first + ROWS_PER_TASK, n = r->roi.x1 - r->roi.x0;
    end = end < r->roi.y1 ? end : r->roi.y1;
    float *ones = w->asked.here, *weights = w->pasted.here;
    for (int i = 0; i < n; i++)
        ones[i] = 1;
    for (int y = first; y < end; y++) {
        positions_body(r, y, r->roi.x0, r->roi.x1, w->x, w->y);
        region_row(r, w->x, w->y, n, weights);
        paste_row(r, w->x, w->y, ones, ones, weights, n,
                  frame->data + (size_t)y * frame->stride_bytes + (size_t)r->roi.x0 * 3);
    }
}

static void begin_rows(restore *r, const restore_layout *l) {
    r->gx0 = l->gx0;
    r->gx1 = l->gx1;
    r->sums = l->sums;
    r->workers = l->workers;
    for (int x = r->roi.x0 > 0 ? r->roi.x0 - 1 : 0; x < r->roi.x1; x++) {
        float gx = ms_warp_grid(x, r->map.dst_width);
        r->gx0[x] = gx * r->map.m[0][0];
        r->gx1[x] = gx * r->map.m[1][0];
    }
}

static ms_status resize_face(restore *r, const restore_layout *l, ms_error *err) {
    const ms_face_geometry *g = r->args->geometry;
    size_t width = (size_t)g->crop_width + 2 * PAD, height = (size_t)g->crop_height + 2 * PAD;
    size_t stride = width * 3;
    r->face = l->face;
    memset(r->face, 0, stride * sizeof(float));
    memset(r->face + (height - 1) * stride, 0, stride * sizeof(float));
    for (size_t y = 1; y + 1 < height; y++) {
        memset(r->face + y * stride, 0, 3 * sizeof(float));
        memset(r->face + (y + 1) * stride - 3, 0, 3 * sizeof(float));
    }
    ms_resize_bicubic_args resize = {.src = r->args->face,
                                     .src_width = g->resolution,
                                     .src_height = g->resolution,
                                     .src_stride = (size_t)g->resolution * 3,
                                     .dst = r->face + stride + 3,
                                     .dst_width = g->crop_width,
                                     .dst_height = g->crop_height,
                                     .dst_stride = stride,
                                     .channels = 3};
    return ms_resize_bicubic(&resize, l->resize, l->resize_bytes, r->args->pool, err);
}

/* The soft mask's rows for this face, which are at most those that the layout made room for. */
static void lay_out_soft(restore *r, const restore_layout *l, int threads) {
    ms_soft_mask_kernel(&r->soft, l->kernel);
    ms_scratch scratch = ms_scratch_begin(l->resize);
    for (int t = 0; t < threads; t++)
        r->workers[t].soft = ms_soft_mask_lay_out(&scratch, &r->soft);
}

static ms_status check(const ms_restore_args *args, int threads, restore *r, restore_layout *ret_layout,
                       ms_error *err) {
    const ms_image *frame = args->frame;
    const float(*a)[3] = args->affine;
    float inverse[2][3];
    if (!ms_image_valid(frame, 3) || !frame_size_valid(frame->width, frame->height))
        return ms_fail(err, MS_INVALID_ARGUMENT, "cannot put a face into a frame of %dx%dx%d", frame->width,
                       frame->height, frame->channels);
    restore_layout l = lay_out(args->geometry, frame->width, frame->height, threads, args->work);
    if (!args->work || args->work_bytes < l.total_bytes)
        return ms_fail(err, MS_INVALID_ARGUMENT, "putting a face back needs %zu bytes of workspace, got %zu",
                       l.total_bytes, args->work_bytes);
    if (!ms_affine_invert(a, inverse) ||
        !ms_warp_map_init(inverse, args->geometry->crop_width, args->geometry->crop_height, frame->width,
                          frame->height, &r->map))
        return ms_fail(err, MS_INVALID_ARGUMENT, "affine matrix [%g %g %g; %g %g %g] cannot be inverted",
                       a[0][0], a[0][1], a[0][2], a[1][0], a[1][1], a[1][2]);
    *ret_layout = l;
    return MS_OK;
}

static int row_tasks(const restore *r) {
    return (r->roi.y1 - r->roi.y0 + ROWS_PER_TASK - 1) / ROWS_PER_TASK;
}

/* As the reference does it. */
static ms_status paste_face(restore *r, const restore_layout *l, int threads, ms_restore_info *ret_info,
                            ms_error *err) {
    ms_pool *pool = r->args->pool;
    int width = r->args->frame->width, height = r->args->frame->height;
    box filled;
    ms_pool_run(pool, row_tasks(r), sum_rows, r);
    ret_info->mask_area = total_area(r, &filled);
    ret_info->edge_px = ms_soft_mask_edge_px(ret_info->mask_area);
    if (ret_info->edge_px >= width || ret_info->edge_px >= height)
        return ms_fail(err, MS_INVALID_ARGUMENT, "frame of %dx%d is too narrow to blend over %d pixels",
                       width, height, ret_info->edge_px);
    if (ret_info->mask_area <= 0)
        return MS_OK;
    filled = grow(filled, 1, width, height);
    r->soft = (ms_soft_mask){width, height, filled.x0, filled.y0, filled.x1, filled.y1, ret_info->edge_px,
                             0,     0,      0,         NULL};
    ms_soft_mask_init(&r->soft);
    MS_TRY(resize_face(r, l, err));
    lay_out_soft(r, l, threads);
    r->rows_per_strip = (filled.y1 - filled.y0 + threads - 1) / threads;
    ms_pool_run(pool, threads, paste_strip, r);
    ret_info->x0 = filled.x0;
    ret_info->y0 = filled.y0;
    ret_info->x1 = filled.x1;
    ret_info->y1 = filled.y1;
    return MS_OK;
}

static ms_status paste_region(restore *r, const restore_layout *l, int threads, ms_restore_info *ret_info,
                              ms_error *err) {
    (void)threads;
    MS_TRY(resize_face(r, l, err));
    r->rounding = 0.5f; /* where both pictures are the same, so is the blend */
    ms_pool_run(r->args->pool, row_tasks(r), paste_region_rows, r);
    ret_info->x0 = r->roi.x0;
    ret_info->y0 = r->roi.y0;
    ret_info->x1 = r->roi.x1;
    ret_info->y1 = r->roi.y1;
    return MS_OK;
}

ms_status ms_restore_face(const ms_restore_args *args, ms_restore_info *ret_info, ms_error *err) {
    int threads = args->pool ? ms_pool_threads(args->pool) : 1;
    restore r = {.args = args};
    restore_layout l = {0};
    ms_restore_info info = {0};
    MS_TRY(check(args, threads, &r, &l, err));
    r.roi = mask_box(args->affine, args->geometry, args->frame->width, args->frame->height);
    if (r.roi.x0 < r.roi.x1 && r.roi.y0 < r.roi.y1) {
        begin_rows(&r, &l);
        MS_TRY((args->region ? paste_region : paste_face)(&r, &l, threads, &info, err));
    }
    if (ret_info)
        *ret_info = info;
    return MS_OK;
}
