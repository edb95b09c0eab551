/* What a run tells: where its time goes, how far it is, how long it will still take. */
#include <math.h>
#include <string.h>

#include "run/run_job.h"

/* How often somebody is told within a step, which may take minutes. */
#define TELL_S 0.1
/* Frames that the encoder holds back before it writes the first one (x264's lookahead), beside those in the
   queue. */
#define ENCODER_FRAMES 40

static double now_s(const ms_job *j) {
    return ms_now_s() - j->started;
}

static int stage_of(const char *name) {
    for (int i = 0; name && i < MS_STAGE_COUNT; i++)
        if (strcmp(name, ms_stage_name((ms_stage)i)) == 0)
            return i;
    return MS_STAGE_COUNT;
}

/* ---- the estimate ---- */

static double step_weight(const ms_job *j, int64_t step) {
    return j->p->deepcache && !ms_deepcache_full_step((int)step) ? j->redraw.plan.cached_step : 1;
}

static int64_t segments_until(const ms_job *j, int64_t frame) {
    const ms_video_info *info = ms_clip_info(j->in.clip);
    return (int64_t)ceil((double)frame * info->fps.den / info->fps.num / MS_RUN_SEGMENT_S);
}

static double kept_faces(const ms_job *j, int64_t frames_left) {
    int64_t kept = j->faces_before;
    return (double)(frames_left > 0 && kept > frames_left ? frames_left : kept);
}

static ms_eta_plan predictions(const ms_job *j) {
    double stage_s[MS_STAGE_COUNT], steps = 0;
    int64_t here = j->expected - j->frames_before;
    for (int i = 0; i < j->p->steps; i++)
        steps += step_weight(j, i);
    ms_eta_plan plan = {.frames = here > 0 ? (double)here : 0,
                        .earlier_frames = (double)j->frames_before,
                        .kept_faces = kept_faces(j, here),
                        .most_faces = (double)(ms_inputs_frames_within(&j->in, j->expected) -
                                               ms_inputs_frames_within(&j->in, j->frames_before)),
                        .window_frames = (double)j->redraw.plan.window_frames,
                        .steps = steps,
                        .segments =
                            (double)(segments_until(j, j->expected) - segments_until(j, j->frames_before))};
    ms_job_predict_frames(j, plan.frames, stage_s);
    ms_eta_set_predictions(&plan, stage_s, MS_RUN_READY_FRAMES, MS_RUN_REDRAWN_FRAMES + ENCODER_FRAMES);
    return plan;
}

void ms_job_begin_estimate(ms_job *j) {
    ms_eta_plan plan = predictions(j);
    j->segments_heard = segments_until(j, j->frames_before);
    ms_eta_begin(&j->eta, &plan);
    ms_eta_enter(&j->eta, MS_ETA_LOAD, 0.01, now_s(j));
    j->forecast.left_s = fmax(ms_eta_get(&j->eta, now_s(j)).left_s, 0);
}

void ms_job_follow_layout(void *arg) {
    ms_job *j = arg;
    ms_eta_plan plan = predictions(j);
    ms_eta_set_costs(&j->eta, plan.unit_s);
}

void ms_job_mark_window(ms_job *j) {
    memcpy(j->before_window.done, j->eta.done, sizeof(j->eta.done));
    j->before_window.segments_heard = j->segments_heard;
}

void ms_job_return_to_mark(ms_job *j) {
    memcpy(j->eta.done, j->before_window.done, sizeof(j->eta.done));
    j->segments_heard = j->before_window.segments_heard;
}

void ms_job_skip_window(ms_job *j) {
    ms_eta_keep(&j->eta, (double)j->collected);
}

/* The part of the estimate that a stage's time on this thread is. */
static ms_eta_part part_of(const ms_job *j, int stage) {
    static const ms_eta_part parts[] = {
        [MS_STAGE_LOAD] = MS_ETA_LOAD,       [MS_STAGE_AUDIO] = MS_ETA_AUDIO,
        [MS_STAGE_FACES] = MS_ETA_FACES,     [MS_STAGE_ENCODE] = MS_ETA_ENCODE,
        [MS_STAGE_DENOISE] = MS_ETA_DENOISE, [MS_STAGE_DECODE] = MS_ETA_DECODE,
        [MS_STAGE_WRITE] = MS_ETA_WRITE,     [MS_STAGE_COUNT] = MS_ETA_PARTS};
    if (stage == MS_STAGE_FACES && j->eta.done[MS_ETA_ENCODE] <= 0)
        return MS_ETA_LEAD;
    return stage == MS_STAGE_WRITE && j->writing_up ? MS_ETA_TAIL : parts[stage];
}

