/* The sub-commands, one file each. A new one is a line here and a file. */
#ifndef MS_CLI_COMMANDS_H
#define MS_CLI_COMMANDS_H

#include "options/options.h"

#define CLI_COMMAND_MAP(X)                                                                                   \
    X(run)                                                                                                   \
    X(split)                                                                                                 \
    X(join)                                                                                                  \
    X(batch)                                                                                                 \
    X(submit)                                                                                                \
    X(score)                                                                                                 \
    X(detect)                                                                                                \
    X(plan)                                                                                                  \
    X(history)                                                                                               \
    X(models)                                                                                                \
    X(probe)                                                                                                 \
    X(batch_size)                                                                                            \
    X(serve)                                                                                                 \
    X(doctor)                                                                                                \
    X(help)

#define X(name) extern const cli_command cli_##name##_command;
CLI_COMMAND_MAP(X)
#undef X

/* What the server starts of this program; argv: from "serve-worker" on. */
int cli_serve_worker(int argc, char **argv);

/* What a run on several devices starts of this program; argv: from "run-worker" on. */
int cli_run_worker(int argc, char **argv);

/* What a batch on several devices starts of this program; argv: from "batch-worker" on. */
int cli_batch_worker(int argc, char **argv);

/* All of them, NULL-terminated. */
extern const cli_command *const cli_commands[];

#endif
