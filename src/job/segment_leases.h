/*
 * Who makes which segment, among any number of processes that share a job's folder, maybe over a network. A
 * lease saves work and nothing else: whoever makes a segment makes the same bytes, so a lease that is broken
 * or held twice costs time and no more, and weak locks of a network file system are no danger.
 *
 * Each process that works there, whether it takes leases or not, has a file `worker-...` that it touches
 * every few seconds; a lease is a file `lease-NUMBER`, made where none is (O_EXCL), with the worker's name. A
 * worker is dead when its file is gone; when it was not touched for MS_LEASE_DEAD_S by the clock of the file
 * system, as that of one that is stopped; and, on the same machine, as soon as nobody holds the lock on it.
 * Leases of the dead are taken over. One who was taken for dead and lives goes on under another name.
 */
#ifndef MS_JOB_SEGMENT_LEASES_H
#define MS_JOB_SEGMENT_LEASES_H

#include "job/job_folder.h"

#define MS_LEASE_BEAT_S 5
#define MS_LEASE_DEAD_S 60

#define MS_WORKER_FILES "worker-"
#define MS_LEASE_FILES "lease-"

typedef struct ms_leases ms_leases;

/* folder: borrowed. MS_IO: the worker's file cannot be made; MS_HOST_MEMORY. */
ms_status ms_leases_open(ms_mem *mem, const ms_job_folder *folder, ms_leases **ret_leases, ms_error *err);

/* Gives back what is held. */
void ms_leases_close(ms_leases **leases);

/* False: somebody who lives has it, maybe this process. Where no lease can be made: true. */
bool ms_leases_take(ms_leases *leases, int64_t number);
void ms_leases_give_back(ms_leases *leases, int64_t number);

/* Where nobody else lives in the folder, what the dead left half done is removed. (A lock on the folder may
   not reach other machines.) What was written since this worker came stays: it is of somebody who came
   later. */
void ms_leases_clear(ms_leases *leases);

#endif
