/* The server's side of a worker: starting it, talking to it, ending it. One thread uses a worker; that thread
   must live as long as the worker does, which dies with it. */
#ifndef SERVE_WORKER_PROCESS_H
#define SERVE_WORKER_PROCESS_H

#include <sys/types.h>

#include "worker/worker_lines.h"

typedef struct worker_process {
    pid_t pid; /* 0 = none */
    int fd;
    worker_lines lines;
} worker_process;

/* Kinds. One that runs on a device with memory of its own may do for the driver what others may not. */
#define WORKER_RUN "run"
#define WORKER_DEVICE "device"
#define WORKER_LOOK "look"

/* MS_IO, MS_HOST_MEMORY. */
ms_status worker_process_start(worker_process *p, const char *kind, ms_error *err);

/* Ends it at once, and waits until it is gone. How it ended, in a few words, into ret_how (may be NULL: then
   one that ends by itself is not waited for), and as waitpid() has it. */
int worker_process_end(worker_process *p, char *ret_how, size_t how_bytes);

#endif
