#include "models/onnx/onnx_net.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "graph/network.h"
#include "models/onnx/build.h"
#include "text/text.h"

struct ms_onnx_net {
    ms_compute compute;
    ms_onnx_file *file;
    ms_region region; /* what follows, up to outputs */
    onnx_use *uses;
    bool *needed;
    ms_onnx_value *inputs, *outputs;
    ms_params *params;
    ms_weights *weights;
    /* The last preparation. */
    ms_network network;
    ms_value *input_values, *output_values;
};

/* ---- opening ---- */

static bool asks_for_shape_only(const ms_onnx_node *node) {
    return strcmp(node->op, "Shape") == 0 || strcmp(node->op, "Size") == 0;
}

/* What the outputs depend on, and who reads what. Nodes are in order, so one walk from the end finds all. */
static ms_status find_uses(ms_onnx_net *net, ms_error *err) {
    const ms_onnx_file *f = net->file;
    int needed = 0;
    for (int i = 0; i < f->n_outputs; i++)
        net->uses[f->outputs[i].value].output = true;
    for (int n = f->n_nodes - 1; n >= 0; n--) {
        const ms_onnx_node *node = &f->nodes[n];
        for (int i = 0; i < node->n_outputs && !net->needed[n]; i++) {
            const onnx_use *use = node->output[i] < 0 ? NULL : &net->uses[node->output[i]];
            net->needed[n] = use && (use->output || use->shape || use->count);
        }
        needed += net->needed[n];
        for (int i = 0; i < node->n_inputs && net->needed[n]; i++) {
            onnx_use *use = node->input[i] < 0 ? NULL : &net->uses[node->input[i]];
            if (use && asks_for_shape_only(node)) {
                use->shape = true;
            } else if (use) {
                use->node = n;
                use->count++;
            }
        }
    }
    if (needed > ONNX_MAX_NODES)
        return ms_fail(err, MS_BAD_MODEL, "has %d nodes, more than %d", needed, ONNX_MAX_NODES);
    return MS_OK;
}

static ms_status check_operators(const ms_onnx_file *f, ms_error *err) {
    char name[MS_QUOTE_BYTES], op[MS_QUOTE_BYTES];
    for (int n = 0; n < f->n_nodes; n++) {
        const ms_onnx_node *node = &f->nodes[n];
        if (!ms_onnx_find_op(node->op))
            return ms_fail(err, MS_BAD_MODEL, "node %d \"%s\": operator %s is not supported", n,
                           ms_quote(name, node->name, strlen(node->name)),
                           ms_quote(op, node->op, strlen(node->op)));
    }
    return MS_OK;
}

static ms_status describe_ports(ms_onnx_net *net, ms_error *err) {
    const ms_onnx_file *f = net->file;
    char q[MS_QUOTE_BYTES];
    for (int i = 0; i < f->n_inputs; i++) {
        const ms_onnx_port *p = &f->inputs[i];
        if (!p->is_float || p->rank < 1)
            return ms_fail(err, MS_BAD_MODEL, "input \"%s\" is no float32 tensor with dimensions",
                           ms_quote(q, p->name, strlen(p->name)));
        net->inputs[i] = (ms_onnx_value){.name = p->name, .rank = p->rank};
        memcpy(net->inputs[i].shape, p->shape, sizeof(p->shape));
    }
    for (int i = 0; i < f->n_outputs; i++)
        net->outputs[i] = (ms_onnx_value){.name = f->outputs[i].name, .rank = -1};
    return MS_OK;
}

static void *cleared(ms_region *region, int count, size_t bytes) {
    void *array = ms_region_alloc_array(region, (size_t)count, bytes);
    if (array)
        memset(array, 0, (size_t)count * bytes);
    return array;
}

static ms_status set_up(ms_onnx_net *net, ms_error *err) {
    const ms_onnx_file *f = net->file;
    net->uses = cleared(&net->region, f->n_values, sizeof(*net->uses));
    net->needed = cleared(&net->region, f->n_nodes, sizeof(*net->needed));
    net->inputs = cleared(&net->region, f->n_inputs, sizeof(*net->inputs));
    net->outputs = cleared(&net->region, f->n_outputs, sizeof(*net->outputs));
    net->input_values = cleared(&net->region, f->n_inputs, sizeof(*net->input_values));
    net->output_values = cleared(&net->region, f->n_outputs, sizeof(*net->output_values));
    if (!net->uses || !net->needed || !net->inputs || !net->outputs || !net->input_values ||
        !net->output_values)
        return ms_fail_alloc(err, net->compute.mem, net->region.used_bytes, "a network");
    MS_TRY(check_operators(f, err));
    MS_TRY(describe_ports(net, err));
    MS_TRY(find_uses(net, err));
    MS_TRY(ms_params_create(net->compute.mem, net->compute.dev, &net->params, err));
    return ms_weights_create(&net->compute, net->params, &net->weights, err);
}

