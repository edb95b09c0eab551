#include "run/threads/segment_work.h"

#include "base/error.h"

/* Segments that a part takes at a time before it looks again what others have finished. */
#define SPAN_OF_PART 2

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

ms_status ms_segment_work_next(ms_segment_work *w, const ms_frame_order *order, int64_t *ret_start,
                               bool *ret_got, ms_error *err) {
    int64_t frames = ms_frame_order_frames(order);
    int64_t segments = ms_segments_of(frames, w->segment_frames), number;
    *ret_got = false;
    while ((number = number_at(w, w->at, segments)) >= 0 && is_finished(w, number))
        w->at++;
    if (number < 0)
        return MS_OK;
    w->first = number;
    do {
        w->behind = ++number;
        w->at++;
    } while ((!w->folder || number - w->first < SPAN_OF_PART) && number_at(w, w->at, segments) == number &&
             !is_finished(w, number));
    int64_t behind = w->behind * w->segment_frames;
    MS_TRY(
        ms_frame_order_window_start(order, w->first * w->segment_frames, w->window_frames, ret_start, err));
    MS_TRY(ms_frame_order_window_end(order, (behind < frames ? behind : frames) - 1, w->window_frames,
                                     &w->end, err));
    *ret_got = true;
    return MS_OK;
}
