#include "pictures/mask.h"

#include <string.h>

#include "base/error.h"
#include "pictures/align.h"
#include "pictures/mask_runs.h"
#include "pictures/resize.h"
#include "pictures/scratch.h"

typedef struct mask_layout {
    uint8_t *source; /* the mask in its own size */
    void *resize;
    size_t resize_bytes, total_bytes;
} mask_layout;

static mask_layout lay_out(int resolution, void *work) {
    mask_layout l;
    ms_scratch scratch = ms_scratch_begin(work);
    l.source = ms_scratch_take(&scratch, MASK_SIZE, MASK_SIZE);
    l.resize_bytes = ms_resize_u8_workspace_bytes(MS_RESIZE_LANCZOS4, resolution, 1);
    l.resize = ms_scratch_take(&scratch, l.resize_bytes, 1);
    l.total_bytes = ms_scratch_total(&scratch);
    return l;
}

size_t ms_face_mask_workspace_bytes(int resolution) {
    return lay_out(resolution, NULL).total_bytes;
}

static void draw_mask(uint8_t *at) {
    for (size_t i = 0; i < sizeof(mask_rows) / sizeof(mask_rows[0]); i++)
        for (int y = 0; y < mask_rows[i].rows; y++)
            for (int k = 0; k < 5; k++) {
                memset(at, k % 2 ? 0 : 255, mask_rows[i].runs[k]);
                at += mask_rows[i].runs[k];
            }
}

ms_status ms_face_mask(int resolution, uint8_t *ret_mask, void *work, size_t work_bytes, ms_error *err) {
    if (resolution < MS_FACE_MIN_RESOLUTION || resolution > MS_FACE_MAX_RESOLUTION || resolution % 8)
        return ms_fail(err, MS_INVALID_ARGUMENT, "resolution %d is not a multiple of 8 from %d to %d",
                       resolution, MS_FACE_MIN_RESOLUTION, MS_FACE_MAX_RESOLUTION);
    mask_layout l = lay_out(resolution, work);
    if (!work || work_bytes < l.total_bytes)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the mask needs %zu bytes of workspace, got %zu",
                       l.total_bytes, work_bytes);
    draw_mask(l.source);
    ms_image_view source = {l.source, MASK_SIZE, MASK_SIZE, 1, MASK_SIZE};
    ms_image mask = {ret_mask, resolution, resolution, 1, (size_t)resolution};
    return ms_resize_u8(MS_RESIZE_LANCZOS4, &source, &mask, l.resize, l.resize_bytes, err);
}

void ms_face_mask_latent(const uint8_t *mask, int resolution, float *ret_latent) {
    for (int y = 0; y < resolution; y += 8)
        for (int x = 0; x < resolution; x += 8)
            *ret_latent++ = (float)(mask[(size_t)y * (size_t)resolution + (size_t)x] / 255.0);
}

static inline float pixel_value(uint8_t v) {
    return ((float)v / 255.0f - 0.5f) / 0.5f;
}

void ms_face_pixels(const ms_image_view *face, float *ret_pixels) {
    for (int y = 0; y < face->height; y++) {
        const uint8_t *src = face->data + (size_t)y * face->stride_bytes;
        for (int i = 0; i < face->width * 3; i++)
            *ret_pixels++ = pixel_value(src[i]);
    }
}

void ms_face_masked_pixels(const ms_image_view *face, const uint8_t *mask, float *ret_pixels) {
    for (int y = 0; y < face->height; y++) {
        const uint8_t *src = face->data + (size_t)y * face->stride_bytes;
        for (int x = 0; x < face->width; x++, src += 3) {
            double m = *mask++ / 255.0;
            for (int c = 0; c < 3; c++)
                *ret_pixels++ = (float)((double)pixel_value(src[c]) * m);
        }
    }
}

void ms_face_paste_surroundings(const ms_image_view *face, const uint8_t *mask, float *decoded) {
    for (int y = 0; y < face->height; y++) {
        const uint8_t *src = face->data + (size_t)y * face->stride_bytes;
        for (int x = 0; x < face->width; x++, src += 3) {
            float m = (float)(1.0 - *mask++ / 255.0), keep = 1.0f - m;
            for (int c = 0; c < 3; c++, decoded++)
                *decoded = *decoded * m + pixel_value(src[c]) * keep;
        }
    }
}
