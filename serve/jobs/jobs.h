/*
 * All jobs of a server: the list in memory and in the database, the queue, the worker that runs them, the
 * workers that look at uploads. Any thread may call these functions; jobs_lock() is held while a job is
 * looked at.
 */
#ifndef SERVE_JOBS_H
#define SERVE_JOBS_H

#include <stddef.h>

#include "jobs/job.h"
#include "jobs/place.h"

typedef struct jobs jobs;

/* A job that is held goes when it was not started for so long. */
#define JOBS_HELD_MS (INT64_C(24) * 3600 * 1000)

typedef struct jobs_model {
    const char *name, *path;
} jobs_model;

/* Texts and models are borrowed. */
typedef struct jobs_params {
    int folder;              /* the data folder */
    const char *folder_path; /* absolute */
    const jobs_model *models;
    int n_models;             /* at least one; the first is what a job has that names none */
    const char *const *allow; /* folders that a job's files may be links into */
    int n_allow;
    jobs_place place;
    const char *history; /* NULL = none */
    int64_t keep_ms;
    uint64_t keep_bytes;
    int keep_jobs;
    int most_waiting;
    uint64_t most_waiting_bytes; /* of uploads of jobs that have not ended, and of those that come in */
    /* how the addresses begin that may be told of ends (webhook_is_allowed()) */
    const char *const *webhook_to;
    int n_webhook_to;        /* 0 = nobody is told */
    const char *webhook_key; /* what is told is signed with it */
} jobs_params;

/* Opens the list, takes up what was unfinished, and begins to work. MS_DAMAGED, MS_IO, MS_HOST_MEMORY. */
ms_status jobs_open(const jobs_params *params, jobs **ret_jobs, ms_error *err);

/* Ends the workers and answers whoever waits for a look; a job that runs is gone on with by the next
   server. */
void jobs_stop(jobs *js);
void jobs_close(jobs **js);

void jobs_lock(jobs *js);
void jobs_unlock(jobs *js);

const jobs_params *jobs_get_params(const jobs *js);
int jobs_folder(const jobs *js); /* the descriptor of the folder of all jobs' folders */

/* NULL: there is no such model. name "" = the first. */
const jobs_model *jobs_find_model(const jobs *js, const char *name);

/* Room for bytes that come in; false: with those too much waits. Given back when they are a job's, or
   none. */
bool jobs_take_room(jobs *js, uint64_t bytes);
void jobs_give_room(jobs *js, uint64_t bytes);
bool jobs_has_room(jobs *js, uint64_t bytes);

/* ---- with the lock held ---- */

job *jobs_find(jobs *js, const char *id);

/* The n-th by time of making, the newest first; NULL behind the last. */
job *jobs_at(jobs *js, size_t n);
size_t jobs_count(const jobs *js);
int jobs_waiting(const jobs *js);
/* Grows with every change of any job, and of the queue. */
uint64_t jobs_version(const jobs *js);
/* The job whose change is the first after a version; job.newer has the next. NULL: nothing has changed. */
const job *jobs_changed_after(const jobs *js, uint64_t version);
/* Grows when one that waits is at another place than before. One that comes to wait changes itself. */
uint64_t jobs_places_version(const jobs *js);
/* The n-th of those that wait, as they go; NULL behind the last. */
const job *jobs_queued_at(const jobs *js, size_t n);
/* Grows when a job comes or goes. */
uint64_t jobs_generation(const jobs *js);
/* The n-th of those that went after a version, the newest first; NULL: there is none, or it is forgotten. */
const char *jobs_gone(const jobs *js, size_t n, uint64_t version);
void jobs_write(ms_buf *b, jobs *js, const job *j);

/* A new job, looked at, becomes one of the list: held or queued. The list's from MS_OK on. MS_IO: the disk is
   full; MS_CANCELLED: too many wait. */
ms_status jobs_add(jobs *js, job *j, ms_error *err);

/* What a client may ask for. MS_INVALID_ARGUMENT: not in the job's state; MS_CANCELLED: too much waits.
   Writing that fails is tried again later. */
ms_status jobs_start(jobs *js, job *j, ms_error *err);
ms_status jobs_cancel(jobs *js, job *j, ms_error *err);
ms_status jobs_retry(jobs *js, job *j, ms_error *err);
void jobs_delete(jobs *js, job *j); /* one that runs is ended first */
/* After fields of it were changed. */
void jobs_changed(jobs *js, job *j);

typedef struct jobs_counts {
    int by_state[JOB_STATES];
    uint64_t ended[JOB_STATES]; /* since the server began */
    uint64_t worker_deaths, worker_start_failures, looks, looks_failed, store_failures;
    uint64_t webhooks_delivered, webhooks_failed; /* tries */
    int64_t worker_bytes;
    double run_seconds;
} jobs_counts;
void jobs_get_counts(jobs *js, jobs_counts *ret_counts);

/* ---- looking ---- */

/* One thing for a look worker. The asker fills in the first part and keeps it until `done` is called, on
   another thread. */
typedef struct jobs_look {
    job_options options;
    char id[JOB_ID_BYTES]; /* of the job's folder; "" = a plan alone, of these numbers */
    bool has_audio, has_track;
    int width, height;
    double fps;
    int64_t frames;
    void (*done)(void *arg);
    void *arg;

    ms_error err;   /* code MS_OK: input and plan are there */
    char field[16]; /* that is to blame; "" = none, or it is not known */
    int64_t needs_bytes;
    char *input, *plan; /* the asker's to free */
    struct jobs_look *next;
} jobs_look;

void jobs_ask(jobs *js, jobs_look *look);

/* Code of an error for clients: "bad-media", "does-not-fit", ... */
const char *jobs_error_code(ms_status status);

#endif
