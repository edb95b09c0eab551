/*
 * A loop over items that survives running out of memory: the caller's own function is called for
 * a batch of items at a time, and for fewer when it says MS_HOST_MEMORY or MS_DEVICE_MEMORY.
 *
 *   ms_adaptive_params p = {.optimizer = optimizer, .task = MS_TASK_VAE_DECODE, .height = 512, .width = 512,
 *                           .process = decode, .trim = drop_caches, .arg = pipeline};
 *   status = ms_adaptive_process(&p, 0, frames, NULL, &done, &err);
 *
 * The batch is the least of what the optimizer answers now (free memory, pressure), max_batch, and what
 * failures have taught. After a failure: trim() is called, the batch halves, the same items are tried
 * again; a single item is tried twice, and only then the error is returned, with everything before it done.
 * After grow_after full batches without a failure the batch doubles again, up to the cap; each growth that
 * fails at once doubles how long the next one waits, so that a limit that stays costs few failures.
 */
#ifndef MEMSAFE_ADAPTIVE_H
#define MEMSAFE_ADAPTIVE_H

#include "memsafe/optimizer.h"
#include "memsafe/pressure.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Processes items first .. first+count-1, all of them or none. After an
 * out-of-memory status the same items come again, perhaps fewer at a time, so it
 * must not matter what was done to them before. Any other status ends the loop.
 */
typedef ms_status (*ms_process_fn)(void *arg, int64_t first, int64_t count, ms_error *err);

/* With all fields zero but process, a loop begins with batches of MS_BATCH_LIMIT.
   Borrowed while a call lasts. */
typedef struct ms_adaptive_params {
    const ms_optimizer *optimizer; /* asked before every batch; NULL = max_batch alone */
    ms_task task;                  /* the question to the optimizer, with these: */
    int height, width;             /* of an item, pixels */
    int max_batch;                 /* 0 = the optimizer's cap, or MS_BATCH_LIMIT without one */
    int grow_after; /* full batches in a row that must succeed before the batch doubles; 0 = 4 */
    /* Items from one clean_up() to the next; 0 = by the optimizer's tier; negative = under pressure only */
    int64_t clean_up_items;
    ms_pressure_watch *watch; /* stepped before every batch; NULL = none */

    ms_process_fn process;
    void (*trim)(void *arg);      /* gives back what can be had again: called before a retry; may be NULL */
    void (*clean_up)(void *arg);  /* at the interval, and when the pressure rises; may be NULL */
    bool (*cancelled)(void *arg); /* asked before every batch; may be NULL */
    void *arg;
} ms_adaptive_params;

/* What a loop has learned and counted. All zero is the beginning. Keep it from call
   to call if your work comes in pieces. One thread at a time. */
typedef struct ms_adaptive_state {
    int batch; /* the largest that failures allow; 0 = any */
    int good;  /* full batches since the last change */
    int wait;  /* full batches before the next growth */
    bool grown;
    int pressure; /* seen last */
    int64_t since_clean_up;

    int64_t items, batches; /* done */
    int64_t host_failures, device_failures, halvings, growths, trims, clean_ups;
    int last_batch, smallest_batch, largest_batch; /* that were tried */
    int worst_pressure;
} ms_adaptive_state;

/*
 * Processes items first .. first+count-1 in order, on the calling thread. state NULL = begin anew. *ret_done:
 * items of this call that are done, on failure, too; may be NULL. MS_INVALID_ARGUMENT: no process, or numbers
 * out of range, or what the optimizer says of them; MS_CANCELLED; else what process returned.
 */
MS_API ms_status ms_adaptive_process_sized(const ms_adaptive_params *params, size_t params_bytes,
                                           int64_t first, int64_t count, ms_adaptive_state *state,
                                           size_t state_bytes, int64_t *ret_done, ms_error *err);
static inline ms_status ms_adaptive_process(const ms_adaptive_params *params, int64_t first, int64_t count,
                                            ms_adaptive_state *state, int64_t *ret_done, ms_error *err) {
    return ms_adaptive_process_sized(params, sizeof(*params), first, count, state, sizeof(*state), ret_done,
                                     err);
}

#ifdef __cplusplus
}
#endif
#endif
