#include <stdlib.h>
#include <string.h>

#include "device/simt/runtime/runtime.h"
#include "base/splitmix.h"

/* ---- lists ---- */

static bool append(card_list *list, const card_command *command, const void *param) {
    card_command *copy = malloc(sizeof(*copy) + command->param_bytes + 16);
    if (!copy)
        return false;
    *copy = *command;
    copy->next = NULL;
    if (command->param_bytes) { /* aligned as any parameter may be */
        char *behind = (char *)(copy + 1);
        behind += -(uintptr_t)behind % 16;
        memcpy(behind, param, command->param_bytes);
        copy->launch.param = behind;
    }
    if (copy->event)
        copy->event->awaited++;
    if (list->last)
        list->last->next = copy;
    else
        list->first = copy;
    list->last = copy;
    list->count++;
    return true;
}

static void forget_event(cudaEvent_t event) {
    if (event->destroyed && event->awaited == 0) {
        the_card.event_count--;
        free(event);
    }
}

static void drop_first(card_list *list) {
    card_command *c = list->first;
    list->first = c->next;
    if (!list->first)
        list->last = NULL;
    list->count--;
    if (c->event) {
        c->event->awaited--;
        forget_event(c->event);
    }
    free(c);
}

void card_list_clear(card_list *list) {
    while (list->first)
        drop_first(list);
}

