/* The run worker: the model stays, jobs come and go. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "files/new_file.h"
#include "memsafe/model.h"
#include "system/host.h"
#include "worker/clip_look.h"
#include "worker/sandbox.h"
#include "worker/worker_job.h"

#define PROGRESS_S 0.25
#define PREVIEW_S 1.0
#define PREVIEW_PART 20 /* pictures take at most a twentieth of the time */
#define PREVIEW_WIDTH 640
#define CANCEL_S 0.1

/* What a run may take over its budget before memory is refused to it: the plan counts what is used, and the
   limit what is asked for, which was up to 250 MiB more (3840x2160); and stacks. An honest run keeps below:
   this is for uploads that make a decoder take more. */
#define MARGIN_BYTES ((size_t)512 << 20)
#define MARGIN_OF_PROCESSOR (4 * SANDBOX_STACK_BYTES) /* four threads */

/* Sanitizers take memory by the terabyte. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LIMITS_DATA false
#else
#define LIMITS_DATA true
#endif

/* The one model that is open, and what it was opened with. */
static struct {
    ms_model *model;
    char path[4096], device[64];
    int precision;
    int64_t budget_bytes;
    bool no_faces; /* what finds them was left out */
    bool is_limited;
} warm;

typedef struct running {
    worker *w;
    const worker_job *job;
    ms_run_report planned;
    double told_s, asked_s, pictured_s, picture_took_s, clip_s;
    size_t peak_bytes;
    bool cancelled;
    clip_look *clip; /* for the input's pictures; NULL = there are none */
    int64_t resumed;
} running;

void worker_run_end(void) {
    ms_model_close(&warm.model);
}

/* Where the budget is of the host's memory. It is the server's, and stays. */
static ms_status limit_data(const worker_job *j, ms_error *err) {
    if (!LIMITS_DATA || warm.is_limited || j->device_bytes)
        return MS_OK;
    const size_t processors = (size_t)sysconf(_SC_NPROCESSORS_CONF);
    warm.is_limited = true;
    return sandbox_data((size_t)j->budget_bytes + MARGIN_BYTES + processors * MARGIN_OF_PROCESSOR, err);
}

static ms_status warm_up(const worker_job *j, ms_error *err) {
    const char *device = j->device ? j->device : "";
    if (warm.model && strcmp(warm.path, j->model) == 0 && strcmp(warm.device, device) == 0 &&
        warm.precision == j->options.precision && warm.budget_bytes == j->budget_bytes &&
        (j->has_track || !warm.no_faces))
        return MS_OK;
    ms_model_close(&warm.model);
    ms_model_params p;
    ms_model_params_init(&p);
    p.model = j->model;
    p.device = j->device;
    p.precision = (ms_precision)j->options.precision;
    p.budget_bytes = (size_t)j->budget_bytes;
    p.host_budget_bytes = (size_t)j->host_budget_bytes;
    p.no_faces = j->has_track;
    MS_TRY(ms_model_open(&p, &warm.model, err));
    snprintf(warm.path, sizeof(warm.path), "%s", j->model);
    snprintf(warm.device, sizeof(warm.device), "%s", device);
    warm.precision = j->options.precision;
    warm.budget_bytes = j->budget_bytes;
    warm.no_faces = j->has_track;
    return MS_OK;
}

static void tell_progress(void *arg, const ms_run_progress *p) {
    running *r = arg;
    double now = ms_now_s();
    if (now - r->told_s < PROGRESS_S)
        return;
    r->told_s = now;
    size_t resident = ms_host_resident_bytes();
    if (resident > r->peak_bytes)
        r->peak_bytes = resident;
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b,
                  "{\"event\":\"progress\",\"stage\":\"%s\",\"frames_done\":%" PRId64
                  ",\"frames_total\":%" PRId64 ",\"memory_bytes\":%zu,\"peak_bytes\":%zu,\"fraction\":",
                  p->stage, p->frames_done, p->frames_total, resident, r->peak_bytes);
    ms_buf_json_number(&b, p->fraction);
    ms_buf_printf(&b, ",\"eta_s\":");
    ms_buf_json_number(&b, p->eta_s);
    ms_buf_printf(&b, "}");
    worker_tell(r->w, &b);
}

static bool is_cancelled(void *arg) {
    running *r = arg;
    double now = ms_now_s();
    if (r->cancelled || now - r->asked_s < CANCEL_S)
        return r->cancelled;
    r->asked_s = now;
    ms_json_doc *doc = NULL;
    if (r->w->gone || worker_lines_read(&r->w->lines, 0, &doc, NULL) != MS_OK)
        r->w->gone = r->cancelled = true;
    else if (doc && strcmp(ms_json_get_text(ms_json_root(doc), "do"), "cancel") == 0)
        r->cancelled = true;
    ms_json_doc_destroy(&doc);
    return r->cancelled;
}

