/* Stages of the face geometry and of what follows the face detector. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "faces/detect.h"
#include "pictures/align.h"
#include "pictures/mask.h"
#include "pictures/restore.h"
#include "stage.h"
#include "stages.h"

typedef struct faces_state {
    stage_files files;
    int resolution, width, height;
    bool no_smoothing;
} faces_state;

static void faces_defaults(void *state) {
    faces_state *s = state;
    s->resolution = 256;
}

/* A batch of 8-bit pictures [n, H, W, 3], read as floats. */
typedef struct pictures {
    uint8_t *data;
    int64_t count, height, width;
} pictures;

static ms_status read_pictures(const ms_tensor_file *in, const char *name, pictures *ret_pictures,
                               ms_error *err) {
    case_tensor t;
    MS_TRY(case_read(in, name, 4, &t, err));
    if (t.shape[3] != 3 || t.shape[1] > MS_IMAGE_MAX_PX || t.shape[2] > MS_IMAGE_MAX_PX) {
        ms_mem_free(t.data);
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s must be [n, height, width, 3]", name);
    }
    uint8_t *data = ms_mem_alloc(NULL, MS_LEDGER_GENERAL, (size_t)t.elements);
    for (int64_t i = 0; data && i < t.elements; i++)
        data[i] = (uint8_t)t.data[i];
    ms_mem_free(t.data);
    if (!data)
        return ms_fail_alloc(err, NULL, (size_t)t.elements, name);
    *ret_pictures = (pictures){.data = data, .count = t.shape[0], .height = t.shape[1], .width = t.shape[2]};
    return MS_OK;
}

static ms_image picture(const pictures *p, int64_t index) {
    size_t bytes = (size_t)(p->height * p->width) * 3;
    return (ms_image){.data = p->data + (size_t)index * bytes,
                      .width = (int)p->width,
                      .height = (int)p->height,
                      .channels = 3,
                      .stride_bytes = (size_t)p->width * 3};
}

/* ---- align ---- */

/* Crops and aligned faces, when the case has pictures. */
static ms_status warp_pictures(const ms_face_geometry *g, const pictures *frames, const float (*affine)[2][3],
                               case_output *out, ms_error *err) {
    const int64_t faces_shape[4] = {frames->count, g->resolution, g->resolution, 3},
                  crops_shape[4] = {frames->count, g->crop_height, g->crop_width, 3};
    pictures faces = {.count = frames->count, .height = g->resolution, .width = g->resolution},
             crops = {.count = frames->count, .height = g->crop_height, .width = g->crop_width};
    size_t work_bytes = ms_align_face_workspace_bytes(g);
    faces.data =
        ms_mem_alloc(NULL, MS_LEDGER_GENERAL, (size_t)(frames->count * faces.height * faces.width) * 3);
    crops.data =
        ms_mem_alloc(NULL, MS_LEDGER_GENERAL, (size_t)(frames->count * crops.height * crops.width) * 3);
    void *work = ms_mem_alloc(NULL, MS_LEDGER_GENERAL, work_bytes);
    ms_status status =
        faces.data && crops.data && work ? MS_OK : ms_fail_alloc(err, NULL, work_bytes, "aligned faces");
    for (int64_t i = 0; i < frames->count && status == MS_OK; i++) {
        ms_image frame = picture(frames, i), crop = picture(&crops, i), face = picture(&faces, i);
        ms_image_view view = ms_image_as_view(&frame);
        status = ms_align_crop(g, &view, affine[i], &crop, work, work_bytes, err);
        if (status == MS_OK)
            status = ms_align_face(g, &view, affine[i], &face, work, work_bytes, err);
    }
    if (status == MS_OK)
        status = case_add(out, "out.crops", MS_U8, 4, crops_shape, crops.data, err);
    if (status == MS_OK)
        status = case_add(out, "out.faces", MS_U8, 4, faces_shape, faces.data, err);
    ms_mem_free(faces.data);
    ms_mem_free(crops.data);
    ms_mem_free(work);
    return status;
}

