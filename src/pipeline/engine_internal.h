/* Shared by engine.c (making, planning, loading) and engine_window.c (a window's work). */
#ifndef MS_PIPELINE_ENGINE_INTERNAL_H
#define MS_PIPELINE_ENGINE_INTERNAL_H

#include "models/autoencoder.h"
#include "pipeline/engine.h"
#include "weights/weight_stream.h"

enum { WHISPER, VAE, UNET, PARTS };

/* What one checkpoint gives. */
typedef struct part {
    ms_params *params;
    ms_weights *weights;
    ms_tensor_file *file; /* open while some of the weights are streamed */
} part;

struct ms_engine {
    ms_engine_params p;
    ms_model_files files;
    ms_engine_hooks hooks;
    ms_exec_params exec;
    part part[PARTS];
    ms_residency residency;
    ms_weight_stream *stream;
    int loading;         /* the part that is being read */
    size_t loaded_bytes; /* of those before it */
    size_t held_bytes;
    ms_denoiser *denoiser;
    ms_autoencoder *vae;
    ms_features *features;
    ms_denoise_params denoise;
    int resolution;
    int64_t latent_side, latent_pixels, latent_channels, window_frames;
    void *arena;
    size_t arena_bytes;
    void *state; /* on the device: what the VAE's networks and the denoiser's hand on */
    size_t vae_state_bytes, state_bytes;
    uint8_t *mask;
    float *latent_mask;
    /* Of one window. */
    float *audio;
    ms_latent_cache *cache; /* borrowed */
    int *missing;           /* frames whose moments the cache has not: [window_frames] */
    int n_missing;
    /* Of one batch of pictures. */
    float *pixels;
    uint32_t (*numbers)[2]; /* of the noise, for each */
    int64_t encode_batch, decode_batch;
};

void ms_engine_tell(const ms_engine *engine, const char *stage, int64_t done, int64_t total);

/* Where a part's networks run. */
ms_context ms_engine_context(const ms_engine *engine, int part);

#endif
