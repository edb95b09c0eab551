/*
 * A bounded buffer of frames in order: pushed by some threads, pulled by others as
 * soon as they are ready, and on the way processed a window at a time when a
 * function is given for it. All memory is taken when the stream is created.
 *
 *   ms_frame_stream_params p;
 *   ms_frame_stream_params_init(&p);
 *   p.frame_bytes = 1280 * 720 * 3;
 *   p.process = redraw, p.window_frames = 16, p.own_thread = true;
 *   ms_frame_stream_create(&p, NULL, &stream, &err);
 *
 * The producer:
 *
 *   while (frame_is_there)
 *       ms_frame_stream_push(stream, number, rgb, bytes, &err);
 *   ms_frame_stream_close(stream);
 *
 * The consumer:
 *
 *   while (ms_frame_stream_pull(stream, &frame, &got, &err) == MS_OK && got) {
 *       use(frame.data);
 *       ms_frame_stream_release(stream, &frame);
 *   }
 *
 * If one thread does both, use the try_ functions: push while there is room, then pull
 * what is ready. A blocking push into a full stream waits for another thread to pull.
 *
 * Every function but create and destroy may be called from any thread at any time. Ending:
 * close() says that nothing more comes, and what is in the stream can still be pulled.
 * fail() and a process that fails let the frames before be pulled, then everyone gets the
 * error. cancel() ends everything at once: whoever waits or comes later gets MS_CANCELLED;
 * a consumer that has had enough calls it, so that producers do not wait for ever.
 */
#ifndef MEMSAFE_FRAME_STREAM_H
#define MEMSAFE_FRAME_STREAM_H

#include "memsafe/adaptive.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ms_frame {
    int64_t number; /* a number of the pusher's choice */
    void *data;     /* the stream's, 64-byte aligned */
    size_t bytes;   /* of content, at most frame_bytes */
    int64_t place;  /* the stream's own */
} ms_frame;

/*
 * Turns frames into results in place (it may change number, data's content and bytes). After an out-of-memory
 * status the same frames come again, perhaps fewer at a time: allocate first, then change them.
 */
typedef ms_status (*ms_frame_process_fn)(void *arg, ms_frame *frames, int count, ms_error *err);

typedef struct ms_frame_stream_params {
    size_t frame_bytes; /* of the larger of a frame and its result */
    int buffer_frames;  /* frames and results in the stream, those being pulled included */
    ms_mem *mem;        /* must outlive the stream; NULL = the process's */
    ms_ledger ledger;

    ms_frame_process_fn process; /* NULL = what is pushed is what is pulled */
    int window_frames;           /* called when so many wait, or fewer at the end; at most buffer_frames */
    bool own_thread;             /* process runs on a thread of the stream, else in pull() on the caller's */
    void *arg;                   /* of process */
} ms_frame_stream_params;

/* 16 frames, the ledger "frames", windows of one; otherwise all zero. */
MS_API void ms_frame_stream_params_init_sized(ms_frame_stream_params *ret_params, size_t params_bytes);
static inline void ms_frame_stream_params_init(ms_frame_stream_params *ret_params) {
    ms_frame_stream_params_init_sized(ret_params, sizeof(*ret_params));
}

typedef struct ms_frame_stream ms_frame_stream;

/*
 * adaptive: how out of memory is met in process; its own process must be NULL, and trim and clean_up run
 * on the thread that process runs on. NULL = all zero. Both are copied, what they point to is borrowed.
 * MS_INVALID_ARGUMENT (a number), MS_HOST_MEMORY (the buffer, also when it is over mem's budget).
 */
MS_API ms_status ms_frame_stream_create_sized(const ms_frame_stream_params *params, size_t params_bytes,
                                              const ms_adaptive_params *adaptive, size_t adaptive_bytes,
                                              ms_frame_stream **ret_stream, ms_error *err);
