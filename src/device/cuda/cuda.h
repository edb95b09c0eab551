/*
 * The CUDA back end: the table of device.h over the CUDA runtime. Linked with NVIDIA's runtime it is the
 * plug-in memsafe-cuda.so; linked with the stand-in of device/simt/runtime it is the test back end
 * memsafe-simt.so.
 *
 * A call that a card does not answer any more (an error that CUDA keeps for the rest of the process) is
 * MS_DEVICE_LOST, and so is everything after it.
 */
#ifndef MS_DEVICE_CUDA_CUDA_H
#define MS_DEVICE_CUDA_CUDA_H

#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdatomic.h>

#include "device/cuda/memory/memory.h"

typedef struct cuda_device {
    ms_device base;
    int number, arch, processors;
    int form; /* launch.h */
    atomic_bool lost;
    pthread_mutex_t lock; /* of memory */
    cuda_memory memory;
} cuda_device;

static inline cuda_device *cuda_of(const ms_device *dev) {
    return dev->impl;
}

/* Makes the card the calling thread's, as what follows needs it. It stays so: going back could make a
   context on a card that the thread has never used. MS_DEVICE_LOST. */
ms_status cuda_enter(cuda_device *device);
/* What an error means; notes that the card is lost. */
ms_status cuda_told(cuda_device *device, cudaError_t error);

/* ---- queues (queue.c, capture.c) ---- */

typedef struct cuda_queue {
    ms_queue base;
    cudaStream_t stream;
    bool capturing;
} cuda_queue;

/* MS_INVALID_ARGUMENT while the queue captures: the call is none that can be. */
ms_status cuda_enter_queue(ms_queue *queue);

ms_status cuda_queue_create(ms_device *dev, ms_queue **ret_queue);
void cuda_queue_destroy(ms_queue **queue);
ms_status cuda_event_create(ms_device *dev, ms_event **ret_event);
void cuda_event_destroy(ms_event **event);
ms_status cuda_record(ms_queue *queue, ms_event *event);
ms_status cuda_wait(ms_queue *queue, ms_event *event);
ms_status cuda_finish(ms_event *event);
ms_status cuda_upload(ms_queue *queue, void *dst, const void *src, size_t bytes);
ms_status cuda_download(ms_queue *queue, void *dst, const void *src, size_t bytes);
ms_status cuda_fill(ms_queue *queue, void *dst, int byte, size_t bytes);

ms_status cuda_capture_begin(ms_queue *queue);
ms_status cuda_capture_end(ms_queue *queue, ms_launches **ret_launches);
ms_status cuda_launch_captured(ms_queue *queue, const ms_launches *launches);
void cuda_launches_destroy(ms_launches **launches);

/* ---- opening (opening.c) ---- */

typedef struct cuda_card {
    char name[64];
    unsigned char uuid[16];
    int number, arch, processors;
    size_t total_bytes;
} cuda_card;

/* Looks for the card, without making a context. MS_UNSUPPORTED: there is none, or no driver, or one that
   is too old, or the card is. */
ms_status cuda_find_card(const ms_device_params *params, cuda_card *ret_card, ms_error *err);
/* Makes the context and loads all kernels, so that memory does not grow later. ret_own_bytes: what that
   takes. */
ms_status cuda_make_context(const cuda_card *card, size_t *ret_own_bytes, ms_error *err);
/* ms_device_caps.identity: of this very card, its driver and this build. The emulated card has none ("") but
   where a test gives it one. */
void cuda_identify(const cuda_card *card, char *ret_text, size_t size);

#endif