/* Units of the next step of a stage that begins or goes on. */
static double next_units(const ms_job *j, int stage, int64_t done) {
    double frames = (double)j->collected;
    switch (stage) {
    case MS_STAGE_LOAD:
        return 0.01;
    case MS_STAGE_ENCODE: /* each frame is two pictures */
        return 0.5 * (double)j->redraw.plan.layout.encode_batch;
    case MS_STAGE_DENOISE:
        return frames * step_weight(j, done);
    case MS_STAGE_DECODE:
        return (double)j->redraw.plan.layout.decode_batch;
    default:
        return 1;
    }
}

/* Units between two numbers that the engine gave. Faces count when they are delivered. */
static double units_between(const ms_job *j, int stage, int64_t from, int64_t to, int64_t total) {
    double frames = (double)j->collected, units = 0;
    switch (stage) {
    case MS_STAGE_LOAD:
        return (double)(to - from) / (double)total;
    case MS_STAGE_ENCODE:
        return frames * (double)(to - from) / (double)total;
    case MS_STAGE_DENOISE:
        for (int64_t step = from; step < to; step++)
            units += frames * step_weight(j, step);
        return units;
    default:
        return 0;
    }
}

/* Segments of speech are made when a window asks for one that is not there. */
static void note_audio(ms_job *j) {
    int64_t last = j->collected ? j->window[j->collected - 1].frame.number + 1 : 0,
            until = segments_until(j, last);
    if (until > j->segments_heard)
        ms_eta_advance(&j->eta, (double)(until - j->segments_heard), 1, now_s(j));
    j->segments_heard = until > j->segments_heard ? until : j->segments_heard;
}

/* ---- stages ---- */

void ms_job_enter(ms_job *j, const char *name) {
    double now = ms_now_s();
    int before = stage_of(j->stage_name), stage = stage_of(name);
    if (before < MS_STAGE_COUNT)
        j->stage_s[before] += now - j->stage_began;
    if (before == MS_STAGE_AUDIO && stage == MS_STAGE_ENCODE)
        note_audio(j);
    j->stage_name = name;
    j->stage_began = now;
    j->part = j->parts = 0;
    ms_eta_enter(&j->eta, part_of(j, stage), next_units(j, stage, 0), now - j->started);
}

/* Faces and write are the busy time of threads beside this one. */
void ms_job_stage_seconds(const ms_job *j, double ret_s[MS_STAGE_COUNT]) {
    memcpy(ret_s, j->stage_s, sizeof(j->stage_s));
    ret_s[MS_STAGE_FACES] = j->faces.worker.busy_s;
    ret_s[MS_STAGE_WRITE] = j->write.worker.busy_s + j->end.join_s;
}

void ms_job_did(ms_job *j, double units) {
    ms_eta_advance(&j->eta, units, next_units(j, stage_of(j->stage_name), 0), now_s(j));
}

void ms_job_write_up(ms_job *j) {
    j->writing_up = true;
    ms_job_enter(j, "write");
}

void ms_job_engine_stage(void *arg, const char *name, int64_t done, int64_t total) {
    ms_job *j = arg;
    int stage = stage_of(name);
    if (stage != stage_of(j->stage_name) || done < j->part)
        ms_job_enter(j, name);
    if (stage != MS_STAGE_DECODE)
        ms_eta_advance(&j->eta, units_between(j, stage, j->part, done, total), next_units(j, stage, done),
                       now_s(j));
    j->part = done;
    j->parts = total;
    ms_job_tell(j);
}

/* ---- telling ---- */

/* What was expected of a step may be wrong; that all is done is not. */
void ms_job_tell_end(ms_job *j) {
    if (!j->p->progress || !j->stage_name)
        return;
    int64_t done = atomic_load(&j->write.frames_done);
    ms_run_progress progress = {.stage = j->stage_name,
                                .frames_done = done,
                                .frames_total = done,
                                .seconds = now_s(j),
                                .fraction = 1,
                                .eta_s = 0};
    j->p->progress(j->p->arg, &progress);
}

void ms_job_tell_frames(ms_job *j, int64_t done, int64_t expected, const ms_eta_value *value) {
    if (!j->p->progress || !j->stage_name)
        return;
    ms_run_progress progress = {.stage = j->stage_name,
                                .frames_done = done,
                                .frames_total = expected > 0 && done > expected ? done : expected,
                                .part = j->part,
                                .parts = j->parts,
                                .seconds = now_s(j),
                                .fraction = value->fraction,
                                .eta_s = value->left_s};
    j->told_s = progress.seconds;
    j->p->progress(j->p->arg, &progress);
}

void ms_job_tell(ms_job *j) {
    ms_eta_value value = ms_eta_get(&j->eta, now_s(j));
    ms_job_tell_frames(j, atomic_load(&j->write.frames_done), j->expected, &value);
}

bool ms_job_is_time_to_tell(const ms_job *j) {
    return now_s(j) - j->told_s >= TELL_S;
}

ms_status ms_job_poll(void *arg) {
    ms_job *j = arg;
    if (ms_job_is_time_to_tell(j))
        ms_job_tell(j);
    return j->p->cancelled && j->p->cancelled(j->p->arg) ? MS_CANCELLED : MS_OK;
}
