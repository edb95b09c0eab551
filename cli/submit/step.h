/*
 * The steps of a job under Slurm: which of the words that were typed each gets, and the script that a
 * node runs. A video is split by one task, made by an array of tasks, and joined by one. A batch is an
 * array alone.
 */
#ifndef CLI_SUBMIT_STEP_H
#define CLI_SUBMIT_STEP_H

#include "options/options.h"
#include "submit/asked.h"
#include "text/json.h"

typedef enum cli_step {
    CLI_STEP_SPLIT,
    CLI_STEP_PARTS,
    CLI_STEP_JOIN,
    CLI_STEP_BATCH,
    CLI_STEP_COUNT,
} cli_step;

/* "split"; for people and in the names of Slurm's jobs. */
const char *cli_step_name(cli_step step);

/* The name of its job in Slurm. */
#define CLI_STEP_JOB_BYTES 32
void cli_step_job_name(cli_step step, char ret_text[CLI_STEP_JOB_BYTES]);

/* Where and by which program. */
typedef struct cli_step_place {
    const char *program, *folder; /* whole paths: of this executable; where the words were typed */
    int tasks;                    /* of the array */
} cli_step_place;

/*
 * The script of a step, into a buffer that the caller has begun. command: whose table says whose value a
 * word is. What decides the result goes to all steps; what is of one goes to it alone: the report to the
 * end, -y to what begins or ends, --resume to what begins, options of submit itself and of what is shown
 * to none. MS_HOST_MEMORY.
 */
ms_status cli_step_script(cli_step step, const cli_command *command, const cli_submit_asked *asked,
                          const cli_step_place *place, ms_buf *ret_script, ms_error *err);

#endif
