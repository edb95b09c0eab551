/* What `memsafe run` tells people: before the work, after it, and when it was ended early. */
#ifndef CLI_RUN_TEXT_H
#define CLI_RUN_TEXT_H

#include "options/run_options.h"

/* What comes out, how long it will take and how much memory; with -v also how it is cut up. */
void cli_run_say_plan(const ms_run_params *params, const ms_run_report *report);

/* The line of it about time and memory: "  this will take ...". */
void cli_run_say_need(const char *work, const ms_run_report *report);

/* What was made, how long it took, what is to be known of it; with -v also how the memory was used. */
void cli_run_say_result(const ms_run_params *params, const ms_run_report *report);

/* After an error or Ctrl-C: what is kept and what is not, and the command that goes on. */
void cli_run_say_kept(const ms_run_params *params, const ms_run_report *report, ms_status why);

#endif
