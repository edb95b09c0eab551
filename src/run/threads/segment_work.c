#include "run/threads/segment_work.h"

#include "base/error.h"

/* Segments that a part takes at a time before it looks again what others have finished. */
#define SPAN_OF_PART 2
#define MANY 16 /* segments that are left */

bool ms_segment_work_wants(const ms_segment_work *w, int64_t frame) {
    int64_t segment = frame / w->segment_frames;
    if (w->forward)
        return segment * w->segment_frames >= w->forward_from && !ms_segment_set_has(w->finished, segment);
    return segment >= w->first && segment < w->behind;
}

void ms_segment_work_end_forward(ms_segment_work *w) {
    w->forward = false;
    w->limit = ms_segments_of(w->forward_from, w->segment_frames);
    w->at = w->limit > 0 ? 0 : INT64_MAX;
    w->first = w->behind = w->end = 0;
}

/* The number at a place of the list; -1 behind its end. */
static int64_t number_at(const ms_segment_work *w, int64_t at, int64_t segments) {
    if (w->list)
        return at < w->n_list ? w->list[at] : -1;
    return at < segments && (w->limit == 0 || at < w->limit) ? at : -1;
}

static bool is_finished(const ms_segment_work *w, int64_t number) {
    return w->folder ? ms_segment_set_has_now(w->finished, w->folder, number)
                     : ms_segment_set_has(w->finished, number);
}

/* Whether it is to be made here. Whoever has the lease may have finished it since it was looked for. */
static bool take(ms_segment_work *w, int64_t number) {
    if (is_finished(w, number))
        return false;
    if (!w->leases)
        return true;
    if (!ms_leases_take(w->leases, number)) {
        w->passed = true;
        return false;
    }
    if (!is_finished(w, number))
        return true;
    ms_leases_give_back(w->leases, number);
    return false;
}

/* Near the end each takes one, so that all end at about the same time. */
int64_t ms_segment_span(bool leased, int64_t left) {
    return leased && left < MANY ? 1 : SPAN_OF_PART;
}

static int64_t span_at_most(const ms_segment_work *w, int64_t segments) {
    return w->folder ? ms_segment_span(w->leases != NULL, segments - w->at) : segments;
}

/* Behind the end of the list, which is gone through again for what others may have given up, and for what was
   lost here. */
static ms_segment_work_state at_end(ms_segment_work *w) {
    bool again = w->passed;
    if (!again && w->folder) {
        if (atomic_load(w->ended) < w->taken)
            return MS_SEGMENT_WORK_OWN;
        const int64_t lost = atomic_load(w->lost);
        again = lost > w->seen_lost;
        w->seen_lost = lost;
    }
    w->passed = false;
    if (again)
        w->at = w->from;
    return again ? MS_SEGMENT_WORK_OTHERS : MS_SEGMENT_WORK_DONE;
}

ms_status ms_segment_work_next(ms_segment_work *w, const ms_frame_order *order, int64_t *ret_start,
                               ms_segment_work_state *ret_state, ms_error *err) {
    int64_t frames = ms_frame_order_frames(order);
    int64_t segments = ms_segments_of(frames, w->segment_frames), number;
    while ((number = number_at(w, w->at, segments)) >= 0 && !take(w, number))
        w->at++;
    if (number < 0) {
        *ret_state = at_end(w);
        return MS_OK;
    }
    int64_t most = span_at_most(w, segments);
    w->first = number;
    do {
        w->behind = ++number;
        w->at++;
    } while (number - w->first < most && number_at(w, w->at, segments) == number && take(w, number));
    w->taken += w->behind - w->first;
    int64_t behind = w->behind * w->segment_frames;
    MS_TRY(
        ms_frame_order_window_start(order, w->first * w->segment_frames, w->window_frames, ret_start, err));
    MS_TRY(ms_frame_order_window_end(order, (behind < frames ? behind : frames) - 1, w->window_frames,
                                     &w->end, err));
    *ret_state = MS_SEGMENT_WORK_SPAN;
    return MS_OK;
}
