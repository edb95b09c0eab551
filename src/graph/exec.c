#include "graph/exec.h"

#include <string.h>

#include "base/error.h"
#include "weights/weight_stream.h"

static void *place_of(const ms_graph *graph, const ms_plan *plan, char *arena, void *const *bound,
                      ms_value value) {
    int slot = ms_graph_value(graph, value)->slot;
    return slot < 0 ? arena + plan->value_offset[value] : bound[slot];
}

static void *base_of(const ms_exec_context *x, ms_value value) {
    return x->planning ? (void *)MS_PLANNING_ADDRESS : place_of(x->graph, x->plan, x->arena, x->bound, value);
}

void *ms_exec_data(const ms_exec_context *x, ms_value value) {
    return value == MS_NO_VALUE ? NULL : base_of(x, value);
}

/* The rows that later operations of the stripe need of a value, in whole tiles. Of
   a value that leaves the segment they are the stripe. */
static ms_row_range made_range(const ms_exec_context *x, ms_value value) {
    const ms_value_info *v = ms_graph_value(x->graph, value);
    if (!v->local)
        return (ms_row_range){x->first, x->first + x->count};
    const ms_segment *seg = ms_graph_get_segment(x->graph, v->segment);
    ms_row_range sum = {v->shape.h, 0};
    for (int n = seg->first; n <= seg->last; n++) {
        const ms_node *node = ms_graph_node(x->graph, n);
        for (int i = 0; i < node->n_inputs; i++) {
            if (node->input[i] != value)
                continue;
            ms_row_range in = made_range(x, node->output);
            if (node->op->reads)
                in = node->op->reads(x->graph, node, i, in);
            sum.first = in.first < sum.first ? in.first : sum.first;
            sum.end = in.end > sum.end ? in.end : sum.end;
        }
    }
    sum.first -= sum.first % MS_STRIPE_ROWS;
    sum.end += (MS_STRIPE_ROWS - sum.end % MS_STRIPE_ROWS) % MS_STRIPE_ROWS;
    sum.end = sum.end < v->shape.h ? sum.end : v->shape.h;
    return sum;
}

ms_row_range ms_exec_range(const ms_exec_context *x, ms_value value) {
    const ms_value_info *v = ms_graph_value(x->graph, value);
    if (x->axis != MS_AXIS_ROWS || v->segment != x->segment)
        return (ms_row_range){0, v->shape.h};
    return made_range(x, value);
}

ms_rows ms_exec_rows_at(const ms_exec_context *x, ms_value value, ms_row_range range) {
    ms_rows rows = ms_exec_rows(x, value);
    if (x->axis != MS_AXIS_ROWS || value == MS_NO_VALUE)
        return rows;
    ms_shape s = ms_graph_value(x->graph, value)->shape;
    if (!x->planning)
        rows.data =
            ms_elements_at(rows.data, rows.dtype, (range.first - ms_exec_range(x, value).first) * s.w * s.c);
    rows.inner = (range.end - range.first) * s.w;
    return rows;
}

/* A value's stripe: a local one has room for one stripe of one image. */
static ms_rows stripe_rows(const ms_exec_context *x, ms_value value, ms_rows rows) {
    const ms_value_info *v = ms_graph_value(x->graph, value);
    ms_row_range range = ms_exec_range(x, value);
    rows.outer = 1;
    rows.inner = (range.end - range.first) * v->shape.w;
    if (!v->local && !x->planning)
        rows.data = ms_elements_at(rows.data, rows.dtype,
                                   x->image * rows.outer_stride + range.first * v->shape.w * v->shape.c);
    return rows;
}

