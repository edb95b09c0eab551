#include "frames/queue.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"

struct ms_queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t capacity, item_bytes, first, count;
    bool closed, aborted;
    char *items;
};

ms_status ms_queue_create(ms_mem *mem, size_t capacity, size_t item_bytes, ms_queue **ret_queue,
                          ms_error *err) {
    ms_queue *q = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*q));
    char *items = q ? ms_alloc_array(mem, MS_LEDGER_GENERAL, capacity, item_bytes) : NULL;
    if (!items) {
        ms_mem_free(q);
        return ms_fail_alloc(err, mem, capacity * item_bytes, "a queue");
    }
    q->capacity = capacity;
    q->item_bytes = item_bytes;
    q->items = items;
    pthread_mutex_init(&q->lock, NULL);
    ms_cond_init(&q->changed);
    *ret_queue = q;
    return MS_OK;
}

void ms_queue_destroy(ms_queue **queue) {
    if (!queue || !*queue)
        return;
    pthread_cond_destroy(&(*queue)->changed);
    pthread_mutex_destroy(&(*queue)->lock);
    ms_mem_free((*queue)->items);
    ms_mem_free(*queue);
    *queue = NULL;
}

/* Waits, with the lock held, until there is room or an item or an end. False: the time is over. */
static bool await(ms_queue *q, bool room, double timeout_s) {
    struct timespec deadline = ms_cond_deadline(timeout_s > 0 ? timeout_s : 0);
    while (!q->aborted && !q->closed && (room ? q->count == q->capacity : q->count == 0)) {
        if (timeout_s < 0)
            pthread_cond_wait(&q->changed, &q->lock);
        else if (pthread_cond_timedwait(&q->changed, &q->lock, &deadline) == ETIMEDOUT)
            return q->aborted || q->closed || (room ? q->count < q->capacity : q->count > 0);
    }
    return true;
}

static void take_first(ms_queue *q, void *ret_item) {
    memcpy(ret_item, q->items + q->first * q->item_bytes, q->item_bytes);
    q->first = (q->first + 1) % q->capacity;
    q->count--;
}

ms_queue_result ms_queue_push(ms_queue *q, const void *item, double timeout_s) {
    pthread_mutex_lock(&q->lock);
    ms_queue_result result = MS_QUEUE_DONE;
    if (!await(q, true, timeout_s)) {
        result = MS_QUEUE_TIMEOUT;
    } else if (q->aborted || q->closed) {
        result = MS_QUEUE_ENDED;
    } else {
        memcpy(q->items + (q->first + q->count++) % q->capacity * q->item_bytes, item, q->item_bytes);
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    return result;
}

ms_queue_result ms_queue_take(ms_queue *q, void *ret_item, double timeout_s) {
    pthread_mutex_lock(&q->lock);
    ms_queue_result result = MS_QUEUE_DONE;
    if (!await(q, false, timeout_s)) {
        result = MS_QUEUE_TIMEOUT;
    } else if (q->aborted || q->count == 0) {
        result = MS_QUEUE_ENDED;
    } else {
        take_first(q, ret_item);
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    return result;
}

static void end(ms_queue *q, bool abort) {
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    q->aborted |= abort;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

void ms_queue_close(ms_queue *q) {
    end(q, false);
}

void ms_queue_abort(ms_queue *q) {
    end(q, true);
}

bool ms_queue_take_left(ms_queue *q, void *ret_item) {
    pthread_mutex_lock(&q->lock);
    bool got = q->count > 0;
    if (got)
        take_first(q, ret_item);
    pthread_mutex_unlock(&q->lock);
    return got;
}
