#include "memsafe/run_stream.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "base/sized.h"
#include "memsafe/frame_stream.h"

struct ms_run_stream {
    ms_run_params p; /* what the caller gave */
    int buffer_frames;
    ms_run_report report;
    pthread_t thread;

    pthread_mutex_t lock; /* what follows */
    pthread_cond_t begun;
    ms_frame_stream *frames; /* made when the first frame's size is known; stays */
    int width, height;
    bool cancelled, ended;
    ms_status status; /* of the run, once it ended */
    ms_error reason;
};

/* ---- on the run's thread ---- */

static void forward_progress(void *arg, const ms_run_progress *progress) {
    ms_run_stream *s = arg;
    s->p.progress(s->p.arg, progress);
}

static bool is_cancelled(void *arg) {
    ms_run_stream *s = arg;
    pthread_mutex_lock(&s->lock);
    bool yes = s->cancelled;
    pthread_mutex_unlock(&s->lock);
    if (!yes && s->p.cancelled && s->p.cancelled(s->p.arg)) {
        ms_run_stream_cancel(s); /* a push that waits for room would wait for ever */
        yes = true;
    }
    return yes;
}

static ms_status begin(ms_run_stream *s, int width, int height) {
    ms_frame_stream_params p;
    ms_frame_stream *frames = NULL;
    ms_frame_stream_params_init(&p);
    p.frame_bytes = (size_t)width * (size_t)height * 3;
    p.buffer_frames = s->buffer_frames;
    MS_TRY(ms_frame_stream_create(&p, NULL, &frames, NULL));
    pthread_mutex_lock(&s->lock);
    s->frames = frames;
    s->width = width;
    s->height = height;
    if (s->cancelled)
        ms_frame_stream_cancel(frames);
    pthread_cond_broadcast(&s->begun);
    pthread_mutex_unlock(&s->lock);
    return MS_OK;
}

static ms_status take_frame(void *arg, int64_t frame, const uint8_t *rgb, int width, int height) {
    ms_run_stream *s = arg;
    if (!s->frames) /* only this thread sets it */
        MS_TRY(begin(s, width, height));
    return ms_frame_stream_push(s->frames, frame, rgb, (size_t)width * (size_t)height * 3, NULL);
}

static void *run_main(void *arg) {
    ms_run_stream *s = arg;
    ms_run_params p = s->p;
    ms_error err;
    p.frame_sink = take_frame;
    p.sink_arg = s;
    p.sink_frames = s->buffer_frames;
    p.progress = s->p.progress ? forward_progress : NULL;
    p.cancelled = is_cancelled;
    p.arg = s;
    ms_error_clear(&err);
    ms_status status = ms_run(&p, &s->report, &err);
    pthread_mutex_lock(&s->lock);
    s->ended = true;
    s->status = status;
    s->reason = err;
    if (s->frames && status == MS_OK)
        ms_frame_stream_close(s->frames);
    else if (s->frames)
        ms_frame_stream_fail(s->frames, status, &err);
    pthread_cond_broadcast(&s->begun);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- on the caller's ---- */

static void destroy(ms_run_stream *s) {
    ms_frame_stream_destroy(&s->frames);
    pthread_cond_destroy(&s->begun);
    pthread_mutex_destroy(&s->lock);
    ms_mem_free(s);
}

ms_status ms_run_stream_open_sized(const ms_run_params *params, size_t params_bytes, int buffer_frames,
                                   ms_run_stream **ret_stream, ms_error *err) {
    ms_run_params p;
    ms_error_clear(err);
    ms_run_params_init(&p);
    MS_READ_SIZED(&p, params, params_bytes, err);
    MS_NEED(ret_stream, err);
    if (buffer_frames < 1 || buffer_frames > MS_RUN_MAX_SINK_FRAMES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a buffer of %d frames; it must be 1 to %d", buffer_frames,
                       MS_RUN_MAX_SINK_FRAMES);
    if (p.frame_sink)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a run that is streamed has a frame sink of its own");
    ms_run_stream *s = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, 1, sizeof(*s));
    if (!s)
        return ms_fail_alloc(err, NULL, sizeof(*s), "a run's stream");
    s->p = p;
    s->buffer_frames = buffer_frames;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->begun, NULL);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* the thread inherits it: Ctrl-C is for others */
    int error = pthread_create(&s->thread, NULL, run_main, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error) {
        destroy(s);
        return ms_fail(err, MS_HOST_MEMORY, "cannot start a run's thread: %s", strerror(error));
    }
    *ret_stream = s;
    return MS_OK;
}

/* Waits for the first frame, or for a run that ends without one. */
static ms_frame_stream *wait_for_frames(ms_run_stream *s, ms_status *ret_status, ms_error *err) {
    pthread_mutex_lock(&s->lock);
    while (!s->frames && !s->ended)
        pthread_cond_wait(&s->begun, &s->lock);
    ms_frame_stream *frames = s->frames;
    if (!frames) {
        *ret_status = s->status;
        if (err && s->status != MS_OK)
            *err = s->reason;
    }
    pthread_mutex_unlock(&s->lock);
    return frames;
}

ms_status ms_run_stream_pull_sized(ms_run_stream *s, ms_run_frame *ret_frame, size_t frame_bytes,
                                   bool *ret_got, ms_error *err) {
    ms_status status = MS_OK;
    ms_frame frame;
    bool got = false;
    ms_error_clear(err);
    MS_CHECK_SIZED(ret_frame, frame_bytes, err);
    if (!s || !ret_frame || !ret_got)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a frame is pulled from a run: %s is NULL",
                       !s           ? "stream"
                       : !ret_frame ? "ret_frame"
                                    : "ret_got");
    ms_frame_stream *frames = wait_for_frames(s, &status, err);
    if (frames)
        status = ms_frame_stream_pull(frames, &frame, &got, err);
    if (status != MS_OK)
        return status;
    *ret_got = got;
    if (!got)
        return MS_OK;
    const ms_run_frame pulled = {.number = frame.number,
                                 .rgb = frame.data,
                                 .width = s->width,
                                 .height = s->height,
                                 .place = frame.place};
    ms_sized_fill(ret_frame, frame_bytes, &pulled, sizeof(pulled));
    return MS_OK;
}

void ms_run_stream_release_sized(ms_run_stream *s, const ms_run_frame *frame, size_t frame_bytes) {
    ms_run_frame f = {0};
    if (!s || !frame || ms_sized_check(__func__, "frame", frame_bytes, sizeof(f), NULL) != MS_OK)
        return;
    memcpy(&f, frame, frame_bytes);
    pthread_mutex_lock(&s->lock);
    ms_frame_stream *frames = s->frames; /* NULL before the first frame: nothing can have been pulled */
    pthread_mutex_unlock(&s->lock);
    ms_frame_stream_release(frames, &(ms_frame){.number = f.number, .place = f.place});
}

void ms_run_stream_cancel(ms_run_stream *s) {
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->cancelled = true;
    if (s->frames)
        ms_frame_stream_cancel(s->frames);
    pthread_mutex_unlock(&s->lock);
}

ms_status ms_run_stream_close_sized(ms_run_stream **stream, ms_run_report *ret_report, size_t report_bytes) {
    if (!stream || !*stream)
        return MS_OK;
    ms_run_stream *s = *stream;
    ms_run_stream_cancel(s);
    pthread_join(s->thread, NULL);
    ms_status status = s->status;
    if (status == MS_OK)
        ms_sized_fill(ret_report, report_bytes, &s->report, sizeof(s->report));
    destroy(s);
    *stream = NULL;
    return status;
}
