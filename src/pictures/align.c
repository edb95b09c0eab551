#include "pictures/align.h"

#include <math.h>

#include "base/error.h"
#include "pictures/resize.h"
#include "pictures/scratch.h"
#include "pictures/similarity.h"
#include "pictures/warp.h"

ms_status ms_face_geometry_init(int resolution, ms_face_geometry *ret_geometry, ms_error *err) {
    /* Brows and nose in the units of the reference's template. */
    static const double units[3][2] = {{17, 20}, {58, 20}, {37.5, 40}};
    if (resolution < MS_FACE_MIN_RESOLUTION || resolution > MS_FACE_MAX_RESOLUTION || resolution % 8)
        return ms_fail(err, MS_INVALID_ARGUMENT, "resolution %d is not a multiple of 8 from %d to %d",
                       resolution, MS_FACE_MIN_RESOLUTION, MS_FACE_MAX_RESOLUTION);
    double ratio = resolution / 256.0 * 2.8;
    ret_geometry->resolution = resolution;
    ret_geometry->crop_width = (int)(75 * ratio);
    ret_geometry->crop_height = (int)(100 * ratio);
    for (int i = 0; i < 3; i++)
        for (int c = 0; c < 2; c++)
            ret_geometry->template[i][c] = (float)(units[i][c] * ratio);
    return MS_OK;
}

void ms_align_points(const float landmarks[MS_LANDMARKS][2], float ret_points[3][2]) {
    static const uint8_t members[3][6] = {/* the last is how many */
                                          {43, 48, 49, 51, 50, 5},
                                          {101, 102, 103, 104, 105, 5},
                                          {74, 77, 83, 86, 0, 4}};
    for (int i = 0; i < 3; i++) {
        double x = 0, y = 0;
        int n = members[i][5];
        for (int k = 0; k < n; k++) {
            x += landmarks[members[i][k]][0];
            y += landmarks[members[i][k]][1];
        }
        ret_points[i][0] = (float)rint(x / n);
        ret_points[i][1] = (float)rint(y / n);
    }
}

/* Points of a face are whole pixels up to 1e6 (MS_TRACK_MAX_COORDINATE), and the template's crop has
   1680 x 2240 pixels at most: scales come to 9.1e2 and shifts to 1.3e9; the least scale is 1e-5. */
#define MOST_SCALE 1e4f
#define MOST_SHIFT 1e10f
#define LEAST_AREA 1e-12 /* of a pixel in the crop */

const char *ms_affine_wrong(const float affine[2][3], bool face, double *ret_value) {
    static const char *const names[2][3] = {{"affine[0][0]", "affine[0][1]", "affine[0][2]"},
                                            {"affine[1][0]", "affine[1][1]", "affine[1][2]"}};
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 3; k++) {
            *ret_value = (double)affine[i][k];
            if (!(fabsf(affine[i][k]) <= (k < 2 ? MOST_SCALE : MOST_SHIFT)))
                return names[i][k];
        }
    *ret_value = (double)affine[0][0] * affine[1][1] - (double)affine[0][1] * affine[1][0];
    return !face || *ret_value >= LEAST_AREA ? NULL : "the determinant of affine";
}

ms_status ms_align_affine(const ms_face_geometry *geometry, const float points[3][2], ms_align_state *state,
                          float ret_affine[2][3], ms_error *err) {
    ms_similarity fit;
    double value;
    if (!ms_similarity_fit(points, geometry->template, &fit) ||
        ms_affine_wrong((const float(*)[3])fit.matrix, true, &value))
        return ms_fail(err, MS_NO_FACE,
                       "landmarks do not determine a pose: brows (%g, %g) and (%g, %g), nose (%g, %g)",
                       points[0][0], points[0][1], points[1][0], points[1][1], points[2][0], points[2][1]);
    if (state) {
        for (int i = 0; i < 2; i++) {
            if (state->started)
                fit.bias[i] = state->bias[i] * 0.2f + fit.bias[i] * 0.8f;
            state->bias[i] = fit.bias[i];
            fit.matrix[i][2] += fit.bias[i];
        }
        state->started = true;
    }
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            ret_affine[i][j] = fit.matrix[i][j];
    return MS_OK;
}

typedef struct align_layout {
    uint8_t *crop;
    void *rest; /* the warp's tables, then the resize's */
    size_t rest_bytes, total_bytes;
} align_layout;

static align_layout lay_out(const ms_face_geometry *g, void *work) {
    align_layout l;
    ms_scratch scratch = ms_scratch_begin(work);
    l.crop = ms_scratch_take(&scratch, (size_t)g->crop_width * (size_t)g->crop_height, 3);
    size_t warp = ms_warp_workspace_bytes(g->crop_width);
    size_t resize = ms_resize_u8_workspace_bytes(MS_RESIZE_LANCZOS4, g->resolution, 3);
    l.rest_bytes = warp > resize ? warp : resize;
    l.rest = ms_scratch_take(&scratch, l.rest_bytes, 1);
    l.total_bytes = ms_scratch_total(&scratch);
    return l;
}

size_t ms_align_face_workspace_bytes(const ms_face_geometry *geometry) {
    return lay_out(geometry, NULL).total_bytes;
}

ms_status ms_align_crop(const ms_face_geometry *geometry, const ms_image_view *frame,
                        const float affine[2][3], const ms_image *crop, void *work, size_t work_bytes,
                        ms_error *err) {
    if (!ms_image_valid(crop, 3) || crop->width != geometry->crop_width ||
        crop->height != geometry->crop_height)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the crop must be %dx%d RGB, not %dx%dx%d",
                       geometry->crop_width, geometry->crop_height, crop->width, crop->height,
                       crop->channels);
    return ms_warp_u8(frame, affine, crop, 127, work, work_bytes, err);
}

ms_status ms_align_face(const ms_face_geometry *geometry, const ms_image_view *frame,
                        const float affine[2][3], const ms_image *face, void *work, size_t work_bytes,
                        ms_error *err) {
    align_layout l = lay_out(geometry, work);
    if (!work || work_bytes < l.total_bytes)
        return ms_fail(err, MS_INVALID_ARGUMENT, "aligning needs %zu bytes of workspace, got %zu",
                       l.total_bytes, work_bytes);
    if (face->width != geometry->resolution || face->height != geometry->resolution)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the face must be %dx%d, not %dx%d", geometry->resolution,
                       geometry->resolution, face->width, face->height);
    ms_image crop = {l.crop, geometry->crop_width, geometry->crop_height, 3,
                     (size_t)geometry->crop_width * 3};
    MS_TRY(ms_align_crop(geometry, frame, affine, &crop, l.rest, l.rest_bytes, err));
    ms_image_view view = ms_image_as_view(&crop);
    return ms_resize_u8(MS_RESIZE_LANCZOS4, &view, face, l.rest, l.rest_bytes, err);
}
