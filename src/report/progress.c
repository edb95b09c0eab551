#include "report/progress.h"

#include <string.h>

#include "base/clock.h"
#include "engine/denoiser.h"

/* How often somebody is told within a step, which may take minutes. */
#define TELL_S 0.1

static double now_s(const ms_progress *g) {
    return ms_now_s() - g->started;
}

static int stage_of(const char *name) {
    for (int i = 0; name && i < MS_STAGE_COUNT; i++)
        if (strcmp(name, ms_stage_name((ms_stage)i)) == 0)
            return i;
    return MS_STAGE_COUNT;
}

/* ---- the estimate ---- */

static double step_weight(const ms_progress *g, int64_t step) {
    return g->p->deepcache && !ms_deepcache_full_step((int)step) ? g->plan->cached_step : 1;
}

double ms_progress_steps(const ms_progress *g) {
    double steps = 0;
    for (int i = 0; i < g->p->steps; i++)
        steps += step_weight(g, i);
    return steps;
}

double ms_progress_begin(ms_progress *g, const ms_eta_plan *eta, int64_t expected, int64_t heard) {
    g->expected = expected;
    g->heard = heard;
    ms_eta_begin(&g->eta, eta);
    ms_eta_enter(&g->eta, MS_ETA_LOAD, 0.01, now_s(g));
    return ms_eta_get(&g->eta, now_s(g)).left_s;
}

void ms_progress_begin_window(ms_progress *g, int64_t frames, int64_t heard) {
    g->window.frames = frames;
    g->window.heard = heard;
}

void ms_progress_mark_window(ms_progress *g) {
    memcpy(g->before_window.done, g->eta.done, sizeof(g->eta.done));
    g->before_window.heard = g->heard;
}

void ms_progress_return_to_mark(ms_progress *g) {
    memcpy(g->eta.done, g->before_window.done, sizeof(g->eta.done));
    g->heard = g->before_window.heard;
}

void ms_progress_skip_window(ms_progress *g) {
    ms_eta_keep(&g->eta, (double)g->window.frames);
}

/* The part of the estimate that a stage's time on this thread is. */
static ms_eta_part part_of(const ms_progress *g, int stage) {
    static const ms_eta_part parts[] = {
        [MS_STAGE_LOAD] = MS_ETA_LOAD,       [MS_STAGE_AUDIO] = MS_ETA_AUDIO,
        [MS_STAGE_FACES] = MS_ETA_FACES,     [MS_STAGE_ENCODE] = MS_ETA_ENCODE,
        [MS_STAGE_DENOISE] = MS_ETA_DENOISE, [MS_STAGE_DECODE] = MS_ETA_DECODE,
        [MS_STAGE_WRITE] = MS_ETA_WRITE,     [MS_STAGE_COUNT] = MS_ETA_PARTS};
    if (stage == MS_STAGE_FACES && g->eta.done[MS_ETA_ENCODE] <= 0)
        return MS_ETA_LEAD;
    return stage == MS_STAGE_WRITE && g->writing_up ? MS_ETA_TAIL : parts[stage];
}

/* Units of the next step of a stage that begins or goes on. */
static double next_units(const ms_progress *g, int stage, int64_t done) {
    double frames = (double)g->window.frames;
    switch (stage) {
    case MS_STAGE_LOAD:
        return 0.01;
    case MS_STAGE_ENCODE: /* each frame is two pictures */
        return 0.5 * (double)g->plan->layout.encode_batch;
    case MS_STAGE_DENOISE:
        return frames * step_weight(g, done);
    case MS_STAGE_DECODE:
        return (double)g->plan->layout.decode_batch;
    default:
        return 1;
    }
}

