/* Follows a job under Slurm until it has ended: one bar, and what is to be told besides. */
#ifndef CLI_SUBMIT_FOLLOW_H
#define CLI_SUBMIT_FOLLOW_H

#include "submit/hear.h"

/*
 * With the error of the step that failed. MS_CANCELLED: by a signal, and all steps are cancelled. Whatever is
 * returned, no task of the job is left in Slurm. The result is filled as far as it is known.
 */
ms_status cli_job_follow(cli_job *job, cli_job_result *ret, ms_error *err);

#endif