static ms_status align(const faces_state *s, const ms_tensor_file *in, case_output *out, ms_error *err) {
    ms_face_geometry g;
    case_tensor landmarks;
    pictures frames = {0};
    MS_TRY(ms_face_geometry_init(s->resolution, &g, err));
    MS_TRY(case_read(in, "in.landmarks", 3, &landmarks, err));
    int64_t n = landmarks.shape[0];
    const int64_t points_shape[3] = {n, 3, 2}, affine_shape[3] = {n, 2, 3}, bias_shape[2] = {n, 2};
    float(*points)[3][2] = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, (size_t)n, sizeof(*points));
    float(*affine)[2][3] = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, (size_t)n, sizeof(*affine));
    float(*bias)[2] = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, (size_t)n, sizeof(*bias));
    ms_align_state smoothing = {0};
    ms_status status =
        points && affine && bias ? MS_OK : ms_fail_alloc(err, NULL, (size_t)n * 60, "matrices");
    if (status == MS_OK && (landmarks.shape[1] != MS_LANDMARKS || landmarks.shape[2] != 2))
        status = ms_fail(err, MS_INVALID_ARGUMENT, "in.landmarks must be [n, 106, 2]");
    for (int64_t i = 0; i < n && status == MS_OK; i++) {
        ms_align_points((const float(*)[2])(landmarks.data + i * MS_LANDMARKS * 2), points[i]);
        status = ms_align_affine(&g, (const float(*)[2])points[i], s->no_smoothing ? NULL : &smoothing,
                                 affine[i], err);
        memcpy(bias[i], smoothing.bias, sizeof(bias[i]));
    }
    if (status == MS_OK)
        status = case_add(out, "out.align_points", MS_F32, 3, points_shape, points, err);
    if (status == MS_OK)
        status = case_add(out, "out.affine", MS_F32, 3, affine_shape, affine, err);
    if (status == MS_OK && !s->no_smoothing)
        status = case_add(out, "out.smooth_bias", MS_F32, 2, bias_shape, bias, err);
    if (status == MS_OK && ms_tensor_file_find(in, "in.frames")) {
        status = read_pictures(in, "in.frames", &frames, err);
        if (status == MS_OK && frames.count != n)
            status =
                ms_fail(err, MS_INVALID_ARGUMENT, "in.frames and in.landmarks must be of the same number");
        if (status == MS_OK)
            status = warp_pictures(&g, &frames, (const float(*)[2][3])affine, out, err);
    }
    ms_mem_free(frames.data);
    ms_mem_free(points);
    ms_mem_free(affine);
    ms_mem_free(bias);
    ms_mem_free(landmarks.data);
    return status;
}

/* ---- restore ---- */

static ms_status restore(const faces_state *s, const ms_tensor_file *in, case_output *out, ms_error *err) {
    ms_face_geometry g;
    pictures frames = {0};
    case_tensor faces = {0}, affine = {0};
    float *face = NULL;
    void *work = NULL;
    ms_status status;
    MS_GOTO(ms_face_geometry_init(s->resolution, &g, err));
    MS_GOTO(read_pictures(in, "in.frames", &frames, err));
    MS_GOTO(case_read(in, "in.faces", 4, &faces, err));
    MS_GOTO(case_read(in, "in.affine", 3, &affine, err));
    int64_t pixels = (int64_t)g.resolution * g.resolution;
    const int64_t shape[4] = {frames.count, frames.height, frames.width, 3};
    if (faces.elements != frames.count * 3 * pixels || affine.elements != frames.count * 6) {
        status =
            ms_fail(err, MS_INVALID_ARGUMENT, "in.faces must be [%lld, 3, %d, %d] and in.affine [%lld, 2, 3]",
                    (long long)frames.count, g.resolution, g.resolution, (long long)frames.count);
        goto fail;
    }
    size_t work_bytes = ms_restore_workspace_bytes(&g, (int)frames.width, (int)frames.height, 1);
    work = ms_mem_alloc(NULL, MS_LEDGER_GENERAL, work_bytes);
    face = ms_alloc_array(NULL, MS_LEDGER_GENERAL, (size_t)(3 * pixels), sizeof(float));
    if (!work || !face) {
        status = ms_fail_alloc(err, NULL, work_bytes, "restoring");
        goto fail;
    }
    for (int64_t i = 0; i < frames.count; i++) {
        ms_image frame = picture(&frames, i);
        case_swap_inner(faces.data + i * 3 * pixels, 1, 3, pixels, face);
        ms_restore_args args = {.geometry = &g,
                                .face = face,
                                .affine = (const float(*)[3])(affine.data + i * 6),
                                .frame = &frame,
                                .work = work,
                                .work_bytes = work_bytes};
        MS_GOTO(ms_restore_face(&args, NULL, err));
    }
    status = case_add(out, "out.frames", MS_U8, 4, shape, frames.data, err);
fail:
    ms_mem_free(work);
    ms_mem_free(face);
    ms_mem_free(faces.data);
    ms_mem_free(affine.data);
    ms_mem_free(frames.data);
    return status;
}

