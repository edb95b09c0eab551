#include "device/immediate.h"

ms_status ms_immediate_queue_create(ms_device *dev, ms_queue **ret_queue) {
    ms_queue *queue = ms_mem_calloc(dev->mem, MS_LEDGER_GENERAL, 1, sizeof(*queue));
    if (!queue)
        return MS_HOST_MEMORY;
    queue->dev = dev;
    *ret_queue = queue;
    return MS_OK;
}

void ms_immediate_queue_destroy(ms_queue **queue) {
    ms_mem_free(*queue);
    *queue = NULL;
}

ms_status ms_immediate_event_create(ms_device *dev, ms_event **ret_event) {
    ms_event *event = ms_mem_calloc(dev->mem, MS_LEDGER_GENERAL, 1, sizeof(*event));
    if (!event)
        return MS_HOST_MEMORY;
    event->dev = dev;
    *ret_event = event;
    return MS_OK;
}

void ms_immediate_event_destroy(ms_event **event) {
    ms_mem_free(*event);
    *event = NULL;
}

ms_status ms_immediate_event(ms_queue *queue, ms_event *event) {
    return queue->dev == event->dev ? MS_OK : MS_INVALID_ARGUMENT;
}

ms_status ms_immediate_finish(ms_event *event) {
    (void)event;
    return MS_OK;
}

void *ms_plain_host_alloc(ms_device *dev, ms_ledger ledger, size_t bytes) {
    return ms_mem_alloc(dev->mem, ledger, bytes);
}

void ms_plain_host_free(ms_device *dev, void *block) {
    (void)dev;
    ms_mem_free(block);
}
