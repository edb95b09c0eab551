/*
 * Fixed-point resizing. Coefficients are rounded to 1/2048; the accumulators are exact integers, so any order
 * of summation gives the same bytes. Largest sum: the Lanczos coefficients' positive and negative parts are
 * at most 1.29 and 0.29, hence 255 * 2048^2 * (1.29^2 + 0.29^2) < 2^31.
 */
#include "pictures/resize.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "pictures/scratch.h"

#define COEF_BITS 11
#define COEF_ONE (1 << COEF_BITS)
#define MAX_TAPS 8

typedef struct resize_axis {
    int32_t *index; /* [size][taps]: element offset (pixel times step) of each tap, clamped to the edge */
    int16_t *coef;  /* [size][taps] */
} resize_axis;

typedef struct layout {
    resize_axis x;
    int32_t *rows[MAX_TAPS]; /* horizontally resized rows, slot = source row mod taps */
} layout;

static int taps_of(ms_resize_filter filter) {
    return filter == MS_RESIZE_BILINEAR ? 2 : 8;
}

static layout lay_out(ms_scratch *scratch, ms_resize_filter filter, int dst_width, int channels) {
    layout l = {0};
    size_t taps = (size_t)taps_of(filter);
    l.x.index = ms_scratch_take(scratch, (size_t)dst_width * taps, sizeof(int32_t));
    l.x.coef = ms_scratch_take(scratch, (size_t)dst_width * taps, sizeof(int16_t));
    for (size_t k = 0; k < taps; k++)
        l.rows[k] = ms_scratch_take(scratch, (size_t)dst_width * (size_t)channels, sizeof(int32_t));
    return l;
}

size_t ms_resize_u8_workspace_bytes(ms_resize_filter filter, int dst_width, int channels) {
    ms_scratch scratch = ms_scratch_begin(NULL);
    lay_out(&scratch, filter, dst_width, channels);
    return ms_scratch_total(&scratch);
}

static int16_t fixed(float coef) {
    return (int16_t)lrintf(coef * COEF_ONE);
}

/* sinc(t) sinc(t / 4) at the 8 taps t = x + 3 .. x - 4, up to a common factor. sin(pi (x + 3 - i) / 4) comes
   from sin and cos of the first by the angle-sum formula; t is rounded to float first, as in OpenCV. A tap on
   the sample itself outweighs the others. */
static void lanczos4(float x, float *coef) {
    static const double sine_of[8] = {1, -M_SQRT1_2, 0, M_SQRT1_2, -1, M_SQRT1_2, 0, -M_SQRT1_2};
    static const double cosine_of[8] = {0, -M_SQRT1_2, 1, -M_SQRT1_2, 0, M_SQRT1_2, -1, M_SQRT1_2};
    double first = -(x + 3.0f) * M_PI * 0.25, s0 = sin(first), c0 = cos(first);
    float sum = 0;
    for (int i = 0; i < 8; i++) {
        float t = x + 3.0f - (float)i;
        double y = -t * M_PI * 0.25;
        coef[i] = fabsf(t) >= 1e-6f ? (float)((sine_of[i] * s0 + cosine_of[i] * c0) / (y * y)) : 1e30f;
        sum += coef[i];
    }
    sum = 1.0f / sum;
    for (int i = 0; i < 8; i++)
        coef[i] *= sum;
}

