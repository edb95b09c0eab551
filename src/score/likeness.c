#include "score/likeness.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

#define TAPS MS_SSIM_TAPS
#define MOMENTS 5 /* a, b, a a, b b, a b */

struct ms_likeness {
    int width, height;
    float kernel[TAPS];
    float *luma[2]; /* one row each */
    float *rows;    /* [TAPS][MOMENTS][width]: blurred along the row; slot = y mod TAPS */
};

double ms_likeness_psnr(const ms_likeness_sums *s) {
    if (s->pixels == 0)
        return NAN;
    return s->squares > 0 ? 10 * log10(255.0 * 255.0 * 3 * (double)s->pixels / s->squares) : INFINITY;
}

double ms_likeness_ssim(const ms_likeness_sums *s) {
    return s->windows ? s->ssim / (double)s->windows : NAN;
}

static void fill_kernel(float kernel[TAPS]) {
    double weight[TAPS], sum = 0;
    for (int i = 0; i < TAPS; i++) {
        double d = i - TAPS / 2;
        weight[i] = exp(-d * d / (2 * MS_SSIM_SIGMA * MS_SSIM_SIGMA));
        sum += weight[i];
    }
    for (int i = 0; i < TAPS; i++)
        kernel[i] = (float)(weight[i] / sum);
}

ms_status ms_likeness_create(ms_mem *mem, int width, int height, ms_likeness **ret_likeness, ms_error *err) {
    if (width < 1 || height < 1 || width > MS_IMAGE_MAX_PX || height > MS_IMAGE_MAX_PX)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a picture of %dx%d", width, height);
    size_t floats = (size_t)width * (TAPS * MOMENTS + 2);
    ms_likeness *l = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*l));
    float *rows = l ? ms_alloc_array(mem, MS_LEDGER_STAGING, floats, sizeof(float)) : NULL;
    if (!rows) {
        ms_mem_free(l);
        return ms_fail_alloc(err, mem, floats * sizeof(float), "rows of SSIM");
    }
    l->width = width;
    l->height = height;
    l->rows = rows;
    l->luma[0] = rows + (size_t)width * TAPS * MOMENTS;
    l->luma[1] = l->luma[0] + width;
    fill_kernel(l->kernel);
    *ret_likeness = l;
    return MS_OK;
}

void ms_likeness_destroy(ms_likeness **likeness) {
    if (!likeness || !*likeness)
        return;
    ms_mem_free((*likeness)->rows);
    ms_mem_free(*likeness);
    *likeness = NULL;
}

static void add_errors(const uint8_t *a, const uint8_t *b, const uint8_t *regions, int width,
                       ms_likeness_sums *sums) {
    int64_t pixels[MS_REGION_COUNT + 1] = {0}, squares[MS_REGION_COUNT + 1] = {0};
    for (int x = 0; x < width; x++, a += 3, b += 3) {
        int d0 = a[0] - b[0], d1 = a[1] - b[1], d2 = a[2] - b[2];
        pixels[regions[x]]++;
        squares[regions[x]] += d0 * d0 + d1 * d1 + d2 * d2;
    }
    for (int r = 0; r < MS_REGION_COUNT; r++) {
        sums[r].pixels += pixels[r];
        sums[r].squares += (double)squares[r];
    }
}

static void luma_row(const uint8_t *rgb, int width, float *ret_luma) {
    for (int x = 0; x < width; x++, rgb += 3)
        ret_luma[x] = 0.299f * (float)rgb[0] + 0.587f * (float)rgb[1] + 0.114f * (float)rgb[2];
}

/* Moments of one row about 128, which keeps float sums of squares small, blurred along the row. */
static void blur_row(const ms_likeness *l, float *ret_rows) {
    int last = l->width - TAPS;
    float *row[MOMENTS];
    for (int m = 0; m < MOMENTS; m++)
        row[m] = ret_rows + (size_t)m * (size_t)l->width;
    for (int x = 0; x <= last; x++) {
        float sum[MOMENTS] = {0};
        for (int i = 0; i < TAPS; i++) {
            float a = l->luma[0][x + i] - 128, b = l->luma[1][x + i] - 128, k = l->kernel[i];
            sum[0] += k * a;
            sum[1] += k * b;
            sum[2] += k * a * a;
            sum[3] += k * b * b;
            sum[4] += k * a * b;
        }
        for (int m = 0; m < MOMENTS; m++)
            row[m][x] = sum[m];
    }
}

static double ssim_of(const float moment[MOMENTS]) {
    const double c1 = 0.01 * 255 * 0.01 * 255, c2 = 0.03 * 255 * 0.03 * 255;
    double da = (double)moment[0], db = (double)moment[1], a = da + 128, b = db + 128;
    double aa = (double)moment[2] - da * da, bb = (double)moment[3] - db * db,
           ab = (double)moment[4] - da * db;
    return (2 * a * b + c1) * (2 * ab + c2) / ((a * a + b * b + c1) * (aa + bb + c2));
}

/* Windows whose last row is y. */
static void add_windows(const ms_likeness *l, int y, const uint8_t *regions, ms_likeness_sums *sums) {
    const uint8_t *middle = regions + (size_t)(y - TAPS / 2) * (size_t)l->width + TAPS / 2;
    size_t width = (size_t)l->width;
    for (int x = 0; x + TAPS <= l->width; x++) {
        if (middle[x] >= MS_REGION_COUNT)
            continue;
        float moment[MOMENTS] = {0};
        for (int i = 0; i < TAPS; i++) {
            const float *row = l->rows + (size_t)((y - TAPS + 1 + i) % TAPS) * MOMENTS * width + x;
            for (int m = 0; m < MOMENTS; m++)
                moment[m] += l->kernel[i] * row[(size_t)m * width];
        }
        sums[middle[x]].windows++;
        sums[middle[x]].ssim += ssim_of(moment);
    }
}

void ms_likeness_add(ms_likeness *l, const uint8_t *a, const uint8_t *b, const uint8_t *regions,
                     ms_likeness_sums *sums) {
    size_t width = (size_t)l->width;
    for (int y = 0; y < l->height; y++) {
        const uint8_t *row[2] = {a + (size_t)y * width * 3, b + (size_t)y * width * 3};
        add_errors(row[0], row[1], regions + (size_t)y * width, l->width, sums);
        for (int i = 0; i < 2; i++)
            luma_row(row[i], l->width, l->luma[i]);
        blur_row(l, l->rows + (size_t)(y % TAPS) * MOMENTS * width);
        if (y >= TAPS - 1)
            add_windows(l, y, regions, sums);
    }
}
