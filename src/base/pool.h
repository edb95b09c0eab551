/*
 * A pool of threads that share out numbered tasks. Which worker runs which task is left open, so a task may
 * write only what belongs to its number: then results do not depend on how many threads there are.
 */
#ifndef MS_BASE_POOL_H
#define MS_BASE_POOL_H

#include <stdint.h>

#include "base/mem.h"

typedef struct ms_pool ms_pool;

/* worker is 0 .. threads-1 and is held by no other task at the same time: it names a private workspace. */
typedef void (*ms_task_fn)(void *arg, int64_t task, int worker);

/* The most that a pool takes: four for each CPU, at least 16. */
int ms_pool_most_threads(void);

/* n_threads counts the caller's own thread; 0 = one per CPU that this process may
   use. MS_INVALID_ARGUMENT: more than there may be; MS_HOST_MEMORY. */
ms_status ms_pool_create(ms_mem *mem, int n_threads, ms_pool **ret_pool, ms_error *err);
void ms_pool_destroy(ms_pool **pool);
int ms_pool_threads(const ms_pool *pool);

/* Runs tasks 0 .. n_tasks-1 and returns when all are done. A NULL pool, and one of a
   single thread, runs them in order on the caller, as worker 0. Callers on several threads
   take turns, but for a single task, which is run at once: a workspace that is named by
   workers must belong to one caller. Tasks must not call ms_pool_run on the same pool. */
void ms_pool_run(ms_pool *pool, int64_t n_tasks, ms_task_fn fn, void *arg);

/* CPUs that this process may run on (affinity mask, cgroup quota rounded up). */
int ms_cpu_count(void);

#endif
