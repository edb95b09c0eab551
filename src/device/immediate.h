/* Queues of back ends that have done their work when a call returns: there is nothing to wait for. */
#ifndef MS_DEVICE_IMMEDIATE_H
#define MS_DEVICE_IMMEDIATE_H

#include "device/device.h"

ms_status ms_immediate_queue_create(ms_device *dev, ms_queue **ret_queue);
void ms_immediate_queue_destroy(ms_queue **queue);
ms_status ms_immediate_event_create(ms_device *dev, ms_event **ret_event);
void ms_immediate_event_destroy(ms_event **event);
ms_status ms_immediate_event(ms_queue *queue, ms_event *event); /* to record it and to wait for it */
ms_status ms_immediate_finish(ms_event *event);

#endif