/* ---- mask ---- */

static ms_status mask(const faces_state *s, const ms_tensor_file *in, case_output *out, ms_error *err) {
    (void)in;
    int64_t side = s->resolution, latent = side / 8;
    const int64_t shape[2] = {side, side}, latent_shape[2] = {latent, latent};
    size_t work_bytes = ms_face_mask_workspace_bytes(s->resolution);
    uint8_t *values = ms_mem_alloc(NULL, MS_LEDGER_GENERAL, (size_t)(side * side));
    float *small = ms_alloc_array(NULL, MS_LEDGER_GENERAL, (size_t)(latent * latent), sizeof(float));
    void *work = ms_mem_alloc(NULL, MS_LEDGER_GENERAL, work_bytes);
    ms_status status = values && small && work ? MS_OK : ms_fail_alloc(err, NULL, work_bytes, "the mask");
    if (status == MS_OK)
        status = ms_face_mask(s->resolution, values, work, work_bytes, err);
    if (status == MS_OK) {
        ms_face_mask_latent(values, s->resolution, small);
        status = case_add(out, "out.mask", MS_U8, 2, shape, values, err);
    }
    if (status == MS_OK)
        status = case_add(out, "out.mask_latent", MS_F32, 2, latent_shape, small, err);
    ms_mem_free(values);
    ms_mem_free(small);
    ms_mem_free(work);
    return status;
}

/* ---- scrfd-decode ---- */

#define MAX_FACES 256
#define BACKGROUND_SCORE 0.01f

/* Dense outputs of one stride from the rows that a case names; all others have a
   low score, distance 1 and key points 0. */
static ms_status fill_stride(const ms_tensor_file *in, int stride, int64_t rows, float *score, float *box,
                             float *points, ms_error *err) {
    char name[32];
    for (int64_t i = 0; i < rows; i++)
        score[i] = BACKGROUND_SCORE;
    for (int64_t i = 0; i < rows * 4; i++)
        box[i] = 1;
    memset(points, 0, (size_t)rows * 10 * sizeof(float));
    snprintf(name, sizeof(name), "in.s%d.rows", stride);
    if (!ms_tensor_file_find(in, name))
        return MS_OK;
    static const char *const parts[4] = {"rows", "scores", "bbox", "kps"};
    case_tensor t[4] = {0};
    ms_status status = MS_OK;
    for (int p = 0; p < 4 && status == MS_OK; p++) {
        snprintf(name, sizeof(name), "in.s%d.%s", stride, parts[p]);
        status = case_read(in, name, 0, &t[p], err);
    }
    int64_t n = t[0].elements;
    if (status == MS_OK && (t[1].elements != n || t[2].elements != 4 * n || t[3].elements != 10 * n))
        status = ms_fail(err, MS_INVALID_ARGUMENT, "in.s%d.* must have as many rows as in.s%d.rows", stride,
                         stride);
    for (int64_t i = 0; i < n && status == MS_OK; i++) {
        int64_t row = (int64_t)t[0].data[i];
        if (row < 0 || row >= rows) {
            status = ms_fail(err, MS_INVALID_ARGUMENT, "in.s%d.rows: there is no row %lld", stride,
                             (long long)row);
            break;
        }
        score[row] = t[1].data[i];
        memcpy(box + row * 4, t[2].data + i * 4, 4 * sizeof(float));
        memcpy(points + row * 10, t[3].data + i * 10, 10 * sizeof(float));
    }
    for (int p = 0; p < 4; p++)
        ms_mem_free(t[p].data);
    return status;
}

