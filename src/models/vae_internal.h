/* What vae.c and vae_stripes.c share. */
#ifndef MS_MODELS_VAE_INTERNAL_H
#define MS_MODELS_VAE_INTERNAL_H

#include "graph/ops.h"
#include "models/vae.h"

/* A convolution of size 3 (padded to keep the size) or 1. */
ms_conv_desc ms_vae_conv(ms_graph *graph, const char *layer, ms_value src, int64_t channels, int kernel);
/* Group norm of each picture on its own. */
ms_group_norm_desc ms_vae_norm(ms_graph *graph, const ms_vae_config *config, const char *layer, ms_value src);

/* What a resnet reads: a value, or a value enlarged to twice its size by the convolution `up`,
   which is then made stripe by stripe wherever it is needed and never exists as a whole. */
typedef struct ms_vae_source {
    ms_value value;
    const char *up; /* layer, NULL = the value itself */
} ms_vae_source;

/* A resnet in stripes of rows. Its inner convolutions run twice: once for the
   statistics of the norm that follows, once for their values; so besides source and
   result only stripes are in memory, and the result takes over the source's memory
   where it has its shape. The current segment ends; the caller begins the next. */
ms_value ms_vae_striped_resnet(ms_graph *graph, const ms_vae_config *config, const char *layer,
                               ms_vae_source source, int64_t channels);

#endif
