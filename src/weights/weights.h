/*
 * A model's parameters: declared by the graph builders (name, shape, how the kernels want to read them), then
 * loaded from a checkpoint once and shared by every graph of that model.
 *
 * Precision. MS_F32 keeps each tensor as the file stores it (float16 and bfloat16 are widened exactly when
 * used); MS_F16 and MS_BF16 round every tensor to that type. Matrices stay in that type in memory; vectors
 * (biases, norms, position tables) are rounded likewise and held as float32.
 */
#ifndef MS_WEIGHTS_WEIGHTS_H
#define MS_WEIGHTS_WEIGHTS_H

#include "device/compute.h"
#include "weights/tensor_file.h"

#define MS_PARAM_PARTS 3

typedef struct ms_weights ms_weights;
typedef struct ms_weight_stream ms_weight_stream; /* weights/weight_stream.h */

/* Index of a declared parameter; negative when a declaration failed. */
typedef int32_t ms_param;
#define MS_NO_PARAM (-1)

typedef struct ms_param_decl {
    /* Tensors whose rows follow each other in the matrix (to_q, to_k, to_v); all of the same shape. */
    int parts;
    const char *name[MS_PARAM_PARTS];
    const char *other_name[MS_PARAM_PARTS]; /* a second spelling that files may use, or NULL */
    int rank;
    int64_t shape[4]; /* of one part, as the checkpoint has it */
    bool vector;      /* plain float32 data; else a matrix with rows = shape[0] */
    ms_weight_layout layout;
    int groups;
} ms_param_decl;

/* device: chooses layouts and sizes; must outlive the weights. */
ms_status ms_weights_create(const ms_compute *compute, ms_weights **ret_weights, ms_error *err);
void ms_weights_destroy(ms_weights **weights);

/* The same name gives the same parameter; a declaration that contradicts an earlier one is MS_INTERNAL.
   Strings are copied. */
ms_status ms_weights_declare(ms_weights *weights, const ms_param_decl *decl, ms_param *ret_param,
                             ms_error *err);

size_t ms_weights_count(const ms_weights *weights);
const ms_param_decl *ms_weights_decl(const ms_weights *weights, ms_param param);

/* A constant that comes with the graph and not from a checkpoint file of its own (an ONNX initializer, a
   test's random matrix): values are row-major in the declaration's shape, copied. */
ms_status ms_weights_set(ms_weights *weights, ms_param param, const float *values, ms_error *err);

/*
 * Residency. A streamed matrix is checked when the weights are loaded and then read again, through the buffer of
 * a stream, each time a graph comes to it; every other parameter stays in memory. Chosen before loading; vectors
 * always stay. The file must then outlive the weights.
 */
void ms_weights_set_streamed(ms_weights *weights, ms_param param, bool streamed);
bool ms_weights_is_streamed(const ms_weights *weights, ms_param param);
size_t ms_weights_param_bytes(const ms_weights *weights, ms_param param, ms_dtype precision);

typedef struct ms_weights_load_params {
    ms_dtype precision; /* MS_F32, MS_F16, MS_BF16 */
    const char *prefix; /* put before every name ("state_dict."), or NULL */
    ms_pool *pool;      /* reads and packs in parallel; may be NULL */
    /* Often, on the calling thread: the part of the work that is done, 0 to 1. Anything but MS_OK ends the loading with that
       status. NULL = not. */
    ms_status (*progress)(void *arg, double done);
    void *arg;
} ms_weights_load_params;

/*
 * Reads every declared parameter. MS_BAD_MODEL names the file and the tensor that is
 * missing, of the wrong shape or type, not finite, or not representable in the precision. Nothing is kept on
 * failure.
 */
ms_status ms_weights_load(ms_weights *weights, const ms_tensor_file *file,
                          const ms_weights_load_params *params, ms_error *err);

/* Random values in place of a checkpoint, for benchmarks and tests of speed and memory. */
ms_status ms_weights_randomize(ms_weights *weights, uint64_t seed, ms_dtype precision, ms_pool *pool,
                               ms_error *err);

/* Only checks names, shapes, types and, with check_values, that all values are finite. Calls report for each
   problem instead of stopping at the first; returns MS_BAD_MODEL if there was one. */
typedef void (*ms_weights_report_fn)(void *arg, const char *problem);
ms_status ms_weights_verify(const ms_weights *weights, const ms_tensor_file *file, const char *prefix,
                            bool check_values, ms_weights_report_fn report, void *arg, ms_error *err);

/* Bytes of all parameters, and of those that stay in memory. Before loading, by the precision. */
size_t ms_weights_bytes(const ms_weights *weights, ms_dtype precision);
size_t ms_weights_resident_bytes(const ms_weights *weights, ms_dtype precision);
/* What those that stay take from the allocator, its headers and page ends included. */
size_t ms_weights_held_bytes(const ms_weights *weights, ms_dtype precision);
/* Of a slot that pieces of these weights pass through on their way to a device that prepares them itself: while they are loaded, and
   again while they are streamed, there are two on the host and two on the device. 0 on other devices. */
size_t ms_weights_slot_bytes(const ms_weights *weights);
bool ms_weights_loaded(const ms_weights *weights);

/* Another one whenever data moved. */
uint64_t ms_weights_generation(const ms_weights *weights);
bool ms_weights_any_streamed(const ms_weights *weights);

/* What kernels read. Valid until the weights are destroyed; of a streamed matrix, until the stream moves on. */
ms_weight ms_weights_matrix(const ms_weights *weights, ms_param param);
const float *ms_weights_vector(const ms_weights *weights, ms_param param);

#endif
