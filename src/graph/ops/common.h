/* What several operations share: checking inputs, turning references of the graph into kernel arguments. */
#ifndef MS_GRAPH_OPS_COMMON_H
#define MS_GRAPH_OPS_COMMON_H

#include "graph/exec.h"
#include "graph/ops.h"

/* Fails the graph unless the value exists; false when the graph has failed. */
static inline bool op_input(ms_graph *g, const char *name, ms_value v) {
    if (ms_graph_failed(g))
        return false;
    if (v < 0 || v >= ms_graph_value_count(g))
        return ms_graph_fail(g, MS_INTERNAL, "%s: has no input", name) == MS_OK;
    return true;
}

static inline bool op_same_shape(ms_graph *g, const char *name, ms_value value, ms_shape want) {
    ms_shape s = ms_graph_shape(g, value);
    if (s.n == want.n && s.h == want.h && s.w == want.w && s.c == want.c)
        return true;
    ms_graph_fail(g, MS_INVALID_ARGUMENT,
                  "%s: an input is [%lld, %lld, %lld, %lld] where [%lld, %lld, %lld, %lld] is needed", name,
                  (long long)s.n, (long long)s.h, (long long)s.w, (long long)s.c, (long long)want.n,
                  (long long)want.h, (long long)want.w, (long long)want.c);
    return false;
}

/* Inputs of linear and conv nodes, by position. */
enum { OP_SRC, OP_SRC2, OP_TABLES, OP_ADD, OP_RESIDUAL, OP_MATRIX_INPUTS, OP_TAKEN = OP_MATRIX_INPUTS };
/* Their parameters. */
enum { OP_WEIGHT, OP_BIAS, OP_SLOPE, OP_MATRIX_PARAMS };

/* Checks norm, add and residual against the shapes and puts them into the node. n: outputs of the product,
   which are what the bias is for; GEGLU then halves them. */
bool ms_op_matrix_inputs(ms_graph *g, ms_node *node, ms_value src, ms_value src2, const ms_norm_ref *norm,
                         const ms_out_desc *out, ms_shape dst, int64_t n);

ms_prologue ms_op_prologue(const ms_exec_context *x, const ms_node *node, const ms_norm_ref *norm);

/* The residual is those rows of it that the node's output has. */
ms_epilogue ms_op_epilogue(const ms_exec_context *x, const ms_node *node, const ms_out_desc *out);

#endif