static inline ms_status ms_frame_stream_create(const ms_frame_stream_params *params,
                                               const ms_adaptive_params *adaptive,
                                               ms_frame_stream **ret_stream, ms_error *err) {
    return ms_frame_stream_create_sized(params, sizeof(*params), adaptive, sizeof(*adaptive), ret_stream,
                                        err);
}

/* Cancels and frees it; all other threads must have left its functions for good. */
MS_API void ms_frame_stream_destroy(ms_frame_stream **stream);

/*
 * A copy of data goes in. push waits for room; try_push says in *ret_pushed whether
 * there was. MS_INVALID_ARGUMENT: more bytes than a frame has, or after close();
 * MS_CANCELLED; or what the stream failed with.
 */
MS_API ms_status ms_frame_stream_push(ms_frame_stream *stream, int64_t number, const void *data, size_t bytes,
                                      ms_error *err);
MS_API ms_status ms_frame_stream_try_push(ms_frame_stream *stream, int64_t number, const void *data,
                                          size_t bytes, bool *ret_pushed, ms_error *err);

/* The same without a copy: waits for room and gives it, to be filled in (number,
   data's content, bytes) and handed over with commit. Frames keep the order of their
   reservations, so each must be committed, or the stream failed or cancelled. */
MS_API ms_status ms_frame_stream_reserve(ms_frame_stream *stream, ms_frame *ret_frame, ms_error *err);
MS_API void ms_frame_stream_commit(ms_frame_stream *stream, const ms_frame *frame);

/*
 * The next result, the caller's until it is released. pull waits for it; *ret_got false = there
 * will be no more. try_pull does not wait (but processes a window that is complete, without a
 * thread of its own): *ret_got false = not yet, or no more, which ms_frame_stream_ended() tells
 * apart. MS_CANCELLED; or what the stream failed with, after the frames before.
 */
MS_API ms_status ms_frame_stream_pull(ms_frame_stream *stream, ms_frame *ret_frame, bool *ret_got,
                                      ms_error *err);
MS_API ms_status ms_frame_stream_try_pull(ms_frame_stream *stream, ms_frame *ret_frame, bool *ret_got,
                                          ms_error *err);
MS_API void ms_frame_stream_release(ms_frame_stream *stream, const ms_frame *frame);

/* Nothing more comes in; pushing is an error from now on. A second time does nothing. */
MS_API void ms_frame_stream_close(ms_frame_stream *stream);

/* Nothing more comes in because of an error: pulled after the frames before it. reason:
   its details, or NULL. The first error stays; status MS_OK is taken for MS_INTERNAL. */
MS_API void ms_frame_stream_fail(ms_frame_stream *stream, ms_status status, const ms_error *reason);

MS_API void ms_frame_stream_cancel(ms_frame_stream *stream);

/* Whether nothing more can be pulled: all was, or it failed or was cancelled. */
MS_API bool ms_frame_stream_ended(ms_frame_stream *stream);

typedef struct ms_frame_stream_stats {
    int64_t pushed, processed, pulled; /* frames */
    int held, most_held;               /* in the buffer, those being pulled included */
    int64_t full_waits, empty_waits;   /* times a push, a pull had to wait */
    size_t buffer_bytes;
} ms_frame_stream_stats;

MS_API void ms_frame_stream_get_stats_sized(ms_frame_stream *stream, ms_frame_stream_stats *ret_stats,
                                            size_t stats_bytes);
static inline void ms_frame_stream_get_stats(ms_frame_stream *stream, ms_frame_stream_stats *ret_stats) {
    ms_frame_stream_get_stats_sized(stream, ret_stats, sizeof(*ret_stats));
}

/* What the stream learned and counted of process. */
MS_API void ms_frame_stream_get_state_sized(ms_frame_stream *stream, ms_adaptive_state *ret_state,
                                            size_t state_bytes);
static inline void ms_frame_stream_get_state(ms_frame_stream *stream, ms_adaptive_state *ret_state) {
    ms_frame_stream_get_state_sized(stream, ret_state, sizeof(*ret_state));
}

#ifdef __cplusplus
}
#endif
#endif
