#include "graph/network.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

ms_status ms_network_take(ms_graph **graph, const ms_slicing *slicing, ms_network *ret_network,
                          ms_error *err) {
    ms_network n = {.graph = *graph};
    ms_status status = ms_plan_create(n.graph, slicing, &n.plan, err);
    if (status != MS_OK) {
        ms_graph_destroy(graph);
        return status;
    }
    *graph = NULL;
    *ret_network = n;
    return MS_OK;
}

ms_status ms_network_build(const ms_network_build_params *p, ms_network *ret_network, ms_error *err) {
    ms_graph *graph = NULL;
    MS_TRY(ms_graph_create(p->params, p->activation, &graph, err));
    ms_status status = p->build(p->arg, graph, err);
    if (status == MS_OK)
        return ms_network_take(&graph, p->slicing, ret_network, err);
    ms_graph_destroy(&graph);
    return status;
}

static void forget(ms_network_list *list) {
    if (list->launches)
        list->launches->dev->backend->launches_destroy(&list->launches);
}

void ms_network_forget(ms_network *n) {
    for (int i = 0; i < MS_NETWORK_LISTS; i++)
        forget(&n->list[i]);
}

size_t ms_network_held_bytes(const ms_network *n) {
    return n->graph ? ms_graph_held_bytes(n->graph) + ms_plan_held_bytes(n->graph) : 0;
}

void ms_network_clear(ms_network *n) {
    ms_network_forget(n);
    ms_plan_destroy(&n->plan);
    ms_graph_destroy(&n->graph);
}

/* Makes the list for the context the first one. What was captured for another arena
   or other weights is of no use any more. */
static ms_status capture(ms_network *n, const ms_context *context, ms_error *err) {
    ms_network_list wanted = {.arena = context->arena, .weights = ms_weights_generation(context->weights)};
    memcpy(wanted.bound, context->bound, sizeof(wanted.bound));
    int at = MS_NETWORK_LISTS - 1; /* the list that goes, when none is found */
    for (int i = MS_NETWORK_LISTS - 1; i >= 0; i--) {
        ms_network_list *list = &n->list[i];
        if (list->arena != wanted.arena || list->weights != wanted.weights)
            forget(list);
        if (list->launches && memcmp(list->bound, wanted.bound, sizeof(wanted.bound)) == 0) {
            at = i;
            wanted.launches = list->launches;
        }
    }
    if (!wanted.launches) {
        forget(&n->list[at]);
        MS_TRY(ms_exec_capture(n->graph, n->plan, context, &wanted.launches, err));
    }
    memmove(&n->list[1], &n->list[0], (size_t)at * sizeof(n->list[0]));
    n->list[0] = wanted;
    return MS_OK;
}

ms_status ms_network_run(ms_network *n, const ms_context *context, const ms_exec_params *exec,
                         ms_error *err) {
    const ms_compute *c = &context->compute;
    if (!c->replay || !c->dev->caps.capture || ms_weights_get_residency(context->weights) != MS_ALL_RESIDENT)
        return ms_exec_run(n->graph, n->plan, context, exec, err);
    ms_status status = exec && exec->before ? exec->before(exec->arg, n->graph, 0) : MS_OK;
    if (status != MS_OK)
        return ms_fail(err, status, "stopped before %s", ms_graph_node(n->graph, 0)->name);
    MS_TRY(capture(n, context, err));
    status = c->dev->backend->launch(c->queue, n->list[0].launches);
    if (status == MS_OK)
        status = ms_compute_finish(c);
    return status == MS_OK ? MS_OK : ms_fail(err, status, "the device failed: %s", ms_status_text(status));
}

static ms_status find(const ms_network *n, const char *name, ms_value *ret_value, ms_error *err) {
    *ret_value = ms_graph_find(n->graph, name);
    if (*ret_value == MS_NO_VALUE)
        return ms_fail(err, MS_INTERNAL, "the network has no value %s", name);
    return MS_OK;
}

ms_status ms_network_write(const ms_network *n, const ms_context *context, const char *name, const void *data,
                           ms_error *err) {
    ms_value v;
    MS_TRY(find(n, name, &v, err));
    ms_status status = ms_exec_write(n->graph, n->plan, context, v, data);
    return status == MS_OK ? MS_OK : ms_fail(err, status, "cannot upload %s", name);
}

static ms_status read_value(const ms_network *n, const ms_context *context, const char *name, bool widen,
                            void *ret_data, ms_error *err) {
    ms_value v;
    MS_TRY(find(n, name, &v, err));
    ms_status status = widen ? ms_exec_read_f32(n->graph, n->plan, context, v, ret_data)
                             : ms_exec_read(n->graph, n->plan, context, v, ret_data);
    return status == MS_OK ? MS_OK : ms_fail(err, status, "cannot download %s", name);
}

ms_status ms_network_read(const ms_network *n, const ms_context *context, const char *name, float *ret_data,
                          ms_error *err) {
    return read_value(n, context, name, true, ret_data, err);
}

ms_status ms_network_read_raw(const ms_network *n, const ms_context *context, const char *name,
                              void *ret_data, ms_error *err) {
    return read_value(n, context, name, false, ret_data, err);
}

size_t ms_network_bytes(const ms_network *n, const char *name) {
    ms_value v = ms_graph_find(n->graph, name);
    return v == MS_NO_VALUE ? 0
                            : (size_t)ms_shape_elements(ms_graph_shape(n->graph, v)) *
                                  ms_dtype_bytes(ms_graph_dtype(n->graph, v));
}

/* Convolutions that are computed by Winograd's algorithm are several times faster
   than what goes through a plain matrix product. */
