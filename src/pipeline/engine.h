/*
 * The networks of a run, loaded and planned, sharing one arena: aligned faces and speech go in a window at a
 * time, redrawn faces come out. Knows nothing of files with pictures or sound.
 */
#ifndef MS_PIPELINE_ENGINE_H
#define MS_PIPELINE_ENGINE_H

#include "models/denoiser.h"
#include "models/model_files.h"
#include "pipeline/features.h"

typedef struct ms_engine ms_engine;

typedef struct ms_engine_params {
    ms_device *dev;
    const ms_model_files *files; /* UNet, VAE and Whisper found; copied */
    bool random_weights;         /* only the configs in files are used: for benchmarks */
    ms_dtype precision;
    int resolution; /* 0 = the config's */
    int steps;
    float guidance;
    bool deepcache, serial_branches;
    uint64_t seed;
    int64_t vae_batch; /* pictures at a time, 0 = by resolution */
    ms_slicing slicing;
    double fps; /* of the output */
    ms_mel_stats speech;
    ms_sample_source samples;
    size_t least_arena_bytes; /* what others need who share the arena */
} ms_engine_params;

/* What happens meanwhile; any may be NULL. */
typedef struct ms_engine_hooks {
    ms_status (*poll)(void *arg); /* often; anything but MS_OK stops the work with that status */
    void (*stage)(void *arg, const char *stage, int64_t done,
                  int64_t total); /* "encode", "denoise", "decode" */
    void *arg;
} ms_engine_hooks;

/* Builds, plans and loads everything; takes seconds for a full-size model. hooks are copied. */
ms_status ms_engine_create(const ms_engine_params *params, const ms_engine_hooks *hooks,
                           ms_engine **ret_engine, ms_error *err);
void ms_engine_destroy(ms_engine **engine);

int ms_engine_resolution(const ms_engine *engine);
int64_t ms_engine_window_frames(const ms_engine *engine); /* most that one window takes */
int64_t ms_engine_audio_frames(const ms_engine *engine);  /* output frames that the speech asks for */
void *ms_engine_arena(ms_engine *engine);                 /* free to use between windows */
const uint8_t *ms_engine_mask(const ms_engine *engine);   /* [resolution][resolution] */

typedef struct ms_engine_memory {
    size_t arena_bytes, lower_bound_bytes, weight_bytes;
} ms_engine_memory;
ms_engine_memory ms_engine_get_memory(const ms_engine *engine);

typedef struct ms_window {
    int64_t frames;       /* 1 to ms_engine_window_frames() */
    int64_t first_frame;  /* number of the first in the output: chooses noise and speech */
    const uint8_t *faces; /* [frames][resolution][resolution][3] */
    /* Called for each frame in order with the redrawn face, [resolution][resolution][3] in about [-1, 1],
       what was not to be redrawn put back from the aligned face. */
    ms_status (*deliver)(void *arg, int64_t frame, const float *face, ms_error *err);
    void *arg;
} ms_window;

ms_status ms_engine_run_window(ms_engine *engine, const ms_window *window, ms_error *err);

/* Intermediate values of the last window, for tests and for bisecting; valid until the next one. */
typedef struct ms_engine_taps {
    int64_t frames, latent_pixels;
    const float *masked, *reference, *latents; /* [frames][latent pixels][4] */
} ms_engine_taps;
ms_engine_taps ms_engine_get_taps(const ms_engine *engine);

#endif