ms_rows ms_exec_rows(const ms_exec_context *x, ms_value value) {
    if (value == MS_NO_VALUE)
        return (ms_rows){0};
    const ms_value_info *v = ms_graph_value(x->graph, value);
    ms_shape s = v->shape;
    ms_rows rows = {.data = ms_exec_data(x, value),
                    .dtype = v->dtype,
                    .outer = s.n,
                    .inner = s.h * s.w,
                    .channels = s.c,
                    .outer_stride = s.h * s.w * s.c,
                    .inner_stride = s.c};
    if (v->whole)
        return rows;
    if (x->axis == MS_AXIS_ROWS)
        return stripe_rows(x, value, rows);
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
        rows.data = ms_elements_at(rows.data, rows.dtype, skip);
    return rows;
}

const float *ms_exec_vector(const ms_exec_context *x, ms_param param) {
    if (param == MS_NO_PARAM)
        return NULL;
    return x->planning ? (const float *)MS_PLANNING_ADDRESS : ms_weights_vector(x->weights, param);
}

ms_weight ms_exec_matrix(const ms_exec_context *x, ms_param param) {
    if (!x->planning)
        return ms_weights_matrix(x->weights, param);
    ms_weight_shape s = ms_param_weight_shape(ms_graph_params(x->graph), param, MS_F32);
    return (ms_weight){.dtype = s.dtype, .layout = s.layout, .n = s.n, .k = s.c_in * s.kernel_h * s.kernel_w};
}

int64_t ms_exec_first_image(const ms_exec_context *x) {
    if (x->axis == MS_AXIS_ROWS)
        return x->image;
    return x->axis == MS_AXIS_FRAMES ? x->first : 0;
}

/* ---- streamed weights ---- */

static ms_param streamed_param(const ms_graph *g, const ms_weights *w, int index) {
    const ms_node *node = ms_graph_node(g, index);
    for (int i = 0; i < node->n_params; i++)
        if (ms_weights_is_streamed(w, node->param[i]))
            return node->param[i];
    return MS_NO_PARAM;
}

static ms_param first_streamed(const ms_graph *g, const ms_weights *w, int first, int last) {
    for (int n = first; n <= last; n++) {
        ms_param param = streamed_param(g, w, n);
        if (param != MS_NO_PARAM)
            return param;
    }
    return MS_NO_PARAM;
}

/* The streamed matrix that is read after node n of this slice: later in the segment, at its start when
   more slices follow, in a later segment, or at the graph's start, which is most likely run again. */
static ms_param next_streamed(const ms_exec_context *x, const ms_segment *seg, int n) {
    const ms_graph *g = x->graph;
    const ms_weights *w = x->weights;
    ms_param param = first_streamed(g, w, n + 1, seg->last);
    if (param == MS_NO_PARAM && (x->first + x->count < seg->extent || x->image + 1 < seg->images))
        param = first_streamed(g, w, seg->first, n);
    if (param == MS_NO_PARAM)
        param = first_streamed(g, w, seg->last + 1, ms_graph_node_count(g) - 1);
    return param != MS_NO_PARAM ? param : first_streamed(g, w, 0, n);
}

