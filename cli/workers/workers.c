#include "workers/workers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "console/console.h"
#include "console/signals.h"
#include "memsafe/plan.h"
#include "options/options.h"
#include "results/run_events.h"
#include "results/run_text.h"
#include "workers/made.h"
#include "workers/merge.h"
#include "workers/orders.h"
#include "workers/said.h"
#include "workers/worker_set.h"

/* Where what one of them says goes. */
typedef struct voice {
    cli_said *said; /* the crew's */
    ms_run_report made;
    bool has_made; /* it has said so, at its end */
} voice;

typedef struct crew {
    const cli_run_state *s;
    cli_worker_set set;
    cli_merge merge;
    cli_said said;
    voice voice[CLI_MAX_WORKERS];
    bool joins;
} crew;

/* ---- progress ---- */

/* What they all come to; frames_done of it are finished, of the job's. */
static ms_run_progress sum_up(crew *c) {
    cli_merge_begin(&c->merge);
    for (int i = 0; i < c->set.count; i++)
        cli_merge_add(&c->merge, &c->set.worker[i].heard, c->set.worker[i].pid != 0);
    return cli_merge_end(&c->merge);
}

static void tell(crew *c) {
    const ms_run_progress progress = sum_up(c);
    if (c->s->p.progress)
        c->s->p.progress(c->s->p.arg, &progress);
}

/* Of this process's own steps. How much of the job finding faces is, nobody knows before the workers have
   plans; joining is what the workers leave. */
static void tell_step(void *arg, const ms_run_progress *step) {
    crew *c = arg;
    ms_run_progress progress = *step;
    progress.seconds = ms_now_s() - c->merge.began_s;
    const double joined = step->fraction > 0 ? step->fraction : 0;
    progress.fraction = c->joins ? CLI_MERGE_MOST + (1 - CLI_MERGE_MOST) * joined : -1;
    if (!c->joins)
        progress.eta_s = -1;
    if (c->s->p.progress)
        c->s->p.progress(c->s->p.arg, &progress);
}

/* When each that works has a plan: once. */
static void tell_plan(crew *c) {
    const ms_run_params *p = &c->s->p;
    int awaited = 0;
    for (int i = 0; i < c->set.count; i++)
        awaited += c->set.worker[i].pid != 0 && !c->set.worker[i].heard.planned;
    if (c->said.told || awaited || !c->said.plans)
        return;
    c->said.told = true;
    cli_run_plan_event(p, &c->said.plan);
    if (p->work == MS_RUN_WORK_PART)
        cli_run_say_plan(p, &c->said.plan);
    else
        cli_run_say_need(c->merge.before ? "the rest" : "this", &c->said.plan);
    if (!c->merge.total) { /* a part has not split */
        c->merge.total = c->said.plan.planned_frames;
        c->merge.before = c->said.plan.frames_resumed;
    }
}

/* ---- following them ---- */

static void tell_death(void *arg, int i) {
    crew *c = arg;
    const cli_worker *w = &c->set.worker[i];
    if (!w->heard.done && (w->heard.err.code != MS_CANCELLED || !cli_interrupted(NULL)))
        cli_worker_tell_end(w, &w->heard.err, cli_worker_set_alive(&c->set) > 0);
}

/* Until all have ended. */
static ms_status follow(crew *c, ms_error *err) {
    while (cli_worker_set_alive(&c->set)) {
        cli_worker_set_listen(&c->set);
        tell_plan(c);
        tell(c);
        if (c->s->p.cancelled && c->s->p.cancelled(c->s->p.arg)) {
            cli_worker_set_end(&c->set);
            return ms_fail(err, MS_CANCELLED, "cancelled while %d workers made segments", c->set.count);
        }
    }
    return MS_OK;
}

static void hear(void *arg, const char *event, const ms_json *line) {
    voice *v = arg;
    cli_said_take(v->said, event, line);
    v->has_made = cli_made_take(event, line, &v->made) || v->has_made;
}

static ms_status start(crew *c, const cli_device_list *l, ms_error *err) {
    cli_worker_order order[CLI_MAX_WORKERS];
    MS_TRY(cli_make_orders(&c->s->p, l, order, err));
    for (int i = 0; i < l->count; i++) {
        c->voice[i].said = &c->said;
        MS_TRY(cli_worker_set_add(&c->set, &order[i], hear, &c->voice[i], err));
    }
    return MS_OK;
}

/* Where none of them could do anything, the first one's error is the run's. */
static const cli_worker *first_failed(const crew *c) {
    const cli_worker *failed = NULL;
    for (int i = c->set.count - 1; i >= 0; i--) {
        if (c->set.worker[i].heard.done)
            return NULL;
        failed = &c->set.worker[i];
    }
    return failed;
}

static void fill_report(const crew *c, cli_workers_report *r) {
    r->count = c->set.count;
    for (int i = 0; i < c->set.count; i++) {
        const cli_worker *w = &c->set.worker[i];
        snprintf(r->worker[i].device, sizeof(r->worker[i].device), "%s", w->order.device);
        if (!w->heard.done)
            snprintf(r->worker[i].problem, sizeof(r->worker[i].problem), "%.255s", w->heard.err.message);
        r->worker[i].frames = w->heard.frames_done;
        r->worker[i].peak_bytes = w->heard.peak_bytes;
        r->worker[i].budget_bytes = w->order.budget_bytes;
        r->worker[i].seconds = w->heard.seconds;
        const ms_run_report *made = &c->voice[i].made;
        if (!c->voice[i].has_made)
            continue;
        r->worker[i].rung = made->rung;
        r->worker[i].planned_bytes = made->planned_bytes;
        r->worker[i].device_peak_bytes = made->device_peak_bytes;
        r->worker[i].windows = made->windows_computed;
        memcpy(r->worker[i].stage_s, made->stage_s, sizeof(r->worker[i].stage_s));
    }
}

