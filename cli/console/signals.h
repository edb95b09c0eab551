/* Signals of commands that work for long. */
#ifndef MS_CLI_SIGNALS_H
#define MS_CLI_SIGNALS_H

#include <stdbool.h>

/* SIGINT, SIGTERM and SIGHUP, unless nohup has it ignored, make cli_interrupted() true. */
void cli_catch_signals(void);
/* After that: SIGHUP ends the program as if it were not caught. */
void cli_let_hangup_end(void);
bool cli_interrupted(void *arg);

#endif
