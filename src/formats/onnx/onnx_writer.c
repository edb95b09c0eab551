/* Protobuf's wire format by hand, with the field numbers of onnx/onnx.proto: a key (field
   number and kind), then a number of 7 bits a byte, or a length and so many bytes. */
#include "formats/onnx/onnx_writer.h"

#include <string.h>

#include "base/error.h"
#include "files/new_file.h"

enum { WIRE_NUMBER = 0, WIRE_BYTES = 2 };
enum { MODEL_IR = 1, MODEL_PRODUCER = 2, MODEL_GRAPH = 7, MODEL_OPSET = 8, OPSET_VERSION = 2 };
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_TENSOR = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTR = 5 };
enum { ATTR_NAME = 1, ATTR_I = 3, ATTR_S = 4, ATTR_INTS = 8, ATTR_TYPE = 20 };
enum { ATTR_IS_INT = 2, ATTR_IS_TEXT = 3, ATTR_IS_INTS = 7 };
enum { TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9 };
enum { VALUE_NAME = 1, VALUE_TYPE = 2, TYPE_TENSOR = 1, SHAPED_TYPE = 1, SHAPED_SHAPE = 2, SHAPE_DIM = 1 };
enum { DIM_VALUE = 1, DIM_NAME = 2, IS_FLOAT = 1, IS_INT64 = 7, IR_VERSION = 6 };

