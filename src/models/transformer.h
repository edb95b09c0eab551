/* The parts of a transformer block that the UNet's spatial and temporal modules share (diffusers'
   BasicTransformerBlock): x + to_out(attention(norm(x))) and x + ff(norm(x)) with GEGLU. They go into the
   current segment. */
#ifndef MS_MODELS_TRANSFORMER_H
#define MS_MODELS_TRANSFORMER_H

#include "graph/ops.h"

typedef struct ms_attention_block {
    const char *prefix; /* of to_q, to_k, to_v, to_out.0 and pos_encoder.pe */
    const char *norm;   /* of the layer norm before it */
    ms_value x;
    ms_value context; /* what keys and values come from; MS_NO_VALUE = x itself */
    int heads;
    int64_t inner;     /* heads x head size */
    int64_t frames;    /* attention along the frames of a window; 0 = among the pixels of an image */
    int64_t positions; /* rows of the temporal position table; 0 = none */
    const char *tap;   /* output name for to_out's result before the residual, or NULL */
} ms_attention_block;

ms_value ms_attention_block_build(ms_graph *graph, const ms_attention_block *block);
ms_value ms_feed_forward_build(ms_graph *graph, const char *prefix, const char *norm, ms_value x);

#endif
