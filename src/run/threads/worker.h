/* A thread of a run, which ends with a status. */
#ifndef MS_RUN_WORKER_H
#define MS_RUN_WORKER_H

#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"

typedef struct ms_worker {
    pthread_t thread;
    bool started;
    ms_status status; /* the caller's once the worker's queue has ended */
    ms_error err;
    double busy_s;
} ms_worker;

#endif