static ms_status fetch_weights(const ms_exec_context *x, const ms_segment *seg, int n, ms_error *err) {
    ms_param param = streamed_param(x->graph, x->weights, n);
    if (param == MS_NO_PARAM)
        return MS_OK;
    return ms_weights_need(x->weights, param, next_streamed(x, seg, n), err);
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

bool ms_exec_next_slice(ms_exec_context *x, const ms_segment *seg, int64_t slice) {
    x->first += x->count;
    if (x->first >= seg->extent) {
        x->first = 0;
        x->image++;
    }
    int64_t left = seg->extent - x->first;
    x->count = slice < left ? slice : left;
    return x->image < seg->images;
}

/* Gives the whole graph to the queue. */
static ms_status give_all(const ms_graph *graph, const ms_plan *plan, const ms_context *context,
                          const ms_exec_params *params, ms_error *err) {
    ms_exec_context x = {.graph = graph,
                         .plan = plan,
                         .dev = context->compute.dev,
                         .queue = context->compute.queue,
                         .weights = context->weights,
                         .arena = context->arena,
                         .bound = context->bound};
    for (int v = 0; v < ms_graph_value_count(graph); v++)
        if (ms_graph_value(graph, v)->slot >= 0 && !base_of(&x, v))
            return ms_fail(err, MS_INTERNAL, "%s is not bound", ms_graph_value(graph, v)->name);
    for (int s = 0; s < ms_graph_segment_count(graph); s++) {
        const ms_segment *seg = ms_graph_get_segment(graph, s);
        x.axis = seg->axis;
        x.segment = s;
        x.first = x.count = x.image = 0;
        while (ms_exec_next_slice(&x, seg, plan->slice[s]))
            MS_TRY(run_slice(&x, seg, params, err));
    }
    return MS_OK;
}

static ms_status told(ms_status status, ms_error *err) {
    return status == MS_OK ? MS_OK : ms_fail(err, status, "the device failed: %s", ms_status_text(status));
}

ms_status ms_exec_run(const ms_graph *graph, const ms_plan *plan, const ms_context *context,
                      const ms_exec_params *params, ms_error *err) {
    ms_status status = give_all(graph, plan, context, params, err);
    /* Waits whatever happened, because the caller may free the arena. */
    ms_status finished = told(ms_compute_finish(&context->compute), status == MS_OK ? err : NULL);
    return status == MS_OK ? finished : status;
}

ms_status ms_exec_capture(const ms_graph *graph, const ms_plan *plan, const ms_context *context,
                          ms_launches **ret_launches, ms_error *err) {
    const ms_backend *b = context->compute.dev->backend;
    ms_queue *queue = context->compute.queue;
    ms_launches *launches = NULL;
    if (first_streamed(graph, context->weights, 0, ms_graph_node_count(graph) - 1) != MS_NO_PARAM)
        return ms_fail(err, MS_INTERNAL, "streamed weights cannot be captured");
    MS_TRY(told(b->capture_begin(queue), err));
    ms_status status = give_all(graph, plan, context, NULL, err);
    ms_status ended = told(b->capture_end(queue, &launches), status == MS_OK ? err : NULL);
    if (status == MS_OK && ended == MS_OK) {
        *ret_launches = launches;
        return MS_OK;
    }
    if (launches)
        b->launches_destroy(&launches);
    return status == MS_OK ? ended : status;
}

static size_t bytes_of(const ms_graph *graph, ms_value value) {
    const ms_value_info *v = ms_graph_value(graph, value);
    return (size_t)ms_shape_elements(v->shape) * ms_dtype_bytes(v->dtype);
}

ms_status ms_exec_write(const ms_graph *graph, const ms_plan *plan, const ms_context *context, ms_value value,
                        const void *data) {
    void *place = place_of(graph, plan, context->arena, context->bound, value);
    return place ? ms_compute_upload(&context->compute, place, data, bytes_of(graph, value)) : MS_INTERNAL;
}

ms_status ms_exec_read(const ms_graph *graph, const ms_plan *plan, const ms_context *context, ms_value value,
                       void *ret_data) {
    const void *place = place_of(graph, plan, context->arena, context->bound, value);
    return place ? ms_compute_download(&context->compute, ret_data, place, bytes_of(graph, value))
                 : MS_INTERNAL;
}

/* Values of 16 bits are read into the second half and widened from the front, so
   each is read before it is written over. */
ms_status ms_exec_read_f32(const ms_graph *graph, const ms_plan *plan, const ms_context *context,
                           ms_value value, float *ret_data) {
    const ms_dtype dtype = ms_graph_dtype(graph, value);
    if (dtype == MS_F32)
        return ms_exec_read(graph, plan, context, value, ret_data);
    const int64_t count = ms_shape_elements(ms_graph_shape(graph, value));
    const uint16_t *halves = (const uint16_t *)(const void *)ret_data + count;
    MS_TRY(ms_exec_read(graph, plan, context, value, (void *)(uintptr_t)halves));
    for (int64_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, halves + i, sizeof(half));
        ret_data[i] = dtype == MS_F16 ? ms_f16_to_f32(half) : ms_bf16_to_f32(half);
    }
    return MS_OK;
}
