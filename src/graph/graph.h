/*
 * Static graphs. A builder appends operations in the order in which they run; each returns the
 * value it makes. Nothing is computed here, and neither weights nor memory of a device are
 * needed: the planner lays the values out in one arena (plan.h), the executor runs them (exec.h).
 *
 * Slicing. Operations come in segments. In a segment over FRAMES every operation treats
 * each image on its own, in a segment over PIXELS each pixel (with all its frames); so
 * the executor may run the whole segment for a part of the rows and then for the next,
 * and values that do not leave the segment need room for one part only. What needs every
 * row at once (merging group-norm statistics of a window) stands between segments.
 *
 * In a segment over ROWS images are taken one after the other, each in stripes of rows.
 * Values that leave the segment are made stripe by stripe; those that stay inside cover
 * what the stripe needs of them, with the halo that convolutions read above and below,
 * which is made again for the next stripe. Stripes begin at multiples of MS_STRIPE_ROWS
 * of the image, so the kernels' tiles, and with them the bits, are those of whole images.
 *
 * Errors are sticky: after the first one, builders return MS_NO_VALUE and do
 * nothing, and ms_graph_finish() reports it.
 */
#ifndef MS_GRAPH_GRAPH_H
#define MS_GRAPH_GRAPH_H

#include "weights/params.h"

typedef int32_t ms_value;
#define MS_NO_VALUE (-1)

/* n images of h x w pixels with c channels, channels last. Token sequences have h = tokens, w = 1. */
typedef struct ms_shape {
    int64_t n, h, w, c;
} ms_shape;

static inline int64_t ms_shape_elements(ms_shape s) {
    return s.n * s.h * s.w * s.c;
}

typedef enum ms_axis {
    MS_AXIS_NONE,
    MS_AXIS_FRAMES,
    MS_AXIS_PIXELS,
    MS_AXIS_ROWS,
} ms_axis;

#define MS_STRIPE_ROWS 4

/* Rows of an image, from `first` to the one before `end`. */
typedef struct ms_row_range {
    int64_t first, end;
} ms_row_range;

typedef struct ms_graph ms_graph;
typedef struct ms_node ms_node;
typedef struct ms_exec_context ms_exec_context;

#define MS_NODE_INPUTS 6
#define MS_NODE_PARAMS 5

/* One kind of operation; one file in graph/ops each. */
typedef struct ms_op {
    const char *name;
    bool pixels;    /* it may stand in a segment over pixels */
    bool attention; /* ms_slicing.attention_parts cuts its segment */
    bool rows;      /* ... over rows */
    bool keeps;     /* its output lives on from stripe to stripe */
    /* Rows of input number `input` that make rows `out` of the output; NULL = the same rows. */
    ms_row_range (*reads)(const ms_graph *graph, const ms_node *node, int input, ms_row_range out);
    size_t (*workspace)(const ms_exec_context *x, const ms_node *node); /* NULL = none */
    ms_status (*run)(const ms_exec_context *x, const ms_node *node, void *workspace);
    /* Multiplications and additions for all rows, direct-equivalent; NULL = counts as none. */
    double (*flops)(const ms_graph *graph, const ms_node *node);
    /* What one pass gives to the queue: kernels, copies and fills; NULL = one. */
    int64_t (*calls)(const ms_graph *graph, const ms_node *node);
} ms_op;

struct ms_node {
    const ms_op *op;
    const char *name; /* the layer it came from */
    int n_inputs;
    ms_value input[MS_NODE_INPUTS]; /* MS_NO_VALUE where an optional one is absent */
    ms_value output;
    int in_place; /* index of the input whose memory the output may take over, -1 = none */
    bool unread;  /* that input is there for its memory alone */
    int n_params;
    ms_param param[MS_NODE_PARAMS]; /* MS_NO_PARAM where an optional one is absent */
    int segment;
    const void *desc; /* the operation's own, in the graph's memory */
};

