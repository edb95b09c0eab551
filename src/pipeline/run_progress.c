/* What a run tells: where its time goes, how far it is. */
#include <string.h>

#include "pipeline/run_job.h"

static double *stage_seconds(ms_run_report *r, const char *stage) {
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        if (strcmp(stage, ms_stage_name((ms_stage)i)) == 0)
            return &r->stage_s[i];
    return NULL;
}

void ms_job_enter(ms_job *j, const char *stage) {
    double now = ms_now_s();
    double *seconds = j->stage_name ? stage_seconds(&j->report, j->stage_name) : NULL;
    if (seconds)
        *seconds += now - j->stage_began;
    j->stage_name = stage;
    j->stage_began = now;
}

void ms_job_tell(ms_job *j, int64_t part, int64_t parts) {
    if (!j->p->progress || !j->stage_name)
        return;
    int64_t done = atomic_load(&j->frames_done), here = done - j->report.frames_resumed;
    ms_run_progress progress = {.stage = j->stage_name,
                                .frames_done = done,
                                .frames_total = j->total,
                                .part = part,
                                .parts = parts,
                                .seconds = ms_now_s() - j->started,
                                .eta_s = -1};
    double spent = progress.seconds - j->report.stage_s[MS_STAGE_LOAD];
    if (j->total > 0 && here > 0)
        progress.eta_s = spent / (double)here * (double)(j->total - done);
    else if (j->report.frames_resumed == 0 &&
             j->report.planned_total_s >
                 progress.seconds) /* until the first frame is there, the prediction */
        progress.eta_s = j->report.planned_total_s - progress.seconds;
    j->p->progress(j->p->arg, &progress);
}

ms_status ms_job_poll(void *arg) {
    ms_job *j = arg;
    return j->p->cancelled && j->p->cancelled(j->p->arg) ? MS_CANCELLED : MS_OK;
}

void ms_job_engine_stage(void *arg, const char *stage, int64_t done, int64_t total) {
    ms_job *j = arg;
    if (strcmp(stage, j->stage_name) != 0)
        ms_job_enter(j, stage);
    ms_job_tell(j, done, total);
}
