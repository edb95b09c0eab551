/*
 * The three checkpoints that a window's networks need (Whisper, VAE, UNet): loaded once, for one engine
 * after another. Engines declare in them what their graphs ask for and say how much stays in memory.
 */
#ifndef MS_ENGINE_ENGINE_WEIGHTS_H
#define MS_ENGINE_ENGINE_WEIGHTS_H

#include "device/compute.h"
#include "models/model_files.h"

typedef struct ms_engine_weights ms_engine_weights;

typedef struct ms_engine_weights_params {
    ms_compute compute;
    const ms_model_files *files; /* UNet, VAE and Whisper found; copied */
    bool random;                 /* only the configs in files are used: for benchmarks */
    ms_dtype precision;
} ms_engine_weights_params;

/* Nothing is read. */
ms_status ms_engine_weights_create(const ms_engine_weights_params *params, ms_engine_weights **ret_weights,
                                   ms_error *err);
void ms_engine_weights_destroy(ms_engine_weights **weights); /* after the engines that use them */

/* Gives the memory back. The next engine that is used reads the weights again, from
   the same files or not at all. No program may be in use. */
void ms_engine_weights_unload(ms_engine_weights *weights);
bool ms_engine_weights_loaded(const ms_engine_weights *weights);

/* MS_IO: a file is not the one that weights were read from. */
ms_status ms_engine_weights_check_files(ms_engine_weights *weights, ms_error *err);

/* Bytes of weights that were read so far to stay in memory. */
uint64_t ms_engine_weights_kept_bytes(const ms_engine_weights *weights);

/* What they hold now, which an engine's plan counts as its own. */
typedef struct ms_engine_weights_memory {
    size_t weight_bytes; /* of the device's memory: matrices and vectors that stay */
    size_t host_bytes;   /* of the host's: declarations and tables */
} ms_engine_weights_memory;
ms_engine_weights_memory ms_engine_weights_get_memory(const ms_engine_weights *weights);

#endif
