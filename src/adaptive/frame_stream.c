/*
 * A ring of places. Four counters only ever rise, each within the one before, and say what a place holds:
 *
 *   reserved >= committed >= processed >= pulled >= released,   reserved - released <= places
 *
 * Places may be committed and released out of order; a flag remembers those that wait for one before them.
 */
#include "memsafe/frame_stream.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "base/sized.h"

#define MAX_BUFFER_FRAMES 65536

typedef struct place {
    ms_frame frame;
    bool committed, released;
} place;

struct ms_frame_stream {
    ms_frame_stream_params p;
    ms_adaptive_params hooks; /* the caller's */
    ms_adaptive_params adaptive;
    size_t stride_bytes;
    unsigned char *buffer;
    place *places;
    ms_frame *window; /* what process gets */

    /* What follows; state, and the frames of the window, are the processing thread's alone */
    pthread_mutex_t lock;
    pthread_cond_t room, input, result;
    int64_t reserved, committed, processed, pulled, released;
    bool closed, cancelled;
    bool processing; /* some thread is in process */
    ms_status failed;
    ms_error reason;
    bool input_failed;                    /* by a producer: what it committed before is still processed */
    ms_adaptive_state state, shown_state; /* shown: a copy for statistics */
    int most_held;
    int64_t full_waits, empty_waits;

    pthread_t thread;
    bool has_thread;
};

static const ms_frame_stream_params defaults = {
    .buffer_frames = 16, .ledger = MS_LEDGER_FRAMES, .window_frames = 1};

void ms_frame_stream_params_init_sized(ms_frame_stream_params *ret_params, size_t params_bytes) {
    ms_sized_fill(ret_params, params_bytes, &defaults, sizeof(defaults));
}

static place *place_of(ms_frame_stream *s, int64_t number) {
    return &s->places[number % s->p.buffer_frames];
}

static void wake_all(ms_frame_stream *s) {
    pthread_cond_broadcast(&s->room);
    pthread_cond_broadcast(&s->input);
    pthread_cond_broadcast(&s->result);
}

/* ---- how it ended: with the lock ---- */

static ms_status cancelled(ms_error *err) {
    return ms_fail(err, MS_CANCELLED, "the frame stream was cancelled");
}

static ms_status failed(const ms_frame_stream *s, ms_error *err) {
    if (err)
        *err = s->reason;
    return s->failed;
}

/* Frames that the failure leaves to be processed. */
static bool work_left(const ms_frame_stream *s) {
    return s->failed == MS_OK || (s->input_failed && s->processed < s->committed);
}

static void set_failed(ms_frame_stream *s, ms_status status, const ms_error *reason) {
    if (s->failed != MS_OK || s->cancelled)
        return;
    s->failed = status == MS_OK ? MS_INTERNAL : status;
    if (reason && reason->code == s->failed)
        s->reason = *reason;
    else
        ms_fail(&s->reason, s->failed, "the frame stream failed: %s", ms_status_text(s->failed));
    wake_all(s);
}

/* ---- processing ---- */

/* Frames that process should get now; 0 = none. With the lock. */
static int window_ready(const ms_frame_stream *s) {
    int64_t waiting = s->committed - s->processed;
    if (s->processing || s->cancelled || !work_left(s) || waiting == 0)
        return 0;
    bool last = s->input_failed || (s->closed && s->committed == s->reserved);
    if (waiting < s->p.window_frames && !last)
        return 0;
    return (int)(waiting < s->p.window_frames ? waiting : s->p.window_frames);
}

