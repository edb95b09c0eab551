/* Linear layers and 1x1 convolutions: one matrix product over the rows of an activation. */
#include "graph/ops/common.h"

static ms_linear_args arguments(const ms_exec_context *x, const ms_node *node) {
    const ms_linear_desc *d = node->desc;
    ms_linear_args a = {.n_src = d->src2 == MS_NO_VALUE ? 1 : 2,
                        .dst = ms_exec_rows(x, node->output),
                        .weight = ms_exec_matrix(x, node->param[OP_WEIGHT]),
                        .prologue = ms_op_prologue(x, node, &d->norm),
                        .epilogue = ms_op_epilogue(x, node, &d->out)};
    a.src[0] = ms_exec_rows(x, d->src);
    a.src[1] = ms_exec_rows(x, d->src2);
    return a;
}

static size_t workspace(const ms_exec_context *x, const ms_node *node) {
    ms_linear_args a = arguments(x, node);
    return x->dev->kernels->linear_workspace(x->dev, &a);
}

static ms_status run(const ms_exec_context *x, const ms_node *node, void *ws) {
    ms_linear_args a = arguments(x, node);
    return x->dev->kernels->linear(x->queue, &a, ws);
}

static double flops(const ms_graph *g, const ms_node *node) {
    const ms_linear_desc *d = node->desc;
    ms_shape s = ms_graph_shape(g, d->src);
    double k = (double)(s.c + ms_graph_shape(g, d->src2).c);
    return 2.0 * (double)(s.n * s.h * s.w) * k * (double)d->n;
}

static const ms_op op = {
    .name = "linear", .pixels = true, .workspace = workspace, .run = run, .flops = flops};

static ms_param declare_weight(ms_graph *g, const ms_linear_desc *d, int parts, int64_t k) {
    ms_param_decl decl = {.parts = parts,
                          .rank = d->weight_rank ? d->weight_rank : 2,
                          .shape = {d->n / parts, k, 1, 1},
                          .layout = d->out.act == MS_ACT_GEGLU ? MS_LAYOUT_GEGLU : MS_LAYOUT_PANEL,
                          .groups = 1};
    for (int i = 0; i < parts; i++) {
        decl.name[i] = d->weight[i];
        decl.other_name[i] = d->other_weight[i];
    }
    return ms_graph_matrix(g, &decl);
}

static ms_param declare_part_bias(ms_graph *g, const ms_linear_desc *d, int parts) {
    ms_param_decl decl = {.parts = parts, .rank = 1, .shape = {d->n / parts}, .vector = true};
    bool any = false;
    for (int i = 0; i < parts; i++) {
        decl.name[i] = d->part_bias[i];
        decl.other_name[i] = d->other_part_bias[i];
        any |= d->part_bias[i] != NULL;
    }
    return any ? ms_graph_matrix(g, &decl) : MS_NO_PARAM;
}

ms_value ms_op_linear(ms_graph *g, const ms_linear_desc *desc) {
    if (!op_input(g, desc->name, desc->src))
        return MS_NO_VALUE;
    int parts = desc->parts ? desc->parts : 1;
    ms_shape s = ms_graph_shape(g, desc->src), dst = s;
    bool geglu = desc->out.act == MS_ACT_GEGLU;
    if (desc->n <= 0 || desc->n % parts || (geglu && (desc->n % 2 || parts != 1))) {
        ms_graph_fail(g, MS_INVALID_ARGUMENT, "%s: cannot have %lld outputs in %d parts", desc->name,
                      (long long)desc->n, parts);
        return MS_NO_VALUE;
    }
    dst.c = geglu ? desc->n / 2 : desc->n;
    ms_node node = {.op = &op, .name = desc->name};
    if (!ms_op_matrix_inputs(g, &node, desc->src, desc->src2, &desc->norm, &desc->out, dst, desc->n))
        return MS_NO_VALUE;
    ms_param merged = declare_part_bias(g, desc, parts);
    if (merged != MS_NO_PARAM)
        node.param[OP_BIAS] = merged;
    node.param[OP_WEIGHT] = declare_weight(g, desc, parts, s.c + ms_graph_shape(g, desc->src2).c);
    node.desc = ms_graph_copy(g, desc, sizeof(*desc));
    return ms_graph_append(g, &node, dst, ms_graph_value(g, desc->src)->whole);
}
