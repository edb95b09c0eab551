/* Another program, run to its end without a shell. */
#ifndef CLI_SUBMIT_CALL_H
#define CLI_SUBMIT_CALL_H

#include "text/json.h"

typedef struct cli_call {
    const char *const *words; /* the program, looked for in PATH, and its words; NULL ends them */
    const char *input;        /* what it reads; NULL = nothing */
    double limit_s;           /* then it is killed */
    /* Said once when a signal asks this program to end meanwhile, for the other is waited for all the same;
       NULL = nothing */
    const char *told_interrupt;
} cli_call;

typedef struct cli_called {
    bool missing; /* there is no such program */
    int code;     /* that it ended with; -1: by a signal, or it was killed at the limit */
    ms_buf output, errors;
} cli_called;

/* MS_IO: it could not be started; with `missing` the error says so, and no more. What it printed is to be
   freed whatever is returned. */
ms_status cli_call_program(const cli_call *call, cli_called *ret, ms_error *err);
void cli_called_free(cli_called *called);

#endif