static ms_status add_landmarks(const ms_tensor_file *in, const ms_detection *faces, int count,
                               case_output *out, ms_error *err) {
    case_tensor pred;
    MS_TRY(case_read(in, "in.landmark_pred", 2, &pred, err));
    const int64_t shape[3] = {count, MS_LANDMARKS, 2};
    float(*points)[MS_LANDMARKS][2] =
        ms_mem_calloc(NULL, MS_LEDGER_GENERAL, (size_t)count + 1, sizeof(*points));
    ms_status status =
        points ? MS_OK : ms_fail_alloc(err, NULL, (size_t)count * sizeof(*points), "landmarks");
    if (status == MS_OK && (pred.shape[0] != count || pred.shape[1] != 2 * MS_LANDMARKS))
        status = ms_fail(err, MS_INVALID_ARGUMENT, "in.landmark_pred must be [%d, 212]", count);
    for (int i = 0; i < count && status == MS_OK; i++) {
        ms_landmark_crop crop;
        status = ms_landmark_crop_fit(faces[i].box, &crop, err);
        if (status == MS_OK)
            ms_landmarks_decode(&crop, pred.data + (size_t)i * 2 * MS_LANDMARKS, points[i]);
    }
    if (status == MS_OK)
        status = case_add(out, "out.landmarks", MS_F32, 3, shape, points, err);
    ms_mem_free(points);
    ms_mem_free(pred.data);
    return status;
}

static ms_status decode_detections(const faces_state *s, const ms_tensor_file *in, case_output *out,
                                   ms_error *err) {
    static const int strides[MS_SCRFD_LEVELS] = {8, 16, 32};
    ms_letterbox fit;
    ms_scrfd_output outputs[MS_SCRFD_LEVELS];
    ms_detection faces[MAX_FACES];
    int count = 0;
    int64_t total = 0;
    size_t work_bytes = ms_scrfd_workspace_bytes(MS_DETECT_SIDE);
    MS_TRY(ms_letterbox_fit(s->width, s->height, MS_DETECT_SIDE, &fit, err));
    for (int i = 0; i < MS_SCRFD_LEVELS; i++)
        total += (int64_t)(MS_DETECT_SIDE / strides[i]) * (MS_DETECT_SIDE / strides[i]) * MS_SCRFD_ANCHORS;
    float *floats = ms_alloc_array(NULL, MS_LEDGER_GENERAL, (size_t)total * 15, sizeof(float)), *at = floats;
    void *work = ms_mem_alloc(NULL, MS_LEDGER_GENERAL, work_bytes);
    ms_status status =
        floats && work ? MS_OK : ms_fail_alloc(err, NULL, (size_t)total * 60, "the detector's outputs");
    for (int i = 0; i < MS_SCRFD_LEVELS && status == MS_OK; i++) {
        int64_t rows =
            (int64_t)(MS_DETECT_SIDE / strides[i]) * (MS_DETECT_SIDE / strides[i]) * MS_SCRFD_ANCHORS;
        outputs[i] = (ms_scrfd_output){at, at + rows, at + rows * 5};
        status = fill_stride(in, strides[i], rows, at, at + rows, at + rows * 5, err);
        at += rows * 15;
    }
    if (status == MS_OK)
        status = ms_scrfd_decode(outputs, MS_DETECT_SIDE, fit.scale, faces, MAX_FACES, &count, work,
                                 work_bytes, err);
    float det[MAX_FACES][5], kps[MAX_FACES][5][2];
    for (int i = 0; i < count; i++) {
        memcpy(det[i], faces[i].box, 4 * sizeof(float));
        det[i][4] = faces[i].score;
        memcpy(kps[i], faces[i].key_points, sizeof(kps[i]));
    }
    const int64_t det_shape[2] = {count, 5}, kps_shape[3] = {count, 5, 2};
    if (status == MS_OK)
        status = case_add(out, "out.det", MS_F32, 2, det_shape, det, err);
    if (status == MS_OK)
        status = case_add(out, "out.kps", MS_F32, 3, kps_shape, kps, err);
    if (status == MS_OK && ms_tensor_file_find(in, "in.landmark_pred"))
        status = add_landmarks(in, faces, count, out, err);
    ms_mem_free(floats);
    ms_mem_free(work);
    return status;
}

