#include "workers/merge.h"

#include "base/clock.h"
#include "memsafe/plan.h"

static double share_of(const cli_merge *m, int64_t frames) {
    return m->total > 0 ? (double)frames / (double)m->total : 0;
}

void cli_merge_begin(cli_merge *m) {
    m->sum = share_of(m, m->before);
    m->speed = m->loaded = 0;
    m->loaders = 0;
    m->frames = m->before;
    m->stage = ms_stage_name(MS_STAGE_LOAD);
}

/* Frames of whole segments among so many that one has made. */
static int64_t whole_frames(const cli_merge *m, int64_t frames) {
    return m->segment > 0 ? frames / m->segment * m->segment : frames;
}

static double least(double a, double b) {
    return a < b ? a : b;
}

/* Each tells how far the job would be by its own work; together they are farther. What a dead one has begun
   is made again by another. */
void cli_merge_add(cli_merge *m, const cli_events *e, bool alive) {
    const bool lost = !alive && !e->done;
    const int64_t earlier = whole_frames(m, e->frames_earlier),
                  frames = lost ? whole_frames(m, e->frames_done) : e->frames_done;
    m->frames += earlier + frames;
    m->sum += least(e->fraction_earlier, share_of(m, earlier));
    if (e->fraction < 0)
        return;
    const double made = cli_events_worked(e) * (1 - share_of(m, e->frames_before));
    m->loaded += alive ? cli_events_loaded(e) : 0;
    m->loaders += alive;
    m->sum += lost ? least(made, share_of(m, frames)) : made;
    if (alive && e->eta_s > 0 && e->fraction < 1)
        m->speed += (1 - e->fraction) / e->eta_s;
    if (alive && e->stage[0])
        m->stage = e->stage;
}

/* Each reads the model, at the same time: what that is of the work of one is what it is of all of them. */
ms_run_progress cli_merge_end(cli_merge *m) {
    const double before = share_of(m, m->before), loaded = m->loaders ? m->loaded / m->loaders : 0,
                 sum =
                     least(before + (1 - before) * loaded + (1 - loaded) * (m->sum - before), CLI_MERGE_MOST);
    if (sum > m->fraction)
        m->fraction = sum;
    return (ms_run_progress){.stage = m->stage,
                             .frames_done = m->total > 0 && m->frames > m->total ? m->total : m->frames,
                             .frames_total = m->total,
                             .seconds = ms_now_s() - m->began_s,
                             .fraction = m->total > 0 ? m->fraction : -1,
                             .eta_s = m->speed > 0 ? (1 - sum) / m->speed : -1};
}
