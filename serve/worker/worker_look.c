/* The look worker: what an upload is, and what a run of it would take. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "memsafe/detect.h"
#include "worker/clip_look.h"
#include "worker/worker_job.h"

#define THUMB_WIDTH 240
#define FACE_FRAMES 25 /* that a face is looked for in */
#define LOOK_BUDGET ((size_t)512 << 20)

/* ---- what is planned ---- */

static void write_plan(ms_buf *b, const ms_plan_report *r, const ms_run_report *dry, int64_t frames,
                       bool fits) {
    ms_buf_printf(b,
                  "{\"fits\":%s,\"tier\":\"%s\",\"rung\":\"%s\",\"resolution\":%d,\"window_frames\":%d,"
                  "\"peak_bytes\":%zu,\"budget_bytes\":%zu,\"least_bytes\":%zu,\"precision\":\"%s\","
                  "\"windows\":%" PRId64 ",\"frames\":%" PRId64 ",\"seconds\":",
                  fits ? "true" : "false", r->tier, ms_rung_name(r->rung), r->resolution, r->window_frames,
                  dry ? dry->planned_bytes : r->peak_bytes, r->budget_bytes, r->least_bytes, r->precision,
                  r->windows, frames);
    ms_buf_json_number(b, dry && dry->planned_total_s > 0 ? dry->planned_total_s : r->total_s);
    ms_buf_printf(b, ",\"tier_reason\":");
    ms_buf_json_string(b, dry ? dry->tier_reason : "");
    ms_buf_printf(b, ",\"notes\":");
    if (dry)
        worker_notes(b, dry);
    else
        ms_buf_printf(b, "[]");
    ms_buf_printf(b, "}");
}

static ms_status plan(const worker_job *j, int width, int height, double fps, int64_t frames, bool turns,
                      ms_plan_report *ret_report, ms_error *err) {
    ms_plan_params p;
    ms_plan_params_init(&p);
    job_options_to_plan(&j->options, &p);
    p.model = j->model;
    p.width = width;
    p.height = height;
    p.fps = fps;
    p.frames = frames;
    p.turns = turns;
    p.tracked = j->has_track;
    p.device = j->device;
    p.budget_bytes = (size_t)j->budget_bytes;
    p.history = j->history;
    return ms_plan_run(&p, ret_report, NULL, err);
}

void worker_plan(worker *w, const worker_job *j, const ms_json *line) {
    ms_plan_report r = {0};
    ms_error err;
    ms_error_clear(&err);
    const int64_t frames = ms_json_get_integer(line, "frames", 0);
    ms_status status =
        plan(j, (int)ms_json_get_integer(line, "width", 0), (int)ms_json_get_integer(line, "height", 0),
             ms_json_get_number(line, "fps", 0), frames, false, &r, &err);
    if (status != MS_OK && status != MS_BUDGET) {
        worker_tell_failure(w, j, &err, 0);
        return;
    }
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "{\"event\":\"looked\",\"plan\":");
    write_plan(&b, &r, NULL, frames, status == MS_OK);
    ms_buf_printf(&b, "}");
    worker_tell(w, &b);
}

/* ---- a run up to its plan ---- */

typedef struct dry_run {
    ms_run_report report;
    bool planned;
} dry_run;

static void keep_plan(void *arg, const ms_run_report *report) {
    dry_run *d = arg;
    d->report = *report;
    d->planned = true;
}

static bool has_plan(void *arg) {
    return ((const dry_run *)arg)->planned;
}

/* All that a run finds wrong with its input before it works is found here, in its words. */
static ms_status run_dry(const worker_job *j, dry_run *d, ms_error *err) {
    ms_run_params p;
    worker_job_params(j, &p);
    p.model = j->model;
    p.device = j->device;
    p.precision = (ms_precision)j->options.precision;
    p.budget_bytes = (size_t)j->budget_bytes;
    p.output = j->options.codec == MS_OUTPUT_FFV1 ? "look.mkv" : "look.mp4";
    p.force = true;
    p.planned = keep_plan;
    p.cancelled = has_plan;
    p.arg = d;
    ms_status status = ms_run(&p, NULL, err);
    return status == MS_CANCELLED && d->planned ? MS_OK : status;
}

/* ---- faces ---- */

