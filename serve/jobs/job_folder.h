/* Folders of jobs: jobs/ID in the server's data folder. */
#ifndef SERVE_JOB_FOLDER_H
#define SERVE_JOB_FOLDER_H

#include <stdbool.h>

#include "memsafe/status.h"

/* jobs: the descriptor of the folder of all. */
ms_status job_folder_make(int jobs, const char *id, ms_error *err);

/* With all that is in it, links not followed; one that is not there is no error. */
void job_folder_remove(int jobs, const char *id);

/* Out of the way at once, by another name; job_folder_empty_trash() removes it, which may take long. */
void job_folder_hide(int jobs, const char *id);
void job_folder_empty_trash(int jobs);

bool job_folder_is_there(int jobs, const char *id);

/* What was written into it is on the disk, and so is the folder. */
ms_status job_folder_sync(int jobs, const char *id, ms_error *err);

/* Of all files in it. */
uint64_t job_folder_bytes(int jobs, const char *id);

/* A file of a job, for reading; -1: errno says why. *ret_link: it is a link to a file of this machine's. */
int job_folder_open(int jobs, const char *id, const char *name, bool *ret_link);

/* Hides each folder that `known` does not know. */
void job_folder_sweep(int jobs, bool (*known)(void *arg, const char *id), void *arg);

#endif
