/*
 * Weights on their way to a device that prepares them itself: read into two page-locked
 * slots by turns, copied and prepared on a queue of their own while the next piece is read.
 */
#ifndef MS_WEIGHTS_WEIGHT_UPLOAD_H
#define MS_WEIGHTS_WEIGHT_UPLOAD_H

#include "weights/weights_internal.h"

typedef struct ms_weight_upload ms_weight_upload;

/* Two slots on the host and two on the device are allocated here and nothing later. One thread at a time. */
ms_status ms_weight_upload_create(const ms_compute *compute, size_t slot_bytes, ms_weight_upload **ret_upload,
                                  ms_error *err);
void ms_weight_upload_destroy(ms_weight_upload **upload); /* waits for what is under way */

/* Gives a whole parameter to the queue; param->dtype is known. dst: on the device, or NULL
   to read and check the values only. Errors are those of reading and of the device. */
ms_status ms_weight_upload_param(ms_weight_upload *upload, const ms_weight_source *from,
                                 const ms_loaded_param *param, void *dst, ms_error *err);

ms_queue *ms_weight_upload_queue(ms_weight_upload *upload);

/* Waits until all is there. */
ms_status ms_weight_upload_finish(ms_weight_upload *upload, ms_error *err);

#endif
