/* A job under Slurm: its steps with Slurm's numbers, and what is known of each task. */
#ifndef CLI_SUBMIT_JOB_H
#define CLI_SUBMIT_JOB_H

#include <limits.h>

#include "batch/batch_totals.h"
#include "options/options.h"
#include "submit/slurm.h"
#include "submit/step.h"
#include "workers/events.h"

#define CLI_SUBMIT_MOST_TASKS 1000 /* without configuration Slurm's arrays end at 1000 */

typedef struct cli_task {
    cli_step step;
    int place;        /* in the array, from 1; 0 = it is none of one */
    cli_events heard; /* what it has written into its log */
    int64_t read;     /* bytes of the log */
    cli_slurm_state state;
    char word[24], reason[128]; /* Slurm's */
    /* when Slurm said that it has ended; when it was not known any more; 0 = not so */
    double ended_s, gone_s;
    int put_back, told_back; /* times that Slurm put it back into its queue; that were told */
    bool told_failure;
    bool let_go; /* cancelled in the queue, because there was nothing left for it */
    /* Of a batch, since it was begun itself: clips that it has begun; whether several devices share them, so
       that what it says is of all; at its end, what became of them. */
    int clips;
    bool shared;
    cli_batch_totals totals;
} cli_task;

typedef struct cli_job {
    const cli_submit_asked *asked;
    const char *output;                          /* of a video; of a batch its file or folder */
    int clips;                                   /* of a batch; 0 = it is one video */
    int n_tasks;                                 /* of the array */
    char folder[PATH_MAX];                       /* for the logs: a whole path */
    char shown[PATH_MAX];                        /* as it is called for people */
    int lock;                                    /* on the folder; -1 = none */
    bool over;                                   /* nobody writes into it any more */
    char id[CLI_STEP_COUNT][CLI_SLURM_ID_BYTES]; /* "" = the step is not submitted */
    char cluster[CLI_SLURM_CLUSTER_BYTES];       /* whose numbers these are; "" = this machine's */
    bool before;                                 /* an earlier submit gave it to Slurm, where it still is */
    cli_task *task; /* [count]: split, the array, join; of a batch the array alone */
    int count;
} cli_job;

/* Makes the folder for logs and hands the steps to Slurm; or, to resume, takes up those of an earlier submit
   that are still there. After an error none is left there that was handed over now. MS_IO, also where another
   submit of this output is followed, or not to be taken up; MS_HOST_MEMORY; MS_CANCELLED: by a signal. */
ms_status cli_job_submit(cli_job *job, const cli_command *command, ms_error *err);

/* Borrowed from the job. */
cli_slurm_jobs cli_job_numbers(const cli_job *job);

/* Of all steps. MS_IO. */
ms_status cli_job_cancel(const cli_job *job, ms_error *err);

/* NULL: the job has no such step or place. */
cli_task *cli_job_find(cli_job *job, const char *id, int place);

/* "split (job 12)", "task 3 of 8 (job 13_3)". Returns ret_text. */
#define CLI_TASK_NAME_BYTES 96
const char *cli_task_name(const cli_job *job, const cli_task *task, char ret_text[CLI_TASK_NAME_BYTES]);

/* Takes what its log says more. */
void cli_task_read(const cli_job *job, cli_task *task);

void cli_job_remove_logs(cli_job *job);
/* The folder goes when the job is over and nothing is in it. */
void cli_job_free(cli_job *job);

#endif
