#include "graph/plan.h"

#include "base/error.h"
#include "graph/exec.h"

static bool has_attention(const ms_graph *g, const ms_segment *seg) {
    for (int n = seg->first; n <= seg->last; n++)
        if (ms_graph_node(g, n)->op->attention)
            return true;
    return false;
}

static int64_t slice_of(const ms_graph *g, const ms_segment *seg, const ms_slicing *slicing) {
    int64_t wanted = 0;
    if (slicing && seg->axis == MS_AXIS_FRAMES)
        wanted = slicing->frames;
    if (slicing && seg->axis == MS_AXIS_PIXELS)
        wanted = slicing->pixels;
    if (slicing && seg->axis == MS_AXIS_ROWS && slicing->rows > 0) /* never less than a tile */
        wanted = (slicing->rows + MS_STRIPE_ROWS - 1) / MS_STRIPE_ROWS * MS_STRIPE_ROWS;
    if (slicing && slicing->attention_parts > 1 &&
        (seg->axis == MS_AXIS_FRAMES || seg->axis == MS_AXIS_PIXELS) && has_attention(g, seg)) {
        int64_t part = (seg->extent + slicing->attention_parts - 1) / slicing->attention_parts;
        wanted = wanted > 0 && wanted < part ? wanted : part;
    }
    return wanted <= 0 || wanted > seg->extent ? seg->extent : wanted;
}

static ms_exec_context planning_context(const ms_graph *g, const ms_plan *plan, int segment) {
    return (ms_exec_context){.graph = g,
                             .plan = plan,
                             .dev = ms_graph_device(g),
                             .planning = true,
                             .axis = ms_graph_get_segment(g, segment)->axis,
                             .segment = segment};
}

/* The most rows that any stripe needs of a local value. */
static int64_t stripe_rows(const ms_graph *g, const ms_plan *plan, ms_value value) {
    int segment = ms_graph_value(g, value)->segment;
    const ms_segment *seg = ms_graph_get_segment(g, segment);
    ms_exec_context x = planning_context(g, plan, segment);
    int64_t most = 0;
    while (ms_exec_next_slice(&x, seg, plan->slice[segment]) && x.image == 0) {
        ms_row_range range = ms_exec_range(&x, value);
        most = range.end - range.first > most ? range.end - range.first : most;
    }
    return most;
}

static size_t bytes_of(const ms_graph *g, const ms_plan *plan, ms_value value) {
    const ms_value_info *v = ms_graph_value(g, value);
    ms_shape s = v->shape;
    if (v->slot >= 0)
        return 0;
    if (v->local) {
        const ms_segment *seg = ms_graph_get_segment(g, v->segment);
        int64_t slice = plan->slice[v->segment];
        if (seg->axis == MS_AXIS_ROWS)
            s.n = 1, s.h = stripe_rows(g, plan, value);
        else if (seg->axis == MS_AXIS_FRAMES)
            s.n = slice;
        else
            s.h = slice, s.w = 1;
    }
    return (size_t)ms_shape_elements(s) * ms_dtype_bytes(v->dtype);
}

/* A kernel may block differently for the last, shorter slice, so the workspace must
   be large enough for both. */
static size_t workspace_of(const ms_graph *g, const ms_plan *plan, int index) {
    const ms_node *node = ms_graph_node(g, index);
    const ms_segment *seg = ms_graph_get_segment(g, node->segment);
    if (!node->op->workspace)
        return 0;
    ms_exec_context x = planning_context(g, plan, node->segment);
    int64_t slice = plan->slice[node->segment], seen = 0;
    size_t bytes = 0;
    while (ms_exec_next_slice(&x, seg, slice) && x.image == 0) {
        if (x.count == seen && x.axis != MS_AXIS_ROWS) /* only stripes differ by where they are */
            continue;
        seen = x.count;
        size_t other = node->op->workspace(&x, node);
        bytes = other > bytes ? other : bytes;
    }
    return bytes;
}

/* A value that leaves its sliced segment, or comes into one, is touched by every
   slice: it lives for the whole segment. */
static void widen_life(const ms_graph *g, const ms_value_info *v, int *first, int *last) {
    *first = v->first;
    *last = v->last;
    if (v->local)
        return;
    const ms_segment *a = ms_graph_get_segment(g, ms_graph_node(g, v->first)->segment);
    const ms_segment *b = ms_graph_get_segment(g, ms_graph_node(g, v->last)->segment);
    if (!v->input && a->axis != MS_AXIS_NONE)
        *first = a->first;
    if (b->axis != MS_AXIS_NONE)
        *last = b->last;
}

/* In a segment over rows another operation may still read rows of the value around its stripe.
   An operation that keeps its output has copied what it needs before the stripe is written. */
static bool read_in_stripes(const ms_graph *g, int index, ms_value value) {
    const ms_segment *seg = ms_graph_get_segment(g, ms_graph_node(g, index)->segment);
    for (int n = seg->first; n < index && seg->axis == MS_AXIS_ROWS; n++) {
        const ms_node *node = ms_graph_node(g, n);
        for (int i = 0; i < node->n_inputs; i++)
            if (node->input[i] == value && !node->op->keeps)
                return true;
    }
    return false;
}

/*
 * Values that share memory are one block. owner[v] is the value whose block v lies in: an output that takes
 * over an input's memory when nothing reads that input later, both have the same room, and the caller did not
 * provide the input.
 */