ms_status ms_onnx_net_create(const ms_compute *compute, ms_onnx_file **file, ms_onnx_net **ret_net,
                             ms_error *err) {
    ms_onnx_net *net = ms_mem_calloc(compute->mem, MS_LEDGER_GENERAL, 1, sizeof(*net));
    if (!net) {
        ms_onnx_file_close(file);
        return ms_fail_alloc(err, compute->mem, sizeof(*net), "a network");
    }
    net->compute = *compute;
    net->file = *file;
    *file = NULL;
    ms_region_init(&net->region, compute->mem, SIZE_MAX);
    ms_status status = set_up(net, err);
    if (status != MS_OK) {
        ms_fail_prefix(err, status, "%s", net->file->path);
        ms_onnx_net_close(&net);
        return status;
    }
    *ret_net = net;
    return MS_OK;
}

ms_status ms_onnx_net_open(const ms_compute *compute, const char *path, ms_onnx_net **ret_net,
                           ms_error *err) {
    ms_onnx_file *file = NULL;
    MS_TRY(ms_onnx_file_open(compute->mem, path, &file, err));
    return ms_onnx_net_create(compute, &file, ret_net, err);
}

void ms_onnx_net_close(ms_onnx_net **net) {
    if (!net || !*net)
        return;
    ms_onnx_net *n = *net;
    ms_network_clear(&n->network);
    ms_weights_destroy(&n->weights);
    ms_params_destroy(&n->params);
    ms_region_free(&n->region);
    ms_onnx_file_close(&n->file);
    ms_mem_free(n);
    *net = NULL;
}

int ms_onnx_net_input_count(const ms_onnx_net *net) {
    return net->file->n_inputs;
}

int ms_onnx_net_output_count(const ms_onnx_net *net) {
    return net->file->n_outputs;
}

const ms_onnx_value *ms_onnx_net_input(const ms_onnx_net *net, int index) {
    return &net->inputs[index];
}

const ms_onnx_value *ms_onnx_net_output(const ms_onnx_net *net, int index) {
    return &net->outputs[index];
}

const ms_graph *ms_onnx_net_graph(const ms_onnx_net *net) {
    return net->network.graph;
}

const ms_plan *ms_onnx_net_plan(const ms_onnx_net *net) {
    return net->network.plan;
}

const char *ms_onnx_net_path(const ms_onnx_net *net) {
    return net->file->path;
}

/* ---- building ---- */

/* What a preparation makes, before it replaces the one before. */
typedef struct preparation {
    onnx_build b;
    ms_region region;
    ms_network network;
    ms_value *inputs, *outputs;
    ms_onnx_value *described; /* outputs */
} preparation;

static ms_status check_input(const ms_onnx_net *net, int i, const ms_onnx_value *given, ms_error *err) {
    const ms_onnx_value *declared = &net->inputs[i];
    char q[MS_QUOTE_BYTES];
    ms_quote(q, declared->name, strlen(declared->name));
    if (given->rank != declared->rank)
        return ms_fail(err, MS_INVALID_ARGUMENT, "input \"%s\" has %d dimensions, not %d", q, declared->rank,
                       given->rank);
    for (int j = 0; j < given->rank; j++)
        if (given->shape[j] <= 0 || (declared->shape[j] >= 0 && declared->shape[j] != given->shape[j]))
            return ms_fail(err, MS_INVALID_ARGUMENT,
                           "dimension %d of input \"%s\" is %" PRId64 " in the file and cannot be %" PRId64,
                           j, q, declared->shape[j], given->shape[j]);
    return MS_OK;
}

/* The caller's array is row-major; an image becomes channels-last where the first operation wants it so.
   Until then its rows stand for channels: arithmetic with one constant (the landmark network begins with it)
   runs along them instead of along 3 channels, 30 times as fast. */
