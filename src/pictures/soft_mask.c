#include "pictures/soft_mask.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "pictures/fma.h"

#define BLOCK 64
#define NOTHING INFINITY /* what the erosion sees beyond the picture: never the smallest */

int ms_soft_mask_edge_px(double area) {
    return (int)sqrtf((float)area) / 20;
}

void ms_soft_mask_init(ms_soft_mask *mask) {
    /* cv2.erode takes an empty kernel for 3x3. */
    mask->erode_px = mask->edge_px ? 2 * mask->edge_px : 3;
    mask->erode_anchor = mask->erode_px / 2;
    mask->taps = 2 * mask->edge_px + 1;
}

/* torch's sum of a contiguous float row: 8 lanes, 4 accumulators each, then the tail, then the lanes. */
static float sum_as_torch(const float *v, int n) {
    float acc[4][8] = {{0}}, sum = 0;
    int i = 0;
    for (int block = n / 32; block > 0; block--)
        for (int a = 0; a < 4; a++)
            for (int lane = 0; lane < 8; lane++)
                acc[a][lane] += v[i++];
    for (int rest = (n - i) / 8; rest > 0; rest--)
        for (int lane = 0; lane < 8; lane++)
            acc[0][lane] += v[i++];
    while (i < n)
        sum += v[i++];
    for (int lane = 0; lane < 8; lane++)
        sum += ((acc[0][lane] + acc[1][lane]) + acc[2][lane]) + acc[3][lane];
    return sum;
}

/*
 * exp() as the vector library behind torch's CPU build computes it, which is off by up to 0.55 of a last
 * place: x = (k ln 2) / 128 + r, exp(r) - 1 = r + r^2 / 2, and 2^(k / 128) as a float and what that leaves
 * out. Nothing is fused. Found by comparing 500,000 values from -80 to 0 with torch 2.15 and MKL 2024.2: all
 * are equal. ln 2 is 355 / 512 and a small rest, so that k times the first part is exact.
 */
static float exp_as_torch(float x) {
    const float upper = 355.0f / 512 / 128, lower = (float)(0.69314718055994530942 / 128 - 355.0 / 512 / 128);
    float k = rintf(x * (float)(128 / 0.69314718055994530942));
    float r = (x - k * upper) - k * lower, q = r + r * r * 0.5f;
    double power = exp2(k / 128.0);
    float high = (float)power, low = (float)(power - (double)high);
    return (high * q + low) + high;
}

void ms_soft_mask_kernel(ms_soft_mask *mask, float *kernel) {
    float sigma = (float)(0.3 * ((mask->taps - 1) * 0.5 - 1) + 0.8), divisor = 2.0f * (sigma * sigma);
    for (int i = 0; i < mask->taps; i++) {
        float x = (float)(i - mask->edge_px), exponent = -(x * x) / divisor;
        kernel[i] = exp_as_torch(exponent);
    }
    float sum = sum_as_torch(kernel, mask->taps);
    for (int i = 0; i < mask->taps; i++)
        kernel[i] /= sum;
    mask->kernel = kernel;
}

ms_soft_mask_rows ms_soft_mask_lay_out(ms_scratch *scratch, const ms_soft_mask *mask) {
    ms_soft_mask_rows r;
    size_t width = (size_t)(mask->x1 - mask->x0), window = (size_t)mask->erode_px, taps = (size_t)mask->taps;
    r.source = ms_scratch_take(scratch, width + window, sizeof(float));
    r.suffix = ms_scratch_take(scratch, window * width, sizeof(float));
    r.prefix = ms_scratch_take(scratch, width, sizeof(float));
    r.eroded = ms_scratch_take(scratch, width + taps, sizeof(float));
    r.blurred = ms_scratch_take(scratch, taps * width, sizeof(float));
    r.filled = ms_scratch_take(scratch, taps, 1);
    r.soft = ms_scratch_take(scratch, width, sizeof(float));
    return r;
}

