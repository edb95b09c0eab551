#include "base/error.h"
#include "device/cuda/cuda.h"
#include "device/cuda/sizes/sizes.h"

typedef struct cuda_launches {
    ms_launches base;
    cudaGraphExec_t exec;
    size_t charged_bytes;
} cuda_launches;

/* Other threads go on with what they do on the card. */
ms_status cuda_capture_begin(ms_queue *queue) {
    cuda_queue *q = (cuda_queue *)queue;
    cuda_device *d = cuda_of(queue->dev);
    MS_TRY(cuda_enter_queue(queue));
    MS_TRY(cuda_told(d, cudaStreamBeginCapture(q->stream, cudaStreamCaptureModeThreadLocal)));
    q->capturing = true;
    return MS_OK;
}

/* A graph that can be launched, with what it takes of the card's memory charged before it takes it. */
static ms_status instantiate(cuda_queue *q, cudaGraph_t graph, cuda_launches *l) {
    cuda_device *d = cuda_of(q->base.dev);
    ms_mem *mem = d->base.device_mem;
    size_t nodes = 0;
    MS_TRY(cuda_told(d, cudaGraphGetNodes(graph, NULL, &nodes)));
    const size_t bytes = nodes * CUDA_NODE_BYTES;
    if (mem && !cuda_host->charge(mem, MS_LEDGER_GENERAL, bytes))
        return MS_DEVICE_MEMORY;
    l->charged_bytes = mem ? bytes : 0;
    MS_TRY(cuda_told(d, cudaGraphInstantiate(&l->exec, graph, 0)));
    return cuda_told(d, cudaGraphUpload(l->exec, q->stream));
}

ms_status cuda_capture_end(ms_queue *queue, ms_launches **ret_launches) {
    cuda_queue *q = (cuda_queue *)queue;
    cuda_device *d = cuda_of(queue->dev);
    MS_TRY(cuda_enter(d));
    if (!q->capturing)
        return MS_INVALID_ARGUMENT;
    q->capturing = false;
    cudaGraph_t graph = NULL;
    MS_TRY(cuda_told(d, cudaStreamEndCapture(q->stream, &graph)));
    cuda_launches *l = cuda_host->alloc(queue->dev->mem, MS_LEDGER_GENERAL, sizeof(*l));
    if (!l) {
        cudaGraphDestroy(graph);
        return MS_HOST_MEMORY;
    }
    *l = (cuda_launches){.base.dev = queue->dev};
    ms_launches *launches = &l->base;
    ms_status status = instantiate(q, graph, l);
    cudaGraphDestroy(graph);
    if (status == MS_OK)
        *ret_launches = launches;
    else
        cuda_launches_destroy(&launches);
    return status;
}

ms_status cuda_launch_captured(ms_queue *queue, const ms_launches *launches) {
    MS_TRY(cuda_enter_queue(queue));
    return cuda_told(cuda_of(queue->dev),
                     cudaGraphLaunch(((const cuda_launches *)launches)->exec, ((cuda_queue *)queue)->stream));
}

void cuda_launches_destroy(ms_launches **launches) {
    cuda_launches *l = (cuda_launches *)*launches;
    cuda_enter(cuda_of(l->base.dev));
    if (l->exec)
        cudaGraphExecDestroy(l->exec);
    if (l->charged_bytes)
        cuda_host->release(l->base.dev->device_mem, MS_LEDGER_GENERAL, l->charged_bytes);
    cuda_host->free(l);
    *launches = NULL;
}
