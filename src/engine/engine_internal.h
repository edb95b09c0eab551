/* Shared by engine.c (its life, programs in use), engine_program.c (planning),
   engine_weights.c and engine_window.c (a window's work). */
#ifndef MS_ENGINE_ENGINE_INTERNAL_H
#define MS_ENGINE_ENGINE_INTERNAL_H

#include "engine/autoencoder.h"
#include "engine/engine.h"
#include "files/known_file.h"
#include "weights/weight_stream.h"

enum { WHISPER, VAE, UNET, PARTS };

/* What one checkpoint gives. */
typedef struct part {
    ms_params *params;
    ms_weights *weights;
    ms_tensor_file *file; /* open while some of the weights are streamed */
    const char *prefix;   /* of the tensors' names */
    ms_known_file opened; /* the weights are from it */
} part;

struct ms_engine_weights {
    ms_engine_weights_params p;
    ms_model_files files;
    part part[PARTS];
    bool loaded;
    bool rested;            /* the files that streaming needs are closed */
    ms_residency residency; /* of what is loaded */
};

struct ms_engine_program {
    ms_engine_layout layout;
    ms_residency residency;
    int64_t encode_batch, decode_batch;
    ms_denoise_params denoise;
    ms_denoiser *denoiser;
    ms_autoencoder *vae;
    size_t arena_bytes, vae_state_bytes, state_bytes; /* state: of the VAE, the denoiser's after it */
    size_t held_bytes;                                /* by the program itself */
};

enum { MS_ENGINE_BUFFERS = 4 };

struct ms_engine {
    ms_engine_params p;
    ms_model_files files;
    ms_engine_hooks hooks;
    ms_exec_params exec;
    ms_engine_weights *w;
    bool owns_weights;
    size_t held_bytes, speech_arena_bytes; /* held: by what no program changes */
    ms_features *features;
    int resolution;
    int64_t latent_side, latent_pixels, latent_channels, window_frames;
    uint8_t *mask;
    float *latent_mask;
    ms_latent_cache *cache; /* borrowed */
    /* The place of the program in use. */
    ms_engine_program *program;
    ms_weight_stream *stream;
    void *arena;
    void *state; /* on the device: what the VAE's networks and the denoiser's hand on */
    union {
        struct {
            float *audio;           /* of a window */
            float *pixels;          /* of a batch of pictures */
            uint32_t (*numbers)[2]; /* of the noise, for each of a batch */
            int *missing;           /* frames whose moments the cache has not: [window_frames] */
        };
        void *buffer[MS_ENGINE_BUFFERS];
    };
    int n_missing;
};

void ms_engine_tell(const ms_engine *engine, const char *stage, int64_t done, int64_t total);

/* The context in which a part's networks run. */
ms_context ms_engine_context(const ms_engine *engine, int part);

/* Loads what the residency keeps and is not loaded yet. On failure all is as it was. */
ms_status ms_engine_weights_load(ms_engine_weights *weights, ms_residency residency,
                                 const ms_engine_hooks *hooks, ms_error *err);
/* Between two engines: files that were open for streaming are closed, and opened
   again by the next one that streams. */
void ms_engine_weights_rest(ms_engine_weights *weights);
size_t ms_engine_weights_own_bytes(const ms_engine_weights *weights); /* of declarations */

/* Of buffer[i], 0 = none. */
void ms_engine_buffer_sizes(const ms_engine *engine, const ms_engine_program *program,
                            size_t ret_bytes[MS_ENGINE_BUFFERS]);

/* Of all parts at most, or of their sum. */
size_t ms_engine_slot_bytes(const ms_engine *engine);
size_t ms_engine_stream_bytes(const ms_engine *engine, ms_residency residency);
size_t ms_engine_scratch_floats(const ms_engine *engine, ms_residency residency);
size_t ms_engine_resident_bytes(const ms_engine *engine, ms_residency residency);

#endif
