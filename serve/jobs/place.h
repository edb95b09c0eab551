/* Where runs work, and what of its memory they may come to hold. */
#ifndef SERVE_PLACE_H
#define SERVE_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "memsafe/status.h"

#define PLACE_DEVICE_BYTES 64

typedef struct jobs_place {
    char device[PLACE_DEVICE_BYTES]; /* "cpu", "cuda", "cuda:1" */
    size_t budget_bytes;             /* of the device's memory */
    /* Of a device with memory of its own, else 0: all that it has; what a run may hold of the host's; what a
       process takes of that by opening it, for its driver and kernels, which no plan counts that has not.
       arch: of a CUDA card that plans know, 86 for sm_86; 0 = it is none. */
    size_t device_bytes, host_budget_bytes, host_own_bytes;
    int arch;
} jobs_place;

typedef struct jobs_place_params {
    const char *device;
    size_t budget_bytes, host_budget_bytes;
    bool (*ended)(void *arg); /* asked five times a second; MS_CANCELLED */
    void *arg;
    int lock; /* a descriptor that the process which looks closes: it must not outlive this one with it */
} jobs_place_params;

/*
 * Looks at the device (NULL = the best of this machine, which is then named). A look at an upload must not: a
 * card has no room for a second context beside a run's, and the driver takes more addresses than such a
 * worker may have. A process of its own does it, since the server would keep a context to its end. Budgets 0:
 * what is free now less the profile's margin, which workers cannot find out, for their own bounds are all the
 * memory that they see.
 *
 * Before there are threads. Errors are those of opening the device (MS_UNSUPPORTED, MS_INVALID_ARGUMENT,
 * MS_DEVICE_MEMORY), MS_IO and MS_CANCELLED.
 */
ms_status jobs_place_find(const jobs_place_params *params, jobs_place *ret_place, ms_error *err);

#endif
