/* Group norm in steps: partial statistics, tables, and applying tables where no reader can fold them in. */
#include "graph/ops/common.h"

enum { NORM_PARTIALS, NORM_GAMMA = 0, NORM_BETA = 1 };

static ms_status run_partials(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    const ms_group_norm_desc *d = node->desc;
    ms_shape s = ms_graph_shape(x->graph, d->src);
    ms_row_range range = ms_exec_range(x, node->output);
    ms_norm_partials_args a = {.n_src = d->src2 == MS_NO_VALUE ? 1 : 2,
                               .h = range.end - range.first,
                               .w = s.w,
                               .groups = d->groups,
                               .partials = (double(*)[2])(void *)ms_exec_rows(x, node->output).data};
    a.src[0] = ms_exec_rows_at(x, d->src, range);
    a.src[1] = ms_exec_rows_at(x, d->src2, range);
    return x->dev->kernels->norm_partials(x->queue, &a);
}

static const ms_op op_partials = {.name = "norm_partials", .rows = true, .run = run_partials};

/* Statistics are never kept in fewer bits. */
static ms_value table(ms_graph *g, ms_value value) {
    if (value != MS_NO_VALUE)
        ms_graph_set_dtype(g, value, MS_F32);
    return value;
}

ms_value ms_op_norm_partials(ms_graph *g, const ms_group_norm_desc *desc) {
    if (!op_input(g, desc->name, desc->src))
        return MS_NO_VALUE;
    ms_shape s = ms_graph_shape(g, desc->src);
    int64_t channels = s.c + ms_graph_shape(g, desc->src2).c;
    if (desc->groups <= 0 || channels % desc->groups) {
        ms_graph_fail(g, MS_INVALID_ARGUMENT, "%s: %lld channels do not divide into %d groups", desc->name,
                      (long long)channels, desc->groups);
        return MS_NO_VALUE;
    }
    ms_node node = {.op = &op_partials,
                    .name = desc->name,
                    .n_inputs = 2,
                    .input = {desc->src, desc->src2},
                    .in_place = -1,
                    .desc = ms_graph_copy(g, desc, sizeof(*desc))};
    /* {mean, M2} in double: four floats for a group of a row. */
    return table(g, ms_graph_append(g, &node, (ms_shape){s.n, s.h, 1, 4 * (int64_t)desc->groups}, false));
}

static ms_status run_tables(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    const ms_group_norm_desc *d = node->desc;
    ms_shape s = ms_graph_shape(x->graph, d->src);
    ms_rows partials = ms_exec_rows(x, node->input[NORM_PARTIALS]);
    ms_norm_tables_args a = {.partials = (const double(*)[2])(const void *)partials.data,
                             .outer = partials.outer,
                             .h = s.h,
                             .w = s.w,
                             .channels = s.c + ms_graph_shape(x->graph, d->src2).c,
                             .outer_per_table = d->images_per_table,
                             .groups = d->groups,
                             .eps = d->eps,
                             .gamma = ms_exec_vector(x, node->param[NORM_GAMMA]),
                             .beta = ms_exec_vector(x, node->param[NORM_BETA]),
                             .tables = ms_exec_rows(x, node->output).data};
    return x->dev->kernels->norm_tables(x->queue, &a);
}

static const ms_op op_tables = {.name = "norm_tables", .run = run_tables};

ms_value ms_op_norm_tables(ms_graph *g, const ms_group_norm_desc *desc, ms_value partials) {
    if (!op_input(g, desc->name, desc->src) || !op_input(g, desc->name, partials))
        return MS_NO_VALUE;
    ms_shape s = ms_graph_shape(g, desc->src);
    int64_t channels = s.c + ms_graph_shape(g, desc->src2).c;
    if (desc->images_per_table <= 0 || s.n % desc->images_per_table) {
        ms_graph_fail(g, MS_INTERNAL, "%s: %lld images do not divide into tables of %lld", desc->name,
                      (long long)s.n, (long long)desc->images_per_table);
        return MS_NO_VALUE;
    }
    ms_node node = {.op = &op_tables,
                    .name = desc->name,
                    .n_inputs = 1,
                    .input = {partials},
                    .in_place = -1,
                    .n_params = 2,
                    .param = {ms_graph_vector(g, desc->weight, 1, &channels),
                              ms_graph_vector(g, desc->bias, 1, &channels)},
                    .desc = ms_graph_copy(g, desc, sizeof(*desc))};
    return table(g, ms_graph_append(g, &node, (ms_shape){s.n / desc->images_per_table, 1, 2, channels},
                                    desc->images_per_table > 1));
}

static ms_status run_apply(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    ms_norm_apply_args a = {.src = ms_exec_rows(x, node->input[OP_SRC]),
                            .dst = ms_exec_rows(x, node->output),
                            .prologue = ms_op_prologue(x, node, node->desc)};
    return x->dev->kernels->norm_apply(x->queue, &a);
}

static const ms_op op_apply = {.name = "norm_apply", .pixels = true, .run = run_apply};

ms_value ms_op_norm_apply(ms_graph *g, const char *name, ms_value src, ms_norm_ref norm) {
    if (!op_input(g, name, src) || !op_input(g, name, norm.tables))
        return MS_NO_VALUE;
    ms_node node = {.op = &op_apply, .name = name};
    ms_shape s = ms_graph_shape(g, src);
    if (!ms_op_matrix_inputs(g, &node, src, MS_NO_VALUE, &norm, &MS_NO_OUT, s, s.c))
        return MS_NO_VALUE;
    node.in_place = OP_SRC;
    node.desc = ms_graph_copy(g, &norm, sizeof(norm));
    return ms_graph_append(g, &node, s, ms_graph_value(g, src)->whole);
}
