/* Runs the VAE on pictures of one size, a batch or less at a time. The bits of a
   picture do not depend on its batch. Moments and latents stay on the device. */
#ifndef MS_ENGINE_AUTOENCODER_H
#define MS_ENGINE_AUTOENCODER_H

#include "graph/network.h"
#include "models/vae.h"

typedef struct ms_autoencoder ms_autoencoder;

typedef struct ms_autoencoder_params {
    ms_params *params; /* the VAE's */
    ms_dtype activation;
    ms_vae_config config;
    int64_t h, w;                       /* of pictures, in pixels */
    int64_t encode_batch, decode_batch; /* pictures at a time */
    uint64_t seed;                      /* of the noise that posteriors are sampled with */
    ms_slicing slicing;
} ms_autoencoder_params;

/* ret_arena_bytes, ret_state_bytes: what runs need. A context is one with the VAE's
   weights, loaded, in such an arena and with such a state. */
ms_status ms_autoencoder_create(const ms_autoencoder_params *params, ms_autoencoder **ret_autoencoder,
                                size_t *ret_arena_bytes, size_t *ret_state_bytes, ms_error *err);
void ms_autoencoder_destroy(ms_autoencoder **autoencoder);

/* Encodes at most a batch of pictures. pixels: [images][h * w][3] in [-1, 1], on
   the host. The moments stay in the state. */
ms_status ms_autoencoder_encode(ms_autoencoder *autoencoder, const ms_context *context, const float *pixels,
                                int64_t images, const ms_exec_params *exec, ms_error *err);

/* Where in the state a picture's moments are, on the device: float32 [latent pixels][2 x latent channels].
   For callers that keep them elsewhere, or put others there. */
void *ms_autoencoder_moments(const ms_autoencoder *autoencoder, const ms_context *context, int64_t image);

/* Samples the posteriors of the moments in the state. numbers: [images], stream and frame of the noise.
   latents: on the device, as the denoiser has them (scaled): [images][latent pixels][latent channels]. */
ms_status ms_autoencoder_sample(ms_autoencoder *autoencoder, const ms_context *context,
                                const uint32_t (*numbers)[2], int64_t images, void *latents, ms_error *err);

/* latents: on the device, scaled. ret_pixels: on the host, [images][h * w][3]; at most a batch. */
ms_status ms_autoencoder_decode(ms_autoencoder *autoencoder, const ms_context *context, const void *latents,
                                int64_t images, float *ret_pixels, const ms_exec_params *exec, ms_error *err);

/* Bytes of the host's memory that graphs and plans hold; those for a rest of a batch are counted too. */
size_t ms_autoencoder_held_bytes(const ms_autoencoder *autoencoder);

/* Gives back what is kept for a context's memory. */
void ms_autoencoder_leave(ms_autoencoder *autoencoder);

/* For a full batch. */
const ms_network *ms_autoencoder_network(const ms_autoencoder *autoencoder, bool encoder);

#endif