cudaError_t card_give(cudaStream_t stream, const card_command *command, const void *param) {
    if (!stream || stream->destroyed)
        return cudaErrorInvalidResourceHandle;
    card_list *list = &stream->list;
    if (stream->capturing) {
        if (command->kind != CARD_KERNEL && command->kind != CARD_FILL)
            return cudaErrorStreamCaptureUnsupported;
        if (stream->invalid)
            return cudaErrorStreamCaptureInvalidated;
        list = &stream->captured;
    }
    return append(list, command, param) ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t card_list_give(cudaStream_t stream, const card_list *list) {
    cudaError_t error = cudaSuccess;
    for (const card_command *c = list->first; c && error == cudaSuccess; c = c->next)
        error = card_give(stream, c, c->launch.param);
    return error;
}

static bool touches(const void *at, size_t bytes, uintptr_t begin, size_t size) {
    return (uintptr_t)at < begin + size && begin < (uintptr_t)at + bytes;
}

/* A kernel's parameters say where it begins to read and to write: any word among them that points there,
   where what lies between the fields could be cleared. */
static bool has_to_do(const card_command *c, uintptr_t begin, size_t bytes) {
    if (touches(c->dst, c->bytes, begin, bytes) || touches(c->src, c->bytes, begin, bytes))
        return true;
    const bool clear = c->kind == CARD_KERNEL && c->launch.entry->clear_padding;
    for (size_t at = 0; clear && at + sizeof(uintptr_t) <= c->param_bytes; at += sizeof(uintptr_t)) {
        uintptr_t word;
        memcpy(&word, (const char *)c->launch.param + at, sizeof(word));
        if (word >= begin && word - begin < bytes)
            return true;
    }
    return false;
}

bool card_is_awaited(const void *begin, size_t bytes) {
    for (cudaStream_t s = the_card.streams; s; s = s->next)
        for (const card_command *c = s->list.first; c; c = c->next)
            if (has_to_do(c, (uintptr_t)begin, bytes))
                return true;
    return false;
}

/* ---- doing ---- */

static _Atomic uint64_t uploaded_bytes, downloaded_bytes;

void simt_traffic(uint64_t *ret_uploaded_bytes, uint64_t *ret_downloaded_bytes) {
    *ret_uploaded_bytes = uploaded_bytes;
    *ret_downloaded_bytes = downloaded_bytes;
}

/* A thread that waits does the work, each with fibers of its own. */
static pthread_key_t emulator_key;
static pthread_once_t emulator_once = PTHREAD_ONCE_INIT;

static void destroy_emulator(void *emulator) {
    simt_emulator *e = emulator;
    simt_emulator_destroy(&e);
}

static void make_key(void) {
    if (pthread_key_create(&emulator_key, destroy_emulator) != 0)
        card_die("no key for threads");
}

static simt_emulator *emulator(void) {
    pthread_once(&emulator_once, make_key);
    simt_emulator *e = pthread_getspecific(emulator_key);
    if (!e) {
        e = simt_emulator_create();
        if (e && pthread_setspecific(emulator_key, e) != 0)
            simt_emulator_destroy(&e);
    }
    return e;
}

static void run_kernel(const card_command *c) {
    simt_launch launch = c->launch;
    simt_emulator *e = emulator();
    /* Seed 0 is the plain order of lanes as well. */
    launch.seed = the_card.seed ? ms_splitmix64(&the_card.random) : 0;
    /* A copy of exact size, so that whoever reads more is found. */
    void *param = malloc(c->param_bytes);
    if (!e || !param)
        card_die("no memory to run kernel %s", launch.name);
    memcpy(param, launch.param, c->param_bytes);
    launch.param = param;
    if (!simt_run(e, &launch))
        card_die("no memory to run kernel %s", launch.name);
    free(param);
}

static void copy(const card_command *c) {
    if (!the_card.skips)
        memcpy(c->dst, c->src, c->bytes);
    else if (c->kind == CARD_DOWNLOAD)
        memset(c->dst, 0, c->bytes);
    *(c->kind == CARD_UPLOAD ? &uploaded_bytes : &downloaded_bytes) += c->bytes;
}

static void run(const card_command *c) {
    switch (c->kind) {
    case CARD_UPLOAD:
    case CARD_DOWNLOAD:
        copy(c);
        break;
    case CARD_FILL:
        if (!the_card.skips)
            memset(c->dst, c->byte, c->bytes);
        break;
    case CARD_KERNEL:
        if (!the_card.skips)
            run_kernel(c);
        break;
    case CARD_RECORD:
        c->event->done = c->generation;
        break;
    case CARD_WAIT:
        break;
    }
}

static bool can_run(const struct CUstream_st *s) {
    const card_command *c = s->list.first;
    return c && (c->kind != CARD_WAIT || c->event->done >= c->generation);
}

/* Streams that were destroyed go when they are empty. */
static void sweep(void) {
    for (cudaStream_t *at = &the_card.streams; *at;) {
        cudaStream_t s = *at;
        if (s->destroyed && !s->list.first) {
            *at = s->next;
            the_card.stream_count--;
            free(s);
        } else {
            at = &s->next;
        }
    }
}

static bool is_lost_now(void) {
    static _Atomic long count;
    const char *after = getenv("MEMSAFE_SIMT_LOSE_AFTER");
    return after && ++count > strtol(after, NULL, 10);
}

static void lose(void) {
    card_count_failure();
    the_card.lost = cudaErrorLaunchFailure;
    for (cudaStream_t s = the_card.streams; s; s = s->next)
        card_list_clear(&s->list);
    sweep();
}

/* The first command of one of the streams that can go on. */
static cudaError_t step(void) {
    size_t able = 0;
    for (cudaStream_t s = the_card.streams; s; s = s->next)
        able += can_run(s);
    if (able == 0)
        card_die("streams wait for each other");
    if (is_lost_now()) {
        lose();
        return the_card.lost;
    }
    size_t chosen = (size_t)(ms_splitmix64(&the_card.random) % able);
    cudaStream_t s = the_card.streams;
    while (!can_run(s) || chosen-- > 0)
        s = s->next;
    run(s->list.first);
    drop_first(&s->list);
    sweep();
    return cudaSuccess;
}

/* Until it is done: what a stream has, an event as it was recorded last, everything. The card works
   meanwhile. */
static cudaError_t work_until(bool (*is_done)(const void *what), const void *what) {
    cudaError_t error = cudaSuccess;
    if (is_done(what))
        return error;
    card_memory_access(true);
    while (error == cudaSuccess && !is_done(what))
        error = step();
    card_memory_access(false);
    return error;
}

static bool stream_is_done(const void *what) {
    return !((const struct CUstream_st *)what)->list.first;
}

static bool event_is_done(const void *what) {
    const struct CUevent_st *e = what;
    return e->done >= e->given;
}

static bool all_is_done(const void *what) {
    (void)what;
    for (cudaStream_t s = the_card.streams; s; s = s->next)
        if (s->list.first)
            return false;
    return true;
}

/* ---- streams ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
    static _Atomic long count;
    cudaError_t error = card_enter();
    if (error == cudaSuccess && card_fails("MEMSAFE_SIMT_FAIL_STREAM", &count))
        error = cudaErrorMemoryAllocation;
    cudaStream_t s = error == cudaSuccess ? calloc(1, sizeof(*s)) : NULL;
    if (error == cudaSuccess && flags != cudaStreamNonBlocking)
        card_die("a stream that waits for the default one");
    if (s) {
        s->next = the_card.streams;
        the_card.streams = s;
        the_card.stream_count++;
        *stream = s;
    }
    card_leave();
    return s ? cudaSuccess : error != cudaSuccess ? error : cudaErrorMemoryAllocation;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    cudaError_t error = card_enter();
    card_list_clear(&stream->captured);
    stream->capturing = false;
    stream->destroyed = true;
    sweep();
    card_leave();
    return error;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    cudaError_t error = card_enter();
    if (error == cudaSuccess && stream->capturing) {
        error = cudaErrorStreamCaptureUnsupported;
        stream->invalid = true;
    }
    if (error == cudaSuccess)
        error = work_until(stream_is_done, stream);
    card_leave();
    return error;
}

cudaError_t cudaDeviceSynchronize(void) {
    cudaError_t error = card_enter();
    if (error == cudaSuccess)
        error = work_until(all_is_done, NULL);
    card_leave();
    return error;
}

/* ---- events ---- */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
    static _Atomic long count;
    (void)flags;
    cudaError_t error = card_enter();
    if (error == cudaSuccess && card_fails("MEMSAFE_SIMT_FAIL_EVENT", &count))
        error = cudaErrorMemoryAllocation;
    cudaEvent_t e = error == cudaSuccess ? calloc(1, sizeof(*e)) : NULL;
    if (e) {
        the_card.event_count++;
        *event = e;
    }
    card_leave();
    return e ? cudaSuccess : error != cudaSuccess ? error : cudaErrorMemoryAllocation;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    if (!card_is_bound() && the_card.lost == cudaSuccess)
        card_die("an event is destroyed by a thread that is on no card: one may get a context by that");
    cudaError_t error = card_enter();
    event->destroyed = true;
    forget_event(event);
    card_leave();
    return error;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    cudaError_t error = card_enter();
    const card_command c = {.kind = CARD_RECORD, .event = event, .generation = event->given + 1};
    if (error == cudaSuccess)
        error = card_give(stream, &c, NULL);
    event->given += error == cudaSuccess;
    card_leave();
    return error;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
    (void)flags;
    cudaError_t error = card_enter();
    const card_command c = {.kind = CARD_WAIT, .event = event, .generation = event->given};
    if (error == cudaSuccess)
        error = card_give(stream, &c, NULL);
    card_leave();
    return error;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    cudaError_t error = card_enter();
    if (error == cudaSuccess)
        error = work_until(event_is_done, event);
    card_leave();
    return error;
}