typedef struct ms_value_info {
    const char *name;
    ms_shape shape;
    ms_dtype dtype;
    bool whole; /* never sliced: a vector, a table of the whole window */
    bool input, output;
    bool local;  /* stays inside one sliced segment */
    int slot;    /* its place in the context's bound memory; -1 = in the arena */
    int segment; /* the segment that makes it; -1 for inputs */
    /* first and last node that touches it (inputs: first = 0; outputs: last = the last node) */
    int first, last;
} ms_value_info;

typedef struct ms_segment {
    ms_axis axis;
    int first, last; /* nodes */
    int64_t extent;  /* rows along the axis; 1 for NONE */
    int64_t images;  /* ROWS: images that are taken one after the other; 1 for the others */
    const char *name;
} ms_segment;

/* The graph takes its memory from the parameters, which must outlive it. activation:
   the type in which values between operations are kept, one of the device's. */
ms_status ms_graph_create(ms_params *params, ms_dtype activation, ms_graph **ret_graph, ms_error *err);
void ms_graph_destroy(ms_graph **graph);

/* Begins a segment; operations up to the next call belong to it. */
void ms_graph_segment(ms_graph *graph, ms_axis axis, const char *name);

/* Sets the type of a value that exists. Inputs are float32 unless the builder says otherwise. */
void ms_graph_set_dtype(ms_graph *graph, ms_value value, ms_dtype dtype);

ms_value ms_graph_input(ms_graph *graph, const char *name, ms_shape shape, bool whole);
void ms_graph_output(ms_graph *graph, ms_value value, const char *name);

/* To be called before the graph is planned. The input or output lies where the context
   says for that slot (ms_context.bound), and takes no memory of the arena. Several
   values may have one slot, if whoever binds it means them to lie in one place. */
#define MS_GRAPH_SLOTS 12
void ms_graph_bind(ms_graph *graph, ms_value value, int slot);

/* Text that lives as long as the graph: layer names. */
const char *ms_graph_text(ms_graph *graph, const char *fmt, ...) MS_PRINTF(2, 3);

/* Reports the first error of the build, checks the segments, computes lives. No
   operation may be added after it. */
ms_status ms_graph_finish(ms_graph *graph, ms_error *err);

/* ---- for operations ---- */

bool ms_graph_failed(const ms_graph *graph);
ms_status ms_graph_fail(ms_graph *graph, ms_status code, const char *fmt, ...) MS_PRINTF(3, 4);
void *ms_graph_copy(ms_graph *graph, const void *desc, size_t bytes);

/* Appends a node; its output gets the given shape. node is copied; segment and output are filled in. */
ms_value ms_graph_append(ms_graph *graph, const ms_node *node, ms_shape shape, bool whole);

ms_dtype ms_graph_activation(const ms_graph *graph);

/* Declares a parameter; NULL name gives MS_NO_PARAM. */
ms_param ms_graph_matrix(ms_graph *graph, const ms_param_decl *decl);
ms_param ms_graph_vector(ms_graph *graph, const char *name, int rank, const int64_t *shape);

/* ---- looking at it ---- */

const ms_device *ms_graph_device(const ms_graph *graph); /* whose sizes it goes by */
ms_mem *ms_graph_mem(const ms_graph *graph);
const ms_params *ms_graph_params(const ms_graph *graph);
size_t ms_graph_held_bytes(const ms_graph *graph); /* by the graph itself, as charged */
int ms_graph_node_count(const ms_graph *graph);
int ms_graph_value_count(const ms_graph *graph);
int ms_graph_segment_count(const ms_graph *graph);
const ms_node *ms_graph_node(const ms_graph *graph, int index);
const ms_value_info *ms_graph_value(const ms_graph *graph, ms_value value);
const ms_segment *ms_graph_get_segment(const ms_graph *graph, int index);
ms_dtype ms_graph_dtype(const ms_graph *graph, ms_value value);  /* F32 for MS_NO_VALUE */
ms_value ms_graph_find(const ms_graph *graph, const char *name); /* an input or output */
double ms_graph_flops(const ms_graph *graph);

/* Shape of a value; all zero for MS_NO_VALUE. */
ms_shape ms_graph_shape(const ms_graph *graph, ms_value value);

#endif
