#include "graph/ops/common.h"

static bool check_norm(ms_graph *g, const char *name, const ms_norm_ref *norm, ms_shape src,
                       int64_t channels) {
    ms_shape t = ms_graph_shape(g, norm->tables);
    if (norm->images_per_table <= 0 || src.n % norm->images_per_table ||
        t.n != src.n / norm->images_per_table || t.h * t.w * t.c != 2 * channels) {
        ms_graph_fail(g, MS_INTERNAL, "%s: norm tables do not fit %lld images of %lld channels", name,
                      (long long)src.n, (long long)channels);
        return false;
    }
    return true;
}

bool ms_op_matrix_inputs(ms_graph *g, ms_node *node, ms_value src, ms_value src2, const ms_norm_ref *norm,
                         const ms_out_desc *out, ms_shape dst, int64_t n) {
    ms_shape a = ms_graph_shape(g, src), b = ms_graph_shape(g, src2);
    if (src2 != MS_NO_VALUE && (a.n != b.n || a.h != b.h || a.w != b.w)) {
        ms_graph_fail(g, MS_INVALID_ARGUMENT, "%s: the two sources have different sizes", node->name);
        return false;
    }
    if (norm->tables != MS_NO_VALUE && !check_norm(g, node->name, norm, a, a.c + b.c))
        return false;
    if (out->add != MS_NO_VALUE && ms_graph_shape(g, out->add).c != dst.c) {
        ms_graph_fail(g, MS_INTERNAL, "%s: the added vector has %lld channels, not %lld", node->name,
                      (long long)ms_graph_shape(g, out->add).c, (long long)dst.c);
        return false;
    }
    if (out->residual != MS_NO_VALUE && !op_same_shape(g, node->name, out->residual, dst))
        return false;
    node->n_inputs = OP_MATRIX_INPUTS;
    node->n_params = OP_MATRIX_PARAMS;
    node->param[OP_WEIGHT] = MS_NO_PARAM;
    node->input[OP_SRC] = src;
    node->input[OP_SRC2] = src2;
    node->input[OP_TABLES] = norm->tables;
    node->input[OP_ADD] = out->add;
    node->input[OP_RESIDUAL] = out->residual;
    node->in_place = OP_RESIDUAL;
    node->param[OP_BIAS] = ms_graph_vector(g, out->bias, 1, &n);
    node->param[OP_SLOPE] = ms_graph_vector(g, out->slope, 1, &dst.c);
    return !ms_graph_failed(g);
}

ms_prologue ms_op_prologue(const ms_exec_context *x, const ms_node *node, const ms_norm_ref *norm) {
    ms_value tables = node->input[OP_TABLES];
    if (tables == MS_NO_VALUE)
        return (ms_prologue){0};
    ms_prologue p = {.tables = ms_exec_data(x, tables),
                     .outer_per_table = norm->images_per_table,
                     .outer_first = ms_exec_first_image(x),
                     .act = norm->act};
    if ((x->axis == MS_AXIS_FRAMES || x->axis == MS_AXIS_ROWS) && !ms_graph_value(x->graph, tables)->whole) {
        p.tables = ms_exec_rows(x, tables).data; /* one table per image: sliced along with the images */
        p.outer_first = 0;
    }
    return p;
}

ms_epilogue ms_op_epilogue(const ms_exec_context *x, const ms_node *node, const ms_out_desc *out) {
    ms_epilogue e = {.bias = ms_exec_vector(x, node->param[OP_BIAS]),
                     .add = ms_exec_data(x, node->input[OP_ADD]),
                     .act = out->act,
                     .slope = ms_exec_vector(x, node->param[OP_SLOPE]),
                     .scale = out->scale};
    if (node->input[OP_RESIDUAL] != MS_NO_VALUE)
        e.residual = ms_exec_rows_at(x, node->input[OP_RESIDUAL], ms_exec_range(x, node->output));
    return e;
}
