/* What workers say that holds for the whole run: warnings, each once, and a plan, when each worker has
   its own. */
#ifndef CLI_SAID_H
#define CLI_SAID_H

#include <stdbool.h>

#include "memsafe/run.h"
#include "text/json.h"

#define CLI_MAX_SAID 24

typedef struct cli_said {
    ms_run_report plan; /* the first worker's; memory, budget and speed are of all */
    int plans;          /* workers that have one */
    bool told;
    double speed; /* of those that predict: jobs a second */
    char warning[CLI_MAX_SAID][320];
    int warnings;
} cli_said;

/* A worker's warning, where it is one that is shown, behind what it is of: "" = the whole. */
void cli_said_tell(const ms_json *line, const char *subject);

/* cli_events.heard; arg: a cli_said. Warnings are told at once. */
void cli_said_take(void *arg, const char *event, const ms_json *line);

#endif