static void share_blocks(const ms_graph *g, const ms_plan *plan, int *owner) {
    for (int v = 0; v < ms_graph_value_count(g); v++)
        owner[v] = v;
    for (int n = 0; n < ms_graph_node_count(g); n++) {
        const ms_node *node = ms_graph_node(g, n);
        if (node->in_place < 0 || node->input[node->in_place] == MS_NO_VALUE)
            continue;
        ms_value from = node->input[node->in_place];
        const ms_value_info *a = ms_graph_value(g, from), *b = ms_graph_value(g, node->output);
        bool again = false; /* the input also feeds the node in another role */
        for (int i = 0; i < node->n_inputs; i++)
            again |= i != node->in_place && node->input[i] == from;
        if (a->input || a->output || a->last != n || read_in_stripes(g, n, from) || again ||
            a->local != b->local || plan->value_bytes[from] != plan->value_bytes[node->output])
            continue;
        owner[node->output] = owner[from];
    }
}

static ms_status lay_out(const ms_graph *g, ms_plan *plan, ms_block *blocks, int *owner, ms_error *err) {
    int n_values = ms_graph_value_count(g), n_nodes = ms_graph_node_count(g);
    share_blocks(g, plan, owner);
    for (int v = 0; v < n_values; v++) {
        int first, last;
        widen_life(g, ms_graph_value(g, v), &first, &last);
        blocks[v] =
            (ms_block){.bytes = owner[v] == v ? plan->value_bytes[v] : 0, .first = first, .last = last};
        if (owner[v] != v && last > blocks[owner[v]].last)
            blocks[owner[v]].last = last;
    }
    for (int n = 0; n < n_nodes; n++)
        blocks[n_values + n] = (ms_block){.bytes = plan->workspace_bytes[n], .first = n, .last = n};
    ms_offset_plan result;
    MS_TRY(ms_plan_offsets(plan->mem, blocks, n_values + n_nodes, &result, err));
    MS_TRY(ms_validate_offsets(plan->mem, blocks, n_values + n_nodes, result.arena_bytes, err));
    for (int v = 0; v < n_values; v++)
        plan->value_offset[v] = blocks[owner[v]].offset;
    for (int n = 0; n < n_nodes; n++)
        plan->workspace_offset[n] = blocks[n_values + n].offset;
    plan->arena_bytes = result.arena_bytes;
    plan->lower_bound_bytes = result.lower_bound_bytes;
    plan->ordering = result.ordering;
    return MS_OK;
}

ms_status ms_plan_create(const ms_graph *g, const ms_slicing *slicing, ms_plan **ret_plan, ms_error *err) {
    ms_mem *mem = ms_graph_mem(g);
    size_t n_values = (size_t)ms_graph_value_count(g), n_nodes = (size_t)ms_graph_node_count(g),
           n_segments = (size_t)ms_graph_segment_count(g);
    ms_status status = MS_HOST_MEMORY;
    ms_block *blocks = ms_alloc_array(mem, MS_LEDGER_GENERAL, n_values + n_nodes, sizeof(*blocks));
    int *owner = ms_alloc_array(mem, MS_LEDGER_GENERAL, n_values, sizeof(*owner));
    ms_plan *plan = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*plan));
    if (!blocks || !owner || !plan)
        goto no_memory;
    plan->mem = mem;
    plan->slice = ms_alloc_array(mem, MS_LEDGER_GENERAL, n_segments, sizeof(*plan->slice));
    plan->value_offset = ms_alloc_array(mem, MS_LEDGER_GENERAL, n_values, sizeof(size_t));
    plan->value_bytes = ms_alloc_array(mem, MS_LEDGER_GENERAL, n_values, sizeof(size_t));
    plan->workspace_offset = ms_alloc_array(mem, MS_LEDGER_GENERAL, n_nodes, sizeof(size_t));
    plan->workspace_bytes = ms_alloc_array(mem, MS_LEDGER_GENERAL, n_nodes, sizeof(size_t));
    if (!plan->slice || !plan->value_offset || !plan->value_bytes || !plan->workspace_offset ||
        !plan->workspace_bytes)
        goto no_memory;
    for (size_t s = 0; s < n_segments; s++)
        plan->slice[s] = slice_of(g, ms_graph_get_segment(g, (int)s), slicing);
    for (size_t v = 0; v < n_values; v++)
        plan->value_bytes[v] = bytes_of(g, plan, (ms_value)v);
    for (size_t n = 0; n < n_nodes; n++)
        plan->workspace_bytes[n] = workspace_of(g, plan, (int)n);
    MS_GOTO(lay_out(g, plan, blocks, owner, err));
    ms_mem_free(blocks);
    ms_mem_free(owner);
    *ret_plan = plan;
    return MS_OK;
no_memory:
    ms_fail_alloc(err, mem, (n_values + n_nodes) * sizeof(*blocks), "the memory plan");
fail:
    ms_mem_free(blocks);
    ms_mem_free(owner);
    ms_plan_destroy(&plan);
    return status;
}

void ms_plan_destroy(ms_plan **plan) {
    if (!plan || !*plan)
        return;
    ms_mem_free((*plan)->slice);
    ms_mem_free((*plan)->value_offset);
    ms_mem_free((*plan)->value_bytes);
    ms_mem_free((*plan)->workspace_offset);
    ms_mem_free((*plan)->workspace_bytes);
    ms_mem_free(*plan);
    *plan = NULL;
}

size_t ms_plan_held_bytes(const ms_graph *g) {
    size_t values = ms_mem_charged_bytes((size_t)ms_graph_value_count(g) * sizeof(size_t)),
           nodes = ms_mem_charged_bytes((size_t)ms_graph_node_count(g) * sizeof(size_t)),
           segments = ms_mem_charged_bytes((size_t)ms_graph_segment_count(g) * sizeof(int64_t));
    return ms_mem_charged_bytes(sizeof(ms_plan)) + 2 * values + 2 * nodes + segments;
}
