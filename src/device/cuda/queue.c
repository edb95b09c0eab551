#include "base/error.h"
#include "device/cuda/cuda.h"
#include "device/cuda/launch.h"
#include "device/cuda/memory/watch.h"

typedef struct cuda_event {
    ms_event base;
    cudaEvent_t event;
} cuda_event;

static cudaStream_t stream_of(const ms_queue *queue) {
    return ((const cuda_queue *)queue)->stream;
}

static cudaEvent_t event_of(const ms_event *event) {
    return ((const cuda_event *)event)->event;
}

/* ---- errors ---- */

/* CUDA keeps the error of a card that went wrong for the rest of the process. Those that belong to a call
   alone are few. */
static bool is_of_the_call(cudaError_t error) {
    switch ((int)error) {
    case cudaErrorInvalidValue:
    case cudaErrorMemoryAllocation:
    case cudaErrorInvalidConfiguration:
    case cudaErrorInvalidDevicePointer:
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidResourceHandle:
    case cudaErrorNotReady:
    case cudaErrorLaunchOutOfResources:
    case cudaErrorNotSupported:
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorStreamCaptureInvalidated:
    case cudaErrorStreamCaptureWrongThread:
        return true;
    default:
        return false;
    }
}

ms_status cuda_told(cuda_device *d, cudaError_t error) {
    if (error == cudaSuccess)
        return MS_OK;
    if (!is_of_the_call(error)) {
        atomic_store(&d->lost, true);
        return MS_DEVICE_LOST;
    }
    cudaGetLastError(); /* nobody is to find it later */
    if (error == cudaErrorMemoryAllocation)
        return MS_DEVICE_MEMORY;
    return error == cudaErrorInvalidValue ? MS_INVALID_ARGUMENT : MS_INTERNAL;
}

/* A thread that was on no card is told that it is on the first one, and has no context, which the runtime
   would make for it and the driver's own functions do not. */
ms_status cuda_enter(cuda_device *d) {
    static _Thread_local int entered = -1;
    if (atomic_load(&d->lost))
        return MS_DEVICE_LOST;
    int current = -1;
    if (entered == d->number && cudaGetDevice(&current) == cudaSuccess && current == entered)
        return MS_OK;
    MS_TRY(cuda_told(d, cudaSetDevice(d->number)));
    entered = d->number;
    return MS_OK;
}

ms_status cuda_enter_queue(ms_queue *queue) {
    MS_TRY(cuda_enter(cuda_of(queue->dev)));
    return ((cuda_queue *)queue)->capturing ? MS_INVALID_ARGUMENT : MS_OK;
}

/* ---- queues and events ---- */

ms_status cuda_queue_create(ms_device *dev, ms_queue **ret_queue) {
    cuda_device *d = cuda_of(dev);
    MS_TRY(cuda_enter(d));
    cuda_queue *q = cuda_host->alloc(dev->mem, MS_LEDGER_GENERAL, sizeof(*q));
    if (!q)
        return MS_HOST_MEMORY;
    *q = (cuda_queue){.base.dev = dev};
    ms_status status = cuda_told(d, cudaStreamCreateWithFlags(&q->stream, cudaStreamNonBlocking));
    if (status != MS_OK) {
        cuda_host->free(q);
        return status;
    }
    *ret_queue = &q->base;
    return MS_OK;
}

/* CUDA would go on with what is left in the stream, and its memory may be freed next. */
void cuda_queue_destroy(ms_queue **queue) {
    cuda_queue *q = (cuda_queue *)*queue;
    cuda_device *d = cuda_of(q->base.dev);
    if (q->capturing) {
        ms_launches *launches = NULL;
        if (cuda_capture_end(&q->base, &launches) == MS_OK)
            cuda_launches_destroy(&launches);
    }
    if (cuda_enter(d) == MS_OK)
        cuda_told(d, cudaStreamSynchronize(q->stream));
    cudaStreamDestroy(q->stream); /* also of a card that is lost: what the host has of it */
    cuda_host->free(q);
    *queue = NULL;
}

/* Who waits sleeps: there is other work for the host's processors. */
ms_status cuda_event_create(ms_device *dev, ms_event **ret_event) {
    cuda_device *d = cuda_of(dev);
    MS_TRY(cuda_enter(d));
    cuda_event *e = cuda_host->alloc(dev->mem, MS_LEDGER_GENERAL, sizeof(*e));
    if (!e)
        return MS_HOST_MEMORY;
    *e = (cuda_event){.base.dev = dev};
    ms_status status =
        cuda_told(d, cudaEventCreateWithFlags(&e->event, cudaEventDisableTiming | cudaEventBlockingSync));
    if (status != MS_OK) {
        cuda_host->free(e);
        return status;
    }
    *ret_event = &e->base;
    return MS_OK;
}

void cuda_event_destroy(ms_event **event) {
    cuda_enter(cuda_of((*event)->dev)); /* of a card that is lost what the host has of it goes all the same */
    cudaEventDestroy(event_of(*event));
    cuda_host->free(*event);
    *event = NULL;
}

ms_status cuda_record(ms_queue *queue, ms_event *event) {
    MS_TRY(cuda_enter_queue(queue));
    return cuda_told(cuda_of(queue->dev), cudaEventRecord(event_of(event), stream_of(queue)));
}

ms_status cuda_wait(ms_queue *queue, ms_event *event) {
    MS_TRY(cuda_enter_queue(queue));
    return cuda_told(cuda_of(queue->dev), cudaStreamWaitEvent(stream_of(queue), event_of(event), 0));
}

ms_status cuda_finish(ms_event *event) {
    cuda_device *d = cuda_of(event->dev);
    MS_TRY(cuda_enter(d));
    return cuda_told(d, cudaEventSynchronize(event_of(event)));
}

/* ---- work ---- */

ms_status cuda_upload(ms_queue *queue, void *dst, const void *src, size_t bytes) {
    MS_TRY(cuda_enter_queue(queue));
    return cuda_told(cuda_of(queue->dev),
                     cudaMemcpyAsync(dst, src, bytes, cudaMemcpyHostToDevice, stream_of(queue)));
}

ms_status cuda_download(ms_queue *queue, void *dst, const void *src, size_t bytes) {
    MS_TRY(cuda_enter_queue(queue));
    return cuda_told(cuda_of(queue->dev),
                     cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToHost, stream_of(queue)));
}

ms_status cuda_fill(ms_queue *queue, void *dst, int byte, size_t bytes) {
    MS_TRY(cuda_enter(cuda_of(queue->dev)));
    return cuda_told(cuda_of(queue->dev), cudaMemsetAsync(dst, byte, bytes, stream_of(queue)));
}

int cuda_processors(const ms_device *dev) {
    return cuda_of(dev)->processors;
}

int cuda_form(const ms_device *dev) {
    return cuda_of(dev)->form;
}

int cuda_arch(const ms_device *dev) {
    return cuda_of(dev)->arch;
}

ms_status cuda_launch(ms_queue *queue, const simt_kernel *kernel, uint32_t x, uint32_t y, uint32_t z,
                      const void *param) {
    cuda_device *d = cuda_of(queue->dev);
    MS_TRY(cuda_enter(d));
    void *args[] = {(void *)(uintptr_t)param};
    const dim3 grid = {x, y, z}, block = {kernel->threads, 1, 1};
    simt_watch_launch(kernel->name);
    return cuda_told(
        d, cudaLaunchKernel(kernel->entry, grid, block, args, kernel->shared_bytes, stream_of(queue)));
}
