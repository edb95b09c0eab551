/* Several workers, from their start to the end of the last. */
#ifndef CLI_WORKER_SET_H
#define CLI_WORKER_SET_H

#include "workers/worker_process.h"

typedef struct cli_worker_set {
    cli_worker worker[CLI_MAX_WORKERS];
    int count;
    void (*died)(void *arg, int i); /* told once of each, when it has ended: `heard` says how */
    void *arg;
} cli_worker_set;

/* One more; heard and its arg: as in cli_events. MS_IO, and all of them are ended. */
ms_status cli_worker_set_add(cli_worker_set *set, const cli_worker_order *order,
                             void (*heard)(void *arg, const char *event, const ms_json *line), void *arg,
                             ms_error *err);

int cli_worker_set_alive(const cli_worker_set *set);

/* To what they say, for a fifth of a second at most. */
void cli_worker_set_listen(cli_worker_set *set);

/* Asks all to end, and after a minute does not ask. */
void cli_worker_set_end(cli_worker_set *set);

/* "the worker on cuda:1 ended: ...; the others go on" */
void cli_worker_tell_end(const cli_worker *worker, const ms_error *err, bool others);

#endif