/* Units between two numbers that the engine gave. Faces count when they are delivered. */
static double units_between(const ms_progress *g, int stage, int64_t from, int64_t to, int64_t total) {
    double frames = (double)g->window.frames, units = 0;
    switch (stage) {
    case MS_STAGE_LOAD:
        return (double)(to - from) / (double)total;
    case MS_STAGE_ENCODE:
        return frames * (double)(to - from) / (double)total;
    case MS_STAGE_DENOISE:
        for (int64_t step = from; step < to; step++)
            units += frames * step_weight(g, step);
        return units;
    default:
        return 0;
    }
}

/* Segments of speech are made when a window asks for one that is not there. */
static void note_audio(ms_progress *g) {
    if (g->window.heard <= g->heard)
        return;
    ms_eta_advance(&g->eta, (double)(g->window.heard - g->heard), 1, now_s(g));
    g->heard = g->window.heard;
}

/* ---- stages ---- */

void ms_progress_enter(ms_progress *g, const char *name) {
    double now = ms_now_s();
    int before = stage_of(g->stage), stage = stage_of(name);
    if (before < MS_STAGE_COUNT)
        g->stage_s[before] += now - g->stage_began;
    if (before == MS_STAGE_AUDIO && stage == MS_STAGE_ENCODE)
        note_audio(g);
    g->stage = name;
    g->stage_began = now;
    g->part = g->parts = 0;
    ms_eta_enter(&g->eta, part_of(g, stage), next_units(g, stage, 0), now - g->started);
}

void ms_progress_did(ms_progress *g, double units) {
    ms_eta_advance(&g->eta, units, next_units(g, stage_of(g->stage), 0), now_s(g));
}

void ms_progress_frame_came(ms_progress *g, bool face) {
    ms_progress_did(g, 1);
    ms_eta_frame(&g->eta, face);
}

void ms_progress_write_up(ms_progress *g) {
    g->writing_up = true;
    ms_progress_enter(g, "write");
}

void ms_progress_engine_stage(void *arg, const char *name, int64_t done, int64_t total) {
    ms_progress *g = arg;
    int stage = stage_of(name);
    if (stage != stage_of(g->stage) || done < g->part)
        ms_progress_enter(g, name);
    if (stage != MS_STAGE_DECODE)
        ms_eta_advance(&g->eta, units_between(g, stage, g->part, done, total), next_units(g, stage, done),
                       now_s(g));
    g->part = done;
    g->parts = total;
    ms_progress_tell(g);
}

/* ---- telling ---- */

/* What was expected of a step may be wrong; that all is done is not. */
void ms_progress_tell_end(const ms_progress *g) {
    if (!g->p->progress || !g->stage)
        return;
    int64_t done = atomic_load(g->frames_done);
    ms_run_progress progress = {.stage = g->stage,
                                .frames_done = done,
                                .frames_total = done,
                                .seconds = now_s(g),
                                .fraction = 1,
                                .eta_s = 0};
    g->p->progress(g->p->arg, &progress);
}

void ms_progress_tell_frames(ms_progress *g, int64_t done, int64_t expected, const ms_eta_value *value) {
    if (!g->p->progress || !g->stage)
        return;
    ms_run_progress progress = {.stage = g->stage,
                                .frames_done = done,
                                .frames_total = expected > 0 && done > expected ? done : expected,
                                .part = g->part,
                                .parts = g->parts,
                                .seconds = now_s(g),
                                .fraction = value->fraction,
                                .eta_s = value->left_s};
    g->told_s = progress.seconds;
    g->p->progress(g->p->arg, &progress);
}

void ms_progress_tell(ms_progress *g) {
    ms_eta_value value = ms_eta_get(&g->eta, now_s(g));
    ms_progress_tell_frames(g, atomic_load(g->frames_done), g->expected, &value);
}

bool ms_progress_is_time_to_tell(const ms_progress *g) {
    return now_s(g) - g->told_s >= TELL_S;
}

ms_status ms_progress_poll(void *arg) {
    ms_progress *g = arg;
    if (ms_progress_is_time_to_tell(g))
        ms_progress_tell(g);
    return g->p->cancelled && g->p->cancelled(g->p->arg) ? MS_CANCELLED : MS_OK;
}
