/* From protobuf-c's structures to an ms_onnx_file. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "formats/onnx/onnx_internal.h"
#include "text/strmap.h"
#include "text/text.h"

/* No operator that this project knows has more than eight. */
#define MAX_ATTRIBUTES 64
#define IR_FIRST 3
#define IR_LAST 14

typedef Ms__Onnx__Graph graph_proto;
typedef Ms__Onnx__Node node_proto;
typedef Ms__Onnx__Attribute attribute_proto;
typedef Ms__Onnx__Value value_proto;

typedef struct reader {
    onnx_owner *o;
    ms_error *err;
    ms_strmap names; /* -> number + 1 */
    const char **value_names;
    const ms_onnx_tensor **constants;
    int32_t n_values;
} reader;

static const char *quote(char buf[MS_QUOTE_BYTES], const char *text) {
    return ms_quote(buf, text ? text : "", text ? strlen(text) : 0);
}

/* ---- values ---- */

static int32_t find_value(const reader *r, const char *name) {
    return (int32_t)(uintptr_t)ms_strmap_find(&r->names, name, strlen(name)) - 1;
}

/* Numbers a value that something makes now. */
static ms_status make_value(reader *r, const char *name, const char *maker, int32_t *ret_value) {
    char q[MS_QUOTE_BYTES], q2[MS_QUOTE_BYTES];
    if (!name || !name[0])
        return ms_fail(r->err, MS_BAD_MODEL, "%s: has no name", maker);
    if (find_value(r, name) >= 0)
        return ms_fail(r->err, MS_BAD_MODEL, "%s: makes \"%s\", which is there already", quote(q, maker),
                       quote(q2, name));
    void *number = (void *)(uintptr_t)(r->n_values + 1);
    if (ms_strmap_add(&r->names, name, strlen(name), number) != MS_STRMAP_ADDED)
        return ms_onnx_no_memory(r->o);
    r->value_names[r->n_values] = name;
    r->constants[r->n_values] = NULL;
    *ret_value = r->n_values++;
    return MS_OK;
}

/* Room for every name that could be new. */
static ms_status make_room(reader *r, const graph_proto *g) {
    size_t n = g->n_initializer + g->n_input;
    for (size_t i = 0; i < g->n_node; i++)
        n += g->node[i]->n_output;
    r->value_names = ms_onnx_alloc_array(r->o, n, sizeof(*r->value_names));
    r->constants = ms_onnx_alloc_array(r->o, n, sizeof(*r->constants));
    return r->value_names && r->constants ? MS_OK : ms_onnx_no_memory(r->o);
}

static ms_status read_initializers(reader *r, const graph_proto *g) {
    char q[MS_QUOTE_BYTES], who[MS_QUOTE_BYTES + 16];
    if (g->n_sparse_initializer)
        return ms_fail(r->err, MS_BAD_MODEL, "has sparse tensors, which are not supported");
    for (size_t i = 0; i < g->n_initializer; i++) {
        int32_t value;
        MS_TRY(make_value(r, g->initializer[i]->name, "an initializer", &value));
        snprintf(who, sizeof(who), "tensor \"%s\"", quote(q, g->initializer[i]->name));
        MS_TRY(ms_onnx_read_tensor(r->o, g->initializer[i], who, &r->constants[value]));
    }
    return MS_OK;
}

/* ---- inputs and outputs of the graph ---- */

static ms_status read_port(reader *r, const value_proto *from, ms_onnx_port *ret_port) {
    char q[MS_QUOTE_BYTES];
    ms_onnx_port port = {.name = from->name, .rank = -1};
    const Ms__Onnx__TensorType *type = from->type ? from->type->tensor_type : NULL;
    port.is_float = type && type->elem_type == 1;
    if (type && type->shape) {
        if (type->shape->n_dim > MS_ONNX_MAX_RANK)
            return ms_fail(r->err, MS_BAD_MODEL, "input \"%s\" has %zu dimensions, more than %d",
                           quote(q, from->name), type->shape->n_dim, MS_ONNX_MAX_RANK);
        port.rank = (int)type->shape->n_dim;
        for (int i = 0; i < port.rank; i++) {
            const Ms__Onnx__Dimension *d = type->shape->dim[i];
            port.shape[i] = d->has_dim_value ? d->dim_value : -1;
            if (d->has_dim_value && d->dim_value <= 0)
                return ms_fail(r->err, MS_BAD_MODEL, "input \"%s\": dimension %d is %" PRId64,
                               quote(q, from->name), i, d->dim_value);
        }
    }
    *ret_port = port;
    return MS_OK;
}