static bool is_winograd(const ms_graph *g, const ms_node *node) {
    for (int i = 0; i < node->n_params; i++)
        if (node->param[i] != MS_NO_PARAM &&
            ms_params_decl(ms_graph_params(g), node->param[i])->layout == MS_LAYOUT_WINOGRAD)
            return true;
    return false;
}

static double bytes_of(const ms_graph *g, ms_value value) {
    return (double)ms_shape_elements(ms_graph_shape(g, value)) *
           (double)ms_dtype_bytes(ms_graph_dtype(g, value));
}

static double activation_bytes(const ms_graph *g, const ms_node *node) {
    double bytes = bytes_of(g, node->output);
    for (int i = 0; i < node->n_inputs; i++)
        if (!node->unread || i != node->in_place)
            bytes += bytes_of(g, node->input[i]);
    return bytes;
}

static double *flops_of(const ms_graph *g, const ms_node *node, ms_network_work *work) {
    if (strstr(node->op->name, "attention"))
        return &work->attention_flops;
    return is_winograd(g, node) ? &work->conv_flops : &work->linear_flops;
}

static double slices_of(const ms_network *n, const ms_node *node) {
    const ms_segment *seg = ms_graph_get_segment(n->graph, node->segment);
    int64_t slice = n->plan->slice[node->segment];
    return (double)((seg->extent + slice - 1) / slice * seg->images);
}

size_t ms_network_launch_bytes(const ms_network *n) {
    const ms_device_caps *caps = &ms_graph_device(n->graph)->caps;
    double sum = 0;
    for (int i = 0; i < ms_graph_node_count(n->graph); i++) {
        const ms_node *node = ms_graph_node(n->graph, i);
        double bytes =
            (double)caps->launch_bytes * (node->op->calls ? (double)node->op->calls(n->graph, node) : 1);
        if (n->plan->workspace_bytes[i] > 0)
            bytes += (double)caps->workspace_launch_bytes;
        sum += slices_of(n, node) * bytes;
    }
    return (size_t)sum;
}

/* Of a device that computes or moves. Beside their operations, what products read and write counts as
   none. */
static ms_network_work work_of(const ms_network *n, const ms_node *node, ms_dtype precision,
                               ms_residency residency) {
    const ms_params *params = ms_graph_params(n->graph);
    ms_network_work work = {.passes = slices_of(n, node)};
    if (node->op->flops)
        *flops_of(n->graph, node, &work) = node->op->flops(n->graph, node);
    else
        work.moved_bytes = activation_bytes(n->graph, node);
    for (int p = 0; p < node->n_params; p++) {
        if (node->param[p] == MS_NO_PARAM)
            continue;
        double bytes = work.passes * (double)ms_param_bytes(params, node->param[p], precision);
        work.weight_bytes += bytes;
        work.streamed_bytes += ms_params_is_streamed(params, node->param[p], residency) ? bytes : 0;
    }
    return work;
}

/* Of a device that moves while it computes: what takes longer of the two. Sources that are copied to a
   workspace are read and written by a kernel of its own before that; the product then reads the copies. */
static ms_network_work longer_of(const ms_network *n, int index, const ms_network_work *all,
                                 const ms_probe_rates *rates) {
    const ms_node *node = ms_graph_node(n->graph, index);
    const ms_segment *seg = ms_graph_get_segment(n->graph, node->segment);
    const ms_network_work computed = {.conv_flops = all->conv_flops,
                                      .linear_flops = all->linear_flops,
                                      .attention_flops = all->attention_flops},
                          moved = {.moved_bytes = activation_bytes(n->graph, node),
                                   .weight_bytes = all->weight_bytes};
    bool computes = ms_network_seconds(&computed, rates) > ms_network_seconds(&moved, rates);
    ms_network_work work = computes ? computed : moved;
    work.streamed_bytes = all->streamed_bytes;
    work.passes = all->passes;
    if (n->plan->workspace_bytes[index] > 0) {
        double slices = (double)(seg->extent * seg->images) / (double)n->plan->slice[node->segment];
        work.moved_bytes += 2 * slices * (double)n->plan->workspace_bytes[index];
        work.passes += all->passes;
    }
    return work;
}

ms_network_work ms_network_get_work(const ms_network *n, ms_dtype precision, ms_residency residency,
                                    const ms_probe_rates *roofline) {
    ms_network_work sum = {0};
    for (int i = 0; i < ms_graph_node_count(n->graph); i++) {
        ms_network_work work = work_of(n, ms_graph_node(n->graph, i), precision, residency);
        if (roofline)
            work = longer_of(n, i, &work, roofline);
        sum = ms_network_work_add(sum, work, 1);
    }
    return sum;
}

/* Packing takes the same cores as computing; reading goes on beside both. */
double ms_network_seconds(const ms_network_work *w, const ms_probe_rates *a_second) {
    double busy = w->conv_flops / a_second->conv_flops + w->linear_flops / a_second->linear_flops +
                  w->attention_flops / a_second->attention_flops + w->moved_bytes / a_second->moved_bytes +
                  w->weight_bytes / a_second->weight_bytes + w->streamed_bytes / a_second->pack_bytes +
                  w->passes / a_second->passes;
    return fmax(busy, w->streamed_bytes / a_second->disk_bytes);
}

ms_network_work ms_network_work_add(ms_network_work a, ms_network_work b, double times) {
    return (ms_network_work){.conv_flops = a.conv_flops + times * b.conv_flops,
                             .linear_flops = a.linear_flops + times * b.linear_flops,
                             .attention_flops = a.attention_flops + times * b.attention_flops,
                             .moved_bytes = a.moved_bytes + times * b.moved_bytes,
                             .weight_bytes = a.weight_bytes + times * b.weight_bytes,
                             .streamed_bytes = a.streamed_bytes + times * b.streamed_bytes,
                             .passes = a.passes + times * b.passes};
}