/* "true", "false"; "null" where this model or build cannot say. */
static const char *find_face(const worker_job *j) {
    ms_detect_params p;
    ms_detect_params_init(&p);
    p.video = "video";
    p.output = "look.track";
    p.model = j->model;
    p.device = "cpu";
    p.frames = FACE_FRAMES;
    p.budget_bytes = LOOK_BUDGET;
    p.force = true;
    ms_status status = ms_detect(&p, NULL, NULL);
    unlink("look.track");
    return status == MS_OK ? "true" : status == MS_NO_FACE ? "false" : "null";
}

/* ---- all of it ---- */

static ms_status open_both(const worker_job *j, clip_look **ret_clip, clip_facts *ret_facts, ms_error *err) {
    MS_TRY(clip_look_open("video", "video", ret_clip, ret_facts, err));
    if (!ret_facts->has_video)
        return ms_fail(err, MS_BAD_MEDIA, "the video file has no picture in it");
    if (!j->has_audio)
        return ret_facts->has_audio
                   ? MS_OK
                   : ms_fail(err, MS_BAD_MEDIA, "the video has no sound of its own, and no speech was given");
    clip_look *sound = NULL;
    clip_facts facts = {0};
    MS_TRY(clip_look_open("audio", "speech", &sound, &facts, err));
    clip_look_close(&sound);
    ret_facts->audio_s = facts.audio_s;
    return facts.has_audio ? MS_OK : ms_fail(err, MS_BAD_MEDIA, "the speech file has no sound in it");
}

static int save_thumbs(clip_look *clip, double seconds) {
    int made = 0;
    for (int i = 0; i < WORKER_THUMBS; i++) {
        char name[24];
        snprintf(name, sizeof(name), "thumb-%d.jpg", made);
        made += clip_look_save(clip, seconds * (i + 0.5) / WORKER_THUMBS, THUMB_WIDTH, name, NULL) == MS_OK;
        if (seconds <= 0)
            break;
    }
    return made;
}

static void write_input(ms_buf *b, const clip_facts *f, int thumbs, const char *face) {
    ms_buf_printf(b,
                  "{\"width\":%d,\"height\":%d,\"frames\":%lld,\"thumbs\":%d,\"face\":%s,\"fps\":", f->width,
                  f->height, llround(f->video_s * f->fps), thumbs, face);
    ms_buf_json_number(b, f->fps);
    ms_buf_printf(b, ",\"duration_s\":");
    ms_buf_json_number(b, f->video_s);
    ms_buf_printf(b, ",\"audio_s\":");
    ms_buf_json_number(b, f->audio_s);
    ms_buf_printf(b, "}");
}

void worker_look(worker *w, const worker_job *j) {
    clip_look *clip = NULL;
    clip_facts facts = {0};
    ms_plan_report planned = {0};
    ms_error err;
    ms_error_clear(&err);
    dry_run *dry = calloc(1, sizeof(*dry));
    ms_status status = dry ? open_both(j, &clip, &facts, &err)
                           : ms_fail(&err, MS_HOST_MEMORY, "out of memory to look at the video");
    ms_status fits = MS_OK;
    int64_t frames = 0;
    if (status == MS_OK) {
        double fps = 25, seconds = facts.audio_s > 0 ? facts.audio_s : facts.video_s;
        frames = llround(seconds * fps);
        status = run_dry(j, dry, &err);
        if (dry->planned && dry->report.planned_frames > 0)
            frames = dry->report.planned_frames;
        fits = status;
        if (status == MS_OK || status == MS_BUDGET)
            status = plan(j, facts.width, facts.height, dry->planned ? dry->report.fps : fps,
                          frames > 0 ? frames : 1, facts.audio_s > facts.video_s, &planned,
                          status == MS_BUDGET ? NULL : &err);
    }
    if (fits == MS_BUDGET || status == MS_BUDGET)
        worker_tell_failure(w, j, &err, (int64_t)planned.least_bytes);
    else if (status != MS_OK)
        worker_tell_failure(w, j, &err, 0);
    else {
        ms_buf b;
        ms_buf_init(&b, NULL);
        ms_buf_printf(&b, "{\"event\":\"looked\",\"input\":");
        write_input(&b, &facts, save_thumbs(clip, facts.video_s), j->has_track ? "null" : find_face(j));
        ms_buf_printf(&b, ",\"plan\":");
        write_plan(&b, &planned, &dry->report, frames, true);
        ms_buf_printf(&b, "}");
        worker_tell(w, &b);
    }
    clip_look_close(&clip);
    free(dry);
}
