/* A graph with its plan: what a runner keeps for each shape that it meets. */
#ifndef MS_MODELS_NETWORK_H
#define MS_MODELS_NETWORK_H

#include "graph/exec.h"

typedef struct ms_network {
    ms_graph *graph;
    ms_plan *plan;
} ms_network;

/* Plans a finished graph and takes it over; on failure the graph is destroyed. */
ms_status ms_network_take(ms_graph **graph, const ms_slicing *slicing, ms_network *ret_network,
                          ms_error *err);
void ms_network_clear(ms_network *network);

/* By the input's or output's name, whole tensors, rows packed. */
ms_status ms_network_write(const ms_network *network, void *arena, const char *name, const float *data,
                           ms_error *err);
ms_status ms_network_read(const ms_network *network, const void *arena, const char *name, float *ret_data,
                          ms_error *err);
size_t ms_network_elements(const ms_network *network, const char *name); /* 0 = no such value */

#endif
