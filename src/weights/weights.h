/*
 * A model's parameters, loaded: read from a checkpoint once and shared by every
 * graph that was built for the same ms_params.
 *
 * Precision. MS_F32 keeps each tensor as the file stores it (float16 and bfloat16 are widened
 * exactly when used); MS_F16 and MS_BF16 round every tensor to that type. Matrices stay in that type
 * in memory; vectors (biases, norms, position tables) are rounded likewise and held as float32.
 */
#ifndef MS_WEIGHTS_WEIGHTS_H
#define MS_WEIGHTS_WEIGHTS_H

#include "device/compute.h"
#include "formats/tensor_file.h"
#include "weights/params.h"

typedef struct ms_weights ms_weights;
typedef struct ms_weight_stream ms_weight_stream; /* weights/weight_stream.h */

/* compute: where they will lie; its device is that of the parameters. params is
   borrowed. What is declared later belongs to the weights too, but is not loaded. */
ms_status ms_weights_create(const ms_compute *compute, const ms_params *params, ms_weights **ret_weights,
                            ms_error *err);
void ms_weights_destroy(ms_weights **weights);

/* A constant that comes with the graph and not from a checkpoint file of its own
   (an ONNX initializer, a test's random matrix): values are row-major in the
   declaration's shape, copied. Nothing is set on failure. */
ms_status ms_weights_set(ms_weights *weights, ms_param param, const float *values, ms_error *err);
bool ms_weights_is_set(const ms_weights *weights, ms_param param);

typedef struct ms_weights_load_params {
    ms_dtype precision; /* MS_F32, MS_F16, MS_BF16 */
    const char *prefix; /* put before every name ("state_dict."), or NULL; must outlive the weights */
    ms_pool *pool;      /* reads and packs in parallel; may be NULL */
    /* Called often, on the calling thread, with the part of the work that is done,
       0 to 1. Anything but MS_OK ends the loading with that status. NULL = not. */
    ms_status (*progress)(void *arg, double done);
    void *arg;
} ms_weights_load_params;

/*
 * Reads every declared parameter. MS_BAD_MODEL names the file and the tensor that is missing, of
 * the wrong shape or type, not finite, or not representable in the precision. Nothing is kept on
 * failure. What the residency streams is checked and not kept: it is read again, through the buffer
 * of a stream, each time a graph comes to it. The file must be there while anything is streamed.
 */
ms_status ms_weights_load(ms_weights *weights, const ms_tensor_file *file, ms_residency residency,
                          const ms_weights_load_params *params, ms_error *err);

/* Random values in place of a checkpoint, for benchmarks and tests of speed and memory. */
ms_status ms_weights_randomize(ms_weights *weights, uint64_t seed, ms_residency residency, ms_dtype precision,
                               ms_pool *pool, ms_error *err);

/*
 * Changes which of the loaded weights stay. What both residencies keep is not touched; the rest is
 * freed, or read from the file (NULL where the values are random, which must be the one that the
 * weights were loaded from, opened again or still open). On failure, and when params->progress ends
 * it, everything is as it was. Of params, precision and prefix are not read. No graph may be running.
 */
ms_status ms_weights_set_residency(ms_weights *weights, const ms_tensor_file *file, ms_residency residency,
                                   const ms_weights_load_params *params, ms_error *err);
ms_residency ms_weights_get_residency(const ms_weights *weights);
/* Bytes that were read so far to be kept in memory. What was only checked, or
   passed through a stream, is not counted. */
uint64_t ms_weights_kept_bytes(const ms_weights *weights);

/* Checks only: names, shapes, types and, with check_values, that all values are finite. Calls report
   for each problem instead of stopping at the first; returns MS_BAD_MODEL if there was one. */
typedef void (*ms_weights_report_fn)(void *arg, const char *problem);
ms_status ms_weights_verify(ms_weights *weights, const ms_tensor_file *file, const char *prefix,
                            bool check_values, ms_weights_report_fn report, void *arg, ms_error *err);

/* Frees what is loaded; nothing is loaded then. */
void ms_weights_unload(ms_weights *weights);
/* What the weights' own table will take, as charged. */
size_t ms_weights_table_bytes(const ms_params *params);

/* Changes whenever data moved. */
uint64_t ms_weights_generation(const ms_weights *weights);
bool ms_weights_is_streamed(const ms_weights *weights, ms_param param);

/* What kernels read; data is NULL where nothing is loaded. Valid until the weights are
   destroyed or change their residency; of a streamed matrix, until the stream moves on. */
ms_weight ms_weights_matrix(const ms_weights *weights, ms_param param);
const float *ms_weights_vector(const ms_weights *weights, ms_param param);

#endif
