/*
 * Everything at once for a pipeline that is not ours: say how long the video is and
 * how large, and get a device, a budget, an optimizer, a watch on the memory
 * pressure, settings for ms_adaptive_process(), and a stream of frames.
 *
 *   ms_integrate_params p;
 *   ms_integrate_params_init(&p);
 *   p.video_frames = 250, p.height = 512, p.width = 512, p.budget_bytes = (size_t)2 << 30;
 *   p.costs[MS_TASK_VAE_DECODE] = (ms_task_cost){.fixed_bytes = 200 << 20, .pixel_bytes = 2048};
 *   p.task = MS_TASK_VAE_DECODE;
 *   p.arg = pipeline;
 *   ms_integrate(&p, &integration, &err);
 *   ms_integration_process(integration, decode, &done, &err);
 */
#ifndef MEMSAFE_INTEGRATE_H
#define MEMSAFE_INTEGRATE_H

#include "memsafe/frame_stream.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ms_integrate_params {
    int64_t video_frames; /* 0 = not known */
    int height, width;    /* of a frame, pixels */
    ms_task task;         /* what process does */

    /* The device: one of ours, or its sizes. */
    const char *backend;           /* NULL = "cpu", unless device_bytes is set */
    size_t device_bytes;           /* nominal memory of a device of yours */
    size_t free_bytes;             /* of it, now */
    size_t (*ask_free)(void *arg); /* the same at the time of a query, or NULL */
    /* Budget of ms_integration.mem, and of a back end of ours; 0 = it has none */
    size_t budget_bytes;

    const char *profile;         /* tier by name, or NULL = by memory */
    const char *const *settings; /* "field=value" */
    int n_settings;
    bool environment;      /* look at MEMSAFE_* variables */
    ms_batch_cost_fn cost; /* what a batch costs, or NULL: the table */
    ms_task_cost costs[MS_TASK_ROOM];

    bool watch;                 /* follow the memory pressure */
    const char *pressure_trace; /* a script in its place, for tests */

    void (*trim)(void *arg); /* as in ms_adaptive_params; so is max_batch */
    void (*clean_up)(void *arg);
    bool (*cancelled)(void *arg);
    int max_batch;

    /* The stream, which is made when process is set. */
    ms_frame_process_fn process;
    size_t frame_bytes; /* 0 = RGB of height x width */
    int window_frames;  /* 0 = the batch that the optimizer answers at the start */
    int buffer_frames;  /* 0 = two windows */
    bool own_thread;

    void *arg; /* goes to all the functions above */
} ms_integrate_params;

/* environment and watch are true, own_thread too; otherwise all zero. */
MS_API void ms_integrate_params_init_sized(ms_integrate_params *ret_params, size_t params_bytes);
static inline void ms_integrate_params_init(ms_integrate_params *ret_params) {
    ms_integrate_params_init_sized(ret_params, sizeof(*ret_params));
}

/* Made by ms_integrate(), read by its owner. The parts belong to it. */
typedef struct ms_integration {
    ms_mem *mem;       /* draw buffers from it: over the budget, ms_mem_alloc() gives NULL */
    ms_device *device; /* NULL where sizes were stated */
    ms_optimizer *optimizer;
    ms_pressure_watch *watch;           /* NULL = none */
    ms_frame_stream *stream;            /* NULL = none */
    const ms_adaptive_params *adaptive; /* but process */
    const ms_adaptive_state *state;     /* of ms_integration_process() */
    int64_t video_frames;
    int batch; /* the optimizer's answer at the start */
} ms_integration;

/* Text and tables in params are copied or not needed afterwards. Errors: those of
   ms_device_create(), ms_optimizer_create(), ms_pressure_watch_create() and
   ms_frame_stream_create(); nothing is left behind then. */
MS_API ms_status ms_integrate_sized(const ms_integrate_params *params, size_t params_bytes,
                                    ms_integration **ret_integration, ms_error *err);
static inline ms_status ms_integrate(const ms_integrate_params *params, ms_integration **ret_integration,
                                     ms_error *err) {
    return ms_integrate_sized(params, sizeof(*params), ret_integration, err);
}

/* The stream is cancelled first; other threads must have left its functions. */
MS_API void ms_integration_destroy(ms_integration **integration);

/* ms_adaptive_process() over all video_frames, with what was learned before; process gets
   ms_integrate_params.arg. MS_INVALID_ARGUMENT when video_frames was not known. One thread at a time. */
MS_API ms_status ms_integration_process(ms_integration *integration, ms_process_fn process, int64_t *ret_done,
                                        ms_error *err);

#ifdef __cplusplus
}
#endif
#endif
