/* The look worker: what an upload is, and what a run of it would take. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "memsafe/detect.h"
#include "system/host.h"
#include "text/size.h"
#include "worker/clip_look.h"
#include "worker/worker_job.h"

#define THUMB_WIDTH 240
#define FACE_FRAMES 25 /* that a face is looked for in */
#define FPS 25.0       /* of what runs make here */
#define AFTER_SPEECH 2 /* frames that a run may have more than its speech */
#define LOOK_BUDGET ((size_t)512 << 20)
#define NO_LIMIT ((size_t)1 << 40)

/* ---- what is planned ---- */

static size_t lesser(size_t a, size_t b) {
    return a < b ? a : b;
}

/* What of a plan is told: of one by numbers, or of a run that went as far as its plan. */
typedef struct told_plan {
    bool fits;
    const char *tier, *tier_reason, *precision;
    ms_rung rung;
    int resolution, window_frames;
    size_t peak_bytes, budget_bytes, least_bytes;
    size_t host_peak_bytes, host_budget_bytes; /* beside a device with memory of its own; else 0 */
    int64_t frames;
    double seconds;
    const ms_run_report *notes; /* NULL = none */
} told_plan;

static void write_plan(ms_buf *b, const told_plan *t) {
    const int64_t window = t->window_frames > 0 ? t->window_frames : 1;
    ms_buf_printf(b,
                  "{\"fits\":%s,\"tier\":\"%s\",\"rung\":\"%s\",\"resolution\":%d,\"window_frames\":%d,"
                  "\"peak_bytes\":%zu,\"budget_bytes\":%zu,\"least_bytes\":%zu,\"precision\":\"%s\","
                  "\"windows\":%" PRId64 ",\"frames\":%" PRId64 ",\"seconds\":",
                  t->fits ? "true" : "false", t->tier, ms_rung_name(t->rung), t->resolution, t->window_frames,
                  t->peak_bytes, t->budget_bytes, t->least_bytes, t->precision,
                  (t->frames + window - 1) / window, t->frames);
    ms_buf_json_number(b, t->seconds);
    if (t->host_budget_bytes)
        ms_buf_printf(b, ",\"host_peak_bytes\":%zu,\"host_budget_bytes\":%zu", t->host_peak_bytes,
                      t->host_budget_bytes);
    ms_buf_printf(b, ",\"tier_reason\":");
    ms_buf_json_string(b, t->tier_reason);
    ms_buf_printf(b, ",\"notes\":");
    if (t->notes)
        worker_notes(b, t->notes);
    else
        ms_buf_printf(b, "[]");
    ms_buf_printf(b, "}");
}

static bool is_apart(const worker_job *j) {
    return j->device_bytes > 0;
}

/* What a plan by numbers is of. */
typedef struct numbers {
    int width, height;
    double fps;
    int64_t frames;
    bool turns;
    size_t clean_bytes; /* that this process had before it looked at anything */
} numbers;

/* What a plan is asked for and is not the run's, all of it the host's memory: what this process has taken up
   since it began, which is in the plan and in no run, and what a worker keeps beside one, or a device that is
   not opened here takes, which is in no plan. */
typedef struct beside {
    size_t looks_bytes, worker_bytes;
} beside;

static beside find_beside(const worker_job *j, const numbers *n) {
    const size_t now = ms_host_resident_bytes();
    return (beside){.looks_bytes = now > n->clean_bytes ? now - n->clean_bytes : 0,
                    .worker_bytes = (size_t)j->host_own_bytes +
                                    (size_t)WORKER_PLAN_FRAMES * 3 * (size_t)n->width * (size_t)n->height};
}

static size_t with(size_t budget_bytes, const beside *b) {
    const size_t bytes = budget_bytes + b->looks_bytes;
    return bytes > b->worker_bytes ? bytes - b->worker_bytes : 1;
}

static void correct(size_t *bytes, const beside *b) {
    *bytes += b->worker_bytes;
    *bytes -= lesser(b->looks_bytes, *bytes);
}

