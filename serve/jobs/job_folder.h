/* Folders of jobs: jobs/ID in the server's data folder. */
#ifndef SERVE_JOB_FOLDER_H
#define SERVE_JOB_FOLDER_H

#include <stdbool.h>

#include "memsafe/status.h"

/* jobs: the descriptor of the folder of all. */
ms_status job_folder_make(int jobs, const char *id, ms_error *err);

/* With all that is in it, links not followed; one that is not there is no error. */
void job_folder_remove(int jobs, const char *id);

/* Of all files in it. */
uint64_t job_folder_bytes(int jobs, const char *id);

/* A file of a job, for reading; -1: it is not there. */
int job_folder_open(int jobs, const char *id, const char *name);

/* Removes each folder that `known` does not know. */
void job_folder_sweep(int jobs, bool (*known)(void *arg, const char *id), void *arg);

#endif
