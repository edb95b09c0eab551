/* A session's life: planned and loaded when it is opened, its speech, what is asked of it. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/sized.h"
#include "planner/params_check.h"
#include "session/session_internal.h"

#define DEFAULT_SPEECH_S 600
#define MAX_SPEECH_S 100000

static const ms_session_params defaults = {.fps_num = 25,
                                           .fps_den = 1,
                                           .face = -1,
                                           .max_gap = MS_TRACK_DEFAULT_MAX_GAP,
                                           .seed = 1247,
                                           .steps = 20,
                                           .guidance = 1.5};

void ms_session_params_init_sized(ms_session_params *ret_params, size_t params_bytes) {
    ms_sized_fill(ret_params, params_bytes, &defaults, sizeof(defaults));
}

/* ---- opening ---- */

static ms_status check(const ms_session_params *p, ms_error *err) {
    MS_TRY(ms_check_size(p->width, p->height, err));
    if (p->fps_num == 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "fps must be named: frames that are pushed have none");
    if (!(p->speech_s >= 0 && p->speech_s <= MAX_SPEECH_S))
        return ms_fail(err, MS_INVALID_ARGUMENT, "speech_s must be 0 to %d, not %g", MAX_SPEECH_S,
                       p->speech_s);
    MS_TRY(ms_check_rate(p->fps_num, p->fps_den, err));
    MS_TRY(ms_check_denoising(p->steps, p->guidance, err));
    MS_TRY(ms_check_max_gap(p->max_gap, err));
    MS_TRY(ms_check_face(p->face, err));
    MS_TRY(ms_check_resolution(p->resolution, err));
    MS_TRY(ms_check_frames(p->frames, err));
    MS_TRY(ms_check_choice("format", (int)p->format, MS_PIXEL_RGB_F32 + 1, err));
    MS_TRY(ms_check_choice("paste", (int)p->paste, MS_PASTE_COUNT, err));
    return ms_check_choice("rung", (int)p->rung, MS_RUNG_COUNT, err);
}

static ms_status poll(void *arg) {
    const ms_session *s = arg;
    return atomic_load(&s->cancelled) ? MS_CANCELLED : MS_OK;
}

static void tell(void *arg, const char *stage, int64_t done, int64_t total) {
    ms_session *s = arg;
    atomic_store(&s->stage, stage);
    atomic_store(&s->part, done);
    atomic_store(&s->parts, total);
}

void ms_session_enter(ms_session *s, const char *stage) {
    tell(s, stage, 0, 0);
}

/* The plan does not depend on what the speech says; until it is there, the engine is made for half a minute
   of it. */
static ms_status open_engine(ms_session *s, ms_error *err) {
    const ms_engine_hooks hooks = {.poll = poll, .stage = tell, .arg = s};
    const ms_session_params *p = &s->p;
    ms_model *m = s->model;
    s->redraw.engine_params =
        (ms_engine_params){.compute = m->compute,
                           .files = &m->files,
                           .precision = m->policy.precision,
                           .weights = m->weights,
                           .resolution = s->geometry.resolution,
                           .steps = p->steps,
                           .guidance = (float)p->guidance,
                           .deepcache = p->deepcache,
                           .seed = p->seed,
                           .fps = (double)p->fps_num / p->fps_den,
                           .speech = {.samples = 480000, .columns = MS_SEGMENT_COLUMNS, .max = 0}};
    char warning[MS_HISTORY_TEXT_BYTES];
    ms_history_key key = ms_run_history_key(&s->redraw.engine_params, p->given_faces, MS_OUTPUT_H264);
    MS_TRY(ms_model_find_speed(m, NULL, &key, warning, err));
    return ms_engine_create(&s->redraw.engine_params, &hooks, &s->redraw.engine, err);
}

static ms_status open_faces(ms_session *s, ms_error *err) {
    const ms_session_params *p = &s->p;
    if (p->given_faces)
        return MS_OK;
    MS_TRY(ms_model_check_faces(s->model, err));
    ms_letterbox fit;
    MS_TRY(ms_letterbox_fit(p->width, p->height, MS_DETECT_SIDE, &fit, err));
    MS_TRY(ms_model_open_faces(s->model, err));
    const ms_face_finder_params finder = {
        .mem = s->mem, .nets = s->model->nets, .face = p->face, .max_gap = p->max_gap};
    return ms_face_finder_create(&finder, &s->finder, err);
}

