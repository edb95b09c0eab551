/*
 * ONNX files: the graph of operators and its constants, checked and in a form that needs no protobuf. The
 * format is that of onnx/onnx.proto, IR versions 3 to 14; which operators exist and what they mean is not
 * looked at here.
 *
 * Files are hostile: sizes are capped, every length is compared with what it describes, and what this reader
 * does not understand (tensors in other files, sparse tensors, subgraphs, functions, operators of other
 * domains) is refused by name, never skipped. The reader holds the file's small parts in one region and every
 * large tensor in a block of its own.
 *
 * Without protobuf-c (MS_HAVE_ONNX 0) opening is MS_UNSUPPORTED.
 */
#ifndef MS_FORMATS_ONNX_ONNX_FILE_H
#define MS_FORMATS_ONNX_ONNX_FILE_H

#include "base/dtype.h"
#include "base/mem.h"
#include "memsafe_have.h"

#define MS_ONNX_MAX_RANK 8
#define MS_ONNX_MAX_FILE_BYTES ((uint64_t)512 << 20)
/* Operator sets whose operators this project knows. */
#define MS_ONNX_MIN_OPSET 7
#define MS_ONNX_MAX_OPSET 25

/* Values of all floating types are float32 here (float64 is rounded), those of all integer types and bool
   int64. */
typedef struct ms_onnx_tensor {
    ms_dtype dtype; /* MS_F32 or MS_I64 */
    int rank;
    int64_t shape[MS_ONNX_MAX_RANK];
    int64_t elements;
    const void *data; /* row-major; NULL after ms_onnx_file_release() */
} ms_onnx_tensor;

typedef enum ms_onnx_attr_type {
    MS_ONNX_INT,
    MS_ONNX_FLOAT,
    MS_ONNX_TEXT,
    MS_ONNX_TENSOR,
    MS_ONNX_INTS,
    MS_ONNX_FLOATS,
    MS_ONNX_OTHER, /* a type that no known operator needs; only its name is kept */
} ms_onnx_attr_type;

typedef struct ms_onnx_attr {
    const char *name;
    ms_onnx_attr_type type;
    int64_t count; /* of ints or floats */
    union {
        int64_t i;
        float f;
        const char *text;
        const ms_onnx_tensor *tensor;
        const int64_t *ints;
        const float *floats;
    };
} ms_onnx_attr;

/* Values (tensors that nodes make and read) are numbered; -1 stands for an optional input or output that is
   left out. */
typedef struct ms_onnx_node {
    const char *op;   /* operator */
    const char *name; /* of the node, or of its first output when it has none */
    int n_inputs, n_outputs, n_attrs;
    const int32_t *input, *output;
    const ms_onnx_attr *attr;
} ms_onnx_node;

/* An input or output of the whole graph. */
typedef struct ms_onnx_port {
    const char *name;
    int32_t value;
    bool is_float;                   /* declared as float32 */
    int rank;                        /* -1 = not declared */
    int64_t shape[MS_ONNX_MAX_RANK]; /* -1 = any */
} ms_onnx_port;

/* Nodes come in an order in which each reads only what is there already; each value is made once. Inputs
   that have an initializer are constants and not listed. */
typedef struct ms_onnx_file {
    const char *path;
    int64_t opset;
    int n_nodes, n_inputs, n_outputs, n_values;
    const ms_onnx_node *nodes;
    const ms_onnx_port *inputs, *outputs;
    const char *const *value_names;
    const ms_onnx_tensor *const *constants; /* per value; NULL where it is none */
} ms_onnx_file;

/* MS_IO when the file cannot be read, MS_BAD_MODEL when it is no ONNX file or breaks a rule; the message
   names the path and, where there is one, the node or tensor. */
ms_status ms_onnx_file_open(ms_mem *mem, const char *path, ms_onnx_file **ret_file, ms_error *err);

/* The same of bytes in memory, which are not needed afterwards. name stands for the path. */
ms_status ms_onnx_file_open_memory(ms_mem *mem, const char *name, const void *data, size_t bytes,
                                   ms_onnx_file **ret_file, ms_error *err);
void ms_onnx_file_close(ms_onnx_file **file);

/* Gives the memory of a constant back once its values are elsewhere; does nothing to small ones. */
void ms_onnx_file_release(ms_onnx_file *file, int32_t value);

#endif
