/*
 * The networks of a run: aligned faces and speech go in, a window at a time, and
 * redrawn faces come out. The engine knows nothing of files with pictures or sound.
 *
 * Three things live for different times. A program is what is computed: the graphs of a
 * layout with their plans, made without weights and without memory of the device. The weights
 * are loaded once, and may serve one engine after another (engine_weights.h). The place is
 * where a window is computed: arena, buffers, the stream's buffer. ms_engine_use() changes
 * the program between windows; what both residencies keep of the weights is not read again.
 */
#ifndef MS_ENGINE_ENGINE_H
#define MS_ENGINE_ENGINE_H

#include "engine/denoiser.h"
#include "engine/engine_weights.h"
#include "engine/features.h"
#include "latents/latent_cache.h"
#include "models/model_files.h"

typedef struct ms_engine ms_engine;
typedef struct ms_engine_program ms_engine_program;

/* How the work is cut up and what stays in memory. Every layout gives the same bits. */
typedef struct ms_engine_layout {
    int64_t encode_batch, decode_batch; /* pictures at a time, 0 = as many as pay */
    bool serial_branches;               /* of guidance */
    ms_slicing slicing;
    /* At most so many stay in memory, the rest is streamed; SIZE_MAX = all stay */
    size_t resident_weight_bytes;
} ms_engine_layout;

#define MS_ENGINE_LAYOUT_ALL ((ms_engine_layout){.resident_weight_bytes = SIZE_MAX})

typedef struct ms_engine_params {
    ms_compute compute;
    const ms_model_files *files; /* UNet, VAE and Whisper found; copied */
    ms_dtype precision;
    ms_engine_weights *weights; /* of these files and precision, borrowed; NULL = its own */
    bool random_weights;        /* its own are random: for benchmarks, only the configs in files are used */
    int resolution;             /* 0 = the config's */
    int steps;
    float guidance;
    bool deepcache;
    uint64_t seed;
    double fps;     /* of the output */
    int64_t frames; /* that there will be at most: windows are no longer; 0 = not known */
    ms_mel_stats speech;
    ms_sample_source samples;
} ms_engine_params;

/* Called meanwhile; any may be NULL. */
typedef struct ms_engine_hooks {
    ms_status (*poll)(void *arg); /* often; anything but MS_OK stops the work with that status */
    /* "load" (bytes), "encode", "denoise", "decode" */
    void (*stage)(void *arg, const char *stage, int64_t done, int64_t total);
    void *arg;
} ms_engine_hooks;

/* Output frames that the speech asks for, before there is an engine. */
int64_t ms_engine_count_frames(const ms_engine_params *params);

/* Frames of the longest window that there will be. */
int64_t ms_engine_most_frames(const ms_engine_params *params);

/* Makes everything that no layout changes, in a matter of milliseconds. Nothing is
   loaded. hooks are copied. */
ms_status ms_engine_create(const ms_engine_params *params, const ms_engine_hooks *hooks,
                           ms_engine **ret_engine, ms_error *err);
void ms_engine_destroy(ms_engine **engine);

/* Builds and plans for a layout, in a matter of milliseconds. Then its sizes are known.
   The program in use is not touched. The program must be destroyed before the engine. */
ms_status ms_engine_program_create(ms_engine *engine, const ms_engine_layout *layout,
                                   ms_engine_program **ret_program, ms_error *err);
void ms_engine_program_destroy(ms_engine_program **program);
/* Chooses anew which weights stay: so many bytes at most. */
void ms_engine_program_keep(const ms_engine *engine, ms_engine_program *program,
                            size_t resident_weight_bytes);

/*
 * Called before the first window, and between windows for another layout. Takes the program over, also
 * on failure. Loads the weights (seconds for a full-size model); where some are loaded, only what this
 * program keeps and the last did not. Then makes the arena and the buffers. On failure the last program
 * is there again as it was. Where that has no room any more either, and after a failure of the first,
 * there is none (ms_engine_program_of() gives NULL), and another must be used before a window is run.
 */
ms_status ms_engine_use(ms_engine *engine, ms_engine_program **program, ms_error *err);
const ms_engine_program *ms_engine_program_of(const ms_engine *engine); /* in use; NULL = none */

/* Bytes of weights that were read so far to stay in memory. */
uint64_t ms_engine_kept_bytes(const ms_engine *engine); /* engines before it with the same weights included */

/* Gives the engine other speech than it was made with, from the next window on. */
void ms_engine_set_speech(ms_engine *engine, ms_mel_stats speech, ms_sample_source samples);
int64_t ms_engine_speech_frames(const ms_engine *engine); /* output frames that it asks for */

/* The cache is borrowed and used from the next window on; NULL = none. Its rows
   must be of this engine's encoder and resolution. */
void ms_engine_set_latents(ms_engine *engine, ms_latent_cache *latents);

int ms_engine_resolution(const ms_engine *engine);
int64_t ms_engine_window_frames(const ms_engine *engine); /* most that one window takes */

typedef struct ms_engine_memory {
    size_t arena_bytes;
    /* Of latents, condition, speech and DeepCache's tensor, which stay on the device for a window */
    size_t state_bytes;
    size_t weight_bytes;   /* of all parameters */
    size_t resident_bytes; /* of those that stay, with what the allocator adds */
    size_t streamed_bytes; /* of the others */
    size_t launch_bytes;   /* of captured launches, on a device that captures; else 0 */
    size_t stream_bytes;   /* buffer and scratch of the others; 0 when all stay */
    /* Graphs and plans, those of the next layout beside them; buffers between the stages */
    size_t held_bytes;
    /* Once loaded: arena, state, resident, stream, held; of a device with memory of
       its own, what it has of these */
    size_t total_bytes;
    size_t host_bytes; /* of such a device: what the host has; else 0 */
} ms_engine_memory;
ms_engine_memory ms_engine_get_memory(const ms_engine *engine, const ms_engine_program *program);

/* The work of a full window; audio: of one segment of speech, 30 s. */
typedef struct ms_engine_work {
    ms_network_work audio, encode, denoise, decode;
} ms_engine_work;
/* roofline: as ms_network_get_work() has it. */
ms_engine_work ms_engine_get_work(const ms_engine *engine, const ms_engine_program *program,
                                  const ms_probe_rates *roofline);

/* The work of one step of the UNet, whole and cached. False without DeepCache. */
bool ms_engine_get_steps(const ms_engine *engine, const ms_engine_program *program,
                         const ms_probe_rates *roofline, ms_network_work *ret_full,
                         ms_network_work *ret_cached);

/* The networks in the order in which a window runs them, all in the same arena. */
#define MS_ENGINE_PHASES 5
typedef struct ms_engine_phase {
    const char *name;
    const ms_network *network;
} ms_engine_phase;
int ms_engine_get_phases(const ms_engine *engine, const ms_engine_program *program,
                         ms_engine_phase ret_phases[MS_ENGINE_PHASES]);

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

/* More pictures at a time than this gain nothing: the larger a picture, the more work it has of its own. */
int64_t ms_engine_paying_batch(int resolution);

#endif