/* ---- commands ---- */

typedef ms_status (*stage_fn)(const faces_state *s, const ms_tensor_file *in, case_output *out,
                              ms_error *err);

static int run_stage(const faces_state *s, stage_fn stage, bool needs_input) {
    ms_error err;
    ms_error_clear(&err);
    case_output out = {0};
    ms_tensor_file *in = NULL;
    ms_status status = needs_input ? stage_open_input(&s->files, &in, &err) : MS_OK;
    if (status == MS_OK)
        status = stage(s, in, &out, &err);
    ms_tensor_file_close(&in);
    return stage_finish(&s->files, &out, status, &err);
}

#define FACE_STAGE(ident, text, use, function, needs_input)                                                  \
    static int ident##_run(const void *state, char **arguments, int n_arguments) {                           \
        (void)arguments;                                                                                     \
        (void)n_arguments;                                                                                   \
        return run_stage(state, function, needs_input);                                                      \
    }                                                                                                        \
    const cli_command stage_##ident##_command = {.name = "memsafe-stage " text,                              \
                                                 .summary = ident##_summary,                                 \
                                                 .usage = use,                                               \
                                                 .options = ident##_options,                                 \
                                                 .n_options = CLI_COUNT(ident##_options),                    \
                                                 .state_bytes = sizeof(faces_state),                         \
                                                 .defaults = faces_defaults,                                 \
                                                 .run = ident##_run}

#define RESOLUTION_OPTION                                                                                    \
    {                                                                                                        \
        "resolution", 0, CLI_INT, offsetof(faces_state, resolution), "PX", "side of the face (default 256)", \
            64, 2048                                                                                         \
    }

static const char align_summary[] =
    "in.landmarks [n,106,2], [in.frames] -> out.align_points, out.affine, [out.crops, out.faces]";
static const cli_option align_options[] = {
    CLI_GROUP("Options"),
    STAGE_FILE_OPTIONS(faces_state),
    RESOLUTION_OPTION,
    {"no-smoothing", 0, CLI_FLAG, offsetof(faces_state, no_smoothing), NULL, "each set on its own", 0, 0}};
FACE_STAGE(align, "align", "--resolution PX --in FILE --out FILE", align, true);

static const char restore_summary[] = "in.frames, in.faces [n,3,R,R], in.affine [n,2,3] -> out.frames";
static const cli_option restore_options[] = {CLI_GROUP("Options"), STAGE_FILE_OPTIONS(faces_state),
                                             RESOLUTION_OPTION};
FACE_STAGE(restore, "restore", "--resolution PX --in FILE --out FILE", restore, true);

static const char mask_summary[] = "The fixed mask -> out.mask [R,R], out.mask_latent [R/8,R/8]";
static const cli_option mask_options[] = {CLI_GROUP("Options"), STAGE_OUT_OPTION(faces_state),
                                          RESOLUTION_OPTION};
FACE_STAGE(mask, "mask", "--resolution PX --out FILE", mask, false);

static const char scrfd_decode_summary[] =
    "Detector outputs in.sS.rows/scores/bbox/kps -> out.det, out.kps, [out.landmarks]";
static const cli_option scrfd_decode_options[] = {
    CLI_GROUP("Options"),
    STAGE_FILE_OPTIONS(faces_state),
    {"width", 0, CLI_INT, offsetof(faces_state, width), "PX", "of the picture", 1, MS_IMAGE_MAX_PX},
    {"height", 0, CLI_INT, offsetof(faces_state, height), "PX", "of the picture", 1, MS_IMAGE_MAX_PX}};
FACE_STAGE(scrfd_decode, "scrfd-decode", "--width PX --height PX --in FILE --out FILE", decode_detections,
           true);
