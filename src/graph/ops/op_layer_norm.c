/* Layer norm over channels, with the temporal position table of the motion modules added after it. */
#include "graph/ops/common.h"

enum { NORM_GAMMA, NORM_BETA, NORM_POSITION };

static ms_status run(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    const ms_layer_norm_desc *d = node->desc;
    ms_layer_norm_args a = {.src = ms_exec_rows(x, d->src),
                            .dst = ms_exec_rows(x, node->output),
                            .gamma = ms_exec_vector(x, node->param[NORM_GAMMA]),
                            .beta = ms_exec_vector(x, node->param[NORM_BETA]),
                            .eps = d->eps,
                            .position = ms_exec_vector(x, node->param[NORM_POSITION]),
                            .position_rows = d->images_per_window,
                            .outer_first = ms_exec_first_image(x)};
    return x->dev->kernels->layer_norm(x->queue, &a);
}

static const ms_op op = {.name = "layer_norm", .pixels = true, .run = run};

ms_value ms_op_layer_norm(ms_graph *g, const ms_layer_norm_desc *desc) {
    if (!op_input(g, desc->name, desc->src))
        return MS_NO_VALUE;
    ms_shape s = ms_graph_shape(g, desc->src);
    if (desc->position && desc->images_per_window > desc->position_rows) {
        ms_graph_fail(g, MS_INVALID_ARGUMENT,
                      "%s: a window of %lld frames is longer than the %lld positions it was trained with",
                      desc->name, (long long)desc->images_per_window, (long long)desc->position_rows);
        return MS_NO_VALUE;
    }
    ms_node node = {
        .op = &op,
        .name = desc->name,
        .n_inputs = 1,
        .input = {desc->src},
        .in_place = 0,
        .n_params = 3,
        .param = {ms_graph_vector(g, desc->weight, 1, &s.c), ms_graph_vector(g, desc->bias, 1, &s.c),
                  ms_graph_vector(g, desc->position, 3, (int64_t[]){1, desc->position_rows, s.c})},
        .desc = ms_graph_copy(g, desc, sizeof(*desc))};
    return ms_graph_append(g, &node, s, ms_graph_value(g, desc->src)->whole);
}