static ms_status read_inputs(reader *r, const graph_proto *g) {
    ms_onnx_port *ports = ms_onnx_alloc_array(r->o, g->n_input, sizeof(*ports));
    if (!ports)
        return ms_onnx_no_memory(r->o);
    int n = 0;
    for (size_t i = 0; i < g->n_input; i++) {
        const value_proto *from = g->input[i];
        int32_t known = from->name ? find_value(r, from->name) : -1;
        if (known >= 0 && r->constants[known])
            continue; /* up to IR version 3 every initializer is listed as an input too */
        MS_TRY(read_port(r, from, &ports[n]));
        MS_TRY(make_value(r, from->name, "an input of the graph", &ports[n].value));
        n++;
    }
    r->o->file.inputs = ports;
    r->o->file.n_inputs = n;
    return MS_OK;
}

/* Their declared shapes are left out: published files have those of one input size there. */
static ms_status read_outputs(reader *r, const graph_proto *g) {
    char q[MS_QUOTE_BYTES];
    ms_onnx_port *ports = ms_onnx_alloc_array(r->o, g->n_output, sizeof(*ports));
    if (!ports)
        return ms_onnx_no_memory(r->o);
    for (size_t i = 0; i < g->n_output; i++) {
        const char *name = g->output[i]->name ? g->output[i]->name : "";
        ports[i] = (ms_onnx_port){.name = name, .rank = -1, .value = find_value(r, name)};
        if (ports[i].value < 0)
            return ms_fail(r->err, MS_BAD_MODEL, "nothing makes the output \"%s\"", quote(q, name));
    }
    r->o->file.outputs = ports;
    r->o->file.n_outputs = (int)g->n_output;
    return MS_OK;
}

/* ---- nodes ---- */

static ms_status copy_text(reader *r, const attribute_proto *from, ms_onnx_attr *attr) {
    size_t n = from->has_s ? from->s.len : 0;
    char q[MS_QUOTE_BYTES];
    if (n && memchr(from->s.data, 0, n))
        return ms_fail(r->err, MS_BAD_MODEL, "attribute %s holds a zero byte", quote(q, from->name));
    char *text = ms_onnx_alloc(r->o, n + 1);
    if (!text)
        return ms_onnx_no_memory(r->o);
    if (n)
        memcpy(text, from->s.data, n);
    text[n] = 0;
    attr->text = text;
    return MS_OK;
}

static ms_status read_attribute(reader *r, const attribute_proto *from, ms_onnx_attr *attr) {
    char q[MS_QUOTE_BYTES], who[MS_QUOTE_BYTES + 16];
    *attr = (ms_onnx_attr){.name = from->name};
    switch (from->type) { /* AttributeProto.AttributeType */
    case 1:
        attr->type = MS_ONNX_FLOAT;
        attr->f = from->f;
        return MS_OK;
    case 2:
        attr->type = MS_ONNX_INT;
        attr->i = from->i;
        return MS_OK;
    case 3:
        attr->type = MS_ONNX_TEXT;
        return copy_text(r, from, attr);
    case 4:
        attr->type = MS_ONNX_TENSOR;
        snprintf(who, sizeof(who), "attribute %s", quote(q, from->name));
        if (!from->t)
            return ms_fail(r->err, MS_BAD_MODEL, "%s: holds no tensor", who);
        return ms_onnx_read_tensor(r->o, from->t, who, &attr->tensor);
    case 6:
        attr->type = MS_ONNX_FLOATS;
        attr->floats = from->floats;
        attr->count = (int64_t)from->n_floats;
        return MS_OK;
    case 7:
        attr->type = MS_ONNX_INTS;
        attr->ints = from->ints;
        attr->count = (int64_t)from->n_ints;
        return MS_OK;
    default:
        attr->type = MS_ONNX_OTHER;
        return MS_OK;
    }
}