static void count_others(ms_session *s) {
    const double seconds = s->p.speech_s > 0 ? s->p.speech_s : DEFAULT_SPEECH_S;
    const size_t host =
        ms_model_host_bytes(s->model) + ms_pcm_bytes((int64_t)(seconds * MS_SESSION_SPEECH_RATE));
    s->redraw.other_bytes = s->model->apart ? ms_model_device_bytes(s->model) : host;
    s->redraw.host_other_bytes = s->model->apart ? host : 0;
}

/* Between the steps of opening, of which loading asks by itself. */
static ms_status still_wanted(const ms_session *s, ms_error *err) {
    return atomic_load(&s->cancelled) ? ms_fail(err, MS_CANCELLED, "cancelled while the session was opened")
                                      : MS_OK;
}

static int wanted_resolution(const ms_session *s) {
    return s->p.resolution ? s->p.resolution : s->model->files.unet_config.resolution;
}

/* At the resolution asked for, or lower where that is allowed. */
static ms_status choose_layout(ms_session *s, ms_error *err) {
    for (int side = wanted_resolution(s);; side = ms_run_lower_resolution(side)) {
        MS_TRY(ms_face_geometry_init(side, &s->geometry, err));
        MS_TRY(ms_session_make_buffers(s, err));
        MS_TRY(still_wanted(s, err));
        count_others(s); /* before there is an engine, which plans count */
        MS_TRY(open_engine(s, err));
        MS_TRY(still_wanted(s, err));
        ms_status status = ms_redraw_choose(&s->redraw, err);
        s->least_bytes = status == MS_BUDGET ? ms_run_asked_bytes(&s->redraw.plan) : 0;
        if (status != MS_BUDGET || !s->p.allow_downscale || !ms_run_lower_resolution(side))
            return status;
        ms_engine_destroy(&s->redraw.engine);
        ms_session_free_buffers(s);
    }
}

static ms_status open_all(ms_session *s, ms_error *err) {
    ms_model *m = s->model;
    MS_TRY(still_wanted(s, err));
    MS_TRY(ms_model_take(m, err));
    s->mem = m->mem;
    MS_TRY(ms_redraw_watch(&s->redraw, s->p.pressure_trace, err));
    s->window_frames = m->files.unet_config.num_frames;
    MS_TRY(ms_model_settle_base(m, 0, err));
    MS_TRY(ms_model_open_weights(m, err));
    MS_TRY(open_faces(s, err));
    MS_TRY(ms_pcm_create(s->mem, m->compute.pool, &s->pcm, err));
    MS_TRY(choose_layout(s, err));
    ms_face_follow_init(&s->follow, s->finder ? ms_face_finder_source(s->finder) : ms_session_given_faces(s),
                        &s->geometry, 0, s->p.max_gap);
    MS_TRY(ms_model_hold_budget(m, s->redraw.plan.peak_bytes, err));
    MS_TRY(still_wanted(s, err));
    return ms_redraw_begin(&s->redraw, 0, err);
}

ms_status ms_session_create_sized(const ms_session_params *params, size_t params_bytes,
                                  ms_session **ret_session, ms_error *err) {
    ms_session_params p = defaults;
    ms_error_clear(err);
    MS_READ_SIZED(&p, params, params_bytes, err);
    MS_NEED(p.model, err);
    MS_NEED(ret_session, err);
    MS_TRY(check(&p, err));
    ms_session *s = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, 1, sizeof(*s));
    if (!s)
        return ms_fail_alloc(err, NULL, sizeof(*s), "the session");
    if (p.pressure_trace && !(s->pressure_trace = ms_strdup(NULL, p.pressure_trace))) {
        ms_mem_free(s);
        return ms_fail_alloc(err, NULL, strlen(p.pressure_trace) + 1, "the session");
    }
    s->p = p;
    s->p.pressure_trace = s->pressure_trace;
    s->model = p.model;
    s->redraw = (ms_redraw){.model = s->model, .rung = p.rung, .started = ms_now_s()};
    atomic_store(&s->stage, "");
    *ret_session = s;
    return MS_OK;
}

