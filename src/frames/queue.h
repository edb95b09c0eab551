/*
 * A bounded queue between two threads. A full one holds its producer back: that is
 * what bounds a run's memory. Items are copied in and out.
 */
#ifndef MS_FRAMES_QUEUE_H
#define MS_FRAMES_QUEUE_H

#include "base/mem.h"

typedef struct ms_queue ms_queue;

typedef enum ms_queue_result {
    MS_QUEUE_DONE,    /* the item is in, or out */
    MS_QUEUE_TIMEOUT, /* there was no place, or nothing to take, for so long */
    MS_QUEUE_ENDED,   /* pushing: closed or aborted. Taking: aborted, or closed and empty */
} ms_queue_result;

ms_status ms_queue_create(ms_mem *mem, size_t capacity, size_t item_bytes, ms_queue **ret_queue,
                          ms_error *err);
void ms_queue_destroy(ms_queue **queue);

/* Waits for a place, at most timeout_s; negative = for ever. */
ms_queue_result ms_queue_push(ms_queue *queue, const void *item, double timeout_s);

/* Waits for an item. */
ms_queue_result ms_queue_take(ms_queue *queue, void *ret_item, double timeout_s);

/* Nothing more will come; what is in it may still be taken. */
void ms_queue_close(ms_queue *queue);

/* Both sides get MS_QUEUE_ENDED from now on. */
void ms_queue_abort(ms_queue *queue);

/* Takes what was left in an aborted queue, item by item, for freeing; false = nothing is left. */
bool ms_queue_take_left(ms_queue *queue, void *ret_item);

#endif
