/* What the tasks of a job say in their logs, and what becomes of the job by it. */
#ifndef CLI_SUBMIT_HEAR_H
#define CLI_SUBMIT_HEAR_H

#include "batch/batch_totals.h"
#include "submit/job.h"
#include "submit/progress.h"

typedef struct cli_job_result {
    bool already_finished; /* an earlier run made the output */
    int64_t frames, frames_without_face, frames_resumed, peak_bytes;
    int width, height;
    double fps;
    cli_batch_totals clips; /* of a batch */
} cli_job_result;

#define CLI_MOST_WARNINGS 64

typedef struct cli_hearing {
    cli_job_result result;
    cli_job_progress progress;
    uint64_t warned[CLI_MOST_WARNINGS]; /* [n_warned]: what was passed on */
    int n_warned;
} cli_hearing;

/* What all logs say that was not there the last time. Warnings are passed on, each once. */
void cli_hear_logs(cli_hearing *hearing, cli_job *job);

#endif
