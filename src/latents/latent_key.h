/*
 * What moments depend on besides the face: the key under which runs find each other's latents. Equal keys
 * mean equal bits; whatever might change them is in it: the encoder's weights and config byte by byte,
 * precision, resolution, back end and instruction set, this program's version and MS_LATENT_NUMERICS.
 */
#ifndef MS_LATENTS_LATENT_KEY_H
#define MS_LATENTS_LATENT_KEY_H

#include "device/compute.h"
#include "models/model_files.h"

/* To be raised when the VAE's encoder, masks or kernels come to give other bits within a version. */
#define MS_LATENT_NUMERICS 1

typedef struct ms_latent_key_params {
    ms_compute compute;
    const ms_model_files *files;
    ms_dtype precision;
    int resolution;
    int lossy_rank; /* lossy blocks are found by runs of the same rank alone; 0 = exact */
} ms_latent_key_params;

/* Reads the VAE's checkpoint once, some 0.2 s for the full-size one. MS_IO. */
ms_status ms_latent_key_make(const ms_latent_key_params *params, uint64_t ret_key[2], ms_error *err);

#endif
