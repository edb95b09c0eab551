#include "workers/merge.h"

#include "base/clock.h"
#include "memsafe/plan.h"

void cli_merge_begin(cli_merge *m) {
    m->sum = m->total > 0 ? (double)m->before / (double)m->total : 0;
    m->speed = 0;
    m->frames = m->before;
    m->stage = ms_stage_name(MS_STAGE_LOAD);
}

/* Each tells how far the job would be by its own work; together they are farther. */
void cli_merge_add(cli_merge *m, const cli_events *e, bool alive) {
    m->frames += e->frames_earlier + e->frames_done;
    m->sum += e->fraction_earlier;
    if (e->fraction < 0)
        return;
    m->sum += e->fraction - e->first_fraction;
    if (alive && e->eta_s > 0 && e->fraction < 1)
        m->speed += (1 - e->fraction) / e->eta_s;
    if (alive && e->stage[0])
        m->stage = e->stage;
}

ms_run_progress cli_merge_end(cli_merge *m) {
    if (m->sum > CLI_MERGE_MOST)
        m->sum = CLI_MERGE_MOST;
    if (m->sum > m->fraction)
        m->fraction = m->sum;
    return (ms_run_progress){.stage = m->stage,
                             .frames_done = m->frames,
                             .frames_total = m->total,
                             .seconds = ms_now_s() - m->began_s,
                             .fraction = m->total > 0 ? m->fraction : -1,
                             .eta_s = m->speed > 0 ? (1 - m->fraction) / m->speed : -1};
}
