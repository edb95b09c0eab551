/* What a run learns from earlier ones, and what it leaves to later ones. */
#include <math.h>
#include <string.h>

#include "run/run_job.h"

ms_status ms_job_find_speed(ms_job *j, ms_error *err) {
    ms_history_run *run = &j->past.run;
    run->machine = ms_run_machine(&j->model->compute);
    run->key = ms_run_history_key(&j->redraw.engine_params, j->p->track != NULL, j->p->codec);
    MS_TRY(ms_model_find_speed(j->model, j->p->history, &run->key, j->past.warning, err));
    j->past.runs = j->model->speed.runs;
    return MS_OK;
}

/* Seconds of every stage for so many frames, of which so many get a new face. */
static void predict(const ms_job *j, double frames, double faces, double ret_computed_s[MS_STAGE_COUNT],
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

void ms_job_predict_frames(const ms_job *j, double frames, double ret_s[MS_STAGE_COUNT]) {
    double computed_s[MS_STAGE_COUNT];
    predict(j, frames, frames, computed_s, ret_s);
}

void ms_job_predict(ms_job *j) {
    ms_job_forecast *f = &j->forecast;
    for (int i = MS_STAGE_ENCODE; i <= MS_STAGE_DECODE; i++)
        f->window_s += j->redraw.plan.stage_s[i] * j->model->speed.ratio[j->redraw.plan.rung][i];
    double computed_s[MS_STAGE_COUNT], redrawn = (double)ms_inputs_frames_within(&j->in, j->expected);
    if (j->expected > 0)
        predict(j, (double)j->expected, redrawn, computed_s, f->stage_s);
    if (j->expected > 0) /* what is over is known */
        f->stage_s[MS_STAGE_LOAD] += f->opening_s;
    double windows = ceil(redrawn / (double)j->redraw.plan.window_frames);
    f->total_s = ms_run_total_seconds(f->stage_s, windows);
}

/* The model's stages take what a face took, the others what was predicted. */
void ms_job_predict_whole(const ms_job *j, int64_t *ret_frames, double *ret_s) {
    double computed_s[MS_STAGE_COUNT], took_s[MS_STAGE_COUNT], stage_s[MS_STAGE_COUNT];
    double whole = (double)j->forecast.whole_frames,
           faces = fmin(whole - (double)j->in.range.before, (double)j->in.range.redrawn);
    if (!j->in.preview_frames || whole <= 0 || j->preview.worked == 0)
        return;
    ms_job_stage_seconds(j, took_s);
    predict(j, whole, faces, computed_s, stage_s);
    stage_s[MS_STAGE_LOAD] = took_s[MS_STAGE_LOAD];
    for (int i = MS_STAGE_ENCODE; i <= MS_STAGE_DECODE; i++)
        stage_s[i] = took_s[i] / (double)j->preview.worked * faces;
    *ret_frames = j->forecast.whole_frames;
    *ret_s = ms_run_total_seconds(stage_s, ceil(faces / (double)j->redraw.plan.window_frames));
}

/* What is noted as predicted is what would have been said of the frames and faces
   that there turned out to be. */
void ms_job_describe_past(ms_job *j) {
    ms_history_run *run = &j->past.run;
    ms_inputs_output_size(&j->in, &run->width, &run->height);
    run->steps = j->p->steps;
    run->frames = j->total;
    run->rung = j->redraw.plan.rung;
    ms_run_layout_text(&j->redraw.plan, run->layout);
    run->changes = j->redraw.n_changes;
    run->budget_bytes = j->model->policy.budget_bytes;
    run->planned_bytes = j->plan.bytes;
    run->peak_bytes = j->end.peak_resident_bytes;
    predict(j, (double)j->total, (double)(ms_inputs_frames_within(&j->in, j->total) - j->counts.without_face),
            run->computed_s, run->predicted_s);
    ms_job_stage_seconds(j, run->measured_s);
    run->measured_s[MS_STAGE_LOAD] -= j->forecast.opening_s;
}

void ms_job_record_past(ms_job *j) {
    char warning[MS_HISTORY_TEXT_BYTES] = "";
    if (j->past.run.frames > 0)
        ms_run_history_record(j->p->history, &j->past.run, warning);
    if (warning[0])
        memcpy(j->past.warning, warning, sizeof(warning));
}
