/* What is said of a run before and beside its work: how long it will take. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "run/run_job.h"
#include "run/threads/part.h"

/* Frames that the encoder holds back before it writes the first one (x264's lookahead), beside those in the
   queue. */
#define ENCODER_FRAMES 40

void ms_job_predict(const ms_job *j, double frames, double faces, double ret_computed_s[MS_STAGE_COUNT],
                    double ret_predicted_s[MS_STAGE_COUNT]) {
    const ms_video_info *info = ms_clip_info(j->in.clip);
    ms_run_extent extent = {.frames = frames,
                            .windows = faces / (double)j->redraw.plan.window_frames,
                            .speech_s = frames * info->fps.den / info->fps.num,
                            .width = info->width,
                            .height = info->height,
                            .tracked = j->p->track != NULL,
                            .threads = ms_pool_threads(j->model->compute.pool)};
    ms_run_compute(&j->model->speed, j->redraw.plan.stage_s, &extent, ret_computed_s);
    ms_run_predict(&j->model->speed, j->redraw.plan.rung, ret_computed_s, ret_predicted_s);
}

/* Faces and write are the busy time of threads beside the caller's. */
void ms_job_stage_seconds(const ms_job *j, double ret_s[MS_STAGE_COUNT]) {
    memcpy(ret_s, j->progress.stage_s, sizeof(j->progress.stage_s));
    ret_s[MS_STAGE_FACES] = j->faces.worker.busy_s;
    ret_s[MS_STAGE_WRITE] = j->write.worker.busy_s + j->end.join_s;
}

/* ---- the time left ---- */

int64_t ms_job_speech_segments(const ms_job *j, int64_t frame) {
    const ms_video_info *info = ms_clip_info(j->in.clip);
    return (int64_t)ceil((double)frame * info->fps.den / info->fps.num / MS_RUN_SEGMENT_S);
}

static double kept_faces(const ms_job *j, int64_t frames_left) {
    int64_t kept = j->store.faces_left;
    return (double)(frames_left > 0 && kept > frames_left ? frames_left : kept);
}

/* As ms_part_rework() of a part; else 1. */
static double rework(const ms_job *j) {
    return j->forecast.rework > 0 ? j->forecast.rework : 1;
}

/* Of a part, frames are counted as they go through windows, those of others too, so that all together come to
   the whole job. */
static ms_eta_plan eta_plan(const ms_job *j) {
    double computed_s[MS_STAGE_COUNT], stage_s[MS_STAGE_COUNT];
    const double again = rework(j);
    int64_t all = j->forecast.frames, before = j->frames_before, here = all - before;
    ms_eta_plan plan = {
        .frames = here > 0 ? again * (double)here : 0,
        .earlier_frames = again * (double)before,
        .kept_faces = kept_faces(j, here),
        .most_faces =
            again * (double)(ms_inputs_frames_within(&j->in, all) - ms_inputs_frames_within(&j->in, before)),
        .window_frames = (double)j->redraw.plan.window_frames,
        .steps = ms_progress_steps(&j->progress),
        .segments = (double)(ms_job_speech_segments(j, all) - ms_job_speech_segments(j, before))};
    ms_job_predict(j, plan.frames, plan.frames, computed_s, stage_s); /* as if all had a face */
    ms_eta_set_predictions(&plan, stage_s, MS_RUN_READY_FRAMES, MS_RUN_REDRAWN_FRAMES + ENCODER_FRAMES);
    return plan;
}

void ms_job_follow_layout(void *arg) {
    ms_job *j = arg;
    const ms_eta_plan plan = eta_plan(j);
    ms_eta_set_costs(&j->progress.eta, plan.unit_s);
}

/* ---- the whole ---- */

/* Output frames that there will be: total where they are certain, forecast.frames as far as the clip's header
   knows. */
static void foresee_frames(ms_job *j) {
    ms_job_forecast *f = &j->forecast;
    const bool ends_with_clip = j->p->loop == MS_LOOP_MODE_NONE || j->p->rest == MS_REST_KEEP;
    const int64_t clip = ms_inputs_clip_frames(&j->in), wanted = ms_inputs_wanted_frames(&j->in);
    j->total = j->store.complete ? j->store.total : ends_with_clip ? 0 : wanted;
    f->frames = j->store.complete ? j->store.total : !ends_with_clip || clip > wanted ? wanted : clip;
    if (j->p->parts && j->store.complete) /* of the others nothing is waited for */
        f->frames = j->frames_before + ms_part_frames(j->p, &j->store, j->total);
    if (!j->preview.frames)
        return;
    f->whole_frames = f->frames;
    const bool shorter = f->frames > 0 && f->frames < j->preview.frames;
    j->total = f->frames = shorter ? f->frames : j->preview.frames;
}

static void foresee_seconds(ms_job *j) {
    ms_job_forecast *f = &j->forecast;
    const ms_run_plan *plan = &j->redraw.plan;
    const double again = rework(j), redrawn = again * (double)ms_inputs_frames_within(&j->in, f->frames);
    double computed_s[MS_STAGE_COUNT];
    for (int i = MS_STAGE_ENCODE; i <= MS_STAGE_DECODE; i++)
        f->window_s += plan->stage_s[i] * j->model->speed.ratio[plan->rung][i];
    if (f->frames > 0)
        ms_job_predict(j, again * (double)f->frames, redrawn, computed_s, f->stage_s);
    if (f->frames > 0) /* what is over is known */
        f->stage_s[MS_STAGE_LOAD] += f->opening_s;
    f->total_s = ms_run_total_seconds(f->stage_s, ceil(redrawn / (double)plan->window_frames));
}

void ms_job_foresee(ms_job *j) {
    ms_job_forecast *f = &j->forecast;
    f->opening_s = ms_now_s() - j->progress.started;
    f->rate = ms_inputs_rate(&j->in);
    foresee_frames(j);
    foresee_seconds(j);
    const ms_eta_plan plan = eta_plan(j);
    const int64_t heard = ms_job_speech_segments(j, j->frames_before);
    f->left_s = fmax(ms_progress_begin(&j->progress, &plan, f->frames, heard), 0);
}

/* The model's stages take what a face took, the others what was predicted. */
void ms_job_predict_whole(const ms_job *j, int64_t *ret_frames, double *ret_s) {
    double computed_s[MS_STAGE_COUNT], took_s[MS_STAGE_COUNT], stage_s[MS_STAGE_COUNT];
    double whole = (double)j->forecast.whole_frames,
           faces = fmin(whole - (double)j->in.range.before, (double)j->in.range.redrawn);
    if (!j->preview.frames || whole <= 0 || j->preview.worked == 0)
        return;
    ms_job_stage_seconds(j, took_s);
    ms_job_predict(j, whole, faces, computed_s, stage_s);
    stage_s[MS_STAGE_LOAD] = took_s[MS_STAGE_LOAD];
    for (int i = MS_STAGE_ENCODE; i <= MS_STAGE_DECODE; i++)
        stage_s[i] = took_s[i] / (double)j->preview.worked * faces;
    *ret_frames = j->forecast.whole_frames;
    *ret_s = ms_run_total_seconds(stage_s, ceil(faces / (double)j->redraw.plan.window_frames));
}
