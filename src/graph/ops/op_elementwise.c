/* Activations and arithmetic, element by element. */
#include "graph/ops/common.h"

enum { ELEMENT_A, ELEMENT_B, ELEMENT_PARAM = 0 };

typedef struct element_desc {
    ms_act act;
    ms_binary binary;
    int rank; /* of the parameter */
} element_desc;

static ms_status run_unary(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    const element_desc *d = node->desc;
    ms_unary_args a = {.src = ms_exec_rows(x, node->input[ELEMENT_A]),
                       .dst = ms_exec_rows(x, node->output),
                       .act = d->act,
                       .slope = ms_exec_vector(x, node->param[ELEMENT_PARAM])};
    return x->dev->kernels->unary(x->queue, &a);
}

static ms_status run_binary(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    const element_desc *d = node->desc;
    ms_binary_args a = {.op = d->binary,
                        .a = ms_exec_rows(x, node->input[ELEMENT_A]),
                        .dst = ms_exec_rows(x, node->output),
                        .act = d->act};
    a.b = node->input[ELEMENT_B] == MS_NO_VALUE ? a.a : ms_exec_rows(x, node->input[ELEMENT_B]);
    const float *param = ms_exec_vector(x, node->param[ELEMENT_PARAM]);
    if (d->rank == 1) {
        a.b_channel = param;
    } else if (d->rank == 2) { /* kernels only read b */
        a.b.data = (void *)(uintptr_t)param;
        a.b.dtype = MS_F32;
        a.b.outer_stride = 0;
        a.b.inner_stride = a.b.channels;
        if (x->axis == MS_AXIS_PIXELS)
            a.b.data = ms_elements_at(a.b.data, MS_F32, x->first * a.b.channels);
    }
    return x->dev->kernels->binary(x->queue, &a);
}

static const ms_op op_unary = {.name = "unary", .pixels = true, .run = run_unary};
static const ms_op op_binary = {.name = "binary", .pixels = true, .run = run_binary};

static ms_value append(ms_graph *g, ms_node *node, const element_desc *desc) {
    node->n_inputs = 2;
    node->in_place = ELEMENT_A;
    node->desc = ms_graph_copy(g, desc, sizeof(*desc));
    ms_value a = node->input[ELEMENT_A];
    return ms_graph_append(g, node, ms_graph_shape(g, a), ms_graph_value(g, a)->whole);
}

ms_value ms_op_unary(ms_graph *g, const char *name, ms_value src, ms_act act, const char *slope) {
    if (!op_input(g, name, src))
        return MS_NO_VALUE;
    ms_shape s = ms_graph_shape(g, src);
    ms_node node = {.op = &op_unary,
                    .name = name,
                    .input = {src, MS_NO_VALUE},
                    .n_params = 1,
                    .param = {ms_graph_vector(g, slope, 1, &s.c)}};
    return append(g, &node, &(element_desc){.act = act});
}

ms_value ms_op_binary(ms_graph *g, const char *name, ms_binary binary, ms_value a, ms_value b) {
    if (!op_input(g, name, a) || !op_input(g, name, b) || !op_same_shape(g, name, b, ms_graph_shape(g, a)))
        return MS_NO_VALUE;
    ms_node node = {.op = &op_binary, .name = name, .input = {a, b}, .param = {MS_NO_PARAM}};
    return append(g, &node, &(element_desc){.binary = binary});
}

ms_value ms_op_binary_param(ms_graph *g, const char *name, ms_binary binary, ms_value a, const char *param,
                            int rank) {
    if (!op_input(g, name, a))
        return MS_NO_VALUE;
    ms_shape s = ms_graph_shape(g, a);
    const int64_t one[1] = {s.c}, two[2] = {s.h * s.w, s.c};
    ms_node node = {.op = &op_binary,
                    .name = name,
                    .input = {a, MS_NO_VALUE},
                    .n_params = 1,
                    .param = {ms_graph_vector(g, param, rank, rank == 1 ? one : two)}};
    return append(g, &node, &(element_desc){.binary = binary, .rank = rank});
}
