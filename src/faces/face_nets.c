#include "faces/face_nets.h"

#include "base/error.h"
#include "faces/face_points.h"
#include "models/onnx/scrfd.h"

struct ms_face_nets {
    ms_compute compute;
    ms_scrfd *scrfd;
    ms_face_points *points;
    void *arena;
    size_t arena_bytes;
    float *blob;    /* detector's input */
    float *outputs; /* its outputs */
    void *work;
    size_t work_bytes;
};

static ms_status open_nets(ms_face_nets *n, const char *detector, const char *landmarks, ms_error *err) {
    ms_mem *mem = n->compute.mem;
    size_t detect = 0, points = 0, letterbox = ms_letterbox_workspace_bytes(MS_DETECT_SIDE);
    MS_TRY(ms_scrfd_open(&n->compute, detector, &n->scrfd, err));
    MS_TRY(ms_scrfd_prepare(n->scrfd, MS_DETECT_SIDE, MS_DETECT_SIDE, &detect, err));
    MS_TRY(ms_face_points_create(&n->compute, landmarks, &n->points, &points, err));
    n->arena_bytes = detect > points ? detect : points;
    n->work_bytes = ms_scrfd_workspace_bytes(MS_DETECT_SIDE);
    if (letterbox > n->work_bytes)
        n->work_bytes = letterbox;
    size_t side = MS_DETECT_SIDE;
    n->blob = ms_alloc_array(mem, MS_LEDGER_STAGING, 3 * side * side, sizeof(float));
    n->outputs = ms_alloc_array(mem, MS_LEDGER_STAGING, ms_scrfd_output_floats(n->scrfd), sizeof(float));
    n->work = ms_mem_alloc(mem, MS_LEDGER_STAGING, n->work_bytes);
    if (!n->blob || !n->outputs || !n->work)
        return ms_fail_alloc(err, mem, 3 * side * side * sizeof(float), "face detection");
    return MS_OK;
}

ms_status ms_face_nets_open(const ms_compute *compute, const char *detector, const char *landmarks,
                            ms_face_nets **ret_nets, ms_error *err) {
    ms_face_nets *n = ms_mem_calloc(compute->mem, MS_LEDGER_GENERAL, 1, sizeof(*n));
    if (!n)
        return ms_fail_alloc(err, compute->mem, sizeof(*n), "face detection");
    n->compute = *compute;
    ms_status status = open_nets(n, detector, landmarks, err);
    if (status != MS_OK) {
        ms_face_nets_close(&n);
        return status;
    }
    *ret_nets = n;
    return MS_OK;
}

void ms_face_nets_close(ms_face_nets **nets) {
    if (!nets || !*nets)
        return;
    ms_face_nets *n = *nets;
    ms_scrfd_close(&n->scrfd);
    ms_face_points_destroy(&n->points);
    ms_device_free(n->compute.dev, n->arena);
    ms_mem_free(n->blob);
    ms_mem_free(n->outputs);
    ms_mem_free(n->work);
    ms_mem_free(n);
    *nets = NULL;
}

ms_status ms_face_nets_make_arena(ms_face_nets *n, ms_error *err) {
    return ms_device_alloc(n->compute.dev, MS_LEDGER_ACTIVATIONS, n->arena_bytes, "the face nets", &n->arena,
                           err);
}

size_t ms_face_nets_arena_bytes(const ms_face_nets *n) {
    return n->arena_bytes;
}

ms_status ms_face_nets_detect(ms_face_nets *n, const ms_image_view *frame,
                              ms_detection ret_faces[MS_FACE_NETS_MAX], int *ret_count, ms_error *err) {
    const ms_blob_format format = ms_detect_blob_format(MS_BLOB_CHW);
    ms_letterbox fit;
    ms_scrfd_heads heads;
    ms_scrfd_output outputs[MS_SCRFD_LEVELS];
    MS_TRY(ms_letterbox_blob(frame, MS_DETECT_SIDE, &format, n->blob, &fit, n->work, n->work_bytes, err));
    MS_TRY(ms_scrfd_run(n->scrfd, n->arena, n->blob, n->outputs, &heads, err));
    for (int i = 0; i < MS_SCRFD_LEVELS; i++)
        outputs[i] = (ms_scrfd_output){heads.level[i].score, heads.level[i].bbox, heads.level[i].kps};
    return ms_scrfd_decode(outputs, MS_DETECT_SIDE, fit.scale, ret_faces, MS_FACE_NETS_MAX, ret_count,
                           n->work, n->work_bytes, err);
}

ms_status ms_face_nets_points(ms_face_nets *n, const ms_image_view *frame, const float box[4],
                              float ret_landmarks[MS_LANDMARKS][2], bool *ret_found, ms_error *err) {
    return ms_face_points_find(n->points, n->arena, frame, box, ret_landmarks, ret_found, err);
}
