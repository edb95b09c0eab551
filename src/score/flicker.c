#include "score/flicker.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

ms_status ms_flicker_init(ms_mem *mem, int width, int height, int window, ms_flicker *ret_flicker,
                          ms_error *err) {
    if (width < 1 || height < 1 || width > MS_IMAGE_MAX_PX || height > MS_IMAGE_MAX_PX || window < 2)
        return ms_fail(err, MS_INVALID_ARGUMENT, "flicker of %dx%d with windows of %d frames", width, height,
                       window);
    size_t pixels = (size_t)width * (size_t)height;
    float *before = ms_alloc_array(mem, MS_LEDGER_FRAMES, pixels, sizeof(float));
    if (!before)
        return ms_fail_alloc(err, mem, pixels * sizeof(float), "the frame before");
    *ret_flicker = (ms_flicker){.width = width, .height = height, .window = window, .before = before};
    return MS_OK;
}

void ms_flicker_release(ms_flicker *f) {
    ms_mem_free(f->before);
    *f = (ms_flicker){0};
}

static float luma(const uint8_t *rgb) {
    return 0.299f * (float)rgb[0] + 0.587f * (float)rgb[1] + 0.114f * (float)rgb[2];
}

void ms_flicker_add(ms_flicker *f, const uint8_t *rgb, const uint8_t *truth, const uint8_t *regions,
                    int64_t number, bool begins) {
    size_t pixels = (size_t)f->width * (size_t)f->height;
    double sum = 0;
    int64_t count = 0;
    for (size_t i = 0; i < pixels; i++) {
        float now = luma(rgb + 3 * i) - (truth ? luma(truth + 3 * i) : 0);
        if (regions[i] == MS_REGION_MOUTH) {
            sum += fabs((double)now - (double)f->before[i]);
            count++;
        }
        f->before[i] = now;
    }
    if (f->have_before && !begins && count) {
        int at = number % f->window == 0;
        f->sum[at] += sum / (double)count;
        f->frames[at]++;
    }
    f->have_before = true;
}

double ms_flicker_mean(const ms_flicker *f, bool at_borders) {
    return f->frames[at_borders] ? f->sum[at_borders] / (double)f->frames[at_borders] : NAN;
}
