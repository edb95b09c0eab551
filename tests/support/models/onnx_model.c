#include "support/models/onnx_model.h"

#include <stdio.h>
#include <string.h>

/* ---- protobuf ---- */

enum { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_4_BYTES = 5 };

void pb_bare_varint(byte_string *b, uint64_t value) {
    do {
        unsigned char byte = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        bytes_append(b, &byte, 1);
        value >>= 7;
    } while (value);
}

static void key(byte_string *b, int field, int wire) {
    pb_bare_varint(b, (uint64_t)field << 3 | (uint64_t)wire);
}

void pb_varint(byte_string *b, int field, uint64_t value) {
    key(b, field, WIRE_VARINT);
    pb_bare_varint(b, value);
}

void pb_float(byte_string *b, int field, float value) {
    key(b, field, WIRE_4_BYTES);
    bytes_append(b, &value, sizeof(value));
}

void pb_bytes(byte_string *b, int field, const void *data, size_t length) {
    key(b, field, WIRE_BYTES);
    pb_bare_varint(b, length);
    bytes_append(b, data, length);
}

void pb_text(byte_string *b, int field, const char *text) {
    pb_bytes(b, field, text, strlen(text));
}

void pb_message(byte_string *b, int field, byte_string *inner) {
    pb_bytes(b, field, inner->data, inner->length);
    bytes_free(inner);
}

/* ---- inputs and outputs ---- */

void model_input(onnx_model *m, const char *name, int rank, const int64_t *dims) {
    byte_string shape = {0}, tensor = {0}, type = {0}, value = {0};
    for (int i = 0; i < rank; i++) {
        byte_string dim = {0};
        if (dims[i] < 0)
            pb_text(&dim, 2, "open");
        else
            pb_varint(&dim, 1, (uint64_t)dims[i]);
        pb_message(&shape, 1, &dim);
    }
    pb_varint(&tensor, 1, 1); /* float */
    pb_message(&tensor, 2, &shape);
    pb_message(&type, 1, &tensor);
    pb_text(&value, 1, name);
    pb_message(&value, 2, &type);
    pb_message(&m->graph, PB_GRAPH_INPUT, &value);
}

void model_output(onnx_model *m, const char *name) {
    byte_string value = {0};
    pb_text(&value, 1, name);
    pb_message(&m->graph, 12, &value);
}

/* ---- nodes ---- */

static void flush(onnx_model *m) {
    if (m->node.length)
        pb_message(&m->graph, PB_GRAPH_NODE, &m->node);
}

static void add_names(byte_string *node, int field, const char *names) {
    for (size_t at = 0; names[0];) {
        size_t n = strcspn(names + at, ",");
        pb_bytes(node, field, names + at, n);
        if (!names[at + n])
            break;
        at += n + 1;
    }
}

void model_node(onnx_model *m, const char *op, const char *inputs, const char *outputs) {
    char name[64];
    flush(m);
    snprintf(name, sizeof(name), "n_%.*s", (int)strcspn(outputs, ","), outputs);
    add_names(&m->node, PB_NODE_INPUT, inputs);
    add_names(&m->node, PB_NODE_OUTPUT, outputs);
    pb_text(&m->node, PB_NODE_NAME, name);
    pb_text(&m->node, PB_NODE_OP, op);
}

/* AttributeProto.AttributeType */
enum { TYPE_FLOAT = 1, TYPE_INT, TYPE_STRING, TYPE_TENSOR, TYPE_FLOATS = 6, TYPE_INTS };

static byte_string attr_begin(const char *name, int type) {
    byte_string attr = {0};
    pb_text(&attr, PB_ATTR_NAME, name);
    pb_varint(&attr, PB_ATTR_TYPE, (uint64_t)type);
    return attr;
}

void model_int(onnx_model *m, const char *name, int64_t value) {
    byte_string attr = attr_begin(name, TYPE_INT);
    pb_varint(&attr, PB_ATTR_I, (uint64_t)value);
    pb_message(&m->node, PB_NODE_ATTR, &attr);
}

void model_ints(onnx_model *m, const char *name, int count, const int64_t *values) {
    byte_string attr = attr_begin(name, TYPE_INTS);
    for (int i = 0; i < count; i++)
        pb_varint(&attr, PB_ATTR_INTS, (uint64_t)values[i]);
    pb_message(&m->node, PB_NODE_ATTR, &attr);
}

void model_float(onnx_model *m, const char *name, float value) {
    byte_string attr = attr_begin(name, TYPE_FLOAT);
    pb_float(&attr, PB_ATTR_F, value);
    pb_message(&m->node, PB_NODE_ATTR, &attr);
}

void model_floats(onnx_model *m, const char *name, int count, const float *values) {
    byte_string attr = attr_begin(name, TYPE_FLOATS);
    for (int i = 0; i < count; i++)
        pb_float(&attr, PB_ATTR_FLOATS, values[i]);
    pb_message(&m->node, PB_NODE_ATTR, &attr);
}

void model_text(onnx_model *m, const char *name, const char *value) {
    byte_string attr = attr_begin(name, TYPE_STRING);
    pb_text(&attr, PB_ATTR_S, value);
    pb_message(&m->node, PB_NODE_ATTR, &attr);
}

void model_tensor(onnx_model *m, const char *name, byte_string *tensor) {
    byte_string attr = attr_begin(name, TYPE_TENSOR);
    pb_message(&attr, PB_ATTR_T, tensor);
    pb_message(&m->node, PB_NODE_ATTR, &attr);
}

/* ---- tensors ---- */

static byte_string tensor(const char *name, int type, int rank, const int64_t *dims, const void *values,
                          size_t element_bytes) {
    byte_string t = {0};
    size_t elements = 1;
    for (int i = 0; i < rank; i++) {
        pb_varint(&t, PB_TENSOR_DIMS, (uint64_t)dims[i]);
        elements *= (size_t)dims[i];
    }
    pb_varint(&t, PB_TENSOR_TYPE, (uint64_t)type);
    if (name)
        pb_text(&t, PB_TENSOR_NAME, name);
    pb_bytes(&t, PB_TENSOR_RAW, values, elements * element_bytes);
    return t;
}

byte_string tensor_f32(const char *name, int rank, const int64_t *dims, const float *values) {
    return tensor(name, 1, rank, dims, values, sizeof(*values));
}

byte_string tensor_i64(const char *name, int rank, const int64_t *dims, const int64_t *values) {
    return tensor(name, 7, rank, dims, values, sizeof(*values));
}

void model_f32(onnx_model *m, const char *name, int rank, const int64_t *dims, const float *values) {
    byte_string t = tensor_f32(name, rank, dims, values);
    pb_message(&m->graph, PB_GRAPH_TENSOR, &t);
}

void model_i64(onnx_model *m, const char *name, int rank, const int64_t *dims, const int64_t *values) {
    byte_string t = tensor_i64(name, rank, dims, values);
    pb_message(&m->graph, PB_GRAPH_TENSOR, &t);
}

byte_string model_end(onnx_model *m) {
    byte_string file = {0}, opset = {0};
    flush(m);
    pb_varint(&opset, 2, (uint64_t)(m->opset ? m->opset : 13));
    pb_varint(&file, 1, (uint64_t)(m->ir ? m->ir : 8));
    pb_message(&file, PB_MODEL_GRAPH, &m->graph);
    pb_message(&file, PB_MODEL_OPSET, &opset);
    bytes_append(&file, m->model.data, m->model.length);
    bytes_free(&m->model);
    *m = (onnx_model){0};
    return file;
}
