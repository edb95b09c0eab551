/* AutoencoderKL (diffusers; Rombach et al., CVPR 2022): pictures to the moments of a latent, latents to
   pictures. Every image is treated on its own. */
#ifndef MS_MODELS_VAE_H
#define MS_MODELS_VAE_H

#include "graph/graph.h"
#include "text/json.h"

#define MS_VAE_MAX_LEVELS 8

typedef struct ms_vae_config {
    int in_channels, out_channels, latent_channels;
    int levels;
    int64_t channels[MS_VAE_MAX_LEVELS];
    int layers_per_block, norm_groups;
    bool mid_attention, quant_conv, post_quant_conv;
    float scaling_factor, shift_factor;
} ms_vae_config;

/* From the tree of a diffusers config.json. */
ms_status ms_vae_config_read(const ms_json *root, const char *path, ms_vae_config *ret_config, ms_error *err);

/* Pixels on a side of one latent pixel: 8 for the released model. */
static inline int64_t ms_vae_factor(const ms_vae_config *c) {
    return (int64_t)1 << (c->levels - 1);
}

typedef struct ms_vae_build {
    int64_t images, h, w; /* of the input: pixels for the encoder, latent pixels for the decoder */
    /* Levels with taller pictures are computed in stripes, for less memory; 0 =
       none. The plan's ms_slicing.rows should be the same */
    int64_t stripe_rows;
    bool taps; /* intermediate values are outputs too */
} ms_vae_build;

/* Input "pixels" [images, h, w, in_channels] in [-1, 1]; output "moments"
   [images, h / factor, w / factor, 2 x latent]: mean, then log variance (not clamped). h and w are multiples
   of the factor. */
ms_status ms_vae_build_encoder(ms_graph *graph, const ms_vae_config *config, const ms_vae_build *build,
                               ms_error *err);

/* Input "latent" [images, h, w, latent] (already divided by the scaling factor); output "pixels"
   [images, h * factor, w * factor, out_channels]. */
ms_status ms_vae_build_decoder(ms_graph *graph, const ms_vae_config *config, const ms_vae_build *build,
                               ms_error *err);

/* Between the two and the denoiser, whose latents are scaled; h and w of latents, the rest of `build` is not
   looked at. Sampler: input "moments"; output "latent", which is
   (mean + exp(clamp(logvar, -30, 20) / 2) * normal - shift) * scaling. The normals are those of the seed and
   of the input "numbers" (ms_op_noise), or without a seed the input "normals" [images, h, w, latent]. */
ms_status ms_vae_build_sampler(ms_graph *graph, const ms_vae_config *config, const ms_vae_build *build,
                               const uint64_t *seed, ms_error *err);
/* Input "scaled", output "latent" as the decoder takes it. */
ms_status ms_vae_build_scaler(ms_graph *graph, const ms_vae_config *config, const ms_vae_build *build,
                              ms_error *err);

#endif
