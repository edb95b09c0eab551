#include "frames/frame_order.h"

#include "base/error.h"

bool ms_frame_order_is_complete(const ms_frame_order *o) {
    return o->known || o->clip_frames >= o->wanted;
}

int64_t ms_frame_order_frames(const ms_frame_order *o) {
    if (!o->known)
        return o->clip_frames < o->wanted ? o->clip_frames : o->wanted;
    return ms_loop_frames(o->loop, o->wanted, o->clip_frames);
}

/* Before its end is known, the clip is shown forward. */
static int64_t shown_by(const ms_frame_order *o, int64_t frame) {
    return o->known ? ms_loop_index(o->loop, frame, o->clip_frames) : frame;
}

/* A face goes on from one shown frame to the next when they are neighbours (in either direction, or the same)
   and no stretch begins between them. */
static ms_status goes_on(const ms_frame_order *o, int64_t from, int64_t to, bool *ret_goes_on,
                         ms_error *err) {
    ms_pose later = {.begins = true};
    if (from >= 0 && (to == from + 1 || to == from - 1))
        MS_TRY(ms_pose_store_get(o->poses, to > from ? to : from, &later, err));
    *ret_goes_on = from == to || !later.begins;
    return MS_OK;
}

ms_status ms_frame_order_get(const ms_frame_order *o, int64_t frame, int64_t *ret_shown, ms_pose *ret_pose,
                             ms_error *err) {
    int64_t shown = shown_by(o, frame), before = frame > 0 ? shown_by(o, frame - 1) : -1;
    bool on = false;
    MS_TRY(ms_pose_store_get(o->poses, shown, ret_pose, err));
    MS_TRY(goes_on(o, before, shown, &on, err));
    ret_pose->begins = !on;
    *ret_shown = shown;
    return MS_OK;
}

ms_status ms_frame_order_window_start(const ms_frame_order *o, int64_t frame, int64_t window_frames,
                                      int64_t *ret_start, ms_error *err) {
    int64_t shown, first = frame; /* of the stretch of frames with a face */
    ms_pose pose;
    MS_TRY(ms_frame_order_get(o, frame, &shown, &pose, err));
    *ret_start = frame;
    if (!pose.present)
        return MS_OK;
    while (!pose.begins && first > 0) {
        MS_TRY(ms_frame_order_get(o, first - 1, &shown, &pose, err));
        if (!pose.present)
            break;
        first--;
    }
    *ret_start = frame - (frame - first) % window_frames;
    return MS_OK;
}

ms_status ms_frame_order_window_end(const ms_frame_order *o, int64_t frame, int64_t window_frames,
                                    int64_t *ret_end, ms_error *err) {
    int64_t shown, start, frames = ms_frame_order_frames(o), end = frame + 1;
    ms_pose pose;
    MS_TRY(ms_frame_order_window_start(o, frame, window_frames, &start, err));
    MS_TRY(ms_frame_order_get(o, frame, &shown, &pose, err));
    while (pose.present && end < frames) {
        MS_TRY(ms_frame_order_get(o, end, &shown, &pose, err));
        if (ms_window_ends(end - start, window_frames, &pose))
            break;
        end++;
    }
    *ret_end = end;
    return MS_OK;
}

ms_status ms_frame_order_count(const ms_frame_order *o, int64_t from, int64_t to, int64_t window_frames,
                               ms_frame_counts *ret_counts, ms_error *err) {
    int64_t in_window = 0, start = from;
    *ret_counts = (ms_frame_counts){0};
    if (from < to)
        MS_TRY(ms_frame_order_window_start(o, from, window_frames, &start, err));
    in_window = from - start; /* of one that began before */
    for (int64_t frame = from; frame < to; frame++) {
        ms_pose pose;
        int64_t shown;
        MS_TRY(ms_frame_order_get(o, frame, &shown, &pose, err));
        ret_counts->without_face += !pose.present;
        ret_counts->interpolated += pose.present && pose.interpolated;
        if (ms_window_ends(in_window, window_frames, &pose))
            in_window = 0;
        ret_counts->windows += pose.present && in_window == 0;
        in_window += pose.present;
    }
    return MS_OK;
}
