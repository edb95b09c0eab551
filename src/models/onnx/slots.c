/* What the visits of all operators share: messages, slots and constants. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "models/onnx/build.h"
#include "text/text.h"

ms_status(ms_onnx_fail)(const onnx_build *b, const ms_onnx_node *node, ms_status code, const char *fmt, ...) {
    char text[320], name[MS_QUOTE_BYTES], op[MS_QUOTE_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (!node)
        return ms_fail(b->err, code, "%s", text);
    return ms_fail(b->err, code, "node %d \"%s\" (%s): %s", (int)(node - b->file->nodes),
                   ms_quote(name, node->name, strlen(node->name)), ms_quote(op, node->op, strlen(node->op)),
                   text);
}

ms_status(ms_onnx_no_region)(const onnx_build *b) {
    if (b->region->over_limit)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "its constants need more than %zu bytes",
                            ONNX_MAX_FOLDED_BYTES);
    return ms_fail_alloc(b->err, b->region->mem, b->region->used_bytes, "building a network");
}

ms_status ms_onnx_graph_status(const onnx_build *b, const ms_onnx_node *node) {
    if (!ms_graph_failed(b->graph))
        return MS_OK;
    ms_status status = ms_graph_finish(b->graph, b->err);
    return node ? ms_fail_prefix(b->err, status, "node %d", (int)(node - b->file->nodes)) : status;
}

const char *ms_onnx_dims_text(char text[ONNX_DIMS_TEXT], int rank, const int64_t *dim) {
    size_t n = (size_t)snprintf(text, ONNX_DIMS_TEXT, "[");
    for (int i = 0; i < rank && n < ONNX_DIMS_TEXT; i++)
        n += (size_t)snprintf(text + n, ONNX_DIMS_TEXT - n, "%s%" PRId64, i ? ", " : "", dim[i]);
    if (n < ONNX_DIMS_TEXT - 1)
        strcpy(text + n, "]");
    return text;
}

ms_status ms_onnx_set_dims(const onnx_build *b, onnx_slot *slot, int rank, const int64_t *dim) {
    int64_t elements = 1, span = 1; /* span: without the dimensions that are 0, so that strides fit too */
    for (int i = 0; i < rank; i++) {
        bool fits = dim[i] >= 0 && !__builtin_mul_overflow(span, dim[i] ? dim[i] : 1, &span);
        elements = dim[i] ? elements : 0;
        if (!fits || span > ONNX_MAX_ELEMENTS) {
            char text[ONNX_DIMS_TEXT];
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "a tensor of %s elements is not supported",
                                ms_onnx_dims_text(text, rank, dim));
        }
    }
    slot->rank = rank;
    slot->elements = elements * span;
    if (rank)
        memmove(slot->dim, dim, (size_t)rank * sizeof(*dim));
    return MS_OK;
}

ms_status ms_onnx_axis(const onnx_build *b, int64_t axis, int rank, int *ret_axis) {
    if (axis < -rank || axis >= rank)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "axis %" PRId64 " is outside of %d dimensions", axis,
                            rank);
    *ret_axis = (int)(axis < 0 ? axis + rank : axis);
    return MS_OK;
}

/* ---- inputs and outputs ---- */

onnx_slot *ms_onnx_in(const onnx_build *b, const ms_onnx_node *node, int i) {
    return i < node->n_inputs && node->input[i] >= 0 ? &b->slots[node->input[i]] : NULL;
}

ms_status ms_onnx_out(onnx_build *b, const onnx_slot *slot) {
    b->slots[b->node->output[0]] = *slot;
    return MS_OK;
}

ms_status ms_onnx_out_value(onnx_build *b, ms_value value, int rank) {
    MS_TRY(ms_onnx_graph_status(b, b->node));
    ms_shape s = ms_graph_shape(b->graph, value);
    const int64_t dim[4] = {s.n, s.c, s.h, s.w};
    onnx_slot slot = {.kind = ONNX_LIVE, .value = value, .stride = {s.h * s.w * s.c, 1, s.w * s.c, s.c}};
    MS_TRY(ms_onnx_set_dims(b, &slot, rank, dim));
    return ms_onnx_out(b, &slot);
}

/* ---- constants ---- */

ms_status ms_onnx_new_const(const onnx_build *b, ms_dtype dtype, int rank, const int64_t *dim,
                            onnx_slot *ret_slot, void **ret_data) {
    onnx_slot slot = {.kind = ONNX_CONST, .dtype = dtype, .origin = -1};
    MS_TRY(ms_onnx_set_dims(b, &slot, rank, dim));
    void *data = ms_region_alloc_array(b->region, (size_t)slot.elements, ms_dtype_bytes(dtype));
    if (!data)
        return ms_onnx_no_region(b);
    slot.data = data;
    *ret_slot = slot;
    *ret_data = data;
    return MS_OK;
}

/* A constant of which some other use was the last: only happens when the network is prepared again and a
   tensor has become part of the weights meanwhile. */
static ms_status check_there(const onnx_build *b, const ms_onnx_node *node, const onnx_slot *slot) {
    return slot->data ? MS_OK
                      : ms_onnx_fail(b, node, MS_INTERNAL, "a constant that it needs was given back already");
}

ms_status ms_onnx_const_ints(const onnx_build *b, int input, int capacity, int64_t *ret_values,
                             int *ret_count) {
    const onnx_slot *slot = ms_onnx_in(b, b->node, input);
    if (!slot || slot->kind != ONNX_CONST)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "input %d depends on data, which is not supported",
                            input);
    if (slot->dtype != MS_I64 || slot->rank > 1)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "input %d is no list of integers", input);
    if (slot->elements > capacity)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "input %d has %" PRId64 " values, more than %d", input,
                            slot->elements, capacity);
    MS_TRY(check_there(b, b->node, slot));
    if (slot->elements)
        memcpy(ret_values, slot->data, (size_t)slot->elements * sizeof(int64_t));
    *ret_count = (int)slot->elements;
    return MS_OK;
}

ms_status ms_onnx_const_floats(const onnx_build *b, const ms_onnx_node *node, const onnx_slot *slot,
                               const char *who, const float **ret_values) {
    if (!slot || slot->kind != ONNX_CONST)
        return ms_onnx_fail(b, node, MS_BAD_MODEL, "%s: depend on data, which is not supported", who);
    if (slot->dtype != MS_F32)
        return ms_onnx_fail(b, node, MS_BAD_MODEL, "%s: are no floating numbers", who);
    MS_TRY(check_there(b, node, slot));
    *ret_values = slot->data;
    return MS_OK;
}