static int clamp(int i, int n) {
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

/* Position of destination sample d: floor and fraction, in the mix of double and float that OpenCV uses. */
static int source_of(int d, double scale, float *ret_fraction) {
    float position = (float)((d + 0.5) * scale - 0.5);
    int at = (int)floorf(position);
    *ret_fraction = position - (float)at;
    return at;
}

static double scale_of(int src, int dst) {
    return 1.0 / ((double)dst / src);
}

static void tap_weights(ms_resize_filter filter, float fraction, int16_t *coef) {
    float w[MAX_TAPS];
    if (filter == MS_RESIZE_BILINEAR) {
        w[0] = 1.0f - fraction;
        w[1] = fraction;
    } else {
        lanczos4(fraction, w);
    }
    for (int k = 0; k < taps_of(filter); k++)
        coef[k] = fixed(w[k]);
}

static void build_axis(ms_resize_filter filter, int src, int dst, int step, resize_axis *axis) {
    int taps = taps_of(filter);
    double scale = scale_of(src, dst);
    for (int d = 0; d < dst; d++) {
        float fraction;
        int at = source_of(d, scale, &fraction);
        /* Only along x, and only for two taps, does OpenCV pull positions beyond the edge onto it. */
        if (filter == MS_RESIZE_BILINEAR && (at < 0 || at >= src - 1)) {
            fraction = 0;
            at = clamp(at, src);
        }
        tap_weights(filter, fraction, axis->coef + (size_t)d * (size_t)taps);
        for (int k = 0; k < taps; k++)
            axis->index[d * taps + k] = clamp(at - taps / 2 + 1 + k, src) * step;
    }
}

#define RESIZE_ROW(taps, channels)                                                                           \
    for (int d = 0; d < width; d++) {                                                                        \
        const int32_t *at = axis->index + (size_t)d * (taps);                                                \
        const int16_t *w = axis->coef + (size_t)d * (taps);                                                  \
        for (int c = 0; c < (channels); c++) {                                                               \
            int32_t sum = 0;                                                                                 \
            for (int k = 0; k < (taps); k++)                                                                 \
                sum += src[at[k] + c] * w[k];                                                                \
            dst[d * (channels) + c] = sum;                                                                   \
        }                                                                                                    \
    }

static void resize_row(const uint8_t *restrict src, int width, int taps, int channels,
                       const resize_axis *axis, int32_t *restrict dst) {
    if (taps == 2 && channels == 3) {
        RESIZE_ROW(2, 3)
    } else if (taps == 2) {
        RESIZE_ROW(2, 1)
    } else if (channels == 3) {
        RESIZE_ROW(8, 3)
    } else {
        RESIZE_ROW(8, 1)
    }
}

static uint8_t saturate(int32_t v) {
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void blend_bilinear(const int32_t *const rows[MAX_TAPS], const int16_t *coef, int count,
                           uint8_t *restrict dst) {
    const int32_t *restrict r0 = rows[0], *restrict r1 = rows[1];
    int32_t b0 = coef[0], b1 = coef[1];
    for (int i = 0; i < count; i++) {
        int32_t v = (b0 * (r0[i] >> 4) >> 16) + (b1 * (r1[i] >> 4) >> 16);
        dst[i] = saturate((v + 2) >> 2);
    }
}

static void blend_lanczos4(const int32_t *const rows[MAX_TAPS], const int16_t *coef, int count,
                           uint8_t *restrict dst) {
    const int32_t *restrict r0 = rows[0], *restrict r1 = rows[1], *restrict r2 = rows[2];
    const int32_t *restrict r3 = rows[3], *restrict r4 = rows[4], *restrict r5 = rows[5];
    const int32_t *restrict r6 = rows[6], *restrict r7 = rows[7];
    for (int i = 0; i < count; i++) {
        int32_t v = r0[i] * coef[0] + r1[i] * coef[1] + r2[i] * coef[2] + r3[i] * coef[3] + r4[i] * coef[4] +
                    r5[i] * coef[5] + r6[i] * coef[6] + r7[i] * coef[7];
        dst[i] = saturate((v + (1 << (2 * COEF_BITS - 1))) >> (2 * COEF_BITS));
    }
}

static void halve(const ms_image_view *src, const ms_image *dst) {
    int n = dst->channels;
    for (int y = 0; y < dst->height; y++) {
        const uint8_t *a = src->data + (size_t)(2 * y) * src->stride_bytes, *b = a + src->stride_bytes;
        uint8_t *out = dst->data + (size_t)y * dst->stride_bytes;
        for (int x = 0; x < dst->width; x++)
            for (int c = 0; c < n; c++) {
                int i = 2 * x * n + c;
                out[x * n + c] = (uint8_t)((a[i] + a[i + n] + b[i] + b[i + n] + 2) >> 2);
            }
    }
}

static void resize(ms_resize_filter filter, const ms_image_view *src, const ms_image *dst, layout *l) {
    int taps = taps_of(filter), channels = dst->channels;
    build_axis(filter, src->width, dst->width, channels, &l->x);
    double scale = scale_of(src->height, dst->height);
    int done = -1; /* source rows up to here are resized or passed over */
    for (int y = 0; y < dst->height; y++) {
        float fraction;
        int16_t coef[MAX_TAPS];
        const int32_t *rows[MAX_TAPS];
        int first = source_of(y, scale, &fraction) - taps / 2 + 1;
        tap_weights(filter, fraction, coef);
        if (done < first - 1)
            done = first - 1;
        for (int last = clamp(first + taps - 1, src->height); done < last;) {
            done++;
            resize_row(src->data + (size_t)done * src->stride_bytes, dst->width, taps, channels, &l->x,
                       l->rows[done % taps]);
        }
        for (int k = 0; k < taps; k++)
            rows[k] = l->rows[clamp(first + k, src->height) % taps];
        uint8_t *out = dst->data + (size_t)y * dst->stride_bytes;
        if (filter == MS_RESIZE_BILINEAR)
            blend_bilinear(rows, coef, dst->width * channels, out);
        else
            blend_lanczos4(rows, coef, dst->width * channels, out);
    }
}

ms_status ms_resize_u8(ms_resize_filter filter, const ms_image_view *src, const ms_image *dst, void *work,
                       size_t work_bytes, ms_error *err) {
    int channels = dst->channels;
    if (filter != MS_RESIZE_BILINEAR && filter != MS_RESIZE_LANCZOS4)
        return ms_fail(err, MS_INVALID_ARGUMENT, "unknown resize filter %d", (int)filter);
    if ((channels != 1 && channels != 3) || !ms_image_view_valid(src, channels) ||
        !ms_image_valid(dst, channels))
        return ms_fail(err, MS_INVALID_ARGUMENT, "cannot resize %dx%dx%d to %dx%dx%d", src->width,
                       src->height, src->channels, dst->width, dst->height, channels);
    ms_scratch scratch = ms_scratch_begin(work);
    layout l = lay_out(&scratch, filter, dst->width, channels);
    if (!work || ms_scratch_total(&scratch) > work_bytes)
        return ms_fail(err, MS_INVALID_ARGUMENT, "resize needs %zu bytes of workspace, got %zu",
                       ms_scratch_total(&scratch), work_bytes);
    if (src->width == dst->width && src->height == dst->height) {
        for (int y = 0; y < dst->height; y++)
            memcpy(dst->data + (size_t)y * dst->stride_bytes, src->data + (size_t)y * src->stride_bytes,
                   (size_t)dst->width * (size_t)channels);
        return MS_OK;
    }
    if (filter == MS_RESIZE_BILINEAR && src->width == 2 * dst->width && src->height == 2 * dst->height)
        halve(src, dst);
    else
        resize(filter, src, dst, &l);
    return MS_OK;
}
