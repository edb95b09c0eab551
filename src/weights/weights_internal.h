/* Shared by weights.c (what is there), weights_source.c (values), weights_load.c
   (filling all) and weight_stream.c (one after the other). */
#ifndef MS_WEIGHTS_WEIGHTS_INTERNAL_H
#define MS_WEIGHTS_WEIGHTS_INTERNAL_H

#include "weights/weights.h"

#define MS_PANEL_ROWS 16
#define MS_SOURCE_VERIFY_FLOATS 65536

typedef struct ms_loaded_param {
    ms_param index;
    const ms_param_decl *decl;
    int64_t elements; /* of one part */
    ms_dtype dtype;   /* in memory, once loaded */
    bool streamed;    /* passes through the stream's buffer: data is set only while it is there */
    void *data;       /* NULL = not loaded */
} ms_loaded_param;

/* Where values come from: once, and for streamed parameters again and again. */
typedef struct ms_weight_source {
    ms_weights *w;
    const ms_tensor_file *file; /* NULL = random values from the seed */
    const char *prefix;
    uint64_t seed;
    ms_dtype precision;
} ms_weight_source;

struct ms_weights {
    ms_compute compute;
    const ms_params *params;
    ms_loaded_param *items;
    int count, capacity; /* of items; parameters that were declared later have none yet */
    ms_residency residency;
    ms_weight_source source; /* of the last load */
    ms_weight_stream *stream;
    uint64_t generation, kept_bytes;
};

/* Bytes in the device's memory, once the type is known. */
static inline size_t ms_loaded_bytes(const ms_weights *w, const ms_loaded_param *p) {
    return ms_param_bytes(w->params, p->index, p->dtype);
}

static inline ms_weight_shape ms_loaded_shape(const ms_weights *w, const ms_loaded_param *p) {
    return ms_param_weight_shape(w->params, p->index, p->dtype);
}

/* Makes items for all that is declared by now. */
ms_status ms_weights_follow_params(ms_weights *weights, ms_error *err);

/* Frees all data. */
void ms_weights_release(ms_weights *weights);

/* Checks a parameter's tensors; gives the type that it has in memory. */
ms_status ms_source_describe(const ms_weight_source *from, const ms_loaded_param *param, ms_dtype *ret_dtype,
                             ms_error *err);

/* A parameter is read in independent tasks (one for a vector, one a panel for a matrix), each with that much
   scratch; param->dtype is known. dst: the whole parameter, or NULL to check the values only. */
int64_t ms_source_tasks(const ms_weight_source *from, const ms_loaded_param *param);
size_t ms_source_scratch_floats(const ms_loaded_param *param);
ms_status ms_source_run_task(const ms_weight_source *from, const ms_loaded_param *param, int64_t task,
                             void *dst, float *scratch, ms_error *err);

/* For devices that prepare weights themselves: the type in which rows of a matrix
   are read. It is the type in memory where the file has that, else float32. */
ms_dtype ms_source_raw_dtype(const ms_weight_source *from, const ms_loaded_param *param);
/* Reads rows of the whole matrix, all of one part, and checks them. */
ms_status ms_source_read_rows(const ms_weight_source *from, const ms_loaded_param *param, ms_dtype raw,
                              int64_t first_row, int64_t rows, void *dst, ms_error *err);
/* Reads elements of a vector, all of one part, rounds and checks them. */
ms_status ms_source_read_vector(const ms_weight_source *from, const ms_loaded_param *param, int64_t first,
                                int64_t count, float *dst, ms_error *err);

/* Checks one part's tensor and, with a block of MS_SOURCE_VERIFY_FLOATS, its values. */
ms_status ms_source_verify_part(const ms_weight_source *from, const ms_loaded_param *param, int part,
                                float *block, ms_error *err);

#endif
