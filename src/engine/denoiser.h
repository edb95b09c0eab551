/*
 * The denoising loop of one window: DDIM steps of the UNet with classifier-free
 * guidance and, if wanted, DeepCache.
 *
 * prepare() builds and plans what a window of that shape needs; run() then allocates nothing.
 * Latents, condition, speech and DeepCache's tensor stay on the device, in the context's
 * state, for the whole window. All latents here are channels-last: [frames][h * w][4].
 */
#ifndef MS_ENGINE_DENOISER_H
#define MS_ENGINE_DENOISER_H

#include "engine/ddim.h"
#include "graph/network.h"
#include "models/unet3d.h"

typedef struct ms_denoiser ms_denoiser;

typedef struct ms_denoise_params {
    int64_t frames, h, w; /* latent size */
    int64_t tokens;       /* audio tokens of a frame */
    int steps;
    float guidance; /* <= 1: one branch, the one with audio */
    bool deepcache;
    bool serial_branches; /* the two guidance branches one after the other: less memory, same bits */
    uint64_t seed;        /* of the start noise */
    ms_slicing slicing;
} ms_denoise_params;

/* On the host. */
typedef struct ms_denoise_io {
    const float *audio;   /* [frames][tokens][cross_attention_dim] */
    const float *mask;    /* [h * w], 1 = keep */
    const float *latents; /* start noise; NULL = made on the device, from the seed */
} ms_denoise_io;

/* params: the UNet's; must outlive the denoiser. */
ms_status ms_denoiser_create(ms_params *params, ms_dtype activation, const ms_unet_config *config,
                             ms_denoiser **ret_denoiser, ms_error *err);
void ms_denoiser_destroy(ms_denoiser **denoiser);

/* May be called again for another shape. ret_arena_bytes, ret_state_bytes: what
   run() needs, context.arena and context.state. */
ms_status ms_denoiser_prepare(ms_denoiser *denoiser, const ms_denoise_params *params, size_t *ret_arena_bytes,
                              size_t *ret_state_bytes, ms_error *err);

/* Where in the context's state, as prepared, they lie: float32 [frames][h * w][4] on the device. Masked
   and reference are written before run(), the latents are there after it and after every step. */
typedef enum ms_denoise_part { MS_DENOISE_LATENTS, MS_DENOISE_MASKED, MS_DENOISE_REFERENCE } ms_denoise_part;
void *ms_denoiser_part(const ms_denoiser *denoiser, const ms_context *context, ms_denoise_part part);

typedef struct ms_denoise_hooks {
    ms_exec_params exec;               /* before every operation of the UNet */
    void (*step)(void *arg, int step); /* after every step, or NULL */
    void *arg;
} ms_denoise_hooks;

/* context: with the UNet's weights, loaded, in an arena and with a state of the bytes that prepare() said.
   From step to step only the time's embedding and the step's factors go to the device, and one word comes
   back. MS_BAD_MODEL: the latents are not finite after a step, which is told before the UNet runs again. */
ms_status ms_denoiser_run(ms_denoiser *denoiser, const ms_context *context, const ms_denoise_io *io,
                          const ms_denoise_hooks *hooks, ms_error *err);

/* True for the steps on which the whole UNet runs with DeepCache: every third,
   counted from the window's first. */
bool ms_deepcache_full_step(int step);

/* The work of the whole loop, as prepared. */
ms_network_work ms_denoiser_work(const ms_denoiser *denoiser, ms_dtype precision, ms_residency residency,
                                 const ms_probe_rates *roofline);

/* cached: DeepCache's short one; NULL without DeepCache. */
const ms_network *ms_denoiser_network(const ms_denoiser *denoiser, bool cached);

/* Bytes of the host's memory that graphs and plans hold, as prepared. */
size_t ms_denoiser_held_bytes(const ms_denoiser *denoiser);

/* What lists of all its networks take of the memory of a device that captures. */
size_t ms_denoiser_launch_bytes(const ms_denoiser *denoiser);
/* Gives back what is kept for a context's memory. */
void ms_denoiser_leave(ms_denoiser *denoiser);

#endif
