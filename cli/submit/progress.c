#include "submit/progress.h"

#include "base/clock.h"
#include "memsafe/plan.h"

int cli_task_clips(const cli_job *j, const cli_task *t) {
    return j->clips / j->n_tasks + (t->place <= j->clips % j->n_tasks);
}

/* Each clip counts alike: how long one is, nobody knows before it is begun. */
static void look_at_batch(cli_job_progress *p, const cli_job *j, ms_run_progress *ret) {
    double clips = 0;
    for (int i = 0; i < j->count; i++) {
        const cli_task *t = &j->task[i];
        const int all = cli_task_clips(j, t);
        const double fraction = t->heard.fraction > 0 ? t->heard.fraction : 0;
        double done = t->shared ? fraction * all : t->clips ? t->clips - 1 + fraction : 0;
        clips += t->heard.done || done > all ? all : done;
        if (t->heard.stage[0] && !t->heard.done)
            ret->stage = t->heard.stage;
    }
    if (clips / j->clips > p->fraction)
        p->fraction = clips / j->clips;
    ret->fraction = p->fraction < 0.999 ? p->fraction : 0.999;
    ret->eta_s = p->fraction > 0.02 ? ret->seconds * (1 - p->fraction) / p->fraction : -1;
}

/* One that was killed says nothing of it; Slurm does. */
static bool is_at_work(const cli_task *t) {
    const cli_events *e = &t->heard;
    return e->starts > 0 && !e->done && e->err.code == MS_OK && t->state != CLI_SLURM_FAILED &&
           t->state != CLI_SLURM_WAITS;
}

void cli_job_progress_look(cli_job_progress *p, const cli_job *j, ms_run_progress *ret) {
    *ret = (ms_run_progress){.stage = ms_stage_name(MS_STAGE_LOAD),
                             .seconds = ms_now_s() - p->began_s,
                             .fraction = -1,
                             .eta_s = -1};
    if (j->clips) {
        look_at_batch(p, j, ret);
        return;
    }
    if (!j->task[0].heard.done) { /* its fraction is of finding faces alone */
        ret->stage = ms_stage_name(MS_STAGE_FACES);
        ret->frames_done = p->split_frames;
        return;
    }
    const int64_t segment = j->asked->run.p.segment_frames;
    p->merge.segment = segment ? segment : CLI_MERGE_SEGMENT;
    cli_merge_begin(&p->merge);
    for (int i = 1; i + 1 < j->count; i++)
        cli_merge_add(&p->merge, &j->task[i].heard, is_at_work(&j->task[i]));
    *ret = cli_merge_end(&p->merge);
}
