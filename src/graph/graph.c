#include "graph/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/region.h"

struct ms_graph {
    ms_mem *mem;
    ms_params *params;
    ms_dtype activation;
    ms_region region; /* texts and descriptions */
    ms_status status;
    ms_error err;
    bool finished;
    ms_node *nodes;
    ms_value_info *values;
    ms_segment *segments;
    int n_nodes, n_values, n_segments;
    int cap_nodes, cap_values, cap_segments;
};

ms_status ms_graph_create(ms_params *params, ms_dtype activation, ms_graph **ret_graph, ms_error *err) {
    ms_mem *mem = ms_params_mem(params);
    ms_graph *g = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*g));
    if (!g)
        return ms_fail_alloc(err, mem, sizeof(*g), "a graph");
    g->mem = mem;
    g->params = params;
    g->activation = activation;
    ms_region_init(&g->region, mem, SIZE_MAX);
    ms_error_clear(&g->err);
    *ret_graph = g;
    return MS_OK;
}

void ms_graph_destroy(ms_graph **graph) {
    if (!graph || !*graph)
        return;
    ms_graph *g = *graph;
    ms_mem_free(g->nodes);
    ms_mem_free(g->values);
    ms_mem_free(g->segments);
    ms_region_free(&g->region);
    ms_mem_free(g);
    *graph = NULL;
}

static size_t charged(int count, size_t bytes) {
    return count ? ms_mem_charged_bytes((size_t)count * bytes) : 0;
}

size_t ms_graph_held_bytes(const ms_graph *g) {
    return ms_mem_charged_bytes(sizeof(*g)) + charged(g->cap_nodes, sizeof(*g->nodes)) +
           charged(g->cap_values, sizeof(*g->values)) + charged(g->cap_segments, sizeof(*g->segments)) +
           ms_region_held_bytes(&g->region);
}

bool ms_graph_failed(const ms_graph *g) {
    return g->status != MS_OK;
}

