#include "faces/detect.h"

#include "base/error.h"
#include "pictures/resize.h"
#include "pictures/scratch.h"

static void fill_row(const uint8_t *rgb, int width, int side, const ms_blob_format *f, int y, float *blob) {
    size_t step = f->layout == MS_BLOB_HWC ? 3 : 1;
    size_t plane = f->layout == MS_BLOB_HWC ? 1 : (size_t)side * (size_t)side;
    float *out = blob + (size_t)y * (size_t)side * step;
    for (int c = 0; c < 3; c++) { /* blue first */
        float *at = out + (size_t)c * plane;
        for (int x = 0; x < width; x++)
            at[(size_t)x * step] = ((float)rgb[3 * x + 2 - c] - f->mean) * f->scale;
        for (int x = width; x < side; x++)
            at[(size_t)x * step] = (0.0f - f->mean) * f->scale;
    }
}

void ms_blob_fill(const ms_image_view *rgb, int side, const ms_blob_format *format, float *ret_blob) {
    for (int y = 0; y < side; y++)
        fill_row(rgb->data + (y < rgb->height ? (size_t)y * rgb->stride_bytes : 0),
                 y < rgb->height ? rgb->width : 0, side, format, y, ret_blob);
}

ms_status ms_letterbox_fit(int frame_width, int frame_height, int side, ms_letterbox *ret_fit,
                           ms_error *err) {
    ms_letterbox fit = {side, side, 0};
    double ratio = frame_width > 0 ? (double)frame_height / frame_width : 0;
    if (ratio > 1)
        fit.width = (int)(side / ratio);
    else
        fit.height = (int)(side * ratio);
    if (fit.width < 1 || fit.height < 1)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a frame of %dx%d does not fit a square of %d", frame_width,
                       frame_height, side);
    fit.scale = (float)((double)fit.height / frame_height);
    *ret_fit = fit;
    return MS_OK;
}

typedef struct letterbox_layout {
    uint8_t *picture;
    void *resize;
    size_t resize_bytes, total_bytes;
} letterbox_layout;

static letterbox_layout lay_out(int side, void *work) {
    letterbox_layout l;
    ms_scratch scratch = ms_scratch_begin(work);
    l.picture = ms_scratch_take(&scratch, (size_t)side * (size_t)side, 3);
    l.resize_bytes = ms_resize_u8_workspace_bytes(MS_RESIZE_BILINEAR, side, 3);
    l.resize = ms_scratch_take(&scratch, l.resize_bytes, 1);
    l.total_bytes = ms_scratch_total(&scratch);
    return l;
}

size_t ms_letterbox_workspace_bytes(int side) {
    return lay_out(side, NULL).total_bytes;
}

ms_status ms_letterbox_blob(const ms_image_view *frame, int side, const ms_blob_format *format,
                            float *ret_blob, ms_letterbox *ret_fit, void *work, size_t work_bytes,
                            ms_error *err) {
    ms_letterbox fit;
    if (side < 1 || side > MS_IMAGE_MAX_PX)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a detector input of side %d", side);
    MS_TRY(ms_letterbox_fit(frame->width, frame->height, side, &fit, err));
    letterbox_layout l = lay_out(side, work);
    if (!work || work_bytes < l.total_bytes)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the detector's input needs %zu bytes of workspace, got %zu",
                       l.total_bytes, work_bytes);
    ms_image picture = {l.picture, fit.width, fit.height, 3, (size_t)fit.width * 3};
    MS_TRY(ms_resize_u8(MS_RESIZE_BILINEAR, frame, &picture, l.resize, l.resize_bytes, err));
    ms_image_view view = ms_image_as_view(&picture);
    ms_blob_fill(&view, side, format, ret_blob);
    *ret_fit = fit;
    return MS_OK;
}
