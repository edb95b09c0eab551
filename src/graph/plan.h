/*
 * Where everything of one graph lies while it runs: a slice for every segment, an offset in the arena for
 * every value and for every operation's workspace. The arena's size is exact: executing allocates nothing.
 */
#ifndef MS_GRAPH_PLAN_H
#define MS_GRAPH_PLAN_H

#include "graph/graph.h"
#include "graph/offset_planner.h"

/* How many rows a sliced segment takes at a time, 0 = all; and in how many parts
   one with attention is computed at least, 0 = one. */
typedef struct ms_slicing {
    int64_t frames, pixels, rows, attention_parts;
} ms_slicing;

typedef struct ms_plan {
    ms_mem *mem;
    int64_t *slice;           /* per segment */
    size_t *value_offset;     /* per value */
    size_t *value_bytes;      /* per value: room it has (one slice's for local values, none for bound ones) */
    size_t *workspace_offset; /* per node */
    size_t *workspace_bytes;  /* per node */
    size_t arena_bytes, lower_bound_bytes;
    const char *ordering;
} ms_plan;

/* The graph must be finished. The result is validated (ms_validate_offsets) before it is returned. */
ms_status ms_plan_create(const ms_graph *graph, const ms_slicing *slicing, ms_plan **ret_plan, ms_error *err);
void ms_plan_destroy(ms_plan **plan);
/* What a plan of the graph holds, as charged. */
size_t ms_plan_held_bytes(const ms_graph *graph);

#endif
