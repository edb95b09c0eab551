/* A process that makes segments of a run, or clips of a batch, seen from the one that started it. */
#ifndef CLI_WORKER_PROCESS_H
#define CLI_WORKER_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "options/run_options.h"
#include "workers/device_list.h"
#include "workers/events.h"

/* What it is told beside the run's own words. */
typedef struct cli_worker_order {
    char device[CLI_DEVICE_BYTES];
    uint64_t budget_bytes, host_budget_bytes; /* 0 = as without the options */
    int threads;
    bool takes_clips; /* of a batch: "batch-worker", which reads from `to` what it shall make next */
} cli_worker_order;

typedef struct cli_worker {
    cli_worker_order order;
    pid_t pid;        /* 0 = it has ended, or never began */
    int fd;           /* its events; -1 = none any more */
    int to;           /* its standard input; -1 = none, or closed */
    cli_events heard; /* at its end `done` and `err` say how it ended, whatever it said of it */
} cli_worker;

/* The same program, with the words that this one was called with. MS_IO. */
ms_status cli_worker_start(cli_worker *worker, const cli_worker_order *order, ms_error *err);

/* It is told no more, and ends when it has done what it was told. */
void cli_worker_close(cli_worker *worker);

/* What it has said since; at the end of its events it is waited for. */
void cli_worker_listen(cli_worker *worker);

void cli_worker_signal(const cli_worker *worker, int number);
/* At once, whatever it does. */
void cli_worker_kill(cli_worker *worker);

/* Its side: what was typed for the whole, behind the order. argv[0]: "run-worker" or "batch-worker", and
   command is that of its name; ret_state has its defaults and what was typed, ret_words the words that are no
   options. MS_INVALID_ARGUMENT: it was not started by another process of this program, with whose end its
   own comes. */
ms_status cli_worker_read(const cli_command *command, int argc, char **argv, cli_worker_order *ret_order,
                          cli_run_state *ret_state, char ***ret_words, int *ret_count, ms_error *err);
/* Device, threads and budgets, over what was typed. */
void cli_worker_apply(const cli_worker_order *order, cli_run_state *state);

#endif
