/*
 * From an ONNX file to a graph of the runtime, for given input shapes. Nodes are visited in the file's order;
 * each tensor of the file gets a slot that says what it is by then:
 *
 * - a constant: an initializer, or computed here from constants and shapes (fold.c, views.c). Everything that
 *   only computes shapes ends here and leaves no trace in the graph;
 * - a live tensor: a view of a value of the graph. ONNX's tensors are row-major and images N,C,H,W; the
 *   runtime's are channels-last. So a live tensor keeps the file's dimensions, and strides that say where
 *   its elements lie in the value's memory. Transpose, Reshape, Flatten, Squeeze and Unsqueeze change the
 *   view and move nothing as long as strides can express the result.
 *
 * A matrix product (matrix.c) looks ahead along its only reader: normalisations and constant factors are
 * multiplied into its weights, an activation and a sum with a tensor that is there already go into its
 * epilogue. The nodes whose work was done that way then pass their input through.
 */
#ifndef MS_MODELS_ONNX_BUILD_H
#define MS_MODELS_ONNX_BUILD_H

#include "formats/onnx/onnx_file.h"
#include "graph/ops.h"
#include "text/strmap.h"

#define ONNX_RANK MS_ONNX_MAX_RANK
/* Tensors with more elements are refused: sums of their sizes stay far inside 64 bits. */
#define ONNX_MAX_ELEMENTS ((int64_t)1 << 36)
#define ONNX_MAX_NODES 4096
/* The most bytes of all constants that are computed here, together. */
#define ONNX_MAX_FOLDED_BYTES ((size_t)512 << 20)

typedef enum onnx_kind { ONNX_ABSENT, ONNX_CONST, ONNX_LIVE } onnx_kind;

typedef struct onnx_slot {
    onnx_kind kind;
    int rank;
    int64_t dim[ONNX_RANK];
    int64_t elements;
    /* CONST, row-major */
    ms_dtype dtype;   /* MS_F32 or MS_I64 */
    const void *data; /* NULL: given back, its values are with the weights */
    int32_t origin;   /* the initializer that this is, -1 = computed */
    /* LIVE */
    ms_value value;
    int64_t stride[ONNX_RANK]; /* in elements of the value's memory */
} onnx_slot;

/* Who reads a tensor; nodes that nothing of the result depends on do not count. */
typedef struct onnx_use {
    int count;          /* of inputs that take its values */
    int node;           /* one of them */
    bool shape, output; /* a node asks for its shape; it is an output of the network */
} onnx_use;

/* How the values of one parameter come about. */
typedef struct onnx_recipe {
    const float *values;     /* n rows of k, or, transposed, k rows of n */
    const double *row_scale; /* n factors, or NULL */
    int64_t n, k;
    bool transposed;
    int32_t origin; /* initializer that is not needed once the parameter is set, -1 = none */
} onnx_recipe;

typedef struct onnx_build {
    const ms_onnx_file *file;
    const onnx_use *uses; /* per value */
    const bool *needed;   /* per node */
    ms_graph *graph;
    ms_region *region;        /* slots, computed constants, recipes: all that is not needed after the build */
    onnx_slot *slots;         /* per value */
    int *pass;                /* per node: the input that it passes through, -1 = it is to be built */
    ms_strmap recipes;        /* parameter name -> onnx_recipe */
    int64_t images;           /* first dimension of every live value's shape */
    const ms_onnx_node *node; /* at hand */
    int index;
    ms_error *err;
} onnx_build;

typedef ms_status (*onnx_visit)(onnx_build *b);

/* One operator of ONNX. */
typedef struct onnx_op {
    const char *name;
    int min_inputs, max_inputs;
    onnx_visit live; /* some input is live; NULL: not supported then */
    onnx_visit fold; /* all inputs are constants; NULL: not supported then */
} onnx_op;

const onnx_op *ms_onnx_find_op(const char *name);

/* Visits all needed nodes; the slots of inputs and initializers are filled in. */
ms_status ms_onnx_build_nodes(onnx_build *b);