ms_status ms_graph_fail(ms_graph *g, ms_status code, const char *fmt, ...) {
    if (g->status != MS_OK)
        return g->status;
    char text[sizeof(g->err.message)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    g->status = ms_fail(&g->err, code, "%s", text);
    return g->status;
}

static void out_of_memory(ms_graph *g) {
    ms_graph_fail(g, MS_HOST_MEMORY, "cannot allocate memory for a graph of %d operations", g->n_nodes);
}

/* Makes room for one more element; false when memory is out. */
static bool grow(ms_graph *g, void **array, int count, int *capacity, size_t size) {
    if (count < *capacity)
        return true;
    int wanted = *capacity ? *capacity * 2 : 64;
    void *fresh = *array ? ms_realloc(*array, (size_t)wanted * size)
                         : ms_mem_alloc(g->mem, MS_LEDGER_GENERAL, (size_t)wanted * size);
    if (!fresh) {
        out_of_memory(g);
        return false;
    }
    *array = fresh;
    *capacity = wanted;
    return true;
}

void ms_graph_segment(ms_graph *g, ms_axis axis, const char *name) {
    if (g->status != MS_OK)
        return;
    if (!grow(g, (void **)&g->segments, g->n_segments, &g->cap_segments, sizeof(*g->segments)))
        return;
    g->segments[g->n_segments++] =
        (ms_segment){.axis = axis, .first = g->n_nodes, .last = g->n_nodes - 1, .name = name};
}

static ms_value add_value(ms_graph *g, const char *name, ms_shape shape, bool whole, int segment) {
    if (shape.n <= 0 || shape.h <= 0 || shape.w <= 0 || shape.c <= 0) {
        ms_graph_fail(g, MS_INVALID_ARGUMENT, "%s: shape [%lld, %lld, %lld, %lld] is not positive", name,
                      (long long)shape.n, (long long)shape.h, (long long)shape.w, (long long)shape.c);
        return MS_NO_VALUE;
    }
    if (!grow(g, (void **)&g->values, g->n_values, &g->cap_values, sizeof(*g->values)))
        return MS_NO_VALUE;
    g->values[g->n_values] = (ms_value_info){.name = name,
                                             .shape = shape,
                                             .whole = whole,
                                             .slot = -1,
                                             .segment = segment,
                                             .first = g->n_nodes,
                                             .dtype = whole ? MS_F32 : g->activation};
    return g->n_values++;
}

ms_value ms_graph_input(ms_graph *g, const char *name, ms_shape shape, bool whole) {
    if (g->status != MS_OK)
        return MS_NO_VALUE;
    ms_value v = add_value(g, name, shape, whole, -1);
    if (v >= 0) {
        g->values[v].input = true;
        g->values[v].dtype = MS_F32;
        g->values[v].first = 0;
    }
    return v;
}

void ms_graph_output(ms_graph *g, ms_value value, const char *name) {
    if (g->status != MS_OK)
        return;
    if (value < 0 || value >= g->n_values || g->values[value].input) {
        ms_graph_fail(g, MS_INTERNAL, "output %s is not made by the graph", name);
        return;
    }
    g->values[value].output = true;
    g->values[value].name = name;
}

void ms_graph_bind(ms_graph *g, ms_value value, int slot) {
    if (g->status != MS_OK)
        return;
    if (value < 0 || value >= g->n_values || !(g->values[value].input || g->values[value].output) ||
        slot < 0 || slot >= MS_GRAPH_SLOTS)
        ms_graph_fail(g, MS_INTERNAL, "a value that is no input and no output, or slot %d, cannot be bound",
                      slot);
    else
        g->values[value].slot = slot;
}

void ms_graph_set_dtype(ms_graph *g, ms_value value, ms_dtype dtype) {
    if (g->status == MS_OK && value != MS_NO_VALUE)
        g->values[value].dtype = dtype;
}

ms_dtype ms_graph_dtype(const ms_graph *g, ms_value value) {
    return value < 0 || value >= g->n_values ? MS_F32 : g->values[value].dtype;
}

ms_dtype ms_graph_activation(const ms_graph *g) {
    return g->activation;
}

const char *ms_graph_text(ms_graph *g, const char *fmt, ...) {
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    const char *copy = ms_region_strndup(&g->region, text, strlen(text));
    if (!copy) {
        out_of_memory(g);
        return "";
    }
    return copy;
}

void *ms_graph_copy(ms_graph *g, const void *desc, size_t bytes) {
    void *copy = ms_region_alloc(&g->region, bytes);
    if (!copy)
        out_of_memory(g);
    else
        memcpy(copy, desc, bytes);
    return copy;
}

ms_value ms_graph_append(ms_graph *g, const ms_node *node, ms_shape shape, bool whole) {
    if (g->status != MS_OK)
        return MS_NO_VALUE;
    if (g->n_segments == 0)
        ms_graph_segment(g, MS_AXIS_NONE, "all");
    if (g->status != MS_OK)
        return MS_NO_VALUE;
    for (int i = 0; i < node->n_inputs; i++) {
        if (node->input[i] != MS_NO_VALUE && (node->input[i] < 0 || node->input[i] >= g->n_values)) {
            ms_graph_fail(g, MS_INTERNAL, "%s: input %d does not exist", node->name, i);
            return MS_NO_VALUE;
        }
    }
    if (!grow(g, (void **)&g->nodes, g->n_nodes, &g->cap_nodes, sizeof(*g->nodes)))
        return MS_NO_VALUE;
    ms_value v = add_value(g, node->name, shape, whole, g->n_segments - 1);
    if (v < 0)
        return v;
    g->nodes[g->n_nodes] = *node;
    g->nodes[g->n_nodes].output = v;
    g->nodes[g->n_nodes].segment = g->n_segments - 1;
    g->segments[g->n_segments - 1].last = g->n_nodes++;
    return v;
}

ms_param ms_graph_matrix(ms_graph *g, const ms_param_decl *decl) {
    ms_param param = MS_NO_PARAM;
    if (g->status == MS_OK)
        g->status = ms_params_declare(g->params, decl, &param, &g->err);
    return param;
}

ms_param ms_graph_vector(ms_graph *g, const char *name, int rank, const int64_t *shape) {
    if (!name)
        return MS_NO_PARAM;
    ms_param_decl decl = {.parts = 1, .name = {name}, .rank = rank, .vector = true};
    for (int i = 0; i < rank; i++)
        decl.shape[i] = shape[i];
    return ms_graph_matrix(g, &decl);
}

/* Drops segments without an operation, which would make the executor loop over nothing. */
static void drop_empty_segments(ms_graph *g) {
    int kept = 0;
    for (int i = 0; i < g->n_segments; i++) {
        if (g->segments[i].last < g->segments[i].first)
            continue;
        for (int n = g->segments[i].first; n <= g->segments[i].last; n++) {
            g->nodes[n].segment = kept;
            g->values[g->nodes[n].output].segment = kept;
        }
        g->segments[kept++] = g->segments[i];
    }
    g->n_segments = kept;
}

static bool stands_along(const ms_op *op, ms_axis axis) {
    return axis == MS_AXIS_PIXELS ? op->pixels : axis != MS_AXIS_ROWS || op->rows;
}

static int64_t extent_of(const ms_value_info *v, ms_axis axis) {
    if (axis == MS_AXIS_ROWS)
        return v->shape.h;
    return axis == MS_AXIS_FRAMES ? v->shape.n : v->shape.h * v->shape.w;
}

/* A stripe of a value that leaves its segment over rows has no halo, so its readers
   in the segment must read the same rows. */
static void check_halo(ms_graph *g, const ms_node *node) {
    for (int i = 0; i < node->n_inputs && node->op->reads; i++) {
        const ms_value_info *v = node->input[i] == MS_NO_VALUE ? NULL : &g->values[node->input[i]];
        ms_row_range out = {0, 1};
        if (!v || v->segment != node->segment || v->local)
            continue;
        ms_row_range in = node->op->reads(g, node, i, out);
        if (in.end != 1)
            ms_graph_fail(g, MS_INTERNAL, "%s: reads rows around those of a value that leaves its segment",
                          node->name);
    }
}

static void find_extents(ms_graph *g) {
    for (int s = 0; s < g->n_segments; s++) {
        ms_segment *seg = &g->segments[s];
        seg->extent = seg->images = 1;
        for (int n = seg->first; n <= seg->last && seg->axis != MS_AXIS_NONE; n++) {
            const ms_value_info *v = &g->values[g->nodes[n].output];
            if (!stands_along(g->nodes[n].op, seg->axis)) {
                ms_graph_fail(g, MS_INTERNAL, "%s: %s cannot be sliced over %s", g->nodes[n].name,
                              g->nodes[n].op->name, seg->axis == MS_AXIS_ROWS ? "rows" : "pixels");
                return;
            }
            if (v->whole) {
                ms_graph_fail(g, MS_INTERNAL, "%s: makes a whole value inside a sliced segment",
                              g->nodes[n].name);
                return;
            }
            if (seg->axis == MS_AXIS_ROWS) {
                check_halo(g, &g->nodes[n]);
                seg->images = v->shape.n;
                if (v->local)
                    continue;
            }
            int64_t extent = extent_of(v, seg->axis);
            if (seg->extent != 1 && seg->extent != extent) {
                ms_graph_fail(g, MS_INTERNAL, "%s: has %lld rows to slice, its segment %lld",
                              g->nodes[n].name, (long long)extent, (long long)seg->extent);
                return;
            }
            seg->extent = extent;
        }
    }
}

/* First and last touch by node, and which values stay inside one sliced segment. */
static void find_lives(ms_graph *g) {
    for (int v = 0; v < g->n_values; v++) {
        ms_value_info *info = &g->values[v];
        info->last = info->first;
        info->local = !info->input && !info->output && g->segments[info->segment].axis != MS_AXIS_NONE;
    }
    for (int n = 0; n < g->n_nodes; n++) {
        if (g->nodes[n].op->keeps) {
            g->values[g->nodes[n].output].first = g->segments[g->nodes[n].segment].first;
            g->values[g->nodes[n].output].last = g->segments[g->nodes[n].segment].last;
        }
        for (int i = 0; i < g->nodes[n].n_inputs; i++) {
            if (g->nodes[n].input[i] == MS_NO_VALUE)
                continue;
            ms_value_info *info = &g->values[g->nodes[n].input[i]];
            info->last = n > info->last ? n : info->last;
            if (info->segment != g->nodes[n].segment)
                info->local = false;
        }
    }
    for (int v = 0; v < g->n_values; v++)
        if (g->values[v].output)
            g->values[v].last = g->n_nodes - 1;
}

ms_status ms_graph_finish(ms_graph *g, ms_error *err) {
    if (g->status == MS_OK && g->n_nodes == 0)
        ms_graph_fail(g, MS_INTERNAL, "the graph has no operations");
    if (g->status == MS_OK)
        drop_empty_segments(g);
    if (g->status == MS_OK)
        find_lives(g);
    if (g->status == MS_OK)
        find_extents(g);
    if (g->status != MS_OK) {
        if (err)
            *err = g->err;
        return g->status;
    }
    g->finished = true;
    return MS_OK;
}

const ms_device *ms_graph_device(const ms_graph *g) {
    return ms_params_device(g->params);
}

ms_mem *ms_graph_mem(const ms_graph *g) {
    return g->mem;
}

const ms_params *ms_graph_params(const ms_graph *g) {
    return g->params;
}

int ms_graph_node_count(const ms_graph *g) {
    return g->n_nodes;
}

int ms_graph_value_count(const ms_graph *g) {
    return g->n_values;
}

int ms_graph_segment_count(const ms_graph *g) {
    return g->n_segments;
}

const ms_node *ms_graph_node(const ms_graph *g, int index) {
    return &g->nodes[index];
}

const ms_value_info *ms_graph_value(const ms_graph *g, ms_value value) {
    return &g->values[value];
}

const ms_segment *ms_graph_get_segment(const ms_graph *g, int index) {
    return &g->segments[index];
}

ms_shape ms_graph_shape(const ms_graph *g, ms_value value) {
    ms_shape none = {0};
    return value < 0 || value >= g->n_values ? none : g->values[value].shape;
}

ms_value ms_graph_find(const ms_graph *g, const char *name) {
    for (int v = 0; v < g->n_values; v++)
        if ((g->values[v].input || g->values[v].output) && strcmp(g->values[v].name, name) == 0)
            return v;
    return MS_NO_VALUE;
}

double ms_graph_flops(const ms_graph *g) {
    double sum = 0;
    for (int n = 0; n < g->n_nodes; n++)
        if (g->nodes[n].op->flops)
            sum += g->nodes[n].op->flops(g, &g->nodes[n]);
    return sum;
}