/* ---- copies ---- */

cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t count, enum cudaMemcpyKind kind,
                            cudaStream_t stream) {
    cudaError_t error = card_enter();
    const bool up = kind == cudaMemcpyHostToDevice;
    const card_command c = {.kind = up ? CARD_UPLOAD : CARD_DOWNLOAD, .dst = dst, .src = src, .bytes = count};
    const void *here = up ? src : dst, *there = up ? dst : src;
    if (error == cudaSuccess && (!here || card_is_given((uintptr_t)here) || !card_is_of_block(there, count)))
        error = cudaErrorInvalidValue;
    if (error == cudaSuccess)
        error = card_give(stream, &c, NULL);
    if (error == cudaSuccess && !up)
        memset(dst, 0xff, count); /* whoever reads it too early reads NaNs */
    card_leave();
    return error;
}

cudaError_t cudaMemsetAsync(void *pointer, int value, size_t count, cudaStream_t stream) {
    cudaError_t error = card_enter();
    const card_command c = {.kind = CARD_FILL, .dst = pointer, .byte = value, .bytes = count};
    if (error == cudaSuccess && !card_is_of_block(pointer, count))
        error = cudaErrorInvalidValue;
    if (error == cudaSuccess)
        error = card_give(stream, &c, NULL);
    card_leave();
    return error;
}