static void bare_number(ms_buf *b, uint64_t value) {
    do {
        char byte = (char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        ms_buf_append(b, &byte, 1);
        value >>= 7;
    } while (value);
}

static void number(ms_buf *b, int field, uint64_t value) {
    bare_number(b, (uint64_t)field << 3 | WIRE_NUMBER);
    bare_number(b, value);
}

static void bytes(ms_buf *b, int field, const void *data, size_t length) {
    bare_number(b, (uint64_t)field << 3 | WIRE_BYTES);
    bare_number(b, length);
    ms_buf_append(b, data, length);
}

static void text(ms_buf *b, int field, const char *value) {
    bytes(b, field, value, strlen(value));
}

/* Frees the inner message; its failure is the outer one's. */
static void message(ms_buf *b, int field, ms_buf *inner) {
    b->failed |= inner->failed;
    bytes(b, field, inner->data ? inner->data : "", inner->length);
    ms_buf_free(inner);
    ms_buf_init(inner, b->mem);
}

void ms_onnx_writer_init(ms_onnx_writer *w, ms_mem *mem) {
    ms_buf_init(&w->graph, mem);
    ms_buf_init(&w->node, mem);
    text(&w->graph, GRAPH_NAME, "memsafe");
}

void ms_onnx_writer_free(ms_onnx_writer *w) {
    ms_buf_free(&w->graph);
    ms_buf_free(&w->node);
}

static void value(ms_onnx_writer *w, int field, const char *name, int rank, const int64_t *dims) {
    ms_buf shape, shaped, type, whole;
    ms_buf_init(&shape, w->graph.mem);
    ms_buf_init(&shaped, w->graph.mem);
    ms_buf_init(&type, w->graph.mem);
    ms_buf_init(&whole, w->graph.mem);
    for (int i = 0; i < rank; i++) {
        ms_buf dim;
        ms_buf_init(&dim, w->graph.mem);
        if (dims[i] < 0)
            text(&dim, DIM_NAME, "open");
        else
            number(&dim, DIM_VALUE, (uint64_t)dims[i]);
        message(&shape, SHAPE_DIM, &dim);
    }
    number(&shaped, SHAPED_TYPE, IS_FLOAT);
    message(&shaped, SHAPED_SHAPE, &shape);
    message(&type, TYPE_TENSOR, &shaped);
    text(&whole, VALUE_NAME, name);
    message(&whole, VALUE_TYPE, &type);
    message(&w->graph, field, &whole);
}

void ms_onnx_put_input(ms_onnx_writer *w, const char *name, int rank, const int64_t *dims) {
    value(w, GRAPH_INPUT, name, rank, dims);
}

void ms_onnx_put_output(ms_onnx_writer *w, const char *name, int rank, const int64_t *dims) {
    value(w, GRAPH_OUTPUT, name, rank, dims);
}

static void flush(ms_onnx_writer *w) {
    if (w->node.length || w->node.failed)
        message(&w->graph, GRAPH_NODE, &w->node);
}

void ms_onnx_put_node(ms_onnx_writer *w, const char *op, const char *inputs, const char *output) {
    flush(w);
    for (const char *at = inputs;;) {
        size_t length = strcspn(at, ",");
        bytes(&w->node, NODE_INPUT, at, length);
        if (!at[length])
            break;
        at += length + 1;
    }
    text(&w->node, NODE_OUTPUT, output);
    text(&w->node, NODE_NAME, output);
    text(&w->node, NODE_OP, op);
}

static ms_buf attribute(ms_onnx_writer *w, const char *name, int type) {
    ms_buf attr;
    ms_buf_init(&attr, w->graph.mem);
    text(&attr, ATTR_NAME, name);
    number(&attr, ATTR_TYPE, (uint64_t)type);
    return attr;
}

void ms_onnx_put_int(ms_onnx_writer *w, const char *name, int64_t v) {
    ms_buf attr = attribute(w, name, ATTR_IS_INT);
    number(&attr, ATTR_I, (uint64_t)v);
    message(&w->node, NODE_ATTR, &attr);
}

void ms_onnx_put_ints(ms_onnx_writer *w, const char *name, int count, const int64_t *values) {
    ms_buf attr = attribute(w, name, ATTR_IS_INTS);
    for (int i = 0; i < count; i++)
        number(&attr, ATTR_INTS, (uint64_t)values[i]);
    message(&w->node, NODE_ATTR, &attr);
}

void ms_onnx_put_text(ms_onnx_writer *w, const char *name, const char *v) {
    ms_buf attr = attribute(w, name, ATTR_IS_TEXT);
    text(&attr, ATTR_S, v);
    message(&w->node, NODE_ATTR, &attr);
}

static void constant(ms_onnx_writer *w, const char *name, int type, int rank, const int64_t *dims,
                     const void *values, size_t element_bytes) {
    ms_buf tensor;
    size_t elements = 1;
    ms_buf_init(&tensor, w->graph.mem);
    for (int i = 0; i < rank; i++) {
        number(&tensor, TENSOR_DIMS, (uint64_t)dims[i]);
        elements *= (size_t)dims[i];
    }
    number(&tensor, TENSOR_TYPE, (uint64_t)type);
    text(&tensor, TENSOR_NAME, name);
    bytes(&tensor, TENSOR_RAW, values, elements * element_bytes);
    message(&w->graph, GRAPH_TENSOR, &tensor);
}

void ms_onnx_put_f32(ms_onnx_writer *w, const char *name, int rank, const int64_t *dims,
                     const float *values) {
    constant(w, name, IS_FLOAT, rank, dims, values, sizeof(*values));
}

void ms_onnx_put_i64(ms_onnx_writer *w, const char *name, int rank, const int64_t *dims,
                     const int64_t *values) {
    constant(w, name, IS_INT64, rank, dims, values, sizeof(*values));
}

/* The graph is the last field, so that what stands before it can be made once its length is known. */
ms_status ms_onnx_writer_save(ms_onnx_writer *w, const char *path, ms_error *err) {
    ms_new_file file = MS_NEW_FILE_NONE;
    ms_buf head, opset;
    ms_status status;
    flush(w);
    ms_buf_init(&head, w->graph.mem);
    ms_buf_init(&opset, w->graph.mem);
    number(&head, MODEL_IR, IR_VERSION);
    text(&head, MODEL_PRODUCER, "memsafe");
    number(&opset, OPSET_VERSION, MS_ONNX_WRITER_OPSET);
    message(&head, MODEL_OPSET, &opset);
    bare_number(&head, (uint64_t)MODEL_GRAPH << 3 | WIRE_BYTES);
    bare_number(&head, w->graph.length);
    if (w->graph.failed || head.failed) {
        status = ms_fail_alloc(err, w->graph.mem, w->graph.length, "an ONNX file");
        goto fail;
    }
    MS_GOTO(ms_new_file_open(&file, w->graph.mem, path, false, err));
    MS_GOTO(ms_new_file_write(&file, head.data, head.length, err));
    MS_GOTO(ms_new_file_write(&file, w->graph.data, w->graph.length, err));
    status = ms_new_file_finish(&file, err);
fail:
    ms_new_file_abort(&file);
    ms_buf_free(&head);
    return status;
}