ms_status ms_session_open(ms_session *s, ms_error *err) {
    ms_error_clear(err);
    MS_NEED(s, err);
    if (s->opened)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the session was opened before");
    s->opened = true;
    ms_session_enter(s, "load");
    ms_status status = open_all(s, err);
    ms_session_enter(s, "");
    return status == MS_OK ? MS_OK : ms_session_failed(s, status, err);
}

void ms_session_destroy(ms_session **session) {
    if (!session || !*session)
        return;
    ms_session *s = *session;
    ms_redraw_end(&s->redraw);
    ms_session_free_buffers(s);
    ms_pcm_destroy(&s->pcm);
    ms_face_finder_destroy(&s->finder);
    if (s->mem)
        ms_model_give_back(s->model);
    ms_mem_free(s->pressure_trace);
    ms_mem_free(s);
    *session = NULL;
}

/* ---- speech ---- */

ms_status ms_session_check(const ms_session *s, ms_error *err) {
    if (!s->opened)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the session is not open");
    if (s->status == MS_OK && atomic_load(&s->cancelled))
        return ms_fail(err, MS_CANCELLED, "the session was cancelled");
    if (s->status != MS_OK && err)
        *err = s->err;
    return s->status;
}

ms_status ms_session_failed(ms_session *s, ms_status status, ms_error *err) {
    s->status = status;
    ms_fail(&s->err, status, "%s", ms_status_text(status));
    if (err && err->message[0])
        s->err = *err;
    return status;
}

ms_status ms_session_push_speech(ms_session *s, const float *samples, int64_t count, ms_error *err) {
    ms_error_clear(err);
    MS_NEED(s, err);
    MS_TRY(ms_session_check(s, err));
    if (count < 0 || (count > 0 && !samples))
        return ms_fail(err, MS_INVALID_ARGUMENT, "%lld samples at %p", (long long)count,
                       (const void *)samples);
    if (s->speech_ended)
        return ms_fail(err, MS_INVALID_ARGUMENT, "speech after its end");
    return ms_pcm_push(s->pcm, samples, count, err);
}

ms_status ms_session_end_speech(ms_session *s, ms_error *err) {
    ms_mel_stats stats;
    ms_error_clear(err);
    MS_NEED(s, err);
    MS_TRY(ms_session_check(s, err));
    if (s->speech_ended)
        return MS_OK;
    MS_TRY(ms_pcm_end(s->pcm, &stats, err));
    ms_engine_set_speech(s->redraw.engine, stats, ms_pcm_source(s->pcm));
    s->speech_ended = true;
    return MS_OK;
}

/* ---- asking ---- */

void ms_session_cancel(ms_session *s) {
    if (s)
        atomic_store(&s->cancelled, true);
}

void ms_session_get_progress_sized(const ms_session *s, ms_session_progress *ret_progress,
                                   size_t progress_bytes) {
    if (!s)
        return;
    const ms_session_progress p = {.pushed = atomic_load(&s->pushed),
                                   .pulled = atomic_load(&s->pulled),
                                   .redrawn = atomic_load(&s->redrawn),
                                   .stage = atomic_load(&s->stage),
                                   .part = atomic_load(&s->part),
                                   .parts = atomic_load(&s->parts),
                                   .seconds = ms_now_s() - s->redraw.started};
    ms_sized_fill(ret_progress, progress_bytes, &p, sizeof(p));
}

void ms_session_get_info_sized(const ms_session *s, ms_session_info *ret_info, size_t info_bytes) {
    if (!s)
        return;
    const ms_session_info i = {.window_frames = (int)s->window_frames,
                               .held_frames = (int)s->size,
                               .resolution = s->geometry.resolution,
                               .speech_frames =
                                   s->speech_ended ? ms_engine_speech_frames(s->redraw.engine) : 0,
                               .rung = s->redraw.plan.rung,
                               .budget_bytes = s->model->policy.budget_bytes,
                               .planned_bytes = s->redraw.plan.peak_bytes,
                               .planned_window_s = s->redraw.plan.window_s,
                               .weights_read_bytes = ms_redraw_read_bytes(&s->redraw),
                               .recoveries = s->redraw.recoveries,
                               .changes = s->redraw.n_changes,
                               .least_bytes = s->least_bytes,
                               .wanted_resolution = wanted_resolution(s)};
    ms_sized_fill(ret_info, info_bytes, &i, sizeof(i));
}
