/* What of an output is in Slurm, noted beside the logs as OUT.slurm/jobs: a later submit follows it. */
#ifndef CLI_SUBMIT_RECORD_H
#define CLI_SUBMIT_RECORD_H

#include "submit/job.h"

#define CLI_RECORD_NAME "jobs"

/* A hash of what a job was asked for: the words of its segments' or clips' tasks, and how many clips there
   are. MS_HOST_MEMORY. */
ms_status cli_record_hash(const cli_job *job, const cli_command *command, const cli_step_place *place,
                          uint64_t *ret_hash, ms_error *err);

/* The job's numbers, with the number of its tasks. MS_IO; MS_HOST_MEMORY. */
ms_status cli_record_keep(const cli_job *job, uint64_t hash, ms_error *err);

/* Numbers, cluster and number of tasks of what was noted last. False: nothing that can be read, and the job
   is as it was. */
bool cli_record_find(cli_job *job, uint64_t *ret_hash);

#endif
