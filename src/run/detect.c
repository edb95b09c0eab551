#include "memsafe/detect.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sized.h"
#include "files/in_use.h"
#include "files/new_file.h"
#include "media/read/whole.h"
#include "memsafe_have.h"
#include "planner/params_check.h"

static const ms_detect_params defaults = {.face = -1, .max_gap = 12, .fps_num = 25, .fps_den = 1};

void ms_detect_params_init_sized(ms_detect_params *ret_params, size_t params_bytes) {
    ms_sized_fill(ret_params, params_bytes, &defaults, sizeof(defaults));
}

static ms_status check(const ms_detect_params *p, ms_error *err) {
    if (!p->video || !p->output || (!p->model && !p->faces))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the %s is missing",
                       !p->video    ? "video"
                       : !p->output ? "output"
                                    : "model");
    MS_TRY(ms_check_face(p->face, err));
    MS_TRY(ms_check_max_gap(p->max_gap, err));
    MS_TRY(ms_check_rate(p->fps_num, p->fps_den, err));
    return ms_check_frames(p->frames, err);
}

#if MS_HAVE_FFMPEG

#include "faces/face_kit.h"
#include "faces/track_file.h"
#include "frames/face_stage.h"
#include "models/model_files.h"
#include "planner/own_budget.h"

/* Frames that were looked at. */
typedef struct looked {
    int64_t frames, with_face, interpolated;
} looked;

typedef struct job {
    const ms_detect_params *p;
    ms_own_budget budget;
    ms_clip *clip;
    ms_face_kit faces;
    ms_buffer_pool *pictures;
    ms_face_stage *stage;
    ms_track_writer *writer;
    looked looked;
} job;

static ms_model_names model_names(const ms_detect_params *p) {
    return (ms_model_names){.dir = p->model, .faces = p->faces};
}

/* Before the budget is looked at, which may be wrong, too: what costs nothing to know comes first. */
static ms_status check_output(const ms_detect_params *p, ms_error *err) {
    const ms_model_names names = model_names(p);
    const ms_in_use use = {.files = &p->video, .n_files = 1};
    MS_TRY(ms_in_use_spare(&use, p->output, "output", err));
    MS_TRY(ms_model_files_spare(&names, p->output, "output", err));
    return ms_new_file_check(p->output, p->force, err);
}

static ms_status prepare(job *j, ms_error *err) {
    const ms_detect_params *p = j->p;
    static const int any_resolution = 256; /* alignment is not asked for, landmarks are */
    const ms_model_names names = model_names(p);
    ms_model_files files;
    ms_mem *mem = j->budget.mem;
    if (!p->allow_truncated)
        MS_TRY(ms_check_whole_file(p->video, err));
    MS_TRY(ms_model_files_find(&names, MS_PART_FACES, &files, err));
    MS_TRY(ms_clip_open(mem, p->video, (ms_rational){p->fps_num, p->fps_den}, false,
                        ms_own_budget_room(&j->budget), &j->clip, err));
    const ms_face_kit_params faces = {.mem = mem,
                                      .detector = files.detector,
                                      .landmarks = files.landmarks,
                                      .device = p->device,
                                      .threads = p->threads,
                                      .face = p->face,
                                      .max_gap = p->max_gap};
    MS_TRY(ms_face_kit_open(&faces, &j->faces, err));
    MS_TRY(ms_buffer_pool_create(mem, ms_clip_frame_bytes(j->clip), true, &j->pictures, err));
    ms_face_stage_params stage = {.mem = mem,
                                  .clip = j->clip,
                                  .pictures = j->pictures,
                                  .source = ms_face_finder_source(j->faces.finder),
                                  .max_gap = p->max_gap};
    MS_TRY(ms_face_geometry_init(any_resolution, &stage.geometry, err));
    MS_TRY(ms_face_stage_create(&stage, &j->stage, err));
    return ms_track_writer_create(mem, p->output, p->force, &j->writer, err);
}

/* A track is written as a whole or not at all. */
static ms_status fail_cancelled(const job *j, ms_error *err) {
    return ms_fail(err, MS_CANCELLED,
                   access(j->p->output, F_OK) == 0 ? "cancelled after %lld frames; %s stays as it was"
                                                   : "cancelled after %lld frames; %s is not written",
                   (long long)j->looked.frames, j->p->output);
}

static ms_status look(job *j, ms_error *err) {
    const ms_detect_params *p = j->p;
    looked *l = &j->looked;
    for (;;) {
        ms_posed_frame frame;
        bool got = false;
        if (p->frames && l->frames == p->frames)
            return MS_OK;
        if (p->cancelled && p->cancelled(p->arg))
            return fail_cancelled(j, err);
        MS_TRY(ms_face_stage_next(j->stage, &frame, &got, err));
        if (!got)
            return MS_OK;
        ms_buffer_pool_put(j->pictures, frame.rgb);
        MS_TRY(ms_track_writer_add(j->writer, &frame.record, err));
        l->frames++;
        l->with_face += frame.record.present;
        l->interpolated += frame.record.present && frame.record.interpolated;
        if (p->progress)
            p->progress(p->arg, l->frames, ms_clip_info(j->clip)->frames);
    }
}

static ms_status run(job *j, ms_error *err) {
    MS_TRY(check_output(j->p, err));
    MS_TRY(ms_own_budget_open(j->p->budget_bytes, &j->budget, err));
    MS_TRY(prepare(j, err));
    MS_TRY(look(j, err));
    if (j->looked.with_face == 0)
        return ms_fail_no_face(j->p->video, j->p->face, NULL, j->looked.frames,
                               ms_face_finder_tally(j->faces.finder), err);
    return ms_track_writer_finish(&j->writer, err);
}

static ms_status detect(const ms_detect_params *params, ms_detect_report *ret_report, ms_error *err) {
    job j = {.p = params};
    double started = ms_now_s();
    ms_status status = run(&j, err);
    if (status == MS_OK && ret_report)
        *ret_report = (ms_detect_report){.frames = j.looked.frames,
                                         .frames_with_face = j.looked.with_face,
                                         .frames_interpolated = j.looked.interpolated,
                                         .frames_lost = ms_clip_frames_lost(j.clip),
                                         .seconds = ms_now_s() - started};
    ms_track_writer_abort(&j.writer);
    ms_face_stage_destroy(&j.stage);
    ms_buffer_pool_destroy(&j.pictures);
    ms_face_kit_close(&j.faces);
    ms_clip_close(&j.clip);
    ms_own_budget_close(&j.budget);
    return status;
}

#else

static ms_status detect(const ms_detect_params *params, ms_detect_report *ret_report, ms_error *err) {
    (void)params;
    (void)ret_report;
    return ms_fail(err, MS_UNSUPPORTED,
                   "this build cannot read video: it was made without FFmpeg's libraries");
}

#endif

ms_status ms_detect_sized(const ms_detect_params *params, size_t params_bytes, ms_detect_report *ret_report,
                          size_t report_bytes, ms_error *err) {
    ms_detect_params p = defaults;
    ms_detect_report report = {0};
    ms_error_clear(err);
    MS_READ_SIZED(&p, params, params_bytes, err);
    MS_CHECK_SIZED(ret_report, report_bytes, err);
    MS_TRY(check(&p, err));
    MS_TRY(detect(&p, &report, err));
    ms_sized_fill(ret_report, report_bytes, &report, sizeof(report));
    return MS_OK;
}
