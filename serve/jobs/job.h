/* A job: what was asked, where it is, what is known of it. Locked by the jobs it is one of (jobs.h). */
#ifndef SERVE_JOB_H
#define SERVE_JOB_H

#include "jobs/job_options.h"

#define JOB_ID_CHARS 32
#define JOB_ID_BYTES (JOB_ID_CHARS + 1)
#define JOB_NAME_BYTES 256

/* X(name, text). Numbers are in the database. */
#define JOB_STATE_MAP(X)                                                                                     \
    X(HELD, 0, "held")                                                                                       \
    X(QUEUED, 1, "queued")                                                                                   \
    X(RUNNING, 2, "running")                                                                                 \
    X(DONE, 3, "done")                                                                                       \
    X(FAILED, 4, "failed")                                                                                   \
    X(CANCELLED, 5, "cancelled")

typedef enum job_state {
#define X(name, value, text) JOB_##name = value,
    JOB_STATE_MAP(X)
#undef X
        JOB_STATES
} job_state;

/* Memory over time, thinned out where there would be more. */
#define JOB_SAMPLES 60
typedef struct job_sample {
    int64_t time_ms, bytes;
} job_sample;

typedef struct job_progress {
    char stage[24];
    int n_samples;
    int64_t sample_ms; /* between two */
    job_sample sample[JOB_SAMPLES];
    int64_t frames_done, frames_total, memory_bytes, peak_bytes, resumed;
    double fraction, eta_s; /* negative = not known */
} job_progress;

/* Whether an address was told of the job's end. X(name, value, text); numbers are in the database. */
#define JOB_HOOK_MAP(X)                                                                                      \
    X(NONE, 0, "none")                                                                                       \
    X(PENDING, 1, "pending")                                                                                 \
    X(DELIVERED, 2, "delivered")                                                                             \
    X(GIVEN_UP, 3, "given-up")

typedef enum job_hook_state {
#define X(name, value, text) JOB_HOOK_##name = value,
    JOB_HOOK_MAP(X)
#undef X
        JOB_HOOK_STATES
} job_hook_state;

typedef struct job_hook {
    job_hook_state state;
    int64_t tries, next_ms; /* since 1970 */
} job_hook;

typedef struct job {
    char id[JOB_ID_BYTES];
    char name[JOB_NAME_BYTES]; /* what the client calls the video: to be shown, nothing else */
    job_options options;
    job_state state;
    int64_t seq;                              /* in the order of making */
    int64_t created_ms, started_ms, ended_ms; /* since 1970; 0 = not yet */
    int64_t ends;                             /* how often it has ended; it may be tried again */
    bool has_audio, has_track;
    char *input, *plan, *warnings, *error; /* JSON; NULL = none */
    job_progress progress;
    job_hook hook;

    bool cancelling, deleting; /* asked for while it runs */
    bool unsaved;              /* the database could not be written: to be tried again */
    int deaths;                /* of workers, in segment death_segment */
    int64_t death_segment;     /* -1 = none yet */
    int position;              /* of a queued one, from 1; 0 = it is none */
    uint64_t bytes;            /* of its folder: as it was uploaded, and once it has ended */
    uint64_t version;          /* grows with each change */
    struct job *older, *newer; /* in the list's order of change */
} job;

/* With a new id; NULL: no memory, or no random bytes. */
job *job_create(void);
void job_destroy(job **j);

/* Replaces one of the job's texts by a copy; NULL text = none. False: no memory. */
bool job_set(char **text, const char *value);

const char *job_state_text(job_state state);

/* What the job takes now; kept where the last sample is old enough. */
void job_note_memory(job *j, int64_t time_ms, int64_t bytes);
bool job_has_ended(const job *j);
bool job_is_id(const char *text);

/* Milliseconds since 1970. */
int64_t job_now_ms(void);
/* Of a clock that nobody sets. */
int64_t job_steady_ms(void);

/* {"code": ..., "detail": ..., "needs_bytes": ...}; needs_bytes 0 = not known. */
void job_write_error(ms_buf *b, const char *code, const char *detail, int64_t needs_bytes);

/* "name":"2026-11-29T12:00:00.000Z"; null for a time that is none. */
void job_write_time(ms_buf *b, const char *name, int64_t ms);

/* As clients see it. expires_ms: when it goes by itself; 0 = not yet known. */
void job_write(ms_buf *b, const job *j, int64_t expires_ms);

#endif
