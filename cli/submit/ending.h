/* How a task under Slurm ended, by what Slurm says and by what it said itself. */
#ifndef CLI_SUBMIT_ENDING_H
#define CLI_SUBMIT_ENDING_H

#include "submit/job.h"

typedef enum cli_ending {
    CLI_ENDING_NONE, /* it waits or works, or it is not certain yet */
    CLI_ENDING_WELL,
    CLI_ENDING_BADLY,
} cli_ending;

/* now_s: by ms_now_s(). */
cli_ending cli_task_ending(const cli_task *task, double now_s);

/* Of one that ended badly: its own error, or Slurm's word. Returns the error's code. */
ms_status cli_task_error(const cli_job *job, const cli_task *task, ms_error *ret_error);

#endif
