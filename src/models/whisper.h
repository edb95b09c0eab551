/* Whisper's audio encoder (Radford et al., 2022), which gives its state before the
   first layer and after each. */
#ifndef MS_MODELS_WHISPER_H
#define MS_MODELS_WHISPER_H

#include "formats/tensor_file.h"
#include "graph/graph.h"

#define MS_WHISPER_MAX_LAYERS 64
#define MS_WHISPER_SEGMENT_MEL 3000 /* mel frames of a 30 s segment */

typedef struct ms_whisper_config {
    int n_mels, n_ctx, n_state, n_head, n_layer;
} ms_whisper_config;

/* From the "dims" that an official .pt file carries. */
ms_status ms_whisper_config_read(const ms_tensor_file *file, ms_whisper_config *ret_config, ms_error *err);

/* Input "mel" [1, 1, 2 * n_ctx, n_mels]; outputs "state_0" to "state_<n_layer>", each
   [1, 1, n_ctx, n_state]. */
ms_status ms_whisper_build(ms_graph *graph, const ms_whisper_config *config, ms_error *err);

#endif
