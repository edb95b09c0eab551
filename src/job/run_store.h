/* What a run keeps on the disk until it is finished: job folder, journal, poses, segments. */
#ifndef MS_JOB_RUN_STORE_H
#define MS_JOB_RUN_STORE_H

#include "frames/pose_store.h"
#include "job/face_store.h"
#include "job/job_folder.h"
#include "job/journal.h"
#include "media/write/video_writer.h"

typedef struct ms_run_store {
    ms_mem *mem;
    ms_job_folder folder;
    ms_journal *journal;       /* NULL in a build without SQLite, and for a job that cannot be resumed */
    const char *not_resumable; /* why; NULL = it is */
    uint64_t key_hash[2];
    bool marked; /* the output says which job made it */
    ms_pose_store *poses;
    ms_face_store *faces;     /* of finished windows; NULL where there is no journal */
    bool there;               /* the folder was there before */
    bool ours;                /* what is in the folder is this job's */
    bool resumed;             /* frames of an earlier run are taken over */
    bool whole;               /* all segments are there, nothing but joining is left */
    bool named;               /* even the output is there, and at most the folder is left */
    bool finished;            /* and it was there, without a folder, before this run */
    int64_t segments, frames; /* finished */
    int64_t kept_frames;      /* once it is closed: what --resume would take over */
    ms_faces_left left;       /* by an earlier run, of segments that it did not finish */
    int64_t expected_frames;  /* of the whole output, 0 = not known; for messages */
    ms_resume_point resume;   /* after the finished segments */
    char note[160];           /* what is to be said of the job: what was damaged; empty = nothing */
} ms_run_store;

typedef struct ms_run_store_params {
    ms_mem *mem;
    const char *output;
    bool resume, force;
    const char *
        not_resumable; /* a sentence that says why, when the job's frames are not decided by its key; else NULL */
    const ms_job_key *key;
    int64_t segment_frames;
    size_t face_floats;                   /* of a redrawn face */
    const ms_video_writer_params *writer; /* checked against the output before anything is made */
    bool (*cancelled)(void *arg);         /* asked while a job of before is read; NULL = never */
    void *arg;
} ms_run_store_params;

/* A job of before is read whole: what of it is damaged, or lacks its poses, is made again with all that comes after it, and
   store->note says so. MS_IO: an unfinished job with finished segments or windows is there and neither resume nor force was said; or another run is at work
   on it; or, with resume, an output is there that is not known to be this job's; or what is there could not be read, and stays as it
   is. MS_DAMAGED: what is there cannot be gone on with and was read without an error; with force it is thrown away instead. MS_INVALID_ARGUMENT: the unfinished job is
   another one; the message names the parameter. */
ms_status ms_run_store_open(const ms_run_store_params *params, ms_run_store *store, ms_error *err);

/* The poses of the clip's frames that the resume point speaks of are kept. */
ms_status ms_run_store_open_poses(ms_run_store *store, ms_error *err);

/* Finished windows are kept until their segment is; of a run without a journal they are not. floats: of a redrawn face. */
ms_status ms_run_store_open_faces(ms_run_store *store, size_t floats, int64_t segment_frames, ms_error *err);

/* A segment whose file is on the disk becomes part of the job. */
ms_status ms_run_store_add(ms_run_store *store, const ms_journal_segment *segment, ms_error *err);

/* Segments become the output under its name. */
ms_status ms_run_store_join(ms_run_store *store, const char *output, const ms_video_writer_params *writer,
                            ms_error *err);

/* Places of the clip that segments remember; arg is handed to take. */
ms_status ms_run_store_marks(ms_run_store *store, void (*take)(void *arg, const ms_video_mark *mark),
                             void *arg, ms_error *err);

/* Finished, or nothing worth keeping: the folder goes. Else it stays, and err's message says how to go on. */
void ms_run_store_close(ms_run_store *store, ms_status status, ms_error *err);

#endif
