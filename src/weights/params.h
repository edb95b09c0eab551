/*
 * What the graphs of a model ask of its checkpoint: names, shapes, and how kernels
 * want to read each tensor. Builders declare it; nothing is loaded here. Weights
 * (weights.h) are loaded by it, and how much they will take can be asked before that.
 */
#ifndef MS_WEIGHTS_PARAMS_H
#define MS_WEIGHTS_PARAMS_H

#include "device/device.h"

#define MS_PARAM_PARTS 3

typedef struct ms_params ms_params;

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

/*
 * Which matrices are streamed (weight_stream.h). The matrices have a fixed order. Its first
 * ones, however many, lie evenly spread over the network, so that between two streamed
 * matrices there are resident ones that give time to read. A residency says how far that
 * order is streamed. So of two residencies one always streams all that the other does.
 */
typedef uint64_t ms_residency;
#define MS_ALL_RESIDENT ((ms_residency)0)
#define MS_ALL_STREAMED ((ms_residency)1 << 32)

/* dev chooses layouts and says sizes; nothing else is asked of it. It must outlive the parameters. */
ms_status ms_params_create(ms_mem *mem, const ms_device *dev, ms_params **ret_params, ms_error *err);
void ms_params_destroy(ms_params **params);

/* The same name gives the same parameter; a declaration that contradicts an earlier one is MS_INTERNAL.
   Strings are copied. */
ms_status ms_params_declare(ms_params *params, const ms_param_decl *decl, ms_param *ret_param, ms_error *err);

ms_mem *ms_params_mem(const ms_params *params);
size_t ms_params_own_bytes(const ms_params *params); /* what the declarations take, as charged */
const ms_device *ms_params_device(const ms_params *params);
size_t ms_params_count(const ms_params *params);
/* Stays where it is while the parameters live. */
const ms_param_decl *ms_params_decl(const ms_params *params, ms_param param);
int64_t ms_params_part_elements(const ms_params *params, ms_param param);

/* Vectors always stay. */
bool ms_params_is_streamed(const ms_params *params, ms_param param, ms_residency residency);

/* ---- sizes, when the weights are loaded in that precision ---- */

size_t ms_param_bytes(const ms_params *params, ms_param param, ms_dtype precision);
/* Bytes of all parameters, and of those that stay in memory. */
size_t ms_params_bytes(const ms_params *params, ms_dtype precision);
size_t ms_params_resident_bytes(const ms_params *params, ms_dtype precision, ms_residency residency);
/* What those that stay take as blocks of the device's memory (ms_device_block_bytes()). */
size_t ms_params_held_bytes(const ms_params *params, ms_dtype precision, ms_residency residency);
/* Room for the two largest streamed matrices; 0 when nothing is streamed. */
size_t ms_params_stream_bytes(const ms_params *params, ms_dtype precision, ms_residency residency);
/* Floats of scratch that each thread needs for reading any streamed matrix; 0 where
   the device prepares them. */
size_t ms_params_stream_scratch_floats(const ms_params *params, ms_residency residency);
/* Bytes of a slot. Pieces of the weights pass through slots on their way to a device that
   prepares them itself. While weights are loaded there are two slots on the host and two
   on the device, and as many again while they are streamed. 0 on other devices. */
size_t ms_params_slot_bytes(const ms_params *params);

ms_weight_shape ms_param_weight_shape(const ms_params *params, ms_param param, ms_dtype dtype);

#endif
