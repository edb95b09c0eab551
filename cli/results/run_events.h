/* What `memsafe run` tells programs: docs/progress.md. */
#ifndef CLI_RUN_EVENTS_H
#define CLI_RUN_EVENTS_H

#include "memsafe/run.h"
#include "text/json.h"

/* What was decided before the work: the event `plan`. */
void cli_run_plan_event(const ms_run_params *params, const ms_run_report *report);

/* Members of the last event: of `done`, and of `error`. */
void cli_run_done_members(const ms_run_params *params, const ms_run_report *report);
void cli_run_kept_members(const ms_run_report *report);

/* The members of `done` as text, and a report filled with what they say. */
void cli_run_put_result(ms_buf *b, const char *output, const ms_run_report *report);
/* Behind those, what people are told besides. */
void cli_run_put_rest(ms_buf *b, const ms_run_report *report);
/* What was not said stays 0. */
void cli_run_take_result(const ms_json *line, ms_run_report *report);

#endif