static ms_status read_attributes(reader *r, const node_proto *from, ms_onnx_node *node) {
    char q[MS_QUOTE_BYTES];
    if (from->n_attribute > MAX_ATTRIBUTES)
        return ms_fail(r->err, MS_BAD_MODEL, "has %zu attributes, more than %d", from->n_attribute,
                       MAX_ATTRIBUTES);
    ms_onnx_attr *attrs = ms_onnx_alloc_array(r->o, from->n_attribute, sizeof(*attrs));
    if (!attrs)
        return ms_onnx_no_memory(r->o);
    for (size_t i = 0; i < from->n_attribute; i++) {
        const attribute_proto *a = from->attribute[i];
        if (!a->name || !a->name[0])
            return ms_fail(r->err, MS_BAD_MODEL, "attribute %zu has no name", i);
        for (size_t j = 0; j < i; j++)
            if (strcmp(a->name, attrs[j].name) == 0)
                return ms_fail(r->err, MS_BAD_MODEL, "attribute %s is there twice", quote(q, a->name));
        if (a->ref_attr_name && a->ref_attr_name[0])
            return ms_fail(r->err, MS_BAD_MODEL, "attribute %s refers to a function's", quote(q, a->name));
        MS_TRY(read_attribute(r, a, &attrs[i]));
    }
    node->attr = attrs;
    node->n_attrs = (int)from->n_attribute;
    return MS_OK;
}

static ms_status read_node_inputs(reader *r, const node_proto *from, ms_onnx_node *node) {
    char q[MS_QUOTE_BYTES];
    int32_t *in = ms_onnx_alloc_array(r->o, from->n_input, sizeof(*in));
    if (!in)
        return ms_onnx_no_memory(r->o);
    node->input = in;
    for (size_t i = 0; i < from->n_input; i++) {
        const char *name = from->input[i];
        in[i] = name[0] ? find_value(r, name) : -1;
        if (name[0] && in[i] < 0)
            return ms_fail(r->err, MS_BAD_MODEL, "reads \"%s\", which nothing before it makes",
                           quote(q, name));
        if (name[0]) /* trailing empty names say the same as none */
            node->n_inputs = (int)i + 1;
    }
    return MS_OK;
}

static ms_status read_node_outputs(reader *r, const node_proto *from, ms_onnx_node *node) {
    int32_t *out = ms_onnx_alloc_array(r->o, from->n_output, sizeof(*out));
    if (!out)
        return ms_onnx_no_memory(r->o);
    node->output = out;
    for (size_t i = 0; i < from->n_output; i++) {
        out[i] = -1;
        if (!from->output[i][0])
            continue;
        MS_TRY(make_value(r, from->output[i], node->name, &out[i]));
        node->n_outputs = (int)i + 1;
    }
    if (node->n_outputs == 0 || out[0] < 0)
        return ms_fail(r->err, MS_BAD_MODEL, "has no output");
    return MS_OK;
}

static ms_status read_node(reader *r, const node_proto *from, ms_onnx_node *node) {
    char q[MS_QUOTE_BYTES];
    if (!node->op[0])
        return ms_fail(r->err, MS_BAD_MODEL, "has no operator");
    bool standard = !from->domain || !from->domain[0] || strcmp(from->domain, "ai.onnx") == 0;
    if (!standard)
        return ms_fail(r->err, MS_BAD_MODEL, "is of the domain \"%s\", which is not supported",
                       quote(q, from->domain));
    if (from->overload && from->overload[0])
        return ms_fail(r->err, MS_BAD_MODEL, "calls the overload \"%s\", which is not supported",
                       quote(q, from->overload));
    MS_TRY(read_node_inputs(r, from, node));
    MS_TRY(read_attributes(r, from, node));
    return read_node_outputs(r, from, node);
}

