/*
 * The segments of a job that are finished: those whose files lie in its folder under their names, are whole
 * and of this job. They may be made in any order and by anyone.
 */
#ifndef MS_JOB_SEGMENT_SET_H
#define MS_JOB_SEGMENT_SET_H

#include "job/job_folder.h"

/* Segments of so many frames; the last may be short. */
static inline int64_t ms_segments_of(int64_t frames, int64_t segment_frames) {
    return (frames + segment_frames - 1) / segment_frames;
}

typedef struct ms_finished_segment {
    int64_t number, frames;
} ms_finished_segment;

typedef struct ms_segment_set {
    ms_finished_segment *segment; /* by number */
    int64_t count;
    int64_t frames;        /* in them */
    int64_t first_damaged; /* the lowest that is not as it was written, which is not in the set; -1 = none */
    int64_t first_missing; /* the lowest that is not in the set */
} ms_segment_set;

typedef struct ms_segment_set_params {
    ms_mem *mem;
    const ms_job_folder *folder;
    uint64_t job[2]; /* ms_job_key_hash() */
    int64_t segment_frames;
    int64_t total;                /* output frames of the job; 0 = not known */
    bool remove_damaged;          /* so that what has a segment's name is one */
    bool (*cancelled)(void *arg); /* asked before each is read; NULL = never */
    void *arg;
} ms_segment_set_params;

/* Reads all of them whole. One that is too long counts as damaged, and one that is short, unless it may be
   the job's last. MS_DAMAGED: a file that memsafe does not make has a segment's name; MS_IO, MS_CANCELLED. */
ms_status ms_segment_set_find(const ms_segment_set_params *params, ms_segment_set *ret_set, ms_error *err);

void ms_segment_set_free(ms_segment_set *set);

bool ms_segment_set_has(const ms_segment_set *set, int64_t number);

#endif
