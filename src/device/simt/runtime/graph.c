#include <stdlib.h>

#include "device/simt/runtime/runtime.h"

static _Atomic uint64_t captured;

uint64_t simt_captured(void) {
    return captured;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode) {
    cudaError_t error = card_enter();
    if (error == cudaSuccess && (stream->capturing || mode != cudaStreamCaptureModeThreadLocal))
        error = cudaErrorInvalidValue;
    if (error == cudaSuccess) {
        stream->capturing = true;
        stream->invalid = false;
        stream->capturer = pthread_self();
    }
    card_leave();
    return error;
}

static bool captures_here(const struct CUstream_st *stream) {
    return stream->capturing && pthread_equal(stream->capturer, pthread_self());
}

bool card_breaks_capture(void) {
    bool breaks = false;
    for (cudaStream_t s = the_card.streams; s; s = s->next)
        if (captures_here(s))
            breaks = s->invalid = true;
    return breaks;
}

/* By the thread that began it. A capture that something has broken ends without a graph. */
static cudaError_t end_of(const struct CUstream_st *stream) {
    return !stream->capturing       ? cudaErrorInvalidValue
           : !captures_here(stream) ? cudaErrorStreamCaptureWrongThread
           : stream->invalid        ? cudaErrorStreamCaptureInvalidated
                                    : cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    cudaError_t error = card_enter();
    if (error == cudaSuccess)
        error = end_of(stream);
    if (error == cudaErrorStreamCaptureWrongThread) {
        card_leave();
        return error;
    }
    cudaGraph_t g = error == cudaSuccess ? calloc(1, sizeof(*g)) : NULL;
    stream->capturing = false;
    if (g) {
        g->list = stream->captured;
        stream->captured = (card_list){0};
        the_card.graph_count++;
        *graph = g;
    } else {
        card_list_clear(&stream->captured);
    }
    card_leave();
    return g ? cudaSuccess : error != cudaSuccess ? error : cudaErrorMemoryAllocation;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count) {
    if (nodes)
        return cudaErrorNotSupported;
    *count = graph->list.count;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    cudaError_t error = card_enter();
    card_list_clear(&graph->list);
    free(graph);
    the_card.graph_count--;
    card_leave();
    return error;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags) {
    static _Atomic long count;
    (void)flags;
    cudaError_t error = card_enter();
    if (error == cudaSuccess && card_fails("MEMSAFE_SIMT_FAIL_GRAPH", &count))
        error = cudaErrorMemoryAllocation;
    cudaGraphExec_t x = error == cudaSuccess ? calloc(1, sizeof(*x)) : NULL;
    if (x && !card_take(graph->list.count * CARD_NODE_BYTES)) {
        free(x);
        x = NULL;
    }
    if (x) { /* its graph is not launched itself, so that its commands can be had */
        x->list = graph->list;
        graph->list = (card_list){0};
        captured += x->list.count;
        the_card.graph_count++;
        *exec = x;
    }
    card_leave();
    return x ? cudaSuccess : error != cudaSuccess ? error : cudaErrorMemoryAllocation;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream) {
    (void)exec;
    (void)stream;
    cudaError_t error = card_enter();
    card_leave();
    return error;
}

/* What is launched is the commands, so that the graph may go meanwhile. */
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    cudaError_t error = card_enter();
    if (error == cudaSuccess)
        error = card_list_give(stream, &exec->list);
    card_leave();
    return error;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    if (!card_is_bound() && the_card.lost == cudaSuccess)
        card_die("a graph is destroyed by a thread that is on no card: one may get a context by that");
    cudaError_t error = card_enter();
    the_card.used_bytes -= exec->list.count * CARD_NODE_BYTES;
    card_list_clear(&exec->list);
    free(exec);
    the_card.graph_count--;
    card_leave();
    return error;
}
