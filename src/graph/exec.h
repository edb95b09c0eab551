/*
 * Runs a planned graph in an arena. Allocates nothing while running, so a run that began cannot run out of
 * memory; the same bits come out whatever the slices are.
 */
#ifndef MS_GRAPH_EXEC_H
#define MS_GRAPH_EXEC_H

#include <stdatomic.h>

#include "graph/plan.h"
#include "weights/weights.h"

/* Stands for every pointer while workspaces are being sized. A kernel only asks whether there is one. */
#define MS_PLANNING_ADDRESS ((uintptr_t)MS_ARENA_ALIGN)

/* Where a planned graph runs: the queue, the weights (loaded for the graph's
   parameters), the arena (at least plan->arena_bytes of device memory). Graphs that
   run one after the other may share one context. All of it is borrowed. */
typedef struct ms_context {
    ms_compute compute;
    ms_weights *weights;
    void *arena;
    void *state; /* device memory in which a model keeps what its networks hand on, as its own header says */
    void *bound[MS_GRAPH_SLOTS]; /* where the graph's bound values lie */
} ms_context;

/* What an operation sees while it runs. */
struct ms_exec_context {
    const ms_graph *graph;
    const ms_plan *plan;
    const ms_device *dev;
    ms_queue *queue;
    ms_weights *weights; /* NULL while planning */
    char *arena;
    void *const *bound; /* the context's */
    /* only sizes are asked for: there is no arena, and where a run has a pointer
       there is MS_PLANNING_ADDRESS */
    bool planning;
    ms_axis axis;
    int segment;
    int64_t first, count; /* the slice of the current segment */
    int64_t image;        /* ROWS: whose stripe it is */
};

/* The part of a value that the current slice covers. A `whole` value, which is not sliced, has outer = n and
   inner = h * w. */
ms_rows ms_exec_rows(const ms_exec_context *x, ms_value value);

/* In a segment over ROWS: which rows of its image a value holds now (ms_exec_rows()
   gives these), and part of them. In other segments the whole image. */
ms_row_range ms_exec_range(const ms_exec_context *x, ms_value value);
ms_rows ms_exec_rows_at(const ms_exec_context *x, ms_value value, ms_row_range range);

/* Goes to the next slice of the segment; false after the last. x->count is 0 before the first. */
bool ms_exec_next_slice(ms_exec_context *x, const ms_segment *seg, int64_t slice);

/* Start of a whole value. */
void *ms_exec_data(const ms_exec_context *x, ms_value value);

/* A vector parameter; NULL for MS_NO_PARAM. */
const float *ms_exec_vector(const ms_exec_context *x, ms_param param);
ms_weight ms_exec_matrix(const ms_exec_context *x, ms_param param);

/* Absolute image number of the slice's first row. */
int64_t ms_exec_first_image(const ms_exec_context *x);

typedef struct ms_exec_params {
    /* Called when an operation of a slice is about to be given to the queue, before each of them;
       MS_OK to go on. Where the queue runs late, what was given before may not be done yet. So it
       serves for cancelling and progress, and for profiles only of a device that does its work at
       once. A network that is launched as a whole (graph/network.h) calls it once. */
    ms_status (*before)(void *arg, const ms_graph *graph, int node);
    void *arg;
} ms_exec_params;

ms_status ms_exec_run(const ms_graph *graph, const ms_plan *plan, const ms_context *context,
                      const ms_exec_params *params, ms_error *err);

/* Notes the same work, to be launched again, on a device that captures and with no weights
   streamed. The list is good for this arena, these weights and this bound memory. */
ms_status ms_exec_capture(const ms_graph *graph, const ms_plan *plan, const ms_context *context,
                          ms_launches **ret_launches, ms_error *err);

/* Copies a whole input in or an output out, in the value's type, rows packed as its
   shape says. ..._f32: widened. */
ms_status ms_exec_write(const ms_graph *graph, const ms_plan *plan, const ms_context *context, ms_value value,
                        const void *data);
ms_status ms_exec_read(const ms_graph *graph, const ms_plan *plan, const ms_context *context, ms_value value,
                       void *ret_data);
ms_status ms_exec_read_f32(const ms_graph *graph, const ms_plan *plan, const ms_context *context,
                           ms_value value, float *ret_data);

#endif
