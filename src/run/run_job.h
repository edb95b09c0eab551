/*
 * What the parts of a run share. run.c opens and closes it, run_open.c fills it, and three threads work it
 * off:
 *
 *   face_thread    decodes, finds faces, aligns         -> ready
 *   run_windows.c  on the caller's thread: ready        -> windows through the engine -> finished
 *   write_thread   finished -> back into its picture, encodes, notes finished segments
 *
 * Between them are bounded queues. A thread knows its own struct alone; what is here belongs to the caller's
 * thread. Each struct below belongs to the file that is named with it.
 */
#ifndef MS_RUN_RUN_JOB_H
#define MS_RUN_RUN_JOB_H

#include "base/error.h"
#include "faces/face_source.h"
#include "frames/buffer_pool.h"
#include "frames/frame_source.h"
#include "job/run_store.h"
#include "planner/run_history.h"
#include "report/progress.h"
#include "run/inputs/inputs.h"
#include "run/inputs/preview.h"
#include "run/inputs/used_model.h"
#include "run/threads/face_thread.h"
#include "run/threads/write_thread.h"
#include "session/redraw.h"
#include "system/sampler.h"

/* Where frames come from (run_source.c). */
typedef struct ms_job_source {
    ms_face_finder *finder;
    ms_buffer_pool *pictures; /* frames of the clip, wherever in the run they are */
    ms_face_stage *stage;
    ms_frame_source *frames;
} ms_job_source;

typedef struct ms_window_frame {
    ms_output_frame frame;
    bool wanted, forward; /* as in ms_ready_frame */
} ms_window_frame;

/* The window that is being collected (run_windows.c). */
typedef struct ms_job_window {
    ms_window_frame *frame; /* [window frames] */
    uint8_t *faces;         /* [window frames][resolution][resolution][3] */
    int64_t collected;
    int64_t delivered;      /* of its frames, to the write thread */
    bool ended;             /* the write thread takes nothing more */
    ms_resume_point start;  /* how to go on from there, while faces are being found */
    int64_t kept, computed; /* windows before it */
    int64_t cleaned;        /* frame before which caches were cleaned up last */
    ms_ready_frame taken;
    ms_redrawn_frame leaving;
} ms_job_window;

/* What was chosen before the work (run_open.c). */
typedef struct ms_job_plan {
    bool made;
    ms_run_plan chosen;
    ms_run_plan begun;        /* that the run begins with; redraw has the one of now */
    bool fell_back;           /* memory for the chosen one was not to be had */
    size_t bytes, host_bytes; /* as ms_run_report has them, with the latent cache's */
    size_t latent_bytes;
} ms_job_plan;

/* What was predicted then (run_foresee.c). */
typedef struct ms_job_forecast {
    double rate;    /* frames a second; 0 before */
    int64_t frames; /* output frames, by the clip's header where that is all there is; 0 = not known */
    double window_s, stage_s[MS_STAGE_COUNT], total_s;
    double left_s; /* of that, what was still to be done then */
    /* of loading, until the plan was there: looking at files, measuring, planning; no rate predicts it */
    double opening_s;
    double rework;        /* of a part, as ms_part_rework(); 0 = none */
    int64_t whole_frames; /* of a preview: output frames that the job would have; 0 = not known */
} ms_job_forecast;

/* Earlier runs, and what later ones will be told of this one (run_past.c). */
typedef struct ms_job_past {
    int runs; /* by which the machine's speed was corrected */
    char warning[MS_HISTORY_TEXT_BYTES];
    ms_history_run run; /* 0 frames: nothing */
} ms_job_past;

/* Measured when all is done (run.c). */
typedef struct ms_job_end {
    double join_s, seconds;
    size_t peak_resident_bytes;
} ms_job_end;

/* The report is no part of it: it is filled from what is here (run_report.c). */
typedef struct ms_job {
    const ms_run_params *p;
    ms_model *model; /* the caller's, or own_model */
    ms_model own_model;
    ms_mem *mem; /* the model's */
    ms_inputs in;
    ms_used_model used;

    ms_run_store store;
    int64_t segment_frames;
    int64_t *part_segments; /* [p->n_segments] that a part is to make, by number; NULL = all */
    int64_t frames_before;  /* that an earlier run had finished */
    int64_t total;          /* output frames that there will be; 0 = not known */
    ms_frame_counts counts; /* of them, once they are known */

    ms_face_geometry geometry; /* at the resolution that was chosen */
    ms_redraw redraw;
    ms_job_plan plan;
    ms_job_forecast forecast;
    ms_job_past past;

    ms_job_source from;
    ms_face_thread faces;
    ms_resume_point here; /* how to go on behind what was taken from it, while faces are being found */
    ms_job_window window;
    ms_write_thread write;
    size_t sink_bytes; /* charged to mem */

    ms_preview preview;
    ms_progress progress;
    ms_sampler *sampler;
    ms_job_end end;
} ms_job;