/* host_budget_bytes 0 = as much as the run needs. */
static ms_status plan(const worker_job *j, const numbers *n, size_t budget_bytes, size_t host_budget_bytes,
                      ms_plan_report *ret_report, ms_error *err) {
    char arch[16];
    ms_plan_params p;
    ms_plan_params_init(&p);
    job_options_to_plan(&j->options, &p);
    p.model = j->model;
    p.width = n->width;
    p.height = n->height;
    p.fps = n->fps;
    p.frames = n->frames;
    p.turns = n->turns;
    p.tracked = j->has_track;
    p.device = j->device;
    p.budget_bytes = budget_bytes;
    p.history = j->history;
    if (is_apart(j)) { /* which is not opened here (place.h) */
        snprintf(arch, sizeof(arch), "sm_%d", j->arch);
        p.device = j->arch ? "cuda" : "dummy";
        p.arch = j->arch ? arch : NULL;
        p.device_bytes = (size_t)j->device_bytes;
        p.host_budget_bytes = host_budget_bytes;
    }
    return ms_plan_run(&p, ret_report, NULL, err);
}

/* The smallest budget that does: what the plan asks for that has next to none, so that the profile is the
   one of so small a budget. *ret_window: frames that are redrawn together. */
static ms_status find_least(const worker_job *j, const numbers *n, size_t *ret_bytes, int *ret_window,
                            ms_error *err) {
    ms_plan_report r = {0};
    const beside b = find_beside(j, n);
    ms_status status = plan(j, n, 1, 0, &r, err);
    if (status != MS_OK && status != MS_BUDGET)
        return status;
    *ret_window = r.window_frames;
    const size_t least = is_apart(j) ? r.least_bytes : r.least_bytes + b.worker_bytes - b.looks_bytes;
    *ret_bytes = (size_t)ms_size_whole_mib(least) << 20;
    ms_error_clear(err);
    return MS_OK;
}

/* By the server's budgets. */
static ms_status plan_beside(const worker_job *j, const numbers *n, ms_plan_report *ret_report,
                             ms_error *err) {
    const beside b = find_beside(j, n);
    const size_t budget_bytes = (size_t)j->budget_bytes, host_bytes = with((size_t)j->host_budget_bytes, &b);
    ms_status status = is_apart(j) ? plan(j, n, budget_bytes, host_bytes, ret_report, err)
                                   : plan(j, n, with(budget_bytes, &b), 0, ret_report, err);
    /* Of what does not fit the plan is the one with the least of the device's memory, which takes more of the
       host's than others. */
    ms_plan_report most = {0};
    if (is_apart(j) && status == MS_BUDGET && ret_report->host_bytes > host_bytes &&
        plan(j, n, budget_bytes, 0, &most, NULL) == MS_OK && most.host_bytes < ret_report->host_bytes)
        *ret_report = most;
    correct(is_apart(j) ? &ret_report->host_bytes : &ret_report->peak_bytes, &b);
    ret_report->budget_bytes = budget_bytes;
    return status;
}

static told_plan told_by_numbers(const worker_job *j, const numbers *n, const ms_plan_report *r, bool fits,
                                 size_t least_bytes) {
    return (told_plan){.fits = fits,
                       .tier = r->tier,
                       .tier_reason = "",
                       .precision = r->precision,
                       .rung = r->rung,
                       .resolution = r->resolution,
                       .window_frames = r->window_frames,
                       .peak_bytes = r->peak_bytes,
                       .budget_bytes = r->budget_bytes,
                       .least_bytes = fits ? lesser(least_bytes, r->budget_bytes) : least_bytes,
                       .host_peak_bytes = is_apart(j) ? r->host_bytes : 0,
                       .host_budget_bytes = (size_t)j->host_budget_bytes,
                       .frames = n->frames,
                       .seconds = r->total_s};
}

void worker_plan(worker *w, const worker_job *j, const ms_json *line) {
    const numbers n = {.width = (int)ms_json_get_integer(line, "width", 0),
                       .height = (int)ms_json_get_integer(line, "height", 0),
                       .fps = ms_json_get_number(line, "fps", 0),
                       .frames = ms_json_get_integer(line, "frames", 0),
                       .clean_bytes = ms_host_resident_bytes()};
    ms_plan_report r = {0};
    ms_error err;
    size_t least_bytes = 0;
    int window;
    ms_error_clear(&err);
    ms_status status = find_least(j, &n, &least_bytes, &window, &err);
    if (status == MS_OK)
        status = plan_beside(j, &n, &r, &err);
    if (status != MS_OK && status != MS_BUDGET) {
        worker_tell_failure(w, j, &err, 0, NULL);
        return;
    }
    const told_plan told = told_by_numbers(j, &n, &r, status == MS_OK, least_bytes);
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "{\"event\":\"looked\",\"plan\":");
    write_plan(&b, &told);
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