/* Checks every node before it is looked at: its operator, its number of inputs and outputs. */
ms_status ms_onnx_check_node(const onnx_build *b, const ms_onnx_node *node, const onnx_op **ret_op);

/* ---- messages, memory ---- */

/* "node 12 "Conv_12" (Conv): ..." */
ms_status ms_onnx_fail(const onnx_build *b, const ms_onnx_node *node, ms_status code, const char *fmt, ...)
    MS_PRINTF(4, 5);
ms_status ms_onnx_no_region(const onnx_build *b);
#ifdef __clang_analyzer__ /* as ms_fail() in base/error.h */
#define ms_onnx_fail(b, node, code, ...) ((void)(ms_onnx_fail)(b, node, code, __VA_ARGS__), (code))
#define ms_onnx_no_region(b) ((void)(ms_onnx_no_region)(b), MS_HOST_MEMORY)
#endif

/* Turns the graph's first error, if there is one, into a status. */
ms_status ms_onnx_graph_status(const onnx_build *b, const ms_onnx_node *node);

/* ---- slots ---- */

/* The i-th input of a node; NULL when it is left out. */
onnx_slot *ms_onnx_in(const onnx_build *b, const ms_onnx_node *node, int i);
/* The node's output becomes what slot says. */
ms_status ms_onnx_out(onnx_build *b, const onnx_slot *slot);
/* ... a new live tensor: an image [n, c, h, w] or, rank 2, rows [n, c]. */
ms_status ms_onnx_out_value(onnx_build *b, ms_value value, int rank);

/* A constant with room for its elements. */
ms_status ms_onnx_new_const(const onnx_build *b, ms_dtype dtype, int rank, const int64_t *dim,
                            onnx_slot *ret_slot, void **ret_data);

/* A constant input's integers, rank 0 or 1, at most `capacity`; refuses one that is not constant
   or has no integers. */
ms_status ms_onnx_const_ints(const onnx_build *b, int input, int capacity, int64_t *ret_values,
                             int *ret_count);

/* A constant's float32 values; refuses another type. who: "weights". */
ms_status ms_onnx_const_floats(const onnx_build *b, const ms_onnx_node *node, const onnx_slot *slot,
                               const char *who, const float **ret_values);

/* Sets elements; refuses negative and huge sizes. */
ms_status ms_onnx_set_dims(const onnx_build *b, onnx_slot *slot, int rank, const int64_t *dim);

/* Dimensions as text: "[1, 3, 64, 96]". */
#define ONNX_DIMS_TEXT 160
const char *ms_onnx_dims_text(char text[ONNX_DIMS_TEXT], int rank, const int64_t *dim);

/* axis of a tensor of that rank, counted from the end when negative; refuses what is outside. */
ms_status ms_onnx_axis(const onnx_build *b, int64_t axis, int rank, int *ret_axis);

/* ---- views (views.c) ---- */

bool ms_onnx_row_major(const onnx_slot *slot);
bool ms_onnx_same_view(const onnx_build *b, const onnx_slot *a, const onnx_slot *c);
/* Dimension 1 runs over the value's channels. */
bool ms_onnx_channels_second(const onnx_build *b, const onnx_slot *slot);

/* The value behind a live [n, c, h, w] as an image of the runtime; copies when the memory is otherwise. */
ms_status ms_onnx_image(onnx_build *b, onnx_slot *slot, ms_value *ret_value);
/* A live [n, k] as rows. */
ms_status ms_onnx_rows(onnx_build *b, onnx_slot *slot, ms_value *ret_value);
/* Any live tensor with its elements in row-major order. */
ms_status ms_onnx_plain(onnx_build *b, onnx_slot *slot, ms_value *ret_value);

ms_status ms_onnx_visit_reshape(onnx_build *b);
ms_status ms_onnx_visit_flatten(onnx_build *b);
ms_status ms_onnx_visit_squeeze(onnx_build *b);
ms_status ms_onnx_visit_unsqueeze(onnx_build *b);
ms_status ms_onnx_visit_transpose(onnx_build *b);
ms_status ms_onnx_visit_shape(onnx_build *b);
ms_status ms_onnx_visit_size(onnx_build *b);
ms_status ms_onnx_visit_identity(onnx_build *b);
ms_status ms_onnx_visit_dropout(onnx_build *b);

