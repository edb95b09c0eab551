#include "faces/face_points.h"

#include "base/error.h"
#include "models/onnx/landmark106.h"

struct ms_face_points {
    ms_landmark106 *net;
    float *planes; /* [3][192][192] */
    uint8_t *crop; /* 192 x 192 RGB */
};

ms_status ms_face_points_create(const ms_compute *compute, const char *path, ms_face_points **ret_points,
                                size_t *ret_arena_bytes, ms_error *err) {
    const size_t values = (size_t)3 * MS_LANDMARK_SIDE * MS_LANDMARK_SIDE;
    size_t arena_bytes = 0;
    ms_status status;
    ms_face_points *p = ms_mem_calloc(compute->mem, MS_LEDGER_GENERAL, 1, sizeof(*p));
    if (!p)
        return ms_fail_alloc(err, compute->mem, sizeof(*p), "face landmarks");
    p->planes = ms_alloc_array(compute->mem, MS_LEDGER_STAGING, values, sizeof(float));
    p->crop = ms_mem_alloc(compute->mem, MS_LEDGER_STAGING, values);
    if (!p->planes || !p->crop) {
        status = ms_fail_alloc(err, compute->mem, values * sizeof(float), "face landmarks");
        goto fail;
    }
    MS_GOTO(ms_landmark106_open(compute, path, &p->net, err));
    MS_GOTO(ms_landmark106_prepare(p->net, 1, 0, &arena_bytes, err));
    *ret_arena_bytes = arena_bytes;
    *ret_points = p;
    return MS_OK;
fail:
    ms_face_points_destroy(&p);
    return status;
}

void ms_face_points_destroy(ms_face_points **points) {
    if (!points || !*points)
        return;
    ms_landmark106_close(&(*points)->net);
    ms_mem_free((*points)->planes);
    ms_mem_free((*points)->crop);
    ms_mem_free(*points);
    *points = NULL;
}

ms_status ms_face_points_find(ms_face_points *p, void *arena, const ms_image_view *frame, const float box[4],
                              float ret_landmarks[MS_LANDMARKS][2], bool *ret_found, ms_error *err) {
    const ms_blob_format format = {MS_BLOB_CHW, 0, 1};
    const ms_image crop = {p->crop, MS_LANDMARK_SIDE, MS_LANDMARK_SIDE, 3, (size_t)MS_LANDMARK_SIDE * 3};
    const ms_image_view view = ms_image_as_view(&crop);
    ms_landmark_crop fit;
    float values[MS_LANDMARK106_VALUES];
    *ret_found = ms_landmark_crop_fit(box, &fit, NULL) == MS_OK;
    if (!*ret_found)
        return MS_OK;
    MS_TRY(ms_landmark_crop_warp(&fit, frame, &crop, err));
    ms_blob_fill(&view, MS_LANDMARK_SIDE, &format, p->planes);
    MS_TRY(ms_landmark106_run(p->net, arena, p->planes, values, err));
    ms_landmarks_decode(&fit, values, ret_landmarks);
    return MS_OK;
}
