/* What a run tells while it works: where its time goes, how far it is, how long it will still take. All of it
   belongs to the caller's thread. */
#ifndef MS_REPORT_PROGRESS_H
#define MS_REPORT_PROGRESS_H

#include <stdatomic.h>

#include "memsafe/run.h"
#include "planner/run_plan.h"
#include "predict/eta.h"

typedef struct ms_progress {
    /* Set at the start; borrowed. */
    const ms_run_params *p;
    double started; /* ms_now_s() */
    const atomic_int_fast64_t *frames_done;
    const ms_run_plan *plan; /* that the engine follows now */

    const char *stage;
    double stage_began, stage_s[MS_STAGE_COUNT];
    int64_t part, parts; /* of the stage, as the engine said last */
    int64_t expected;    /* output frames; 0 = not known */
    ms_eta eta;
    int64_t heard; /* segments of speech */
    struct {
        int64_t frames, heard; /* heard: behind its last frame */
    } window;
    struct {
        double done[MS_ETA_PARTS];
        int64_t heard;
    } before_window; /* what ms_progress_return_to_mark() goes back to */
    double told_s;   /* since the start */
    bool writing_up; /* all windows are done */
} ms_progress;

/* Time from here on belongs to another stage; NULL = to none. */
void ms_progress_enter(ms_progress *progress, const char *stage);
void ms_progress_tell(ms_progress *progress);

/* The same by somebody else's count and estimate. expected: 0 = not known. */
void ms_progress_tell_frames(ms_progress *progress, int64_t done, int64_t expected,
                             const ms_eta_value *value);
bool ms_progress_is_time_to_tell(const ms_progress *progress);
void ms_progress_tell_end(const ms_progress *progress); /* all that was asked for is done */

/* Part of the current stage is done: a face was made, a frame was handed on. */
void ms_progress_did(ms_progress *progress, double units);
void ms_progress_frame_came(ms_progress *progress, bool face);

/* What is left to do is writing. */
void ms_progress_write_up(ms_progress *progress);

/* Full steps of a window: a cached one counts as the part of a full one that it takes. */
double ms_progress_steps(const ms_progress *progress);

/* Once there is a plan. heard: segments of speech that an earlier run has heard. Returns the seconds that are
   left then; -1 = not known. */
double ms_progress_begin(ms_progress *progress, const ms_eta_plan *eta, int64_t expected, int64_t heard);

/* A window of so many frames, and so many segments of speech until its end. */
void ms_progress_begin_window(ms_progress *progress, int64_t frames, int64_t heard);

/* The window was taken over from an earlier run. */
void ms_progress_skip_window(ms_progress *progress);

/* A window that begins anew is not counted twice. */
void ms_progress_mark_window(ms_progress *progress);
void ms_progress_return_to_mark(ms_progress *progress);

/* The engine's hooks; arg is the progress. */
ms_status ms_progress_poll(void *arg);
void ms_progress_engine_stage(void *arg, const char *stage, int64_t done, int64_t total);

#endif
