/* What a run learns from earlier ones, and what it leaves to later ones. */
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
    ms_job_predict(j, (double)j->total,
                   (double)(ms_inputs_frames_within(&j->in, j->total) - j->counts.without_face),
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