/* All that a run finds wrong with its input before it works is found here, in its words. The processor stands
   for a device with memory of its own; whether that fits is then for the plan by numbers to say. */
static ms_status run_dry(const worker_job *j, dry_run *d, ms_error *err) {
    ms_run_params p;
    worker_job_params(j, &p);
    p.model = j->model;
    p.device = is_apart(j) ? "cpu" : j->device;
    p.precision = (ms_precision)j->options.precision;
    p.budget_bytes = is_apart(j) ? NO_LIMIT : (size_t)j->budget_bytes;
    p.output = j->options.codec == MS_OUTPUT_FFV1 ? "look.mkv" : "look.mp4";
    p.force = true;
    p.sink_frames = WORKER_LOOK_FRAMES;
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
    if (ret_facts->width < JOB_LEAST_SIDE || ret_facts->height < JOB_LEAST_SIDE ||
        ret_facts->width > JOB_MOST_SIDE || ret_facts->height > JOB_MOST_SIDE)
        return ms_fail(err, MS_BAD_MEDIA, "the video has pictures of %dx%d; sides have %d to %d pixels",
                       ret_facts->width, ret_facts->height, JOB_LEAST_SIDE, JOB_MOST_SIDE);
    if (!j->has_audio)
        return ret_facts->has_audio
                   ? MS_OK
                   : ms_fail(err, MS_BAD_MEDIA, "the speech is missing: the video has no sound of its own");
    clip_look *sound = NULL;
    clip_facts facts = {0};
    MS_TRY(clip_look_open("audio", "speech", &sound, &facts, err));
    clip_look_close(&sound);
    ret_facts->audio_s = facts.audio_s;
    return facts.has_audio ? MS_OK : ms_fail(err, MS_BAD_MEDIA, "the speech file has no sound in it");
}

/* Whether a message begins with a file's name, or with what it is. */
static bool is_of(const char *message, const char *name, const char *what) {
    const size_t n = strlen(name);
    if (strncmp(message, "the ", 4) == 0)
        return strncmp(message + 4, what, strlen(what)) == 0;
    return strncmp(message, name, n) == 0 && (message[n] == ' ' || message[n] == ':');
}

/* Which field of the form a failure is of: what is wrong with a file begins with its name, and in the job's
   folder files are called as their fields. NULL: none of them. Where a range lies behind the video, it is
   told as the field that is wrong. */
static const char *blame(ms_error *err) {
    char message[sizeof(err->message)];
    if (err->code == MS_INVALID_ARGUMENT && strncmp(err->message, "video ends ", 11) == 0) {
        snprintf(message, sizeof(message), "%s", err->message);
        ms_fail(err, MS_INVALID_ARGUMENT, "start_s: the %s", message);
        return "start_s";
    }
    if (err->code != MS_BAD_MEDIA && err->code != MS_UNSUPPORTED && err->code != MS_NO_FACE)
        return NULL;
    return is_of(err->message, "video", "video")    ? "video"
           : is_of(err->message, "audio", "speech") ? "audio"
           : is_of(err->message, "track", "track")  ? "track"
                                                    : NULL;
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

/* In place of the run's own words, which do not count what a worker keeps beside it. */
static ms_status say_too_small(const worker_job *j, size_t least_bytes, int64_t *ret_needs_bytes,
                               ms_error *err) {
    char budget[MS_SIZE_TEXT_BYTES];
    const size_t more = (size_t)(ms_size_whole_mib((uint64_t)j->budget_bytes) + 1) << 20;
    least_bytes = least_bytes < more ? more : least_bytes; /* it was tried, and did not do */
    *ret_needs_bytes = (int64_t)least_bytes;
    return ms_fail(err, MS_BUDGET, "a budget of %s is too small: this job needs at least %zu MiB",
                   ms_size_format_budget(budget, (uint64_t)j->budget_bytes), least_bytes >> 20);
}

static void tell_looked(worker *w, const worker_job *j, clip_look *clip, const clip_facts *facts,
                        const told_plan *told) {
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "{\"event\":\"looked\",\"input\":");
    write_input(&b, facts, save_thumbs(clip, facts->video_s), j->has_track ? "null" : find_face(j));
    ms_buf_printf(&b, ",\"plan\":");
    write_plan(&b, told);
    ms_buf_printf(&b, "}");
    worker_tell(w, &b);
}