/* ---- run_open.c ---- */

/* In this order. */
ms_status ms_job_open_model(ms_job *job, ms_error *err);  /* its device and ledgers; it is taken */
ms_status ms_job_open_memory(ms_job *job, ms_error *err); /* the policy and its budgets */
ms_status ms_job_open_inputs(ms_job *job, ms_error *err);
ms_status ms_job_make_plan(ms_job *job, ms_error *err); /* all that is known before the work is known then */
ms_status ms_job_begin_engine(ms_job *job, ms_error *err);

ms_run_clip ms_job_run_clip(const ms_job *job); /* at the resolution that was chosen */

/* ---- run_source.c ---- */

/* Faces: those that are still to be found. */
ms_status ms_job_open_faces(ms_job *job, ms_error *err);
ms_status ms_job_open_source(ms_job *job, int64_t pictures, ms_error *err);
void ms_job_close_source(ms_job_source *source);
const ms_face_tally *ms_job_tally(const ms_job *job); /* of the faces that were found */

/* After the engine: the source, and what the threads work on. */
ms_status ms_job_open_stages(ms_job *job, ms_error *err);

/* ---- run_tags.c ---- */

/* What the output says of itself. comment: for its text, which the result refers to. The same for the same
   job, whatever machine and however often it was interrupted. */
#define MS_JOB_COMMENT_BYTES 320
ms_tags ms_job_tags(const ms_job *job, char comment[MS_JOB_COMMENT_BYTES]);

/* ---- run_foresee.c ---- */

/* Once there is a plan: how long the output becomes and the work takes. */
void ms_job_foresee(ms_job *job);
void ms_job_follow_layout(void *job); /* the plan is another one now */

/* Seconds of every stage for so many frames of which so many get a new face. */
void ms_job_predict(const ms_job *job, double frames, double faces, double ret_computed_s[MS_STAGE_COUNT],
                    double ret_predicted_s[MS_STAGE_COUNT]);

/* Frames that the job would have, and what it would take by what its preview took; else leaves them alone. */
void ms_job_predict_whole(const ms_job *job, int64_t *ret_frames, double *ret_s);

/* That every stage took, on whichever thread it is. */
void ms_job_stage_seconds(const ms_job *job, double ret_s[MS_STAGE_COUNT]);

/* Segments of speech that are heard before an output frame. */
int64_t ms_job_speech_segments(const ms_job *job, int64_t frame);

/* ---- run_past.c ---- */

/* Before planning: the machine's speed, as earlier runs corrected it. */
ms_status ms_job_find_speed(ms_job *job, ms_error *err);

/* When all is done; then, when everything is closed, into the history. */
void ms_job_describe_past(ms_job *job);
void ms_job_record_past(ms_job *job);

/* ---- run_report.c ---- */

/* When there is a plan; at the end, before anything is closed. */
void ms_job_report_plan(const ms_job *job, ms_run_report *ret_report);
void ms_job_report_end(const ms_job *job, ms_run_report *ret_report);

/* When everything is closed: what is known only then, and after a failure that alone. */
void ms_job_report_closed(const ms_job *job, ms_status status, ms_run_report *report);

/* What it says of the whole run, for who has a callback in place of it. */
void ms_job_tell_doubts(const ms_job *job);

/* What was damaged and made again, or why a kill costs more than a window; empty = nothing. */
const char *ms_job_note(const ms_job *job);

/* ---- run_split.c ---- */

/* Finds all faces, and notes where segments could begin; nothing is redrawn. */
ms_status ms_job_split(ms_job *job, ms_error *err);

/* ---- run_windows.c ---- */

ms_status ms_job_window_make(ms_job_window *window, ms_mem *mem, int64_t frames, int resolution,
                             ms_error *err);
void ms_job_window_free(ms_job_window *window);

/* Everything between opening and joining. The job's length, and what its frames are, is known afterwards. */
ms_status ms_job_run_frames(ms_job *job, ms_error *err);

/* There are frames, and not all of them lack a face: MS_NO_FACE, MS_BAD_MEDIA, MS_INVALID_ARGUMENT (the
   range). */
ms_status ms_job_check_counts(const ms_job *job, ms_error *err);

#endif
