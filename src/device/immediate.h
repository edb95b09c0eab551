/*
 * For back ends that have done their work when a call returns: queues with nothing
 * to wait for, and host memory that needs no page-locking for copies.
 */
#ifndef MS_DEVICE_IMMEDIATE_H
#define MS_DEVICE_IMMEDIATE_H

#include "device/device.h"

ms_status ms_immediate_queue_create(ms_device *dev, ms_queue **ret_queue);
void ms_immediate_queue_destroy(ms_queue **queue);
ms_status ms_immediate_event_create(ms_device *dev, ms_event **ret_event);
void ms_immediate_event_destroy(ms_event **event);
ms_status ms_immediate_event(ms_queue *queue, ms_event *event); /* to record it and to wait for it */
ms_status ms_immediate_finish(ms_event *event);

/* In an ms_backend. */
#define MS_IMMEDIATE_QUEUES                                                                                  \
    .queue_create = ms_immediate_queue_create, .queue_destroy = ms_immediate_queue_destroy,                  \
    .event_create = ms_immediate_event_create, .event_destroy = ms_immediate_event_destroy,                  \
    .record = ms_immediate_event, .wait = ms_immediate_event, .finish = ms_immediate_finish

/* From dev->mem. */
void *ms_plain_host_alloc(ms_device *dev, ms_ledger ledger, size_t bytes);
void ms_plain_host_free(ms_device *dev, void *block);

#endif
