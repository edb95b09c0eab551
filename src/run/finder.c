/* Faces in frames that are pushed: ms_detect() of a program that has them. */
#include <string.h>

#include "base/sized.h"
#include "faces/face_kit.h"
#include "memsafe/detect.h"
#include "models/model_files.h"
#include "planner/own_budget.h"
#include "planner/params_check.h"

struct ms_finder {
    ms_finder_params p;
    ms_own_budget budget;
    ms_face_kit faces;
    ms_face_follow follow;
    bool taken; /* all that is known */
    bool ended;
};

static const ms_finder_params defaults = {.face = -1, .max_gap = MS_TRACK_DEFAULT_MAX_GAP};

_Static_assert(sizeof(((ms_found_face *)0)->landmarks) == sizeof(((ms_face_record *)0)->landmarks),
               "what is found is what faces have");

void ms_finder_params_init_sized(ms_finder_params *ret_params, size_t params_bytes) {
    ms_sized_fill(ret_params, params_bytes, &defaults, sizeof(defaults));
}

static ms_status check(const ms_finder_params *p, ms_error *err) {
    if (!p->model && !p->faces)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the model (or the folder of face nets) is missing");
    MS_TRY(ms_check_face(p->face, err));
    MS_TRY(ms_check_max_gap(p->max_gap, err));
    return ms_check_size(p->width, p->height, err);
}

static ms_status open(ms_finder *f, ms_error *err) {
    static const int any_resolution = 256; /* alignment is not asked for, landmarks are */
    const ms_finder_params *p = &f->p;
    const ms_model_names names = {.dir = p->model, .faces = p->faces};
    ms_model_files files;
    ms_face_geometry geometry;
    ms_letterbox fit;
    MS_TRY(ms_model_files_find(&names, MS_PART_FACES, &files, err));
    MS_TRY(ms_letterbox_fit(p->width, p->height, MS_DETECT_SIDE, &fit, err));
    MS_TRY(ms_own_budget_open(p->budget_bytes, &f->budget, err));
    const ms_face_kit_params faces = {.mem = f->budget.mem,
                                      .detector = files.detector,
                                      .landmarks = files.landmarks,
                                      .device = p->device,
                                      .threads = p->threads,
                                      .face = p->face,
                                      .max_gap = p->max_gap};
    MS_TRY(ms_face_kit_open(&faces, &f->faces, err));
    MS_TRY(ms_face_geometry_init(any_resolution, &geometry, err));
    ms_face_follow_init(&f->follow, ms_face_finder_source(f->faces.finder), &geometry, 0, p->max_gap);
    return MS_OK;
}

ms_status ms_finder_create_sized(const ms_finder_params *params, size_t params_bytes, ms_finder **ret_finder,
                                 ms_error *err) {
    ms_finder_params p = defaults;
    ms_error_clear(err);
    MS_READ_SIZED(&p, params, params_bytes, err);
    MS_NEED(ret_finder, err);
    MS_TRY(check(&p, err));
    ms_finder *f = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, 1, sizeof(*f));
    if (!f)
        return ms_fail_alloc(err, NULL, sizeof(*f), "finding faces");
    f->p = p;
    f->taken = true;
    ms_status status = open(f, err);
    if (status == MS_OK)
        *ret_finder = f;
    else
        ms_finder_destroy(&f);
    return status;
}

void ms_finder_destroy(ms_finder **finder) {
    if (!finder || !*finder)
        return;
    ms_finder *f = *finder;
    ms_face_kit_close(&f->faces);
    ms_own_budget_close(&f->budget);
    ms_mem_free(f);
    *finder = NULL;
}

ms_status ms_finder_push(ms_finder *f, const uint8_t *rgb, ptrdiff_t stride_bytes, ms_error *err) {
    ms_error_clear(err);
    MS_NEED(f, err);
    MS_NEED(rgb, err);
    const ptrdiff_t row = (ptrdiff_t)f->p.width * 3;
    if (f->ended)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a frame after the end");
    if (!f->taken)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a frame before what is known was taken");
    if (stride_bytes != 0 && stride_bytes < row)
        return ms_fail(err, MS_INVALID_ARGUMENT, "stride_bytes is %td; a row has %td bytes", stride_bytes,
                       row);
    const ms_image_view view = {rgb, f->p.width, f->p.height, 3, (size_t)(stride_bytes ? stride_bytes : row)};
    MS_TRY(ms_face_follow_look(&f->follow, &view, false, err));
    f->taken = false;
    return MS_OK;
}

ms_status ms_finder_end(ms_finder *f, ms_error *err) {
    ms_error_clear(err);
    MS_NEED(f, err);
    if (!f->ended)
        ms_face_follow_finish(&f->follow);
    f->ended = true;
    return MS_OK;
}

ms_status ms_finder_take_sized(ms_finder *f, ms_found_face *ret_face, size_t face_bytes, bool *ret_got,
                               ms_error *err) {
    ms_face_record record;
    ms_pose pose;
    ms_error_clear(err);
    MS_CHECK_SIZED(ret_face, face_bytes, err);
    MS_NEED(f, err);
    MS_NEED(ret_face, err);
    MS_NEED(ret_got, err);
    *ret_got = ms_face_follow_take(&f->follow, &record, &pose);
    f->taken = !*ret_got;
    if (!*ret_got)
        return MS_OK;
    ms_found_face face = {.frame = record.frame,
                          .present = record.present,
                          .interpolated = record.present && record.interpolated,
                          .begins = record.begins};
    if (record.present) {
        memcpy(face.box, record.box, sizeof(face.box));
        memcpy(face.landmarks, record.landmarks, sizeof(face.landmarks));
    }
    ms_sized_fill(ret_face, face_bytes, &face, sizeof(face));
    return MS_OK;
}
