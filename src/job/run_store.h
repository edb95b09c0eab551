/*
 * What a job has on the disk until it is finished: its folder, with the journal that says what job it is, the
 * poses of its clip, and its finished segments.
 */
#ifndef MS_JOB_RUN_STORE_H
#define MS_JOB_RUN_STORE_H

#include "frames/frame_order.h"
#include "job/face_store.h"
#include "job/job_folder.h"
#include "job/journal.h"
#include "job/segment_leases.h"
#include "job/segment_set.h"
#include "media/write/packet_file.h"
#include "media/write/video_writer.h"

typedef struct ms_run_store {
    ms_mem *mem;
    ms_job_folder folder;
    ms_journal *journal;       /* NULL in a build without SQLite, and for a job that cannot be resumed */
    const char *not_resumable; /* why; NULL = it is */
    uint64_t key_hash[2];
    bool marked; /* the output says which job made it */
    ms_pose_store *poses;
    ms_face_store *faces; /* of finished windows; NULL where there is no journal */
    bool there;           /* the folder was there before */
    bool ours;            /* what is in the folder is this job's */
    bool shared;          /* others may make segments of it at the same time */
    bool existing;        /* it is another's, who split it */
    ms_leases *leases;    /* what shows others that this process works here; NULL in a build without SQLite */
    int64_t segment_frames;
    bool (*cancelled)(void *arg); /* as in ms_run_store_params */
    void *arg;
    ms_segment_set before;    /* segments that were finished when it was opened */
    bool has_place;           /* the journal has one from which finding faces goes on */
    bool complete;            /* poses are there for every output frame */
    ms_resume_point place;    /* that one; at 0 without */
    ms_frame_order order;     /* by the poses before it */
    int64_t total;            /* output frames, once it is complete; else 0 */
    bool whole;               /* all segments are there, nothing but joining is left */
    bool named;               /* even the output is there, and at most the folder is left */
    bool finished;            /* and it was there, without a folder, before this run */
    int64_t segments, frames; /* finished */
    int64_t kept_frames;      /* once it is closed: what --resume would take over */
    int64_t faces_left;       /* redrawn by an earlier run, of segments that it did not finish */
    int64_t expected_frames;  /* of the whole output, 0 = not known; for messages */
    char note[160];           /* what is to be said of the job: what was damaged; empty = nothing */
} ms_run_store;

typedef struct ms_run_store_params {
    ms_mem *mem;
    const char *output;
    bool resume, force;
    bool existing; /* the job must be there, and is not begun anew */
    bool shared;   /* it is, to make segments of it as others may at the same time; it must be complete */
    bool parts;    /* its segments are made in parts, or are to be: in any order */
    /* With shared: the segments that are to be made, by number; of others it counts which are there. NULL =
       all */
    const int64_t *only;
    int64_t n_only;
    /* a sentence that says why, when the job's frames are not decided by its key; else NULL */
    const char *not_resumable;
    const ms_job_key *key;
    int64_t segment_frames;
    ms_loop loop;
    int64_t wanted;                       /* output frames that are asked for at most */
    size_t face_floats;                   /* of a redrawn face */
    const ms_video_writer_params *writer; /* checked against the output before anything is made */
    bool (*cancelled)(void *arg); /* asked while a job is read, to go on or to be joined; NULL = never */
    void *arg;
} ms_run_store_params;

/* A job of before is read whole: segments that are damaged are made again, faces are found again where poses
   are damaged, and store->note says so. MS_IO: an unfinished job is there and neither resume nor force was
   said; or another run is at work on it; or, with resume, an output is there that is not known to be this
   job's; or what is there could not be read, and stays as it is; or there is no job that is to be there, and
   no output that is known to be its. MS_DAMAGED: what is there cannot be gone on with and was read without an
   error; with force it is thrown away instead. MS_INVALID_ARGUMENT: the unfinished job is another one; the
   message names the parameter. */
ms_status ms_run_store_open(const ms_run_store_params *params, ms_run_store *store, ms_error *err);

/* The poses before store->place are kept. */
ms_status ms_run_store_open_poses(ms_run_store *store, ms_error *err);

/* Finished windows are kept until their segment is; of a run without a journal they are not. floats: of a
   redrawn face. */
ms_status ms_run_store_open_faces(ms_run_store *store, size_t floats, int64_t segment_frames, ms_error *err);

/* A segment in work, under a name of its own. ret_label: for its file. */
ms_status ms_run_store_begin_segment(const ms_run_store *store, int64_t number,
                                     char ret_name[MS_JOB_NAME_BYTES], int *ret_fd,
                                     ms_packet_label *ret_label, ms_error *err);

/* Its file is on the disk: it becomes part of the job. */
ms_status ms_run_store_end_segment(ms_run_store *store, const char *name, int64_t number, int64_t frames,
                                   ms_error *err);

/* Whether what failed of a part's segment did so because somebody removed its file, having taken this process
   for dead: the segment can be made again, by whoever is first. */
bool ms_run_store_lost_segment(ms_run_store *store, const char *name, int64_t number);

/* Finding faces can go on from here; without a journal nothing is noted. */
ms_status ms_run_store_note_place(ms_run_store *store, const ms_resume_point *place, ms_error *err);

/* The job has so many output frames: all segments are to be there. MS_IO names the first that is missing. */
ms_status ms_run_store_check_whole(ms_run_store *store, int64_t total, ms_error *err);

/* What failed of a job that several join, or make segments of, for one of them had joined it, and its folder
   is gone or the name taken: the output's mark says that it is this job's. */
bool ms_run_store_was_finished(ms_run_store *store, const char *output);

/* Segments become the output under its name. */
ms_status ms_run_store_join(ms_run_store *store, const char *output, const ms_video_writer_params *writer,
                            ms_error *err);

/* Places of the clip that may be jumped to; arg is handed to take. */
ms_status ms_run_store_marks(ms_run_store *store, void (*take)(void *arg, const ms_video_mark *mark),
                             void *arg, ms_error *err);

/* Finished, or nothing worth keeping: the folder goes. Else it stays, and err's message says how to go on. */
void ms_run_store_close(ms_run_store *store, ms_status status, ms_error *err);

#endif