static inline float min_of(float a, float b) {
    return a < b ? a : b;
}

static void min_rows(float *restrict a, const float *restrict b, size_t n) {
    for (size_t i = 0; i < n; i++)
        a[i] = min_of(a[i], b[i]);
}

/* row[i] <- min of row[i .. i + window), for i < n; row has n + window - 1 values. Windows of 1, 2, 4 ... are
   doubled in place; two of the largest, shifted, make the one that is wanted. */
static void erode_row(float *row, int n, int window) {
    int have = 1, length = n + window - 1;
    for (; 2 * have <= window; have *= 2)
        for (int i = 0; i + 2 * have <= length; i++)
            row[i] = min_of(row[i], row[i + have]);
    int shift = window - have;
    if (shift)
        for (int i = 0; i < n; i++)
            row[i] = min_of(row[i], row[i + shift]);
}

MS_INLINE_BODY void blur_row_body(const float *row, const float *kernel, int taps, int n, float *out) {
    for (int at = 0; at < n; at += BLOCK) {
        float sum[BLOCK] = {0};
        int m = n - at < BLOCK ? n - at : BLOCK;
        if (m == BLOCK)
            for (int t = 0; t < taps; t++)
                for (int i = 0; i < BLOCK; i++)
                    sum[i] = fmaf(row[at + t + i], kernel[t], sum[i]);
        else
            for (int t = 0; t < taps; t++)
                for (int i = 0; i < m; i++)
                    sum[i] = fmaf(row[at + t + i], kernel[t], sum[i]);
        memcpy(out + at, sum, (size_t)m * sizeof(float));
    }
}
MS_FMA_VARIANTS(blur_row, (const float *row, const float *kernel, int taps, int n, float *out),
                (row, kernel, taps, n, out))

/* Mirrored about the first and the last: ... 2 1 0 1 2 ... */
static int reflect(int i, int n) {
    return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
}

MS_INLINE_BODY void blend_rows_body(const ms_soft_mask *mask, const ms_soft_mask_rows *rows, int y, int n,
                                    float *out) {
    for (int at = 0; at < n; at += BLOCK) {
        float sum[BLOCK] = {0};
        int m = n - at < BLOCK ? n - at : BLOCK;
        for (int t = 0; t < mask->taps; t++) {
            int from = reflect(y + t - mask->edge_px, mask->image_height), slot = from % mask->taps;
            if (from < mask->y0 || from >= mask->y1 || !rows->filled[slot])
                continue; /* zeros: a fused product with zero adds nothing */
            const float *row = rows->blurred + (size_t)slot * (size_t)n + at;
            float k = mask->kernel[t];
            if (m == BLOCK)
                for (int i = 0; i < BLOCK; i++)
                    sum[i] = fmaf(row[i], k, sum[i]);
            else
                for (int i = 0; i < m; i++)
                    sum[i] = fmaf(row[i], k, sum[i]);
        }
        memcpy(out + at, sum, (size_t)m * sizeof(float));
    }
}
MS_FMA_VARIANTS(blend_rows,
                (const ms_soft_mask *mask, const ms_soft_mask_rows *rows, int y, int n, float *out),
                (mask, rows, y, n, out))

static bool any(const float *row, int n) {
    for (int i = 0; i < n; i++)
        if (row[i] != 0.0f)
            return true;
    return false;
}

/* Blurs an eroded row sideways into its slot. rows->eroded holds the row from index edge_px on; what lies to
   its sides is mirrored at the picture's border, zero otherwise. */