/* Which moment of the clip an output frame shows. */
static double clip_time(const running *r, int64_t frame) {
    const job_options *o = &r->job->options;
    double begin = o->rest == MS_REST_KEEP ? 0 : o->start_s, length = r->clip_s - begin;
    double at = (double)frame / (r->planned.fps > 0 ? r->planned.fps : 25);
    if (length <= 0 || at < length)
        return begin + at;
    int64_t turns = (int64_t)(at / length);
    at -= (double)turns * length;
    if (o->loop == MS_LOOP_MODE_HOLD || o->loop == MS_LOOP_MODE_NONE)
        return r->clip_s;
    return o->loop == MS_LOOP_MODE_PINGPONG && turns % 2 ? r->clip_s - at : begin + at;
}

/* The newest frame beside its input, as often as it costs little. A picture that cannot be made is left
   out. */
static ms_status take_frame(void *arg, int64_t frame, const uint8_t *rgb, int width, int height) {
    running *r = arg;
    double now = ms_now_s();
    if (now - r->pictured_s < PREVIEW_S || now - r->pictured_s < PREVIEW_PART * r->picture_took_s)
        return MS_OK;
    if (picture_save(rgb, width, height, PREVIEW_WIDTH, "preview.jpg", NULL) != MS_OK)
        return MS_OK;
    if (r->clip)
        clip_look_save(r->clip, clip_time(r, frame), PREVIEW_WIDTH, "input.jpg", NULL);
    r->pictured_s = ms_now_s();
    r->picture_took_s = r->pictured_s - now;
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "{\"event\":\"preview\",\"frame\":%" PRId64 "}", frame);
    worker_tell(r->w, &b);
    return MS_OK;
}

static void keep_plan(void *arg, const ms_run_report *report) {
    running *r = arg;
    r->planned = *report;
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b,
                  "{\"event\":\"planned\",\"tier\":\"%s\",\"rung\":\"%s\",\"resolution\":%d,"
                  "\"peak_bytes\":%zu,\"budget_bytes\":%zu,\"window_frames\":%d,\"resumed\":%" PRId64
                  ",\"tier_reason\":",
                  report->tier, ms_rung_name(report->rung), report->resolution, report->planned_bytes,
                  report->budget_bytes, report->window_frames,
                  report->frames_resumed + report->faces_resumed);
    ms_buf_json_string(&b, report->tier_reason);
    ms_buf_printf(&b, ",\"warnings\":");
    worker_notes(&b, report);
    ms_buf_printf(&b, "}");
    worker_tell(r->w, &b);
}

/* Names in place of paths: the report is an answer to clients. */
static ms_status save_report(const running *r, const ms_run_params *params, const ms_run_report *report,
                             ms_error *err) {
    ms_run_params p = *params;
    ms_run_report told = *report;
    for (int i = 0; i < told.n_model_files; i++) {
        char *path = told.model_file[i].path;
        const char *name = ms_name_in(path);
        memmove(path, name, strlen(name) + 1);
    }
    p.loaded = NULL;
    p.model = r->job->model_name;
    p.history = NULL;
    p.device = r->job->device;
    p.precision = (ms_precision)r->job->options.precision;
    p.budget_bytes = (size_t)r->job->budget_bytes;
    p.host_budget_bytes = (size_t)r->job->host_budget_bytes;
    return r->w->write_report("report.json", &p, &told, err);
}

static void tell_done(running *r, const ms_run_report *report) {
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "{\"event\":\"done\",\"frames\":%" PRId64 ",\"peak_bytes\":%zu,\"seconds\":",
                  report->frames, report->peak_resident_bytes);
    ms_buf_json_number(&b, report->seconds);
    ms_buf_printf(&b, ",\"doubt\":");
    ms_buf_json_string(&b, report->faces.doubt);
    ms_buf_printf(&b, "}");
    worker_tell(r->w, &b);
}

void worker_run(worker *w, const worker_job *j) {
    running r = {.w = w, .job = j};
    ms_run_params p;
    ms_run_report report = {0};
    clip_facts facts = {0};
    ms_error err;
    ms_error_clear(&err);
    ms_status status = warm_up(j, &err);
    if (status == MS_OK)
        status = limit_data(j, &err);
    if (status == MS_OK) {
        if (clip_look_open("video", "video", &r.clip, &facts, NULL) == MS_OK)
            r.clip_s = facts.video_s;
        worker_job_params(j, &p);
        p.loaded = warm.model;
        p.resume = true;
        p.progress = tell_progress;
        p.cancelled = is_cancelled;
        p.planned = keep_plan;
        p.frame_sink = take_frame;
        p.arg = p.sink_arg = &r;
        status = ms_run(&p, &report, &err);
        clip_look_close(&r.clip);
    }
    /* A run that had ended before its end was told has its report. */
    if (status == MS_OK && (!report.already_finished || access("report.json", F_OK) != 0))
        status = save_report(&r, &p, &report, &err);
    if (status == MS_OK)
        tell_done(&r, &report);
    else
        worker_tell_failure(w, j, &err, 0, NULL);
}
