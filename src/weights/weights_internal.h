/* Shared by weights.c (directory) and weights_load.c (reading and packing). */
#ifndef MS_WEIGHTS_INTERNAL_H
#define MS_WEIGHTS_INTERNAL_H

#include "base/strmap.h"
#include "weights/weights.h"

typedef struct ms_loaded_param {
    ms_param_decl decl;
    int64_t elements; /* of one part */
    ms_dtype dtype;   /* in memory, once loaded */
    void *data;       /* NULL = not loaded */
} ms_loaded_param;

struct ms_weights {
    ms_device *dev;
    ms_region region;  /* names and the map */
    ms_strmap by_name; /* value: index + 1 as a pointer */
    ms_loaded_param *params;
    int count, capacity;
};

ms_weight_shape ms_param_weight_shape(const ms_loaded_param *param, ms_dtype dtype);
size_t ms_param_bytes(const ms_weights *weights, const ms_loaded_param *param, ms_dtype dtype);

/* Frees all data, keeps the declarations. */
void ms_weights_release(ms_weights *weights);

#endif
