/*
 * Which frames a run makes, for its face thread. A run that finds faces goes forward: through the clip as it
 * comes, since the next frame needs the ones before. Everything else is done by segments, in any order, once
 * poses are there: spans of frames, each from the beginning of the window that its first segment begins in to
 * the end of the window that its last one ends in, so that windows are the same whoever makes them.
 */
#ifndef MS_RUN_SEGMENT_WORK_H
#define MS_RUN_SEGMENT_WORK_H

#include <stdatomic.h>

#include "frames/frame_order.h"
#include "job/segment_leases.h"
#include "job/segment_set.h"

typedef struct ms_segment_work {
    const ms_segment_set *finished; /* when the run began; borrowed */
    const ms_job_folder *folder;    /* where others may have finished more meanwhile; NULL = nobody does */
    int64_t segment_frames, window_frames;
    const int64_t *list; /* segments in the order in which they are made; NULL = all, rising; borrowed */
    int64_t n_list;
    ms_leases *leases; /* only what nobody else is making; NULL = no matter who */
    /* With a folder: segments of those that were taken that are over, and those among them that were removed
       while they were made; borrowed. Of each the second is counted first. */
    const atomic_int_fast64_t *ended, *lost;
    bool forward;         /* frames come as the clip does */
    int64_t forward_from; /* output frame where that began: segments that begin before are left for later */

    int64_t from;          /* segments before it are no part of this work */
    int64_t limit;         /* segments from there on are done; 0 = none are */
    int64_t at;            /* next of the list */
    bool passed;           /* by some that others are making */
    int64_t taken;         /* segments of all spans */
    int64_t seen_lost;     /* of them, when the list was gone through again */
    int64_t first, behind; /* segments of the span: from one to before another */
    int64_t end;           /* frame behind the span's last window */
} ms_segment_work;

/* Whether the frame goes into the output now: its segment is not finished, and is this span's. */
bool ms_segment_work_wants(const ms_segment_work *work, int64_t frame);

/* The clip has come to its end; what is left are segments that begin before forward_from. */
void ms_segment_work_end_forward(ms_segment_work *work);

/* Segments of a span at most, where parts share the job. left: those of the list from there on; leased: parts
   take what nobody else is making. */
int64_t ms_segment_span(bool leased, int64_t left);

typedef enum ms_segment_work_state {
    MS_SEGMENT_WORK_SPAN,   /* there is a next span: *ret_start is its first frame */
    MS_SEGMENT_WORK_OWN,    /* nothing is left but what was taken and is not over: to be asked again soon */
    MS_SEGMENT_WORK_OTHERS, /* others are making what is left: to be asked again in a while */
    MS_SEGMENT_WORK_DONE,
} ms_segment_work_state;

/* The order is complete. */
ms_status ms_segment_work_next(ms_segment_work *work, const ms_frame_order *order, int64_t *ret_start,
                               ms_segment_work_state *ret_state, ms_error *err);

#endif
