/* The jobs of a data folder in its database jobs.db, which is opened as a file that anybody may have made
   (files/trusted_db.h), and whose rows are checked. */
#ifndef SERVE_JOB_STORE_H
#define SERVE_JOB_STORE_H

#include "jobs/job.h"

typedef struct job_store job_store;

/* folder: of data; borrowed. MS_DAMAGED, MS_IO, MS_HOST_MEMORY. */
ms_status job_store_open(int folder, const char *folder_path, job_store **ret_store, ms_error *err);
void job_store_close(job_store **store);

/* All jobs in the order of their making; each is the taker's. */
ms_status job_store_load(job_store *store, ms_status (*take)(void *arg, job *j, ms_error *err), void *arg,
                         ms_error *err);

/* Adds the job or replaces it; it is on the disk when this returns. MS_IO: the disk is full, ... */
ms_status job_store_put(job_store *store, const job *j, ms_error *err);
ms_status job_store_remove(job_store *store, const char *id, ms_error *err);

/* What is written in between is on the disk when job_store_end() returns MS_OK, and else nothing of it; nor
   where it is not to be kept. */
ms_status job_store_begin(job_store *store, ms_error *err);
ms_status job_store_end(job_store *store, bool keep, ms_error *err);

#endif
