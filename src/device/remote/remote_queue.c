#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "device/remote/remote.h"
#include "base/splitmix.h"

/* ---- giving ---- */

static ms_status append(remote_list *list, const remote_command *command) {
    remote_command *copy = malloc(sizeof(*copy)); /* a driver's memory is its own */
    if (!copy)
        return MS_HOST_MEMORY;
    *copy = *command;
    copy->next = NULL;
    if (list->last)
        list->last->next = copy;
    else
        list->first = copy;
    list->last = copy;
    return MS_OK;
}

static void drop_first(remote_list *list) {
    remote_command *c = list->first;
    list->first = c->next;
    if (!list->first)
        list->last = NULL;
    free(c);
}

/* Under the lock. */
static ms_status give(remote_queue *q, const remote_command *command) {
    if (remote_of(q->base.dev)->lost)
        return MS_DEVICE_LOST;
    if (!q->capturing)
        return append(&q->list, command);
    bool can_be = command->kind == REMOTE_KERNEL || command->kind == REMOTE_FILL;
    return can_be ? append(&q->captured, command) : MS_INVALID_ARGUMENT;
}

ms_status remote_give(ms_queue *queue, const remote_command *command) {
    remote_device *d = remote_of(queue->dev);
    pthread_mutex_lock(&d->lock);
    ms_status status = give((remote_queue *)queue, command);
    pthread_mutex_unlock(&d->lock);
    return status;
}

/* Whatever among its words points there: a command holds the places of its bytes,
   and no number comes to look like one. */
static bool points_into(const remote_command *c, const char *begin, size_t bytes) {
    for (size_t at = 0; at + sizeof(uintptr_t) <= sizeof(*c); at += sizeof(uintptr_t)) {
        uintptr_t word;
        memcpy(&word, (const char *)c + at, sizeof(word));
        if (word >= (uintptr_t)begin && word - (uintptr_t)begin < bytes)
            return true;
    }
    return false;
}

bool remote_is_awaited(const remote_device *d, const char *begin, size_t bytes) {
    for (const remote_queue *q = d->queues; q; q = q->next)
        for (const remote_command *c = q->list.first; c; c = c->next)
            if (points_into(c, begin, bytes))
                return true;
    return false;
}

/* ---- doing ---- */

static _Atomic uint64_t uploaded_bytes, downloaded_bytes;

void remote_traffic(uint64_t *ret_uploaded_bytes, uint64_t *ret_downloaded_bytes) {
    *ret_uploaded_bytes = uploaded_bytes;
    *ret_downloaded_bytes = downloaded_bytes;
}

static bool is_lost_now(void) {
    static _Atomic long count;
    const char *after = getenv("MEMSAFE_REMOTE_LOSE_AFTER");
    return after && ++count > strtol(after, NULL, 10);
}

static void delay(void) {
    const char *wanted = getenv("MEMSAFE_REMOTE_DELAY_US");
    long us = wanted ? strtol(wanted, NULL, 10) : 0;
    const struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    if (us > 0)
        nanosleep(&t, NULL);
}

static bool can_run(const remote_queue *q) {
    const remote_command *c = q->list.first;
    return c && (c->kind != REMOTE_WAIT || !c->event || c->event->done >= c->generation);
}

static bool is_failing_fill(int byte) {
    const char *wanted = getenv("MEMSAFE_REMOTE_FAIL_FILL");
    return wanted && strtol(wanted, NULL, 10) == byte;
}

static ms_status run(remote_device *d, const remote_command *c) {
    switch (c->kind) {
    case REMOTE_UPLOAD:
    case REMOTE_DOWNLOAD:
        memcpy(c->dst, c->src, c->bytes);
        *(c->kind == REMOTE_UPLOAD ? &uploaded_bytes : &downloaded_bytes) += c->bytes;
        break;
    case REMOTE_FILL:
        if (is_failing_fill(c->byte))
            return MS_INTERNAL;
        memset(c->dst, c->byte, c->bytes);
        break;
    case REMOTE_PREPARE:
        return ms_weight_prepare(&c->args.prepare.shape, c->args.prepare.raw, c->args.prepare.first_row,
                                 c->args.prepare.rows, c->src, c->dst);
        break;
    case REMOTE_KERNEL:
        return c->run(d, c);
    case REMOTE_RECORD:
    case REMOTE_WAIT:
        break;
    }
    return MS_OK;
}

static void run_first(remote_device *d, remote_queue *q) {
    const remote_command *c = q->list.first;
    if (c->kind == REMOTE_RECORD && c->event) {
        c->event->done = c->generation;
        c->event->status = q->status;
        c->event->queue = q->number;
    } else if (c->kind == REMOTE_WAIT && c->event && q->status == MS_OK) {
        q->status = c->event->status; /* what it waited for is not there */
    } else if (q->status == MS_OK) {
        q->status = run(d, c);
    }
    drop_first(&q->list);
}

/* The first command of one of the queues that can go on. MS_INTERNAL: none can,
   though there is work: a wait in a circle. */
static ms_status step(remote_device *d) {
    int able = 0;
    for (const remote_queue *q = d->queues; q; q = q->next)
        able += can_run(q);
    if (able == 0)
        return MS_INTERNAL;
    if (is_lost_now()) {
        d->lost = true;
        return MS_DEVICE_LOST;
    }
    delay();
    int chosen = (int)(ms_splitmix64(&d->random) % (uint64_t)able);
    for (remote_queue *q = d->queues; q; q = q->next)
        if (can_run(q) && chosen-- == 0) {
            run_first(d, q);
            return MS_OK;
        }
    return MS_INTERNAL;
}

