/* What a run learns from earlier ones, and what it leaves to later ones. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "run/run_job.h"

ms_status ms_job_find_speed(ms_job *j, ms_error *err) {
    j->past.machine = ms_run_machine(&j->model->compute);
    j->past.key = ms_run_history_key(&j->redraw.engine_params, j->p->track != NULL, j->p->codec);
    MS_TRY(ms_model_find_speed(j->model, j->p->history, &j->past.key, j->report.history_warning, err));
    j->report.history_runs = j->model->speed.runs;
    return MS_OK;
}

/* Seconds of every stage for so many frames, of which so many get a new face. */
static void predict(const ms_job *j, double frames, double faces, double ret_computed_s[MS_STAGE_COUNT],
                    double ret_predicted_s[MS_STAGE_COUNT]) {
    const ms_video_info *info = ms_clip_info(j->clip);
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
    for (int i = MS_STAGE_ENCODE; i <= MS_STAGE_DECODE; i++)
        j->report.planned_window_s +=
            j->redraw.plan.stage_s[i] * j->model->speed.ratio[j->redraw.plan.rung][i];
    double computed_s[MS_STAGE_COUNT], redrawn = (double)ms_job_frames_within(j, j->expected);
    if (j->expected > 0)
        predict(j, (double)j->expected, redrawn, computed_s, j->report.planned_s);
    if (j->expected > 0) /* what is over is known */
        j->report.planned_s[MS_STAGE_LOAD] += j->opening_s;
    double windows = ceil(redrawn / (double)j->redraw.plan.window_frames);
    j->report.planned_total_s = ms_run_total_seconds(j->report.planned_s, windows);
}

/* The model's stages take what a face took, the others what was predicted. */
void ms_job_predict_whole(ms_job *j) {
    ms_run_report *r = &j->report;
    double computed_s[MS_STAGE_COUNT], stage_s[MS_STAGE_COUNT];
    double whole = (double)j->preview.whole,
           faces = fmin(whole - (double)j->range.before, (double)j->range.redrawn);
    r->preview_first = j->preview.first;
    if (!j->preview.frames || whole <= 0 || j->preview.worked == 0)
        return;
    predict(j, whole, faces, computed_s, stage_s);
    stage_s[MS_STAGE_LOAD] = r->stage_s[MS_STAGE_LOAD];
    for (int i = MS_STAGE_ENCODE; i <= MS_STAGE_DECODE; i++)
        stage_s[i] = r->stage_s[i] / (double)j->preview.worked * faces;
    r->whole_frames = j->preview.whole;
    r->whole_s = ms_run_total_seconds(stage_s, ceil(faces / (double)j->redraw.plan.window_frames));
}

/* What is noted as predicted is what would have been said of the frames and faces
   that there turned out to be. */
void ms_job_describe_past(ms_job *j) {
    const ms_run_report *r = &j->report;
    ms_history_run *past = &j->past;
    past->width = r->width;
    past->height = r->height;
    past->steps = j->p->steps;
    past->frames = r->frames;
    past->rung = j->redraw.plan.rung;
    ms_run_layout_text(&j->redraw.plan, past->layout);
    past->changes = j->redraw.n_changes;
    past->budget_bytes = r->budget_bytes;
    past->planned_bytes = r->planned_bytes;
    past->peak_bytes = r->peak_resident_bytes;
    predict(j, (double)r->frames, (double)(r->frames - r->frames_kept - r->frames_without_face),
            past->computed_s, past->predicted_s);
    memcpy(past->measured_s, r->stage_s, sizeof(past->measured_s));
    past->measured_s[MS_STAGE_LOAD] -= j->opening_s;
}

void ms_job_record_past(ms_job *j) {
    char warning[MS_HISTORY_TEXT_BYTES] = "";
    if (j->past.frames > 0)
        ms_run_history_record(j->p->history, &j->past, warning);
    if (warning[0])
        snprintf(j->report.history_warning, sizeof(j->report.history_warning), "%s", warning);
}
