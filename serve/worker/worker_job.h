/* What a worker is told of a job, and how it becomes the library's parameters. */
#ifndef SERVE_WORKER_JOB_H
#define SERVE_WORKER_JOB_H

#include <pthread.h>

#include "jobs/job_options.h"
#include "worker/worker_lines.h"
#include "worker/worker_main.h"

#define WORKER_THUMBS 5

/* A picture of the video that a worker keeps beside the run for its previews, as the run's plan counts it.
   The input's previews come from a decoder of their own; how much of it is there when a run begins differs
   from worker to worker, 7 MiB of 1920x1080. A look counts two pictures more, so that what it lets in has
   room in each of them; by numbers alone it is one more still, for a plan that knows no file was 3 MiB below
   the run's at that size. */
#define WORKER_RUN_FRAMES 1
#define WORKER_LOOK_FRAMES 3
#define WORKER_PLAN_FRAMES 4

typedef struct worker {
    worker_lines lines;
    pthread_mutex_t writing; /* of lines: the run's threads tell, too */
    worker_report_fn write_report;
    bool gone; /* the server has ended */
} worker;

typedef struct worker_job {
    const char *folder;     /* which is the working folder: files are named in it */
    const char *model;      /* path */
    const char *model_name; /* what answers call it */
    const char *history;    /* NULL = none */
    const char *device;     /* NULL = the best */
    job_options options;
    bool has_audio, has_track;
    /* of the device's memory; the rest is 0 but of a device with memory of its own (place.h) */
    int64_t budget_bytes, host_budget_bytes, host_own_bytes, device_bytes;
    int arch;
} worker_job;

/* Texts are the line's. Goes into the job's folder. */
ms_status worker_job_read(const ms_json *line, worker_job *ret_job, ms_error *err);

/* Parameters of its run; the model is left out. */
void worker_job_params(const worker_job *j, ms_run_params *ret_params);

/* Tells the server. */
void worker_tell(worker *w, ms_buf *line);
/* {"event":"failed","status":...,"detail":...,"field":...}; needs_bytes 0 = not known; field: of the job,
   that is to blame, NULL = none. No path of the machine is in it. */
void worker_tell_failure(worker *w, const worker_job *j, const ms_error *err, int64_t needs_bytes,
                         const char *field);

/* [{"code":...,"text":...},...] */
void worker_notes(ms_buf *b, const ms_run_report *r);

/* A text with the paths of model and folder replaced by what they are called. */
void worker_hide_paths(const worker_job *j, char *text, size_t bytes);

/* The two works. */
void worker_run(worker *w, const worker_job *j);
void worker_look(worker *w, const worker_job *j);
void worker_plan(worker *w, const worker_job *j, const ms_json *line);
void worker_run_end(void);

#endif
