/*
 * A program: a graph with its plan, for one shape. It needs neither weights nor
 * memory of a device; a context (graph/exec.h) says where it runs.
 */
#ifndef MS_GRAPH_NETWORK_H
#define MS_GRAPH_NETWORK_H

#include "graph/exec.h"
#include "memsafe/probe.h"

/* What was captured on a device that captures, and for which memory. */
typedef struct ms_network_list {
    ms_launches *launches; /* NULL = none */
    const void *arena;
    uint64_t weights;
    void *bound[MS_GRAPH_SLOTS];
} ms_network_list;

/* So many lists are kept, one for each set of bound memory: the two branches of guidance have two. */
#define MS_NETWORK_LISTS 2

typedef struct ms_network {
    ms_graph *graph;
    ms_plan *plan;
    ms_network_list list[MS_NETWORK_LISTS]; /* the one used last is the first */
} ms_network;

/* Plans a finished graph and takes it over; on failure the graph is destroyed. */
ms_status ms_network_take(ms_graph **graph, const ms_slicing *slicing, ms_network *ret_network,
                          ms_error *err);

typedef struct ms_network_build_params {
    ms_params *params; /* they get what the graph declares; must outlive the network */
    ms_dtype activation;
    const ms_slicing *slicing; /* NULL = none */
    /* fills an empty graph and finishes it */
    ms_status (*build)(const void *arg, ms_graph *graph, ms_error *err);
    const void *arg;
} ms_network_build_params;
/* Makes the graph and plans it. On failure nothing is kept. */
ms_status ms_network_build(const ms_network_build_params *params, ms_network *ret_network, ms_error *err);

void ms_network_clear(ms_network *network);
/* Gives back what was captured, before the memory that it is for goes. */
void ms_network_forget(ms_network *network);
/* Bytes of the host's memory that graph and plan hold. */
size_t ms_network_held_bytes(const ms_network *network);

/* Where the context's compute says replay and the device captures, what was
   captured at the first run with that memory is launched again; exec->before is
   then called once, not before every operation. exec may be NULL. */
ms_status ms_network_run(ms_network *network, const ms_context *context, const ms_exec_params *exec,
                         ms_error *err);

/* What one run costs, for predicting its time. */
typedef struct ms_network_work {
    /* Multiplications and additions, direct-equivalent; conv: of 3x3 convolutions
       by Winograd, linear: of all other matrix products. */
    double conv_flops, linear_flops, attention_flops;
    double moved_bytes;    /* activations, read and written by operations that are none of these */
    double weight_bytes;   /* read by kernels; once for every slice */
    double streamed_bytes; /* of those, what passes through the stream */
    double passes;         /* operations started, slices counted apart */
} ms_network_work;
/* What a captured list takes of the device's memory. */
size_t ms_network_launch_bytes(const ms_network *network);
/*
 * The work with weights in that precision; the residency says which are streamed. roofline: rates of a device
 * that moves while it computes; NULL = one that does not. With them, each operation counts by what takes
 * longer, all else of it as nothing: what it computes, or what it reads and writes, activations of products
 * too. Copies of sources in a workspace come before that, as passes of their own.
 */
ms_network_work ms_network_get_work(const ms_network *network, ms_dtype precision, ms_residency residency,
                                    const ms_probe_rates *roofline);
/* At these rates. */
double ms_network_seconds(const ms_network_work *work, const ms_probe_rates *rates);
ms_network_work ms_network_work_add(ms_network_work a, ms_network_work b, double times); /* a + times b */

/* Copies a whole input or output, by its name, rows packed, in the value's type;
   ms_network_read() widens to float32. */
ms_status ms_network_write(const ms_network *network, const ms_context *context, const char *name,
                           const void *data, ms_error *err);
ms_status ms_network_read(const ms_network *network, const ms_context *context, const char *name,
                          float *ret_data, ms_error *err);
ms_status ms_network_read_raw(const ms_network *network, const ms_context *context, const char *name,
                              void *ret_data, ms_error *err);
size_t ms_network_bytes(const ms_network *network, const char *name); /* 0 = no such value */

#endif