static ms_status add_input(preparation *p, const ms_onnx_port *port, const ms_onnx_value *given,
                           ms_value *ret_value) {
    onnx_build *b = &p->b;
    onnx_slot slot = {.kind = ONNX_LIVE};
    MS_TRY(ms_onnx_set_dims(b, &slot, given->rank, given->shape));
    if (b->images && b->images != slot.dim[0])
        return ms_fail(b->err, MS_INVALID_ARGUMENT, "inputs for %" PRId64 " and %" PRId64 " images",
                       b->images, slot.dim[0]);
    b->images = slot.dim[0];
    int64_t row = slot.rank > 1 ? slot.dim[slot.rank - 1] : 1;
    ms_shape shape = {slot.dim[0], slot.elements / slot.dim[0] / row, 1, row};
    *ret_value = slot.value = ms_graph_input(b->graph, port->name, shape, false);
    int64_t step = 1;
    for (int i = slot.rank - 1; i >= 0; i--) {
        slot.stride[i] = step;
        step *= slot.dim[i];
    }
    if (ms_graph_failed(b->graph))
        return ms_graph_finish(b->graph, b->err);
    b->slots[port->value] = slot;
    return MS_OK;
}

static ms_status add_constant(onnx_build *b, int32_t value, const ms_onnx_tensor *t) {
    onnx_slot slot = {.kind = ONNX_CONST, .dtype = t->dtype, .data = t->data, .origin = value};
    MS_TRY(ms_onnx_set_dims(b, &slot, t->rank, t->shape));
    b->slots[value] = slot;
    return MS_OK;
}

static ms_status add_output(preparation *p, const ms_onnx_port *port, int i) {
    onnx_build *b = &p->b;
    onnx_slot *slot = &b->slots[port->value];
    char q[MS_QUOTE_BYTES];
    if (slot->kind != ONNX_LIVE)
        return ms_fail(b->err, MS_BAD_MODEL, "output \"%s\" does not depend on the inputs",
                       ms_quote(q, port->name, strlen(port->name)));
    MS_TRY(ms_onnx_plain(b, slot, &p->outputs[i]));
    ms_graph_output(b->graph, p->outputs[i], port->name);
    p->described[i] = (ms_onnx_value){.name = port->name, .rank = slot->rank, .elements = slot->elements};
    memcpy(p->described[i].shape, slot->dim, sizeof(slot->dim));
    return MS_OK;
}

static ms_status build(preparation *p, const ms_onnx_value *inputs) {
    onnx_build *b = &p->b;
    const ms_onnx_file *f = b->file;
    b->slots = cleared(b->region, f->n_values, sizeof(*b->slots));
    b->pass = cleared(b->region, f->n_nodes, sizeof(*b->pass));
    p->inputs = cleared(b->region, f->n_inputs, sizeof(*p->inputs));
    p->outputs = cleared(b->region, f->n_outputs, sizeof(*p->outputs));
    p->described = cleared(b->region, f->n_outputs, sizeof(*p->described));
    if (!b->slots || !b->pass || !p->inputs || !p->outputs || !p->described)
        return ms_onnx_no_region(b);
    for (int i = 0; i < f->n_nodes; i++)
        b->pass[i] = -1;
    ms_graph_segment(b->graph, MS_AXIS_FRAMES, "images");
    for (int i = 0; i < f->n_inputs; i++)
        MS_TRY(add_input(p, &f->inputs[i], &inputs[i], &p->inputs[i]));
    for (int v = 0; v < f->n_values; v++)
        if (f->constants[v])
            MS_TRY(add_constant(b, v, f->constants[v]));
    MS_TRY(ms_onnx_build_nodes(b));
    for (int i = 0; i < f->n_outputs; i++)
        MS_TRY(add_output(p, &f->outputs[i], i));
    return ms_graph_finish(b->graph, b->err);
}

/* ---- weights ---- */

static ms_status set_param(ms_onnx_net *net, ms_param param, const onnx_recipe *r, ms_error *err) {
    int64_t elements = 1;
    const ms_param_decl *d = ms_params_decl(net->params, param);
    for (int i = 0; i < d->rank; i++)
        elements *= d->shape[i];
    if (!r || !r->values || elements != r->n * r->k)
        return ms_fail(err, MS_INTERNAL, "the values of parameter %s are not at hand", d->name[0]);
    if (!r->row_scale && !r->transposed)
        return ms_weights_set(net->weights, param, r->values, err);
    size_t bytes = (size_t)elements * sizeof(float);
    float *values = ms_mem_alloc(net->compute.mem, MS_LEDGER_STAGING, bytes);
    if (!values)
        return ms_fail_alloc(err, net->compute.mem, bytes, "weights");
    ms_status status = MS_OK;
    for (int64_t i = 0; i < r->n && status == MS_OK; i++) {
        double scale = r->row_scale ? r->row_scale[i] : 1;
        for (int64_t j = 0; j < r->k; j++) {
            float x = (float)(scale * (double)r->values[r->transposed ? j * r->n + i : i * r->k + j]);
            values[i * r->k + j] = x;
            if (!isfinite(x))
                status = ms_fail(err, MS_BAD_MODEL, "parameter %s overflows in row %" PRId64, d->name[0], i);
        }
    }
    if (status == MS_OK)
        status = ms_weights_set(net->weights, param, values, err);
    ms_mem_free(values);
    return status;
}

