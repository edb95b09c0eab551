/* What the files of jobs.h share. */
#ifndef SERVE_JOBS_INSIDE_H
#define SERVE_JOBS_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "jobs/job_store.h"
#include "jobs/jobs.h"
#include "worker/worker_process.h"

#define LOOK_THREADS 2
#define JOBS_GONE 256 /* that are remembered for whoever listens */

typedef struct gone_job {
    char id[JOB_ID_BYTES];
    uint64_t version;
} gone_job;

struct jobs {
    jobs_params p;
    int folder; /* jobs/ */
    char folder_path[4096];
    pthread_mutex_t lock;
    pthread_cond_t woken; /* there may be something to run, or the end */
    job_store *store;
    job **list; /* in the order of making */
    size_t count, room;
    job **queued; /* of those, as they go: for settle() and jobs_next() alone */
    size_t n_queued;
    int64_t next_seq;
    uint64_t version, generation, places_version;
    job *newest;              /* change; job.older leads on */
    gone_job gone[JOBS_GONE]; /* number n_gone - 1 is the newest */
    size_t n_gone;
    atomic_uint_fast64_t waiting_bytes, coming_bytes;
    bool ending;
    jobs_counts counts;
    int64_t wall_ms, steady_ms; /* when the clock was last looked at; 0 = not yet */

    pthread_t runner;
    bool has_runner;
    worker_process worker; /* the runner's alone, as the next three */
    bool worker_has_run;   /* a job, which left something in it */
    bool worker_is_full;   /* with that, a job did not fit; it is tried once more in a new one */
    ms_error worker_lost;  /* the device, which only a new process gets back; MS_OK = nothing */
    job *current;          /* the runner's; stays in the list until it lets go */

    pthread_t remover; /* of folders: gigabytes take a while */
    bool has_remover, has_trash;
    char (*unremoved)[JOB_ID_BYTES]; /* rows of jobs that are gone, which the database could not let go */
    size_t n_unremoved, unremoved_room;

    pthread_t teller; /* of webhooks */
    bool has_teller;

    pthread_mutex_t look_lock;
    pthread_cond_t look_woken;
    jobs_look *first, *last;
    bool look_ending;
    pthread_t lookers[LOOK_THREADS];
    int n_lookers;
};

/* Lock held. */
void jobs_touch(jobs *js, job *j); /* it has changed */
void jobs_save(jobs *js, job *j);
void jobs_remove(jobs *js, job *j);
void jobs_end(jobs *js, job *j, job_state state);
void jobs_tidy(jobs *js);
/* Times that were taken by a clock which was then set by more than some minutes are set likewise: a machine
   that learns the time after it began would lose all results at once. Those of an earlier server that are
   behind what the clock had stay. */
void jobs_follow_clock(jobs *js, int64_t wall_ms, int64_t steady_ms);
/* The time, once those that were taken follow: one that is taken before would be set a second time. */
int64_t jobs_now_ms(jobs *js);
/* What the run worker says. True: it has ended with the job. */
bool jobs_take_line(jobs *js, job *j, const ms_json *line);
job *jobs_next(const jobs *js); /* whose turn it is; NULL = nobody waits */

/* What a worker is told of a job: folder, model, options. */
void jobs_write_order(const jobs *js, ms_buf *b, const char *what, const char *id, const job_options *o,
                      bool has_audio, bool has_track);

/* Started, told which files it needs, and ready. id: of the one job's folder that it works in; "" = none,
   NULL = all. ends: asked now and then. MS_IO: none can be started now; MS_CANCELLED. */
ms_status jobs_start_worker(jobs *js, worker_process *p, const char *kind, const char *id,
                            bool (*ends)(jobs *js), ms_error *err);

/* Lock held, and given back meanwhile: until something changes, or a second has passed. */
void jobs_wait_a_second(jobs *js);

/* Takes the lock. */
bool jobs_ending(jobs *js);

/* Their threads. */
void *jobs_webhook_loop(void *arg);
void *jobs_run_loop(void *arg);
void *jobs_look_loop(void *arg);
void *jobs_remove_loop(void *arg);

#endif
