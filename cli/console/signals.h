/* Signals of commands that work for long. */
#ifndef MS_CLI_SIGNALS_H
#define MS_CLI_SIGNALS_H

#include <stdbool.h>

/* SIGINT and SIGTERM make cli_interrupted() true; a file-size limit becomes a write error. */
void cli_catch_signals(void);
bool cli_interrupted(void *arg);

#endif
