/* The segments that a part is asked for by number. */
#include <stdlib.h>
#include <string.h>

#include "run/run_job.h"

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Places are counted from 0, as in the list. */
static ms_status fail_twice(const ms_run_params *p, int64_t number, ms_error *err) {
    int64_t place[2] = {0}, found = 0;
    for (int64_t i = 0; i < p->n_segments && found < 2; i++)
        if (p->segments[i] == number)
            place[found++] = i;
    return ms_fail(err, MS_INVALID_ARGUMENT, "segment %lld is named twice: segments[%lld] and segments[%lld]",
                   (long long)number, (long long)place[0], (long long)place[1]);
}

ms_status ms_job_sort_part(ms_job *j, ms_error *err) {
    const ms_run_params *p = j->p;
    const size_t n = (size_t)p->n_segments;
    if (!p->segments && !p->share && !p->parts)
        return MS_OK; /* all are read whole */
    j->part_segments = ms_alloc_array(j->mem, MS_LEDGER_GENERAL, n ? n : 1, sizeof(*j->part_segments));
    if (!j->part_segments)
        return ms_fail_alloc(err, j->mem, n * sizeof(*j->part_segments), "the numbers of segments");
    if (n == 0 || !p->segments)
        return MS_OK;
    memcpy(j->part_segments, p->segments, n * sizeof(*j->part_segments));
    qsort(j->part_segments, n, sizeof(*j->part_segments), compare);
    for (size_t i = 1; i < n; i++)
        if (j->part_segments[i] == j->part_segments[i - 1])
            return fail_twice(p, j->part_segments[i], err);
    return MS_OK;
}

static bool is_finished(const ms_job *j, int64_t number) {
    return ms_segment_set_has_now(&j->store.before, &j->store.folder, number);
}

int64_t ms_job_count_segments(const ms_job *j) {
    int64_t n = 0, segments = ms_segments_of(j->total, j->segment_frames);
    for (int64_t i = 0; i < segments; i++)
        n += is_finished(j, i);
    return n;
}

/* Of so many segments, the first of the part, and the first behind it. */
static void find_part(const ms_run_params *p, int64_t segments, int64_t *ret_from, int64_t *ret_behind) {
    *ret_from = p->parts ? segments * (p->part - 1) / p->parts : 0;
    *ret_behind = p->parts ? segments * p->part / p->parts : segments;
}

int64_t ms_job_part_frames(const ms_job *j) {
    int64_t from, behind, frames = 0, size = j->segment_frames;
    find_part(j->p, ms_segments_of(j->total, size), &from, &behind);
    for (int64_t i = from; i < behind; i++)
        if (!is_finished(j, i))
            frames += (i + 1) * size <= j->total ? size : j->total - i * size;
    return frames;
}

void ms_job_limit_part(const ms_job *j, ms_segment_work *w) {
    const ms_run_params *p = j->p;
    if (!p->parts)
        return;
    find_part(p, ms_segments_of(j->total, j->segment_frames), &w->from, &w->limit);
    w->at = w->from;
    if (w->from == w->limit) /* more parts than segments */
        w->at = INT64_MAX;
}

ms_status ms_job_check_part(const ms_job *j, ms_error *err) {
    int64_t segments = ms_segments_of(j->total, j->segment_frames);
    for (int64_t i = 0; i < j->p->n_segments; i++)
        if (j->p->segments[i] < 0 || j->p->segments[i] >= segments)
            return ms_fail(err, MS_INVALID_ARGUMENT, "there is no segment %lld: the job has %lld, from 0 on",
                           (long long)j->p->segments[i], (long long)segments);
    return MS_OK;
}