static void store_blurred(const ms_soft_mask *mask, const ms_soft_mask_rows *rows, int y) {
    int n = mask->x1 - mask->x0, pad = mask->edge_px, slot = y % mask->taps;
    float *row = rows->eroded;
    rows->filled[slot] = any(row + pad, n);
    if (!rows->filled[slot])
        return;
    for (int i = 0; i < pad; i++) {
        int left = reflect(mask->x0 - pad + i, mask->image_width) - mask->x0;
        int right = reflect(mask->x1 + i, mask->image_width) - mask->x0;
        row[i] = left >= 0 && left < n ? row[pad + left] : 0.0f;
        row[pad + n + i] = right >= 0 && right < n ? row[pad + right] : 0.0f;
    }
    blur_row(row, mask->kernel, mask->taps, n, rows->blurred + (size_t)slot * (size_t)n);
}

/*
 * Sliding minimum downwards (van Herk 1992, Gil and Werman 1993) over the rows t = 0, 1, 2 ... of a stream.
 * Rows come in blocks of the window's height w. When a block is complete, its slots hold minima from each row
 * to the block's end; while the next block arrives, the prefix holds its minimum so far, and a window is one
 * of the first and all of the second. Slots that were used up take the new block's rows.
 */
static bool slide(const ms_soft_mask_rows *rows, const float *row, int t, int window, size_t n, float *out) {
    int slot = t % window;
    float *stored = rows->suffix + (size_t)slot * n;
    bool complete = slot == window - 1;
    if (!complete) {
        if (slot == 0)
            memcpy(rows->prefix, row, n * sizeof(float));
        else
            min_rows(rows->prefix, row, n);
        if (t >= window) {
            memcpy(out, stored + n, n * sizeof(float));
            min_rows(out, rows->prefix, n);
        }
        memcpy(stored, row, n * sizeof(float));
        return t >= window;
    }
    memcpy(stored, row, n * sizeof(float));
    for (int i = window - 2; i >= 0; i--)
        min_rows(rows->suffix + (size_t)i * n, rows->suffix + (size_t)(i + 1) * n, n);
    memcpy(out, rows->suffix, n * sizeof(float));
    return true;
}

static void emit(const ms_soft_mask *mask, const ms_soft_mask_rows *rows, int y, ms_soft_row_fn sink,
                 void *arg) {
    int n = mask->x1 - mask->x0;
    bool filled = false;
    for (int t = 0; t < mask->taps && !filled; t++) {
        int from = reflect(y + t - mask->edge_px, mask->image_height);
        filled = from >= mask->y0 && from < mask->y1 && rows->filled[from % mask->taps];
    }
    if (!filled)
        return;
    blend_rows(mask, rows, y, n, rows->soft);
    sink(arg, y, rows->soft);
}

void ms_soft_mask_run(const ms_soft_mask *mask, const ms_soft_mask_rows *rows, int first, int end,
                      ms_mask_row_fn source, ms_soft_row_fn sink, void *arg) {
    int n = mask->x1 - mask->x0, edge = mask->edge_px, window = mask->erode_px;
    int from = first - edge > mask->y0 ? first - edge : mask->y0; /* eroded rows that are needed */
    int to = end + edge < mask->y1 ? end + edge : mask->y1;
    int next = first, top = from - mask->erode_anchor;
    for (int t = 0; t < to - from + window - 1; t++) {
        int y = top + t, eroded_y = from + t - (window - 1);
        float *row = rows->source;
        if (y >= mask->y0 && y < mask->y1) {
            for (int i = 0; i < mask->erode_anchor; i++)
                row[i] = NOTHING;
            for (int i = mask->erode_anchor + n; i < n + window; i++)
                row[i] = NOTHING;
            source(arg, y, row + mask->erode_anchor);
            erode_row(row, n, window);
        } else {
            for (int i = 0; i < n; i++)
                row[i] = NOTHING;
        }
        if (!slide(rows, row, t, window, (size_t)n, rows->eroded + edge))
            continue;
        store_blurred(mask, rows, eroded_y);
        for (; next < end && (next + edge <= eroded_y || eroded_y == to - 1); next++)
            emit(mask, rows, next, sink, arg);
    }
}