/* Before the run is asked: not less than it will say. */
static numbers numbers_of(const worker_job *j, const clip_facts *f, size_t clean_bytes) {
    const job_options *o = &j->options;
    const bool keeps = o->rest == MS_REST_KEEP;
    double seconds = f->audio_s > 0 ? f->audio_s : f->video_s;
    if (keeps && f->video_s > seconds)
        seconds = f->video_s;
    if (!keeps && o->duration_s > 0 && o->duration_s < seconds)
        seconds = o->duration_s;
    int64_t frames = (int64_t)ceil(seconds * FPS) + AFTER_SPEECH;
    if (o->frames > 0 && o->frames < frames)
        frames = o->frames;
    return (numbers){.width = f->width,
                     .height = f->height,
                     .fps = FPS,
                     .frames = frames,
                     .turns = f->audio_s > f->video_s,
                     .clean_bytes = clean_bytes};
}

/* The run's own plan, which knows the files; the least is the plan's by numbers. */
static told_plan told_by_run(const ms_run_report *r, const numbers *n, int window, size_t least_bytes) {
    return (told_plan){.fits = true,
                       .tier = r->tier,
                       .tier_reason = r->tier_reason,
                       .precision = r->precision,
                       .rung = r->rung,
                       .resolution = r->resolution,
                       .window_frames = window,
                       .peak_bytes = r->planned_bytes,
                       .budget_bytes = r->budget_bytes,
                       .least_bytes = lesser(least_bytes, r->budget_bytes),
                       .frames = n->frames,
                       .seconds = r->planned_total_s};
}

/* In place of the words of a plan, which do not know what is to be done about it. */
static ms_status fail_apart(const worker_job *j, const ms_plan_report *r, size_t least_bytes,
                            int64_t *ret_needs_bytes, ms_error *err) {
    if (r->host_bytes <= (size_t)j->host_budget_bytes)
        return say_too_small(j, least_bytes, ret_needs_bytes, err);
    char budget[MS_SIZE_TEXT_BYTES];
    return ms_fail(err, MS_BUDGET,
                   "a budget of %s of the host's memory is too small: this job needs %zu MiB beside the "
                   "device",
                   ms_size_format_budget(budget, (uint64_t)j->host_budget_bytes),
                   (size_t)ms_size_whole_mib(r->host_bytes));
}

static ms_status look(worker *w, const worker_job *j, dry_run *dry, clip_look **ret_clip,
                      int64_t *ret_needs_bytes, ms_error *err) {
    const size_t clean_bytes = ms_host_resident_bytes();
    clip_facts facts = {0};
    ms_plan_report r = {0};
    size_t least_bytes = 0;
    int window; /* which a dry run does not say */
    MS_TRY(open_both(j, ret_clip, &facts, err));
    numbers n = numbers_of(j, &facts, clean_bytes);
    MS_TRY(find_least(j, &n, &least_bytes, &window, err));
    ms_status status = run_dry(j, dry, err);
    if (status != MS_OK)
        return status == MS_BUDGET ? say_too_small(j, least_bytes, ret_needs_bytes, err) : status;
    if (dry->report.planned_frames > 0)
        n.frames = dry->report.planned_frames;
    if (is_apart(j))
        status = plan_beside(j, &n, &r, err);
    if (status != MS_OK)
        return status == MS_BUDGET ? fail_apart(j, &r, least_bytes, ret_needs_bytes, err) : status;
    told_plan told = is_apart(j) ? told_by_numbers(j, &n, &r, true, least_bytes)
                                 : told_by_run(&dry->report, &n, window, least_bytes);
    told.notes = &dry->report;
    tell_looked(w, j, *ret_clip, &facts, &told);
    return MS_OK;
}

void worker_look(worker *w, const worker_job *j) {
    clip_look *clip = NULL;
    int64_t needs_bytes = 0;
    ms_error err;
    ms_error_clear(&err);
    dry_run *dry = calloc(1, sizeof(*dry));
    ms_status status = dry ? look(w, j, dry, &clip, &needs_bytes, &err)
                           : ms_fail(&err, MS_HOST_MEMORY, "out of memory to look at the video");
    if (status != MS_OK)
        worker_tell_failure(w, j, &err, needs_bytes, blame(&err));
    clip_look_close(&clip);
    free(dry);
}
