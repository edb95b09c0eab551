/*
 * Where a job is done: the host's memory and threads, and a device. The three are
 * apart: only a device whose memory is the host's draws on the same ledgers, and
 * only one that computes on the host's processors borrows its threads.
 */
#ifndef MS_DEVICE_COMPUTE_H
#define MS_DEVICE_COMPUTE_H

#include "device/device.h"

typedef struct ms_compute {
    ms_mem *mem;   /* the host's memory, for all that is not on the device; borrowed; NULL = the process's */
    ms_pool *pool; /* for the host's own work: reading, pasting, log-mel; NULL = the calling thread */
    ms_device *dev;
    ms_queue *queue; /* one thread at a time gives work to it */
    ms_event *done;
    bool borrows_device, borrows_pool;
    bool replay; /* networks are captured once and launched again, where the device can */
    /* type in which networks keep activations, one of the device's; F32 once it is opened */
    ms_dtype activation;
} ms_compute;

typedef struct ms_compute_params {
    /* "cpu"; NAME or NAME:N, the N-th of a back end's devices from 0; NULL or
       "auto": the best of this machine. */
    const char *device;
    ms_mem *mem;
    /* What a device charges its own memory to; NULL = to nothing. A device without
       memory of its own uses mem. */
    ms_mem *device_mem;
    int threads; /* of the pool; 0 = all */
    ms_isa isa_limit;
    size_t memory_bytes; /* of "dummy", like card: ms_device_params */
    const ms_card *card;
    bool must_compute; /* MS_UNSUPPORTED where the device only knows sizes */
} ms_compute_params;

/* Makes the pool and opens the device. Errors: those of ms_pool_create() and ms_device_open(). */
ms_status ms_compute_open(const ms_compute_params *params, ms_compute *ret_compute, ms_error *err);
void ms_compute_close(ms_compute *compute);

/* The same device, pool and ledgers with a queue of its own, for another thread. It must be closed first. */
ms_status ms_compute_fork(const ms_compute *compute, ms_compute *ret_fork, ms_error *err);

/* The same for work that the processor does whatever the device is: finding faces goes on beside the device's
   work, and finds the same faces on all of them. Where the device is not the processor, that is opened too,
   over the same pool and the host's ledgers. Errors: those of ms_device_open(). */
ms_status ms_compute_open_host(const ms_compute *compute, ms_compute *ret_host, ms_error *err);

/* Copies go through the compute's queue and are done when these return. */
ms_status ms_compute_upload(const ms_compute *compute, void *dst, const void *src, size_t bytes);
ms_status ms_compute_download(const ms_compute *compute, void *dst, const void *src, size_t bytes);
/* Waits for all that was given to the queue. */
ms_status ms_compute_finish(const ms_compute *compute);

#endif
