/*
 * Which frame of the clip each output frame shows, with its pose, and where windows begin and end: all that
 * follows from the poses that are there, by number and in any order. So a segment of the output can be made
 * by itself.
 */
#ifndef MS_FRAMES_FRAME_ORDER_H
#define MS_FRAMES_FRAME_ORDER_H

#include "audio/chunks.h"
#include "frames/pose_store.h"

typedef struct ms_frame_order {
    ms_pose_store *poses; /* of the clip's frames; borrowed */
    ms_loop loop;
    int64_t wanted;      /* output frames that are asked for at most */
    int64_t clip_frames; /* whose poses are there */
    bool known;          /* the clip has no more */
} ms_frame_order;

/*
 * The rule by which output frames collect to windows: whether what was collected so far, in_window frames
 * that all have a face, ends before a frame with that pose. A frame without a face is in no window.
 */
static inline bool ms_window_ends(int64_t in_window, int64_t window_frames, const ms_pose *pose) {
    return in_window == window_frames || pose->begins || !pose->present;
}

/* Poses are there for all output frames. */
bool ms_frame_order_is_complete(const ms_frame_order *order);

/* Output frames that there are; only so far as poses are there, unless it is complete. */
int64_t ms_frame_order_frames(const ms_frame_order *order);

/* Of output frame `frame`, one of those: the clip's frame that it shows, and its pose. begins: also where a
   loop jumps. MS_DAMAGED, MS_IO: of the pose store. */
ms_status ms_frame_order_get(const ms_frame_order *order, int64_t frame, int64_t *ret_shown,
                             ms_pose *ret_pose, ms_error *err);

/*
 * A window begins with the first frame that has a face, or behind window_frames of them, or where a stretch
 * begins. The first frame of the window that a frame is in; of a frame without a face, the frame itself.
 */
ms_status ms_frame_order_window_start(const ms_frame_order *order, int64_t frame, int64_t window_frames,
                                      int64_t *ret_start, ms_error *err);

/* The frame behind that window. The order is complete. */
ms_status ms_frame_order_window_end(const ms_frame_order *order, int64_t frame, int64_t window_frames,
                                    int64_t *ret_end, ms_error *err);

typedef struct ms_frame_counts {
    int64_t without_face, interpolated, windows;
} ms_frame_counts;

/* Of the frames from one to before another. A window that begins before is not counted. */
ms_status ms_frame_order_count(const ms_frame_order *order, int64_t from, int64_t to, int64_t window_frames,
                               ms_frame_counts *ret_counts, ms_error *err);

#endif
