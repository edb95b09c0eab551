/*
 * Weights that are not resident pass through one buffer, in the order in which
 * graphs read them: while a layer computes, a thread reads and packs the next one.
 * What a kernel sees is the same as with everything resident.
 *
 * The buffer holds two matrices, one at its front and one at its back, in turns, so
 * it must have room for any two streamed ones of the same weights.
 */
#ifndef MS_WEIGHTS_WEIGHT_STREAM_H
#define MS_WEIGHTS_WEIGHT_STREAM_H

#include "weights/weights.h"

/* The sizes are those of ms_params_stream_bytes(), ms_params_stream_scratch_floats() and
   ms_params_slot_bytes(): of each the largest among all weights that share the stream. The buffer, and
   (threads of the pool + 1) times the scratch or the slots, are allocated here and nothing later. */
ms_status ms_weight_stream_create(const ms_compute *compute, size_t buffer_bytes, size_t scratch_floats,
                                  size_t slot_bytes, ms_weight_stream **ret_stream, ms_error *err);
void ms_weight_stream_destroy(ms_weight_stream **stream);

/* Several weights may share a stream. NULL detaches. Weights with streamed matrices
   need one before a graph runs. */
void ms_weights_attach_stream(ms_weights *weights, ms_weight_stream *stream);

/* Makes a streamed matrix readable through the weights' stream, waiting if need be, and begins to fetch
   the next one (MS_NO_PARAM: none). Errors are those of reading the file; MS_INTERNAL without a stream. */
ms_status ms_weights_need(ms_weights *weights, ms_param param, ms_param next, ms_error *err);

/* Drops what the buffer has of these weights. After that nothing refers to them. */
void ms_weight_stream_forget(ms_weight_stream *stream, ms_weights *weights);

typedef struct ms_weight_stream_stats {
    uint64_t loads, waits; /* matrices read; how often the compute thread had to wait for one */
    uint64_t bytes;        /* packed */
    double wait_s;
} ms_weight_stream_stats;
ms_weight_stream_stats ms_weight_stream_get_stats(const ms_weight_stream *stream);

#endif
