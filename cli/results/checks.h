/* What `memsafe doctor` finds, for people as it is found, or for programs as one object in the end. */
#ifndef CLI_CHECKS_H
#define CLI_CHECKS_H

#include <stdbool.h>

#include "memsafe/models.h"
#include "memsafe/probe.h"

/* json: nothing is printed before cli_checks_end(). */
void cli_checks_begin(bool json);

/* What follows is of this: "Libraries". */
void cli_checks_group(const char *name);

/* state: "yes", "no", "none", ... text may be "". */
void cli_checks_row(const char *name, const char *state, const char *text);

/* Of the row above: the command that mends it, and for people what is to be done then; where else was
   looked. */
void cli_checks_mend(const char *what, const char *after);
void cli_checks_nor(const char *where);

/* A line of a model's check (results/model_check.h). */
void cli_checks_finding(ms_model_part part, ms_finding_kind kind, const char *text);

/* In which way a device's result does not agree. */
#define CLI_TRIAL_TEXT_BYTES 128
const char *cli_trial_text(const ms_probe_trial *trial, char ret_text[CLI_TRIAL_TEXT_BYTES]);

/* A sentence for people. */
void cli_checks_say(const char *text);

/* model: the folder that findings are of; NULL = none. fine: nothing is missing that was looked for. */
void cli_checks_end(const char *model, bool fine);

#endif
