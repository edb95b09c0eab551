/*
 * The words of the command that split a job, kept in the job's folder (OUT.memsafe/command): who makes a part
 * of it or joins it need not type them again. What is of one machine is not taken from there: budgets,
 * threads, device, rung, report, what is shown, and leave to replace files.
 */
#ifndef CLI_RECALL_H
#define CLI_RECALL_H

#include "options/run_options.h"

/* The words that were typed, and the folder in which their paths hold. MS_IO, MS_HOST_MEMORY. */
ms_status cli_run_remember(const char *output, ms_error *err);

/* Whether they are kept. */
bool cli_run_is_remembered(const char *output);

/* Whether the output is there and the job's folder is not, as after its join. */
bool cli_run_is_over(const char *output);

/* Fills the state anew by what was kept, and by what is typed now over that; *ret_arguments: words that are
   no options. MS_IO: nothing is kept there; MS_DAMAGED: it is not as memsafe writes it. */
ms_status cli_run_recall(const char *output, cli_run_state *state, char ***ret_arguments, int *ret_count,
                         ms_error *err);

#endif
