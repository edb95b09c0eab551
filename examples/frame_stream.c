/*
 * A streaming pipeline that is not memsafe's, attached in one call.
 *
 * One thread makes frames, a thread of the stream redraws them a window at a time, the
 * main thread takes each result as soon as it is ready. ms_integrate() is told the video's
 * length and size, a budget, and what a frame costs; it chooses the window, holds the
 * buffer, watches the machine's memory, and deals with windows that turn out not to fit.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <memsafe/memsafe.h>

#define FRAMES 120
#define WIDTH 160
#define HEIGHT 90
#define FRAME_BYTES ((size_t)WIDTH * HEIGHT * 3)
#define WORK_BYTES (FRAME_BYTES * 8) /* of a frame while it is redrawn */

typedef struct pipeline {
    ms_integration *memsafe;
} pipeline;

/* Frames in, results out, in place. Allocate first: after a status of no memory the
   same frames come again. */
static ms_status redraw(void *arg, ms_frame *frames, int count, ms_error *err) {
    pipeline *p = arg;
    (void)err;
    unsigned char *work = ms_mem_alloc(p->memsafe->mem, MS_LEDGER_ACTIVATIONS, (size_t)count * WORK_BYTES);
    if (!work)
        return MS_HOST_MEMORY;
    for (int f = 0; f < count; f++) {
        unsigned char *pixels = frames[f].data, *mine = work + (size_t)f * WORK_BYTES;
        for (size_t i = 0; i < WORK_BYTES; i++)
            mine[i] = (unsigned char)(pixels[i % FRAME_BYTES] * 3 + i);
        memcpy(pixels, mine + WORK_BYTES - FRAME_BYTES, FRAME_BYTES);
    }
    ms_mem_free(work);
    return MS_OK;
}

/* The producer: frames straight into the stream's buffer. It ends when all are in,
   or when the stream says so. */
static void *read_video(void *arg) {
    ms_frame_stream *stream = arg;
    for (int64_t n = 0; n < FRAMES; n++) {
        ms_frame frame;
        if (ms_frame_stream_reserve(stream, &frame, NULL) != MS_OK)
            return NULL; /* failed or cancelled: whoever pulls has the reason */
        unsigned char *pixels = frame.data;
        for (size_t i = 0; i < FRAME_BYTES; i++)
            pixels[i] = (unsigned char)((size_t)n * 5 + i * 3);
        frame.number = n;
        frame.bytes = FRAME_BYTES;
        ms_frame_stream_commit(stream, &frame);
    }
    ms_frame_stream_close(stream);
    return NULL;
}

/* The consumer. */
static ms_status show(ms_frame_stream *stream, uint64_t *ret_sum, ms_error *err) {
    uint64_t sum = 14695981039346656037u; /* FNV-1a */
    for (;;) {
        ms_frame frame;
        bool got = false;
        ms_status status = ms_frame_stream_pull(stream, &frame, &got, err);
        if (status != MS_OK)
            return status;
        if (!got)
            break;
        const unsigned char *pixels = frame.data;
        for (size_t i = 0; i < frame.bytes; i++)
            sum = (sum ^ pixels[i]) * 1099511628211u;
        ms_frame_stream_release(stream, &frame);
    }
    *ret_sum = sum;
    return MS_OK;
}

static ms_status stream_video(pipeline *p, uint64_t *ret_sum, ms_error *err) {
    pthread_t reader;
    ms_frame_stream *stream = p->memsafe->stream;
    if (pthread_create(&reader, NULL, read_video, stream) != 0)
        return MS_HOST_MEMORY;
    ms_status status = show(stream, ret_sum, err);
    if (status != MS_OK)
        ms_frame_stream_cancel(stream); /* so that the producer does not wait for ever */
    pthread_join(reader, NULL);
    return status;
}

int main(void) {
    pipeline p = {0};
    ms_error err = {0};
    uint64_t sum = 0;
    ms_integrate_params params;
    ms_integrate_params_init(&params);
    params.video_frames = FRAMES;
    params.height = HEIGHT;
    params.width = WIDTH;
    params.budget_bytes = (size_t)8 << 20;
    params.task = MS_TASK_VAE_DECODE;
    /* a tier of this size would take one at a time */
    params.settings = (const char *const[]){"vae_decode_batch=32"};
    params.n_settings = 1;
    params.costs[MS_TASK_VAE_DECODE].item_bytes = WORK_BYTES / 2; /* an estimate, and too low */
    params.process = redraw;
    params.buffer_frames = 40;
    params.arg = &p;
    ms_status status = ms_integrate(&params, &p.memsafe, &err);
    if (status == MS_OK)
        status = stream_video(&p, &sum, &err);
    if (status == MS_OK)
        printf("%d frames, checksum %016" PRIx64 "\n", FRAMES, sum);
    else
        fprintf(stderr, "frame_stream: %s\n", err.message[0] ? err.message : ms_status_text(status));
    if (p.memsafe) {
        ms_adaptive_state learned;
        ms_frame_stream_get_state(p.memsafe->stream, &learned);
        fprintf(stderr, "frame_stream: %s tier, batches of %d to %d, %" PRId64 " failures, ",
                ms_optimizer_tier(p.memsafe->optimizer), learned.smallest_batch, learned.largest_batch,
                learned.host_failures);
    }
    fprintf(stderr, "%" PRIu64 " allocations\n", ms_mem_allocation_count());
    ms_integration_destroy(&p.memsafe);
    return ms_status_exit_code(status);
}