/* What they made, in the report of the whole. */
static void sum_made(const crew *c, ms_run_report *r) {
    const ms_run_report *made[CLI_MAX_WORKERS] = {NULL};
    for (int i = 0; i < c->set.count; i++)
        made[i] = c->voice[i].has_made ? &c->voice[i].made : NULL;
    cli_made_sum(made, c->set.count, r);
}

static ms_status make_segments(crew *c, const cli_device_list *l, cli_workers_report *ret_workers,
                               ms_error *err) {
    MS_TRY(start(c, l, err));
    ms_status status = follow(c, err);
    fill_report(c, ret_workers);
    const cli_worker *failed = status == MS_OK ? first_failed(c) : NULL;
    if (!failed)
        return status;
    if (err)
        *err = failed->heard.err;
    return failed->heard.err.code;
}

/* What --resume would take over: each that ended early says what was finished when it began, and by
   itself. */
static int64_t kept_frames(const crew *c) {
    int64_t frames = c->merge.before;
    for (int i = 0; i < c->set.count; i++) {
        const cli_events *e = &c->set.worker[i].heard;
        const int64_t own = e->done ? e->frames_done : e->frames_kept - e->frames_before;
        frames += e->planned && own > 0 ? own : 0;
    }
    return frames;
}

/* ---- the whole ---- */

/* A worker is a process: what these names say in it is another file. */
static ms_status refuse_own(const ms_run_params *p, ms_error *err) {
    static const char *const own[] = {"/dev/stdin", "/dev/fd/", "/proc/self/"};
    const char *const read[] = {p->video, p->audio, p->track};
    for (int i = 0; i < CLI_COUNT(read); i++)
        for (int k = 0; read[i] && k < CLI_COUNT(own); k++)
            if (strncmp(read[i], own[k], strlen(own[k])) == 0)
                return ms_fail(err, MS_INVALID_ARGUMENT,
                               "%s: each device has a process of its own, in which this names another file; "
                               "name the file itself",
                               read[i]);
    return MS_OK;
}

static ms_status run_whole(crew *c, const cli_device_list *l, ms_run_report *r,
                           cli_workers_report *ret_workers, ms_error *err) {
    ms_run_params p = c->s->p;
    p.device = l->name[0];
    p.work = MS_RUN_WORK_SPLIT;
    p.progress = tell_step;
    p.planned = NULL;
    p.arg = c;
    MS_TRY(ms_run(&p, r, err));
    if (r->already_finished)
        return MS_OK;
    const ms_run_report split = *r;
    c->merge.total = r->frames;
    c->merge.before = r->frames_resumed;
    if (r->segments_finished < r->segments) {
        cli_say("%s will have %" PRId64 " frames, made in %" PRId64 " segments by %d workers\n", p.output,
                r->frames, r->segments, l->count);
        ms_status status = make_segments(c, l, ret_workers, err);
        if (status != MS_OK) {
            *r = (ms_run_report){.fps = split.fps, .frames_resumable = kept_frames(c)};
            /* Other errors are a worker's, which has said it. */
            if (status == MS_CANCELLED && r->frames_resumable)
                ms_error_add(err, "; %" PRId64 " of %" PRId64 " frames are kept in %s.memsafe",
                             r->frames_resumable, split.frames, p.output);
            return status;
        }
    }
    p.work = MS_RUN_WORK_JOIN;
    c->joins = true;
    MS_TRY(ms_run(&p, r, err));
    r->frames_resumed = split.frames_resumed;
    r->faces = split.faces;
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        r->stage_s[i] += split.stage_s[i];
    r->n_notes = split.n_notes;
    memcpy(r->note, split.note, sizeof(r->note));
    sum_made(c, r);
    r->seconds = ms_now_s() - c->merge.began_s;
    return MS_OK;
}

ms_status cli_workers_run(const cli_run_state *s, const cli_device_list *devices, ms_run_report *ret_report,
                          cli_workers_report *ret_workers, ms_error *err) {
    static crew c;
    c = (crew){.s = s, .merge = {.began_s = ms_now_s()}, .set = {.died = tell_death, .arg = &c}};
    c.merge.segment = s->p.segment_frames ? s->p.segment_frames : CLI_MERGE_SEGMENT;
    *ret_workers = (cli_workers_report){.count = 0};
    MS_TRY(refuse_own(&s->p, err));
    if (s->p.work != MS_RUN_WORK_PART)
        return run_whole(&c, devices, ret_report, ret_workers, err);
    ms_status status = make_segments(&c, devices, ret_workers, err);
    *ret_report = c.said.plan; /* of the faces each worker knows its own */
    ret_report->frames_resumable = status == MS_OK ? 0 : kept_frames(&c);
    ret_report->frames = sum_up(&c).frames_done;
    ret_report->seconds = ms_now_s() - c.merge.began_s;
    sum_made(&c, ret_report);
    return status;
}
