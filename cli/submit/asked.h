/* What `memsafe submit slurm` was asked for. */
#ifndef CLI_SUBMIT_ASKED_H
#define CLI_SUBMIT_ASKED_H

#include "options/run_options.h"

typedef struct cli_submit_asked {
    cli_run_state run; /* first: the table of `memsafe run` fills it */
    int tasks, cpus;   /* 0 = not said */
    const char *partition, *gres, *time_limit;
    cli_list passed_on; /* for sbatch, as they are */
    bool no_follow;
} cli_submit_asked;

#endif
