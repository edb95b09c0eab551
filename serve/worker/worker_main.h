/* The worker's side: the same program, started by the server (worker_process.h), which opens what was
   uploaded and holds the model. */
#ifndef SERVE_WORKER_MAIN_H
#define SERVE_WORKER_MAIN_H

#include "memsafe/run.h"

/* Of the socket to the server in the worker. */
#define WORKER_FD 3

/* What the program that has this worker writes its reports with. */
typedef ms_status (*worker_report_fn)(const char *path, const ms_run_params *params,
                                      const ms_run_report *report, ms_error *err);

/* argv: what worker_process.c gives. Returns the process's exit code. */
int worker_main(int argc, char **argv, worker_report_fn write_report);

#endif
