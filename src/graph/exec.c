#include "graph/exec.h"

#include "base/error.h"
#include "weights/weight_stream.h"

static void *base_of(const ms_exec_context *x, ms_value value) {
    return x->planning ? (void *)MS_PLANNING_ADDRESS : x->arena + x->plan->value_offset[value];
}

float *ms_exec_data(const ms_exec_context *x, ms_value value) {
    return value == MS_NO_VALUE ? NULL : base_of(x, value);
}

ms_rows ms_exec_rows(const ms_exec_context *x, ms_value value) {
    if (value == MS_NO_VALUE)
        return (ms_rows){0};
    const ms_value_info *v = ms_graph_value(x->graph, value);
    ms_shape s = v->shape;
    ms_rows rows = {.data = ms_exec_data(x, value),
                    .outer = s.n,
                    .inner = s.h * s.w,
                    .channels = s.c,
                    .outer_stride = s.h * s.w * s.c,
                    .inner_stride = s.c};
    if (v->whole)
        return rows;
    int64_t skip = 0;
    if (x->axis == MS_AXIS_FRAMES) {
        rows.outer = x->count;
        skip = v->local ? 0 : x->first * rows.outer_stride;
    } else if (x->axis == MS_AXIS_PIXELS) {
        rows.inner = x->count;
        if (v->local)
            rows.outer_stride = x->count * s.c;
        else
            skip = x->first * s.c;
    }
    if (!x->planning)
        rows.data += skip;
    return rows;
}

const float *ms_exec_vector(const ms_exec_context *x, ms_param param) {
    if (param == MS_NO_PARAM)
        return NULL;
    return x->planning ? (const float *)MS_PLANNING_ADDRESS
                       : ms_weights_vector(ms_graph_weights(x->graph), param);
}

ms_weight ms_exec_matrix(const ms_exec_context *x, ms_param param) {
    return ms_weights_matrix(ms_graph_weights(x->graph), param);
}

int64_t ms_exec_first_image(const ms_exec_context *x) {
    return x->axis == MS_AXIS_FRAMES ? x->first : 0;
}

/* ---- streamed weights ---- */

static ms_param streamed_param(const ms_graph *g, int index) {
    const ms_node *node = ms_graph_node(g, index);
    for (int i = 0; i < node->n_params; i++)
        if (ms_weights_is_streamed(ms_graph_weights(g), node->param[i]))
            return node->param[i];
    return MS_NO_PARAM;
}

static ms_param first_streamed(const ms_graph *g, int first, int last) {
    for (int n = first; n <= last; n++) {
        ms_param param = streamed_param(g, n);
        if (param != MS_NO_PARAM)
            return param;
    }
    return MS_NO_PARAM;
}

/* The streamed matrix that is read after node n of this slice: later in the segment, at its start when more slices
   follow, in a later segment, or at the graph's start, which is most likely run again. */
static ms_param next_streamed(const ms_exec_context *x, const ms_segment *seg, int n) {
    const ms_graph *g = x->graph;
    ms_param param = first_streamed(g, n + 1, seg->last);
    if (param == MS_NO_PARAM && x->first + x->count < seg->extent)
        param = first_streamed(g, seg->first, n);
    if (param == MS_NO_PARAM)
        param = first_streamed(g, seg->last + 1, ms_graph_node_count(g) - 1);
    return param != MS_NO_PARAM ? param : first_streamed(g, 0, n);
}

static ms_status fetch_weights(const ms_exec_context *x, const ms_segment *seg, int n, ms_error *err) {
    ms_param param = streamed_param(x->graph, n);
    if (param == MS_NO_PARAM)
        return MS_OK;
    ms_weights *w = ms_graph_weights(x->graph);
    return ms_weights_need(w, param, next_streamed(x, seg, n), err);
}

static ms_status run_slice(ms_exec_context *x, const ms_segment *seg, const ms_exec_params *params,
                           ms_error *err) {
    for (int n = seg->first; n <= seg->last; n++) {
        const ms_node *node = ms_graph_node(x->graph, n);
        if (params && params->before) {
            ms_status status = params->before(params->arg, x->graph, n);
            if (status != MS_OK)
                return ms_fail(err, status, "stopped before %s", node->name);
        }
        MS_TRY(fetch_weights(x, seg, n, err));
        void *workspace = x->arena + x->plan->workspace_offset[n];
        ms_status status = node->op->run(x, node, workspace);
        if (status != MS_OK)
            return ms_fail(err, status, "%s (%s) failed: %s", node->name, node->op->name,
                           ms_status_text(status));
    }
    return MS_OK;
}

ms_status ms_exec_run(const ms_graph *graph, const ms_plan *plan, void *arena, const ms_exec_params *params,
                      ms_error *err) {
    ms_exec_context x = {.graph = graph, .plan = plan, .dev = ms_graph_device(graph), .arena = arena};
    for (int s = 0; s < ms_graph_segment_count(graph); s++) {
        const ms_segment *seg = ms_graph_get_segment(graph, s);
        x.axis = seg->axis;
        for (x.first = 0; x.first < seg->extent; x.first += x.count) {
            int64_t left = seg->extent - x.first;
            x.count = plan->slice[s] < left ? plan->slice[s] : left;
            MS_TRY(run_slice(&x, seg, params, err));
        }
    }
    return ms_graph_device(graph)->backend->synchronize(ms_graph_device(graph));
}

ms_status ms_exec_write(const ms_graph *graph, const ms_plan *plan, void *arena, ms_value value,
                        const float *data) {
    ms_device *dev = ms_graph_device(graph);
    size_t bytes = (size_t)ms_shape_elements(ms_graph_shape(graph, value)) * sizeof(float);
    return dev->backend->upload(dev, (char *)arena + plan->value_offset[value], data, bytes);
}

ms_status ms_exec_read(const ms_graph *graph, const ms_plan *plan, const void *arena, ms_value value,
                       float *ret_data) {
    ms_device *dev = ms_graph_device(graph);
    size_t bytes = (size_t)ms_shape_elements(ms_graph_shape(graph, value)) * sizeof(float);
    return dev->backend->download(dev, ret_data, (const char *)arena + plan->value_offset[value], bytes);
}
