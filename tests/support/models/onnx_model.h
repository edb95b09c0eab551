/*
 * ONNX models made by hand in memory, and the pieces of protobuf's wire format that they consist of, for what
 * exporters do not write. Tests and fuzz targets only: running out of memory ends the program.
 *
 *     onnx_model m = {.opset = 13};
 *     model_input(&m, "x", 4, (int64_t[]){1, 3, -1, -1});
 *     model_node(&m, "Relu", "x", "y");
 *     model_output(&m, "y");
 *     byte_string file = model_end(&m);
 */
#ifndef MS_TESTS_SUPPORT_MODELS_ONNX_MODEL_H
#define MS_TESTS_SUPPORT_MODELS_ONNX_MODEL_H

#include <stdbool.h>

#include "support/models/torch_archive.h"

/* ---- protobuf: one field each */

void pb_varint(byte_string *b, int field, uint64_t value);
void pb_float(byte_string *b, int field, float value);
void pb_bytes(byte_string *b, int field, const void *data, size_t length);
void pb_text(byte_string *b, int field, const char *text);
/* Frees the inner message. */
void pb_message(byte_string *b, int field, byte_string *inner);
/* One varint without a field, as packed lists hold them. */
void pb_bare_varint(byte_string *b, uint64_t value);

/* ---- models */

/* Field numbers of onnx.proto that tests put odd things into. */
enum { PB_MODEL_GRAPH = 7, PB_MODEL_OPSET = 8, PB_MODEL_FUNCTIONS = 25 };
enum { PB_GRAPH_NODE = 1, PB_GRAPH_TENSOR = 5, PB_GRAPH_INPUT = 11, PB_GRAPH_SPARSE = 15 };
enum { PB_NODE_INPUT = 1, PB_NODE_OUTPUT, PB_NODE_NAME, PB_NODE_OP, PB_NODE_ATTR, PB_NODE_DOMAIN = 7 };
enum { PB_ATTR_NAME = 1, PB_ATTR_F, PB_ATTR_I, PB_ATTR_S, PB_ATTR_T, PB_ATTR_FLOATS = 7, PB_ATTR_INTS };
enum { PB_ATTR_TYPE = 20, PB_ATTR_REFERS = 21 };
enum { PB_TENSOR_DIMS = 1, PB_TENSOR_TYPE, PB_TENSOR_SEGMENT, PB_TENSOR_FLOATS, PB_TENSOR_INT32S };
enum { PB_TENSOR_INT64S = 7, PB_TENSOR_NAME, PB_TENSOR_RAW, PB_TENSOR_DOUBLES, PB_TENSOR_UINT64S };
enum { PB_TENSOR_EXTERNAL = 13, PB_TENSOR_LOCATION };

typedef struct onnx_model {
    int64_t ir, opset; /* 0 = 8 and 13 */
    byte_string model; /* further fields of the model */
    byte_string graph;
    byte_string node; /* the last one, to which attributes can still be added */
} onnx_model;

/* dims: -1 = a named size that the file leaves open. */
void model_input(onnx_model *m, const char *name, int rank, const int64_t *dims);
void model_output(onnx_model *m, const char *name);

/* inputs, outputs: separated by commas; an empty one is left out. The node's name is its first output's with
   "n_" in front. */
void model_node(onnx_model *m, const char *op, const char *inputs, const char *outputs);
/* Attributes of the last node. */
void model_int(onnx_model *m, const char *name, int64_t value);
void model_ints(onnx_model *m, const char *name, int count, const int64_t *values);
void model_float(onnx_model *m, const char *name, float value);
void model_floats(onnx_model *m, const char *name, int count, const float *values);
void model_text(onnx_model *m, const char *name, const char *value);
/* Frees the tensor. */
void model_tensor(onnx_model *m, const char *name, byte_string *tensor);

/* A tensor message; name NULL = none. */
byte_string tensor_f32(const char *name, int rank, const int64_t *dims, const float *values);
byte_string tensor_i64(const char *name, int rank, const int64_t *dims, const int64_t *values);
/* Initializers. */
void model_f32(onnx_model *m, const char *name, int rank, const int64_t *dims, const float *values);
void model_i64(onnx_model *m, const char *name, int rank, const int64_t *dims, const int64_t *values);

/* The whole file; m is empty afterwards. */
byte_string model_end(onnx_model *m);

#endif
