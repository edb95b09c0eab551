/* Follows a job under Slurm until it has ended: one bar, and what is to be told besides. */
#ifndef CLI_SUBMIT_FOLLOW_H
#define CLI_SUBMIT_FOLLOW_H

#include "submit/job.h"

typedef struct cli_follow_result {
    bool already_finished; /* an earlier run made the output */
    int64_t frames, frames_without_face, frames_resumed, peak_bytes;
    int width, height;
    double fps;
    int made, before, failed, left; /* clips of a batch */
} cli_follow_result;

/*
 * With the error of the step that failed. MS_CANCELLED: by a signal, and all steps are cancelled. Whatever is
 * returned, no task of the job is left in Slurm. The result is filled as far as it is known.
 */
ms_status cli_job_follow(cli_job *job, cli_follow_result *ret, ms_error *err);

#endif
