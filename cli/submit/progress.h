/* How far a job under Slurm is, from what its tasks have written into their logs. */
#ifndef CLI_SUBMIT_PROGRESS_H
#define CLI_SUBMIT_PROGRESS_H

#include "submit/job.h"
#include "workers/merge.h"

typedef struct cli_job_progress {
    cli_merge merge; /* of a video's parts */
    int64_t split_frames;
    double fraction; /* of a batch: it never falls */
    double began_s;
} cli_job_progress;

/* Clips of a batch that a task of the array makes. */
int cli_task_clips(const cli_job *job, const cli_task *task);

/* The stage of *ret is borrowed from the tasks. */
void cli_job_progress_look(cli_job_progress *progress, const cli_job *job, ms_run_progress *ret);

#endif
