/* Runs the VAE on any number of pictures of one size, a batch at a time. The bits of a picture do not depend
 * on its batch. */
#ifndef MS_MODELS_AUTOENCODER_H
#define MS_MODELS_AUTOENCODER_H

#include "models/network.h"
#include "models/vae.h"

typedef struct ms_autoencoder ms_autoencoder;

typedef struct ms_autoencoder_params {
    ms_params *params; /* the VAE's */
    ms_dtype activation;
    ms_vae_config config;
    int64_t h, w; /* of pictures, in pixels */
    int64_t encode_batch, decode_batch;
    ms_slicing slicing;
} ms_autoencoder_params;

/* ret_arena_bytes: what runs need. A context is one with the VAE's weights, loaded, in such an arena. */
ms_status ms_autoencoder_create(const ms_autoencoder_params *params, ms_autoencoder **ret_autoencoder,
                                size_t *ret_arena_bytes, ms_error *err);
void ms_autoencoder_destroy(ms_autoencoder **autoencoder);

/* pixels: [images][h * w][3] in [-1, 1]; moments: [images][latent pixels][2 x latent channels]. */
ms_status ms_autoencoder_encode(ms_autoencoder *autoencoder, const ms_context *context, const float *pixels,
                                int64_t images, float *ret_moments, const ms_exec_params *exec,
                                ms_error *err);

/* latents: [images][latent pixels][latent channels] as the denoiser has them (scaled); they are divided by
   the scaling factor here. pixels: [images][h * w][3]. */
ms_status ms_autoencoder_decode(ms_autoencoder *autoencoder, const ms_context *context, const float *latents,
                                int64_t images, float *ret_pixels, const ms_exec_params *exec, ms_error *err);

/* For a full batch. */
const ms_network *ms_autoencoder_network(const ms_autoencoder *autoencoder, bool encoder);

#endif