/* ---- constants (fold.c) ---- */

ms_status ms_onnx_fold_transpose(onnx_build *b, const onnx_slot *from, const int *perm);
ms_status ms_onnx_fold_constant(onnx_build *b);
ms_status ms_onnx_fold_constant_of_shape(onnx_build *b);
ms_status ms_onnx_fold_cast(onnx_build *b);
ms_status ms_onnx_fold_gather(onnx_build *b);
ms_status ms_onnx_fold_slice(onnx_build *b);
ms_status ms_onnx_fold_concat(onnx_build *b);
ms_status ms_onnx_fold_arithmetic(onnx_build *b);
ms_status ms_onnx_fold_rounding(onnx_build *b);

/* ---- one element at a time (points.c) ---- */

typedef enum onnx_point_kind {
    ONNX_POINT_NONE,   /* something else */
    ONNX_POINT_AFFINE, /* scale * x + shift */
    ONNX_POINT_ACT,
    ONNX_POINT_SUM, /* x + another live tensor */
} onnx_point_kind;

/* What a node does to one of its inputs. Tables have one entry, or one for each channel. */
typedef struct onnx_point {
    onnx_point_kind kind;
    int64_t entries; /* of scale and shift, or of slope */
    const double *scale, *shift;
    ms_act act;
    const float *slope;     /* PRELU */
    const onnx_slot *other; /* SUM */
} onnx_point;

/* Looks at input `input` of a node, which has x's dimensions. A node that is no such thing is
   ONNX_POINT_NONE; one that would be, with attributes or constants that make no sense, is an error. */
ms_status ms_onnx_point_of(onnx_build *b, const ms_onnx_node *node, int input, const onnx_slot *x,
                           onnx_point *ret_point);

ms_status ms_onnx_visit_point(onnx_build *b);

/* ---- matrix products (matrix.c) ---- */

/* What follows a product with n outputs, as far as its epilogue can take it. */
typedef struct onnx_tail {
    int64_t n;
    double *scale, *shift; /* n each: applied to the product with its bias */
    ms_act act;
    float *slope; /* n, PRELU */
    ms_value residual;
} onnx_tail;

ms_status ms_onnx_tail_init(const onnx_build *b, int64_t n, onnx_tail *ret_tail);
ms_status ms_onnx_tail_affine(const onnx_build *b, onnx_tail *tail, const onnx_point *point);
/* Takes over what it can of what reads the output of the node at hand, which has result's dimensions and
   strides in a value of the given shape. */
ms_status ms_onnx_follow(onnx_build *b, const onnx_slot *result, ms_shape shape, onnx_tail *tail);

/* Puts the tail into an operation: epilogue, bias and what is to be multiplied into the weight's rows. bias:
   n values or NULL. */
ms_status ms_onnx_tail_finish(onnx_build *b, const onnx_tail *tail, const float *bias, ms_out_desc *ret_out,
                              onnx_recipe *weight);

/* Names a parameter of the node at hand ("12.weight.64": one with 64 rows) and keeps how its values come
   about. */
ms_status ms_onnx_add_param(onnx_build *b, const char *what, const onnx_recipe *recipe,
                            const char **ret_name);

ms_status ms_onnx_visit_conv(onnx_build *b);
ms_status ms_onnx_visit_gemm(onnx_build *b);
ms_status ms_onnx_visit_matmul(onnx_build *b);

/* ---- images (images.c) ---- */

ms_status ms_onnx_visit_pool(onnx_build *b);
ms_status ms_onnx_visit_global_pool(onnx_build *b);
ms_status ms_onnx_visit_resize(onnx_build *b);
ms_status ms_onnx_visit_upsample(onnx_build *b);
ms_status ms_onnx_visit_concat(onnx_build *b);

#endif