/* A batch of the window; what it gives can be pulled at once. */
static ms_status process_batch(void *arg, int64_t first, int64_t count, ms_error *err) {
    ms_frame_stream *s = arg;
    MS_TRY(s->p.process(s->p.arg, s->window + first, (int)count, err));
    for (int64_t i = first; i < first + count; i++)
        if (s->window[i].bytes > s->p.frame_bytes)
            return ms_fail(err, MS_INVALID_ARGUMENT, "frame %lld: a result of %zu bytes in a place of %zu",
                           (long long)s->window[i].number, s->window[i].bytes, s->p.frame_bytes);
    pthread_mutex_lock(&s->lock);
    for (int64_t i = first; i < first + count; i++) {
        place *to = place_of(s, s->processed++);
        to->frame.number = s->window[i].number;
        to->frame.bytes = s->window[i].bytes;
    }
    pthread_cond_broadcast(&s->result);
    pthread_mutex_unlock(&s->lock);
    return MS_OK;
}

static void hook_trim(void *arg) {
    ms_frame_stream *s = arg;
    s->hooks.trim(s->hooks.arg);
}

static void hook_clean_up(void *arg) {
    ms_frame_stream *s = arg;
    s->hooks.clean_up(s->hooks.arg);
}

static bool hook_cancelled(void *arg) {
    ms_frame_stream *s = arg;
    pthread_mutex_lock(&s->lock);
    bool yes = s->cancelled;
    pthread_mutex_unlock(&s->lock);
    return yes || (s->hooks.cancelled && s->hooks.cancelled(s->hooks.arg));
}

/* Called with the lock, which is given up meanwhile. */
static void process_window(ms_frame_stream *s, int count) {
    ms_error err;
    s->processing = true;
    for (int i = 0; i < count; i++)
        s->window[i] = place_of(s, s->processed + i)->frame;
    pthread_mutex_unlock(&s->lock);
    ms_status status = ms_adaptive_process(&s->adaptive, 0, count, &s->state, NULL, &err);
    pthread_mutex_lock(&s->lock);
    s->processing = false;
    s->shown_state = s->state;
    if (status != MS_OK) {
        s->input_failed = false;
        set_failed(s, status, &err);
    }
    pthread_cond_broadcast(&s->input);
    pthread_cond_broadcast(&s->result);
}

