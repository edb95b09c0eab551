/* A part of a job: the segments that a run is asked for by number, or that are its part's of so many parts
   alike in length. */
#ifndef MS_RUN_THREADS_PART_H
#define MS_RUN_THREADS_PART_H

#include "job/run_store.h"
#include "memsafe/run.h"
#include "run/threads/segment_work.h"

/* [params->n_segments] rising numbers, charged to mem; NULL = all. MS_INVALID_ARGUMENT: one is there
   twice. */
ms_status ms_part_sort(const ms_run_params *params, ms_mem *mem, int64_t **ret_segments, ms_error *err);

/* MS_INVALID_ARGUMENT: it has one that a job of so many segments does not have. */
ms_status ms_part_check(const ms_run_params *params, int64_t segments, ms_error *err);

/* The job's segments that are finished by now, by whoever. total: output frames. */
int64_t ms_part_count_finished(const ms_run_store *store, int64_t total);

/* Output frames of the part's segments that are not finished. */
int64_t ms_part_frames(const ms_run_params *params, const ms_run_store *store, int64_t total);

/* Frames that go through windows for one of those that are left: 1 and more, for windows across the ends of
   what is made at a time are made by both neighbours. window: frames of one. The order is complete. */
ms_status ms_part_rework(const ms_run_params *params, const ms_run_store *store, int64_t window,
                         double *ret_ratio, ms_error *err);

/* The same by one pose after the other, of all output frames. params and store are borrowed. */
typedef struct ms_rework {
    const ms_run_params *p;
    const ms_run_store *store;
    int64_t total, window;
    int64_t from, limit;   /* segments of the part */
    int64_t first, behind; /* segments of the span, which are made or not */
    bool makes;
    int64_t frame, in_window; /* the next one, and frames before it of its window */
    int64_t open;             /* spans whose last window has not ended */
    int64_t frames, made;     /* so far: of the part, and through windows */
} ms_rework;

void ms_rework_begin(ms_rework *rework, const ms_run_params *params, const ms_run_store *store, int64_t total,
                     int64_t window);
void ms_rework_frame(ms_rework *rework, const ms_pose *pose);
double ms_rework_ratio(const ms_rework *rework);

/* The work becomes the part's; without params->parts it stays as it is. */
void ms_part_limit(const ms_run_params *params, int64_t total, ms_segment_work *work);

#endif
