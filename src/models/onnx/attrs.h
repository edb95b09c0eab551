/* The attributes of a node. They are asked for by name, with their defaults; an
   attribute that nobody asked for is refused. */
#ifndef MS_MODELS_ONNX_ATTRS_H
#define MS_MODELS_ONNX_ATTRS_H

#include "models/onnx/build.h"

/* After the first problem every question gets its default and the problem waits for ms_onnx_attrs_end(). */
typedef struct onnx_attrs {
    const onnx_build *b;
    const ms_onnx_node *node;
    uint64_t asked; /* by number; a node has at most 64 */
    ms_status status;
} onnx_attrs;

onnx_attrs ms_onnx_attrs_begin(const onnx_build *b, const ms_onnx_node *node);

/* NULL when it is not there. */
const ms_onnx_attr *ms_onnx_attr_find(onnx_attrs *a, const char *name, ms_onnx_attr_type type);

int64_t ms_onnx_attr_int(onnx_attrs *a, const char *name, int64_t otherwise, int64_t min, int64_t max);
float ms_onnx_attr_float(onnx_attrs *a, const char *name, float otherwise);
const char *ms_onnx_attr_text(onnx_attrs *a, const char *name, const char *otherwise);

/* Exactly n integers, or all `otherwise`. */
void ms_onnx_attr_ints(onnx_attrs *a, const char *name, int n, int64_t otherwise, int64_t min, int64_t max,
                       int64_t *ret_values);

/* Refuses a value: "attribute mode: only nearest is supported". */
void ms_onnx_attr_refuse(onnx_attrs *a, const char *name, const char *fmt, ...) MS_PRINTF(3, 4);

ms_status ms_onnx_attrs_end(onnx_attrs *a);

#endif