static void *thread_main(void *arg) {
    ms_frame_stream *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        int count = window_ready(s);
        if (count)
            process_window(s, count);
        else if (s->cancelled || !work_left(s) || (s->closed && s->processed == s->reserved))
            break;
        else
            pthread_cond_wait(&s->input, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- pushing ---- */

/* Waits for room, or says that there is none. */
static ms_status take_place(ms_frame_stream *s, bool wait, ms_frame *ret_frame, bool *ret_got,
                            ms_error *err) {
    ms_status status = MS_OK;
    bool waited = false;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        bool room = s->reserved - s->released < s->p.buffer_frames;
        if (s->cancelled)
            status = cancelled(err);
        else if (s->failed != MS_OK)
            status = failed(s, err);
        else if (s->closed)
            status = ms_fail(err, MS_INVALID_ARGUMENT, "a frame is pushed into a stream that was closed");
        if (status != MS_OK || room || !wait) {
            *ret_got = status == MS_OK && room;
            break;
        }
        s->full_waits += !waited;
        waited = true;
        pthread_cond_wait(&s->room, &s->lock);
    }
    if (*ret_got) {
        place *p = place_of(s, s->reserved);
        p->committed = p->released = false;
        p->frame =
            (ms_frame){.data = s->buffer + (size_t)(s->reserved % s->p.buffer_frames) * s->stride_bytes,
                       .place = s->reserved};
        *ret_frame = p->frame;
        s->reserved++;
        int held = (int)(s->reserved - s->released);
        if (held > s->most_held)
            s->most_held = held;
    }
    pthread_mutex_unlock(&s->lock);
    return status;
}

void ms_frame_stream_commit(ms_frame_stream *s, const ms_frame *frame) {
    if (!s || !frame)
        return;
    pthread_mutex_lock(&s->lock);
    if (frame->place < s->committed || frame->place >= s->reserved) { /* reserved by nobody */
        pthread_mutex_unlock(&s->lock);
        return;
    }
    place *p = place_of(s, frame->place);
    p->frame.number = frame->number;
    p->frame.bytes = frame->bytes < s->p.frame_bytes ? frame->bytes : s->p.frame_bytes;
    p->committed = true;
    while (s->committed < s->reserved && place_of(s, s->committed)->committed)
        s->committed++;
    if (!s->p.process)
        s->processed = s->committed;
    pthread_cond_broadcast(&s->input);
    pthread_cond_broadcast(&s->result);
    pthread_mutex_unlock(&s->lock);
}

static ms_status push(ms_frame_stream *s, bool wait, const ms_frame *given, bool *ret_pushed, ms_error *err) {
    ms_frame frame;
    bool got = false;
    ms_error_clear(err);
    if (!s)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a frame is pushed into no stream: it is NULL");
    if (given->bytes && !given->data)
        return ms_fail(err, MS_INVALID_ARGUMENT, "frame %lld: its %zu bytes are NULL",
                       (long long)given->number, given->bytes);
    if (given->bytes > s->p.frame_bytes)
        return ms_fail(err, MS_INVALID_ARGUMENT, "frame %lld has %zu bytes; the stream's frames have %zu",
                       (long long)given->number, given->bytes, s->p.frame_bytes);
    MS_TRY(take_place(s, wait, &frame, &got, err));
    if (got) {
        if (given->bytes)
            memcpy(frame.data, given->data, given->bytes);
        frame.number = given->number;
        frame.bytes = given->bytes;
        ms_frame_stream_commit(s, &frame);
    }
    *ret_pushed = got;
    return MS_OK;
}

ms_status ms_frame_stream_push(ms_frame_stream *s, int64_t number, const void *data, size_t bytes,
                               ms_error *err) {
    bool pushed;
    return push(s, true, &(ms_frame){.number = number, .data = (void *)data, .bytes = bytes}, &pushed, err);
}

ms_status ms_frame_stream_try_push(ms_frame_stream *s, int64_t number, const void *data, size_t bytes,
                                   bool *ret_pushed, ms_error *err) {
    MS_NEED(ret_pushed, err);
    return push(s, false, &(ms_frame){.number = number, .data = (void *)data, .bytes = bytes}, ret_pushed,
                err);
}

ms_status ms_frame_stream_reserve(ms_frame_stream *s, ms_frame *ret_frame, ms_error *err) {
    bool got;
    ms_error_clear(err);
    MS_NEED(s, err);
    MS_NEED(ret_frame, err);
    return take_place(s, true, ret_frame, &got, err);
}

/* ---- pulling ---- */

/* All that will ever come has been pulled. With the lock. */
static bool drained(const ms_frame_stream *s) {
    return s->closed && s->pulled == s->reserved;
}

static ms_status pull(ms_frame_stream *s, bool wait, ms_frame *ret_frame, bool *ret_got, ms_error *err) {
    ms_status status = MS_OK;
    bool got = false, waited = false;
    ms_error_clear(err);
    if (!s || !ret_frame || !ret_got)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a frame is pulled from a stream: %s is NULL",
                       !s           ? "stream"
                       : !ret_frame ? "ret_frame"
                                    : "ret_got");
    pthread_mutex_lock(&s->lock);
    for (;;) {
        int window = s->p.process && !s->has_thread ? window_ready(s) : 0;
        if (s->cancelled) {
            status = cancelled(err);
            break;
        }
        if (s->pulled < s->processed) {
            *ret_frame = place_of(s, s->pulled++)->frame;
            got = true;
            break;
        }
        if (!work_left(s) && !s->processing) {
            status = failed(s, err);
            break;
        }
        if (window) {
            process_window(s, window);
            continue;
        }
        if (drained(s) || !wait)
            break;
        s->empty_waits += !waited;
        waited = true;
        pthread_cond_wait(&s->result, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    if (status == MS_OK)
        *ret_got = got;
    return status;
}

ms_status ms_frame_stream_pull(ms_frame_stream *s, ms_frame *ret_frame, bool *ret_got, ms_error *err) {
    return pull(s, true, ret_frame, ret_got, err);
}

ms_status ms_frame_stream_try_pull(ms_frame_stream *s, ms_frame *ret_frame, bool *ret_got, ms_error *err) {
    return pull(s, false, ret_frame, ret_got, err);
}

void ms_frame_stream_release(ms_frame_stream *s, const ms_frame *frame) {
    if (!s || !frame)
        return;
    pthread_mutex_lock(&s->lock);
    if (frame->place >= s->released && frame->place < s->pulled) /* else pulled by nobody */
        place_of(s, frame->place)->released = true;
    while (s->released < s->pulled && place_of(s, s->released)->released)
        s->released++;
    pthread_cond_broadcast(&s->room);
    pthread_mutex_unlock(&s->lock);
}

/* ---- ending ---- */

void ms_frame_stream_close(ms_frame_stream *s) {
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->closed = true;
    wake_all(s);
    pthread_mutex_unlock(&s->lock);
}

void ms_frame_stream_fail(ms_frame_stream *s, ms_status status, const ms_error *reason) {
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    if (s->failed == MS_OK)
        s->input_failed = true;
    set_failed(s, status, reason);
    pthread_mutex_unlock(&s->lock);
}

void ms_frame_stream_cancel(ms_frame_stream *s) {
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->cancelled = true;
    wake_all(s);
    pthread_mutex_unlock(&s->lock);
}

bool ms_frame_stream_ended(ms_frame_stream *s) {
    if (!s)
        return true;
    pthread_mutex_lock(&s->lock);
    bool ended =
        s->cancelled || drained(s) || (s->failed != MS_OK && !s->processing && s->pulled == s->processed);
    pthread_mutex_unlock(&s->lock);
    return ended;
}

static ms_frame_stream_stats stats_of(ms_frame_stream *s) {
    pthread_mutex_lock(&s->lock);
    const ms_frame_stream_stats stats = {.pushed = s->committed,
                                         .processed = s->processed,
                                         .pulled = s->pulled,
                                         .held = (int)(s->reserved - s->released),
                                         .most_held = s->most_held,
                                         .full_waits = s->full_waits,
                                         .empty_waits = s->empty_waits,
                                         .buffer_bytes = s->stride_bytes * (size_t)s->p.buffer_frames};
    pthread_mutex_unlock(&s->lock);
    return stats;
}

void ms_frame_stream_get_stats_sized(ms_frame_stream *s, ms_frame_stream_stats *ret_stats,
                                     size_t stats_bytes) {
    const ms_frame_stream_stats stats = s ? stats_of(s) : (ms_frame_stream_stats){0};
    ms_sized_fill(ret_stats, stats_bytes, &stats, sizeof(stats));
}

void ms_frame_stream_get_state_sized(ms_frame_stream *s, ms_adaptive_state *ret_state, size_t state_bytes) {
    ms_adaptive_state state = {0};
    if (s) {
        pthread_mutex_lock(&s->lock);
        state = s->shown_state;
        pthread_mutex_unlock(&s->lock);
    }
    ms_sized_fill(ret_state, state_bytes, &state, sizeof(state));
}

/* ---- life ---- */

static ms_status check(const ms_frame_stream_params *p, const ms_adaptive_params *adaptive, ms_error *err) {
    if (!p->frame_bytes || p->frame_bytes > SIZE_MAX / 2 / MAX_BUFFER_FRAMES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a stream of frames of %zu bytes", p->frame_bytes);
    if (p->buffer_frames < 1 || p->buffer_frames > MAX_BUFFER_FRAMES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a buffer of %d frames; it must be 1 to %d",
                       p->buffer_frames, MAX_BUFFER_FRAMES);
    if (p->window_frames < 1 || p->window_frames > p->buffer_frames)
        return ms_fail(err, MS_INVALID_ARGUMENT, "windows of %d frames in a buffer of %d", p->window_frames,
                       p->buffer_frames);
    if (p->ledger < 0 || p->ledger >= MS_LEDGER_COUNT)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%d is no ledger", (int)p->ledger);
    if (adaptive->process || (p->own_thread && !p->process))
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s",
                       adaptive->process ? "a stream's function is its own process, not adaptive.process"
                                         : "a thread of its own, but nothing to process");
    return MS_OK;
}

static void set_adaptive(ms_frame_stream *s) {
    s->adaptive = s->hooks;
    s->adaptive.process = process_batch;
    s->adaptive.trim = s->hooks.trim ? hook_trim : NULL;
    s->adaptive.clean_up = s->hooks.clean_up ? hook_clean_up : NULL;
    s->adaptive.cancelled = hook_cancelled;
    s->adaptive.arg = s;
    if (!s->adaptive.max_batch && !s->adaptive.optimizer)
        s->adaptive.max_batch = s->p.window_frames;
}

static ms_status allocate(ms_frame_stream *s, ms_error *err) {
    ms_mem *mem = s->p.mem;
    size_t frames = (size_t)s->p.buffer_frames;
    s->stride_bytes = ms_align_up(s->p.frame_bytes, MS_MEM_ALIGN);
    s->buffer = ms_alloc_array(mem, s->p.ledger, frames, s->stride_bytes);
    s->places = ms_mem_calloc(mem, MS_LEDGER_GENERAL, frames, sizeof(*s->places));
    s->window = ms_mem_calloc(mem, MS_LEDGER_GENERAL, (size_t)s->p.window_frames, sizeof(*s->window));
    if (!s->buffer || !s->places || !s->window)
        return ms_fail_alloc(err, mem, frames * s->stride_bytes, "a stream's frames");
    return MS_OK;
}

static ms_status start_thread(ms_frame_stream *s, ms_error *err) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* the thread inherits it: Ctrl-C is for others */
    int error = pthread_create(&s->thread, NULL, thread_main, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    s->has_thread = error == 0;
    return error ? ms_fail(err, MS_HOST_MEMORY, "cannot start a stream's thread: %s", strerror(error))
                 : MS_OK;
}

ms_status ms_frame_stream_create_sized(const ms_frame_stream_params *params, size_t params_bytes,
                                       const ms_adaptive_params *adaptive, size_t adaptive_bytes,
                                       ms_frame_stream **ret_stream, ms_error *err) {
    ms_status status;
    ms_frame_stream_params p = defaults;
    ms_adaptive_params hooks = {0};
    ms_error_clear(err);
    MS_READ_SIZED(&p, params, params_bytes, err);
    if (adaptive)
        MS_READ_SIZED(&hooks, adaptive, adaptive_bytes, err);
    MS_NEED(ret_stream, err);
    MS_TRY(check(&p, &hooks, err));
    ms_frame_stream *s = ms_mem_calloc(p.mem, MS_LEDGER_GENERAL, 1, sizeof(*s));
    if (!s)
        return ms_fail_alloc(err, p.mem, sizeof(*s), "a frame stream");
    s->p = p;
    s->hooks = hooks;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->room, NULL);
    pthread_cond_init(&s->input, NULL);
    pthread_cond_init(&s->result, NULL);
    set_adaptive(s);
    MS_GOTO(allocate(s, err));
    if (s->p.own_thread)
        MS_GOTO(start_thread(s, err));
    *ret_stream = s;
    return MS_OK;
fail:
    ms_frame_stream_destroy(&s);
    return status;
}

void ms_frame_stream_destroy(ms_frame_stream **stream) {
    if (!stream || !*stream)
        return;
    ms_frame_stream *s = *stream;
    ms_frame_stream_cancel(s);
    if (s->has_thread)
        pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->room);
    pthread_cond_destroy(&s->input);
    pthread_cond_destroy(&s->result);
    pthread_mutex_destroy(&s->lock);
    ms_mem_free(s->buffer);
    ms_mem_free(s->places);
    ms_mem_free(s->window);
    ms_mem_free(s);
    *stream = NULL;
}
