#include "run/threads/part.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

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

ms_status ms_part_sort(const ms_run_params *p, ms_mem *mem, int64_t **ret_segments, ms_error *err) {
    const size_t n = (size_t)p->n_segments;
    if (!p->segments && !p->share && !p->parts)
        return MS_OK; /* all are read whole */
    int64_t *list = ms_alloc_array(mem, MS_LEDGER_GENERAL, n ? n : 1, sizeof(*list));
    if (!list)
        return ms_fail_alloc(err, mem, n * sizeof(*list), "the numbers of segments");
    *ret_segments = list;
    if (n == 0 || !p->segments)
        return MS_OK;
    memcpy(list, p->segments, n * sizeof(*list));
    qsort(list, n, sizeof(*list), compare);
    for (size_t i = 1; i < n; i++)
        if (list[i] == list[i - 1])
            return fail_twice(p, list[i], err);
    return MS_OK;
}

static bool is_finished(const ms_run_store *s, int64_t number) {
    return ms_segment_set_has_now(&s->before, &s->folder, number);
}

int64_t ms_part_count_finished(const ms_run_store *s, int64_t total) {
    int64_t n = 0, segments = ms_segments_of(total, s->segment_frames);
    for (int64_t i = 0; i < segments; i++)
        n += is_finished(s, i);
    return n;
}

/* Of so many segments, the first of the part, and the first behind it. */
static void find_part(const ms_run_params *p, int64_t segments, int64_t *ret_from, int64_t *ret_behind) {
    *ret_from = p->parts ? segments * (p->part - 1) / p->parts : 0;
    *ret_behind = p->parts ? segments * p->part / p->parts : segments;
}

int64_t ms_part_frames(const ms_run_params *p, const ms_run_store *s, int64_t total) {
    int64_t from, behind, frames = 0, size = s->segment_frames;
    find_part(p, ms_segments_of(total, size), &from, &behind);
    for (int64_t i = from; i < behind; i++)
        if (!is_finished(s, i))
            frames += (i + 1) * size <= total ? size : total - i * size;
    return frames;
}

void ms_rework_begin(ms_rework *r, const ms_run_params *p, const ms_run_store *s, int64_t total,
                     int64_t window) {
    *r = (ms_rework){.p = p, .store = s, .total = total, .window = window};
    find_part(p, ms_segments_of(total, s->segment_frames), &r->from, &r->limit);
}

/* Which segments are made together, as ms_segment_work_next() takes them. */
static void begin_span(ms_rework *r, int64_t segment) {
    const ms_segment_set *before = &r->store->before;
    const int64_t left = ms_segments_of(r->total, r->store->segment_frames) - segment,
                  most = ms_segment_span(r->p->share, left);
    r->first = segment;
    r->behind = segment + 1;
    r->makes = segment >= r->from && segment < r->limit && !ms_segment_set_has(before, segment);
    while (r->makes && r->behind < r->limit && r->behind - segment < most &&
           !ms_segment_set_has(before, r->behind))
        r->behind++;
}

void ms_rework_frame(ms_rework *r, const ms_pose *pose) {
    const int64_t size = r->store->segment_frames;
    if (ms_window_ends(r->in_window, r->window, pose))
        r->in_window = r->open = 0;
    if (r->frame % size == 0 && r->frame / size >= r->behind) {
        r->open += r->makes && r->in_window > 0; /* its last window goes on */
        begin_span(r, r->frame / size);
        r->made += r->makes ? r->in_window : 0;
    }
    r->made += r->open + r->makes;
    r->frames += r->makes;
    r->in_window += pose->present;
    r->frame++;
}

double ms_rework_ratio(const ms_rework *r) {
    return r->frames > 0 ? (double)r->made / (double)r->frames : 1;
}

ms_status ms_part_rework(const ms_run_params *p, const ms_run_store *s, int64_t window, double *ret_ratio,
                         ms_error *err) {
    const int64_t total = ms_frame_order_frames(&s->order);
    int64_t shown;
    ms_pose pose;
    ms_rework r;
    ms_rework_begin(&r, p, s, total, window);
    for (int64_t i = 0; i < total; i++) {
        MS_TRY(ms_frame_order_get(&s->order, i, &shown, &pose, err));
        ms_rework_frame(&r, &pose);
    }
    *ret_ratio = ms_rework_ratio(&r);
    return MS_OK;
}

void ms_part_limit(const ms_run_params *p, int64_t total, ms_segment_work *w) {
    if (!p->parts)
        return;
    find_part(p, ms_segments_of(total, w->segment_frames), &w->from, &w->limit);
    w->at = w->from;
    if (w->from == w->limit) /* more parts than segments */
        w->at = INT64_MAX;
}

ms_status ms_part_check(const ms_run_params *p, int64_t segments, ms_error *err) {
    for (int64_t i = 0; i < p->n_segments; i++)
        if (p->segments[i] < 0 || p->segments[i] >= segments)
            return ms_fail(err, MS_INVALID_ARGUMENT, "there is no segment %lld: the job has %lld, from 0 on",
                           (long long)p->segments[i], (long long)segments);
    return MS_OK;
}