/* ---- queues and events ---- */

ms_status remote_queue_create(ms_device *dev, ms_queue **ret_queue) {
    remote_device *d = remote_of(dev);
    remote_queue *q = remote_host->alloc(dev->mem, MS_LEDGER_GENERAL, sizeof(*q));
    if (!q)
        return MS_HOST_MEMORY;
    *q = (remote_queue){.base.dev = dev};
    pthread_mutex_lock(&d->lock);
    q->next = d->queues;
    q->number = ++d->queues_made;
    d->queues = q;
    pthread_mutex_unlock(&d->lock);
    *ret_queue = &q->base;
    return MS_OK;
}

void remote_queue_destroy(ms_queue **queue) {
    remote_queue *q = (remote_queue *)*queue;
    remote_device *d = remote_of(q->base.dev);
    pthread_mutex_lock(&d->lock);
    for (remote_queue **at = &d->queues; *at; at = &(*at)->next) {
        if (*at != q)
            continue;
        *at = q->next;
        break;
    }
    while (q->list.first)
        drop_first(&q->list);
    while (q->captured.first)
        drop_first(&q->captured);
    pthread_mutex_unlock(&d->lock);
    remote_host->free(q);
    *queue = NULL;
}

ms_status remote_event_create(ms_device *dev, ms_event **ret_event) {
    remote_event *e = remote_host->alloc(dev->mem, MS_LEDGER_GENERAL, sizeof(*e));
    if (!e)
        return MS_HOST_MEMORY;
    *e = (remote_event){.base.dev = dev};
    *ret_event = &e->base;
    return MS_OK;
}

void remote_event_destroy(ms_event **event) {
    remote_event *e = (remote_event *)*event;
    remote_device *d = remote_of(e->base.dev);
    pthread_mutex_lock(&d->lock);
    for (remote_queue *q = d->queues; q; q = q->next)
        for (remote_command *c = q->list.first; c; c = c->next)
            if (c->event == e)
                c->event = NULL;
    pthread_mutex_unlock(&d->lock);
    remote_host->free(e);
    *event = NULL;
}

ms_status remote_record(ms_queue *queue, ms_event *event) {
    remote_device *d = remote_of(queue->dev);
    remote_event *e = (remote_event *)event;
    pthread_mutex_lock(&d->lock);
    remote_command c = {.kind = REMOTE_RECORD, .event = e, .generation = e->given + 1};
    ms_status status = give((remote_queue *)queue, &c);
    e->given += status == MS_OK;
    pthread_mutex_unlock(&d->lock);
    return status;
}

ms_status remote_wait(ms_queue *queue, ms_event *event) {
    remote_device *d = remote_of(queue->dev);
    remote_event *e = (remote_event *)event;
    pthread_mutex_lock(&d->lock);
    remote_command c = {.kind = REMOTE_WAIT, .event = e, .generation = e->given};
    ms_status status = give((remote_queue *)queue, &c);
    pthread_mutex_unlock(&d->lock);
    return status;
}

ms_status remote_finish(ms_event *event) {
    remote_event *e = (remote_event *)event;
    remote_device *d = remote_of(e->base.dev);
    pthread_mutex_lock(&d->lock);
    ms_status status = d->lost && e->done < e->given ? MS_DEVICE_LOST : MS_OK;
    while (status == MS_OK && e->done < e->given)
        status = step(d);
    if (status == MS_OK && e->status != MS_OK) {
        status = e->status;
        e->status = MS_OK;
        for (remote_queue *q = d->queues; q; q = q->next)
            if (q->number == e->queue)
                q->status = MS_OK; /* told: what is given from here on is done */
    }
    pthread_mutex_unlock(&d->lock);
    return status;
}

/* ---- capture ---- */

ms_status remote_capture_begin(ms_queue *queue) {
    remote_queue *q = (remote_queue *)queue;
    if (q->capturing)
        return MS_INVALID_ARGUMENT;
    q->capturing = true;
    return MS_OK;
}

static _Atomic uint64_t captured_calls;

uint64_t remote_captured(void) {
    return captured_calls;
}

ms_status remote_capture_end(ms_queue *queue, ms_launches **ret_launches) {
    remote_queue *q = (remote_queue *)queue;
    if (!q->capturing)
        return MS_INVALID_ARGUMENT;
    remote_launches *launches = remote_host->alloc(queue->dev->mem, MS_LEDGER_GENERAL, sizeof(*launches));
    q->capturing = false;
    if (!launches) {
        while (q->captured.first)
            drop_first(&q->captured);
        return MS_HOST_MEMORY;
    }
    *launches = (remote_launches){.base.dev = queue->dev, .list = q->captured};
    for (const remote_command *c = q->captured.first; c; c = c->next)
        captured_calls++;
    q->captured = (remote_list){0};
    *ret_launches = &launches->base;
    return MS_OK;
}

ms_status remote_launch(ms_queue *queue, const ms_launches *launches) {
    ms_status status = MS_OK;
    for (const remote_command *c = ((const remote_launches *)launches)->list.first; c && status == MS_OK;
         c = c->next)
        status = remote_give(queue, c);
    return status;
}

void remote_launches_destroy(ms_launches **launches) {
    remote_launches *l = (remote_launches *)*launches;
    while (l->list.first)
        drop_first(&l->list);
    remote_host->free(l);
    *launches = NULL;
}
