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
    uint64_t device, inode; /* of its file */
} ms_finished_segment;

typedef struct ms_segment_set {
    ms_finished_segment *segment; /* by number */
    int64_t count;
    int64_t frames;        /* in them */
    int64_t first_damaged; /* the lowest that is not as it was written, which is not in the set; -1 = none */
    int64_t first_missing; /* the lowest that is not in the set */
    /* Those whose files are not as they were written, and still lie there; by number. */
    ms_finished_segment *damaged;
    int64_t n_damaged;
} ms_segment_set;

typedef struct ms_segment_set_params {
    ms_mem *mem;
    const ms_job_folder *folder;
    uint64_t job[2]; /* ms_job_key_hash() */
    int64_t segment_frames;
    int64_t total; /* output frames of the job; 0 = not known */
    /* Those to be read, by number; others count as finished by their names. NULL = all are read */
    const int64_t *only;
    int64_t n_only;
    int64_t most_packet_bytes;    /* of a picture in them, ms_packet_most_bytes(); 0 = any number */
    bool remove_damaged;          /* their files; only where nobody else makes segments */
    bool (*cancelled)(void *arg); /* asked before each and while it is read; NULL = never */
    void *arg;
} ms_segment_set_params;

/* Reads them whole. One that is too long counts as damaged, and one that is short, unless it may be the
   job's last. MS_DAMAGED: a file that memsafe does not make has a segment's name; MS_IO, MS_CANCELLED. */
ms_status ms_segment_set_find(const ms_segment_set_params *params, ms_segment_set *ret_set, ms_error *err);

void ms_segment_set_free(ms_segment_set *set);

bool ms_segment_set_has(const ms_segment_set *set, int64_t number);

/* Whether it is finished by now, maybe by somebody else: what has its name is not the file that was found
   damaged. Who makes it again puts the new file in the old one's place, so that nobody has to remove it: by
   its name alone a good one might be hit that took the name meanwhile. */
bool ms_segment_set_has_now(const ms_segment_set *set, const ms_job_folder *folder, int64_t number);

#endif