/* Sets what is not set yet; a second preparation finds everything there. Large tensors that nothing else
   reads are given back. */
static ms_status set_params(ms_onnx_net *net, const onnx_build *b, ms_error *err) {
    for (size_t i = 0; i < ms_params_count(net->params); i++) {
        const char *name = ms_params_decl(net->params, (ms_param)i)->name[0];
        const onnx_recipe *r = ms_strmap_find(&b->recipes, name, strlen(name));
        if (ms_weights_is_set(net->weights, (ms_param)i))
            continue;
        MS_TRY(set_param(net, (ms_param)i, r, err));
        if (r->origin >= 0)
            ms_onnx_file_release(net->file, r->origin);
    }
    return MS_OK;
}

/* ---- preparing and running ---- */

static ms_status prepare(ms_onnx_net *net, preparation *p, const ms_onnx_value *inputs,
                         const ms_slicing *slicing, ms_error *err) {
    for (int i = 0; i < net->file->n_inputs; i++)
        MS_TRY(check_input(net, i, &inputs[i], err));
    MS_TRY(ms_graph_create(net->params, net->compute.activation, &p->b.graph, err));
    MS_TRY(build(p, inputs));
    MS_TRY(ms_network_take(&p->b.graph, slicing, &p->network, err));
    return set_params(net, &p->b, err);
}

ms_status ms_onnx_net_prepare(ms_onnx_net *net, const ms_onnx_value *inputs, const ms_slicing *slicing,
                              size_t *ret_arena_bytes, ms_error *err) {
    preparation p = {
        .b = {.file = net->file, .uses = net->uses, .needed = net->needed, .region = &p.region, .err = err}};
    ms_region_init(&p.region, net->compute.mem, ONNX_MAX_FOLDED_BYTES);
    ms_strmap_init(&p.b.recipes, &p.region);
    ms_status status = prepare(net, &p, inputs, slicing, err);
    if (status == MS_OK) {
        ms_network_clear(&net->network);
        net->network = p.network;
        memcpy(net->input_values, p.inputs, (size_t)net->file->n_inputs * sizeof(*p.inputs));
        memcpy(net->output_values, p.outputs, (size_t)net->file->n_outputs * sizeof(*p.outputs));
        memcpy(net->outputs, p.described, (size_t)net->file->n_outputs * sizeof(*p.described));
        *ret_arena_bytes = net->network.plan->arena_bytes;
    } else {
        ms_network_clear(&p.network);
        ms_graph_destroy(&p.b.graph);
        ms_fail_prefix(err, status, "%s", net->file->path);
    }
    ms_region_free(&p.region);
    return status;
}

ms_status ms_onnx_net_run(const ms_onnx_net *net, void *arena, const float *const *inputs,
                          float *const *outputs, ms_error *err) {
    const ms_network *n = &net->network;
    const ms_context context = {.compute = net->compute, .weights = net->weights, .arena = arena};
    ms_status status = MS_OK;
    if (!n->graph)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: has not been prepared", net->file->path);
    for (int i = 0; i < net->file->n_inputs && status == MS_OK; i++)
        status = ms_exec_write(n->graph, n->plan, &context, net->input_values[i], inputs[i]);
    if (status != MS_OK)
        return ms_fail(err, status, "%s: cannot upload the inputs", net->file->path);
    MS_TRY(ms_exec_run(n->graph, n->plan, &context, NULL, err));
    for (int i = 0; i < net->file->n_outputs && status == MS_OK; i++)
        status = ms_exec_read_f32(n->graph, n->plan, &context, net->output_values[i], outputs[i]);
    if (status != MS_OK)
        return ms_fail(err, status, "%s: cannot download the outputs", net->file->path);
    return MS_OK;
}
