/*
 * A whole run as a stream: ms_run() on a thread of its own, its frames pulled as soon as their window
 * is done, through a bounded buffer. A run is never further ahead of the puller than the buffer.
 *
 *   ms_run_stream_open(&params, 16, &stream, &err);
 *   while ((status = ms_run_stream_pull(stream, &frame, &got, &err)) == MS_OK && got) {
 *       show(frame.rgb, frame.width, frame.height);
 *       ms_run_stream_release(stream, &frame);
 *   }
 *   ms_run_stream_close(&stream, &report);
 */
#ifndef MEMSAFE_RUN_STREAM_H
#define MEMSAFE_RUN_STREAM_H

#include "memsafe/run.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ms_run_stream ms_run_stream;

typedef struct ms_run_frame {
    int64_t number;     /* in the output, from 0 */
    const uint8_t *rgb; /* [height][width][3] */
    int width, height;
    int64_t place; /* the stream's own */
} ms_run_frame;

/*
 * params is copied, texts and what arg points to are borrowed until close; output may be
 * NULL (frames only) or a file (both); frame_sink must be NULL. progress and cancelled are
 * called on the stream's thread. buffer_frames: at least 1; they are part of the run's
 * memory plan. MS_INVALID_ARGUMENT, MS_HOST_MEMORY; the run's own errors come from pull.
 */
MS_API ms_status ms_run_stream_open_sized(const ms_run_params *params, size_t params_bytes, int buffer_frames,
                                          ms_run_stream **ret_stream, ms_error *err);
static inline ms_status ms_run_stream_open(const ms_run_params *params, int buffer_frames,
                                           ms_run_stream **ret_stream, ms_error *err) {
    return ms_run_stream_open_sized(params, sizeof(*params), buffer_frames, ret_stream, err);
}

/* Waits for the next frame, the caller's until released. *ret_got false: that was all, and the
   output file, if there is one, is whole. An error of the run comes after the frames before it. */
MS_API ms_status ms_run_stream_pull_sized(ms_run_stream *stream, ms_run_frame *ret_frame, size_t frame_bytes,
                                          bool *ret_got, ms_error *err);
static inline ms_status ms_run_stream_pull(ms_run_stream *stream, ms_run_frame *ret_frame, bool *ret_got,
                                           ms_error *err) {
    return ms_run_stream_pull_sized(stream, ret_frame, sizeof(*ret_frame), ret_got, err);
}
MS_API void ms_run_stream_release_sized(ms_run_stream *stream, const ms_run_frame *frame, size_t frame_bytes);
static inline void ms_run_stream_release(ms_run_stream *stream, const ms_run_frame *frame) {
    ms_run_stream_release_sized(stream, frame, sizeof(*frame));
}

/* May be called from any thread. The run ends with MS_CANCELLED at its next safe point. */
MS_API void ms_run_stream_cancel(ms_run_stream *stream);

/* Cancels a run that has not come to its end, waits for its thread and frees everything.
   Returns the run's status; ret_report (may be NULL) is filled in when that is MS_OK. */
MS_API ms_status ms_run_stream_close_sized(ms_run_stream **stream, ms_run_report *ret_report,
                                           size_t report_bytes);
static inline ms_status ms_run_stream_close(ms_run_stream **stream, ms_run_report *ret_report) {
    return ms_run_stream_close_sized(stream, ret_report, sizeof(*ret_report));
}

#ifdef __cplusplus
}
#endif
#endif