static ms_status read_nodes(reader *r, const graph_proto *g) {
    char q[MS_QUOTE_BYTES], q2[MS_QUOTE_BYTES];
    ms_onnx_node *nodes = ms_onnx_alloc_array(r->o, g->n_node, sizeof(*nodes));
    if (!nodes)
        return ms_onnx_no_memory(r->o);
    for (size_t i = 0; i < g->n_node; i++) {
        const node_proto *from = g->node[i];
        const char *first = from->n_output ? from->output[0] : "";
        nodes[i] = (ms_onnx_node){.op = from->op_type ? from->op_type : "",
                                  .name = from->name && from->name[0] ? from->name : first};
        ms_status status = read_node(r, from, &nodes[i]);
        if (status != MS_OK)
            return ms_fail_prefix(r->err, status, "node %zu \"%s\" (%s)", i, quote(q, nodes[i].name),
                                  quote(q2, nodes[i].op));
    }
    r->o->file.nodes = nodes;
    r->o->file.n_nodes = (int)g->n_node;
    return MS_OK;
}

/* ---- the whole ---- */

static ms_status check_model(reader *r, const Ms__Onnx__Model *m) {
    int found = 0;
    if (m->ir_version < IR_FIRST || m->ir_version > IR_LAST)
        return ms_fail(r->err, MS_BAD_MODEL, "IR version %" PRId64 " is outside of %d to %d", m->ir_version,
                       IR_FIRST, IR_LAST);
    if (m->n_functions)
        return ms_fail(r->err, MS_BAD_MODEL, "defines functions of its own, which is not supported");
    for (size_t i = 0; i < m->n_opset_import; i++) {
        const Ms__Onnx__OperatorSet *s = m->opset_import[i];
        if (s->domain && s->domain[0] && strcmp(s->domain, "ai.onnx") != 0)
            continue; /* nodes of other domains are refused one by one */
        r->o->file.opset = s->version;
        found++;
    }
    if (found != 1)
        return ms_fail(r->err, MS_BAD_MODEL, "names %d versions of ONNX's operators, not one", found);
    if (r->o->file.opset < MS_ONNX_MIN_OPSET || r->o->file.opset > MS_ONNX_MAX_OPSET)
        return ms_fail(r->err, MS_BAD_MODEL, "operator set %" PRId64 " is outside of %d to %d",
                       r->o->file.opset, MS_ONNX_MIN_OPSET, MS_ONNX_MAX_OPSET);
    if (!m->graph || !m->graph->n_node || !m->graph->n_output)
        return ms_fail(r->err, MS_BAD_MODEL, "has no graph with nodes and outputs");
    return MS_OK;
}

static ms_status read_model(reader *r, const Ms__Onnx__Model *m) {
    MS_TRY(check_model(r, m));
    MS_TRY(make_room(r, m->graph));
    MS_TRY(read_initializers(r, m->graph));
    MS_TRY(read_inputs(r, m->graph));
    MS_TRY(read_nodes(r, m->graph));
    MS_TRY(read_outputs(r, m->graph));
    r->o->file.value_names = r->value_names;
    r->o->file.constants = r->constants;
    r->o->file.n_values = r->n_values;
    return MS_OK;
}

/* ---- protobuf-c ---- */

typedef struct parse_memory {
    onnx_owner *o;
    bool failed;
} parse_memory;

static void *parse_alloc(void *arg, size_t bytes) {
    parse_memory *m = arg;
    void *block = ms_onnx_alloc(m->o, bytes);
    m->failed |= !block;
    return block;
}

/* What is parsed lives as long as the file. What the parser frees itself are its own lists and, after an
   error, everything, and then the file is closed. */
static void parse_free(void *arg, void *block) {
    (void)arg;
    (void)block;
}

ms_status ms_onnx_read(onnx_owner *o, const void *data, size_t bytes) {
    parse_memory memory = {.o = o};
    ProtobufCAllocator allocator = {.alloc = parse_alloc, .free = parse_free, .allocator_data = &memory};
    Ms__Onnx__Model *model = ms__onnx__model__unpack(&allocator, bytes, data);
    if (!model && memory.failed)
        return ms_onnx_no_memory(o);
    if (!model)
        return ms_fail(o->err, MS_BAD_MODEL, "is no ONNX file: its %zu bytes do not parse", bytes);
    reader r = {.o = o, .err = o->err};
    ms_strmap_init(&r.names, &o->region);
    return read_model(&r, model);
}
