/*
 * ONNX files: reading one, and building, planning and running the network that it describes.
 *
 * Nine of ten changes to protobuf's nested lengths only make a file that does not parse. So input that does
 * not begin as ONNX files do (with the key of ir_version) is taken for a recipe: each byte chooses an
 * operator, an input, an attribute or a size of a model that is sound as a file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "fuzz/fuzz.h"
#include "memsafe_have.h"
#include "models/onnx/onnx_net.h"
#include "support/models/onnx_model.h"

/* What open dimensions become; networks that would take more than this are planned, not run. */
#define OPEN_SIZE 16
#define MAX_RUN_BYTES ((size_t)1 << 20)
#define MAX_RUN_FLOPS 1e7

const fuzz_seeds fuzz_golden_seeds = {"facedet", ".onnx"};

/* ---- seeds ---- */

static const float numbers[64] = {0.5f, -1, 2, 3, -0.25f, 1, 1, 1, 4, -2};

static void picture_seed(onnx_model *m) {
    model_input(m, "x", 4, (int64_t[]){1, 2, -1, 8});
    model_f32(m, "w", 4, (int64_t[]){2, 2, 3, 3}, numbers);
    model_f32(m, "b", 1, (int64_t[]){2}, numbers);
    model_f32(m, "one", 1, (int64_t[]){2}, numbers + 5);
    model_node(m, "Conv", "x,w,b", "c");
    model_ints(m, "pads", 4, (int64_t[]){1, 1, 1, 1});
    model_ints(m, "strides", 2, (int64_t[]){2, 2});
    model_node(m, "BatchNormalization", "c,one,b,b,one", "n");
    model_float(m, "epsilon", 1e-3f);
    model_node(m, "LeakyRelu", "n", "l");
    model_node(m, "MaxPool", "l", "p");
    model_ints(m, "kernel_shape", 2, (int64_t[]){2, 2});
    model_text(m, "auto_pad", "NOTSET");
    model_node(m, "Concat", "p,p", "y");
    model_int(m, "axis", 1);
    model_output(m, "y");
}

static void shape_seed(onnx_model *m) {
    model_input(m, "x", 4, (int64_t[]){1, 2, 4, -1});
    model_i64(m, "zero", 1, (int64_t[]){1}, (int64_t[]){0});
    model_i64(m, "rest", 1, (int64_t[]){1}, (int64_t[]){-1});
    model_f32(m, "scales", 1, (int64_t[]){4}, (float[]){1, 1, 2, 2});
    model_f32(m, "half", 0, NULL, numbers);
    model_node(m, "Resize", "x,,scales", "r");
    model_text(m, "mode", "nearest");
    model_text(m, "coordinate_transformation_mode", "asymmetric");
    model_text(m, "nearest_mode", "floor");
    model_node(m, "Shape", "x", "s");
    model_node(m, "Gather", "s,zero", "n");
    model_node(m, "Concat", "n,rest", "to");
    model_int(m, "axis", 0);
    model_node(m, "Transpose", "r", "t");
    model_ints(m, "perm", 4, (int64_t[]){0, 2, 3, 1});
    model_node(m, "Reshape", "t,to", "f");
    model_node(m, "Mul", "f,half", "y");
    model_output(m, "y");
}

static void row_seed(onnx_model *m) {
    m->opset = 11;
    model_input(m, "x", 2, (int64_t[]){-1, 4});
    model_f32(m, "w", 2, (int64_t[]){3, 4}, numbers);
    model_node(m, "Gemm", "x,w", "g");
    model_int(m, "transB", 1);
    model_float(m, "alpha", 0.5f);
    model_node(m, "Sigmoid", "g", "a");
    model_node(m, "Unsqueeze", "a", "u");
    model_ints(m, "axes", 1, (int64_t[]){0});
    model_node(m, "Squeeze", "u", "q");
    model_ints(m, "axes", 1, (int64_t[]){0});
    model_node(m, "Add", "q,a", "y");
    model_output(m, "y");
}

#define RECIPE_SEEDS 40
#define RECIPE_BYTES 64

size_t fuzz_own_seed(size_t index, uint8_t *ret_data, size_t room) {
    static void (*const makers[])(onnx_model *) = {picture_seed, shape_seed, row_seed};
    const size_t files = sizeof(makers) / sizeof(*makers);
    if (index >= files + RECIPE_SEEDS)
        return 0;
    if (index >= files) { /* any bytes are a recipe */
        uint32_t x = (uint32_t)index;
        for (size_t i = 0; i < RECIPE_BYTES; i++) {
            x = x * 1664525u + 1013904223u;
            ret_data[i] = (uint8_t)(x >> 24);
        }
        ret_data[0] = 0xff;
        return RECIPE_BYTES;
    }
    onnx_model m = {0};
    makers[index](&m);
    byte_string file = model_end(&m);
    size_t bytes = file.length <= room ? file.length : 0;
    memcpy(ret_data, file.data, bytes);
    bytes_free(&file);
    return bytes;
}

/* ---- recipes ---- */

typedef struct recipe {
    const uint8_t *data;
    size_t left;
    int values; /* named v0, v1, ... */
} recipe;

static int take(recipe *r, int choices) {
    if (!r->left)
        return 0;
    r->left--;
    return *r->data++ % choices;
}

/* Mostly 4 channels, so that things fit each other often enough to get far. */
static int take_dims(recipe *r, int64_t *ret_dims, bool open) {
    static const int64_t sizes[] = {4, 8, 4, 8, 1, 2, 3, 5, 0};
    int rank = take(r, 8) < 6 ? 4 : 1 + take(r, 5);
    for (int i = 0; i < rank; i++)
        ret_dims[i] = open && take(r, 8) == 0 ? -1 : sizes[i == 1 ? take(r, 3) : take(r, open ? 8 : 9)];
    ret_dims[0] = take(r, 4) ? 1 : ret_dims[0];
    return rank;
}

/* The name of a new constant. */
static int take_constant(recipe *r, onnx_model *m) {
    static const int64_t integers[32] = {1, -1, 4, 8, 8, 0, 2, 3, -2, INT64_MAX, INT64_MIN};
    static const struct {
        int rank;
        int64_t dims[4];
    } shapes[] = {{0, {0}},          {1, {4}},          {1, {4}},       {3, {4, 1, 1}},
                  {4, {4, 4, 3, 3}}, {4, {4, 4, 1, 1}}, {2, {4, 4}},    {4, {4, 1, 3, 3}},
                  {1, {1}},          {2, {8, 4}},       {3, {1, 4, 1}}, {4, {1, 4, 1, 1}}};
    static float many[8 * 8 * 8 * 8 * 8]; /* the most that take_dims() asks for */
    int64_t dims[8];
    char name[16];
    snprintf(name, sizeof(name), "v%d", r->values);
    if (take(r, 3) == 0) {
        model_i64(m, name, take(r, 8) > 0, (int64_t[]){1 + take(r, 5)}, integers + take(r, 12));
        return r->values++;
    }
    int shape = take(r, sizeof(shapes) / sizeof(*shapes)), rank = shapes[shape].rank;
    memcpy(dims, shapes[shape].dims, sizeof(shapes[shape].dims));
    if (take(r, 8) == 0)
        rank = take_dims(r, dims, false);
    for (size_t i = 0; i < sizeof(many) / sizeof(*many) && many[0] == 0; i++)
        many[i] = numbers[i % 10] + 3;
    model_f32(m, name, rank, dims, many);
    return r->values++;
}

/* Letters: an attribute each, see take_attribute(). */
static const struct {
    const char *op;
    int inputs;
    const char *attributes;
} ops[] = {{"Add", 2, ""},
           {"AveragePool", 1, "ksPcC"},
           {"BatchNormalization", 5, "e"},
           {"Cast", 1, "t"},
           {"Ceil", 1, ""},
           {"Concat", 2, "a"},
           {"Concat", 2, "A"},
           {"Constant", 0, "v"},
           {"ConstantOfShape", 1, ""},
           {"Conv", 2, "KsPgw"},
           {"Conv", 3, "PsK"},
           {"Div", 2, ""},
           {"Dropout", 1, ""},
           {"Flatten", 1, "A"},
           {"Floor", 1, ""},
           {"Gather", 2, "A"},
           {"Gemm", 2, "Bl"},
           {"Gemm", 3, "Bl"},
           {"GlobalAveragePool", 1, ""},
           {"Identity", 1, ""},
           {"LeakyRelu", 1, "l"},
           {"MatMul", 2, ""},
           {"MaxPool", 1, "ksPc"},
           {"Mul", 2, ""},
           {"PRelu", 2, ""},
           {"Relu", 1, ""},
           {"Reshape", 2, "0"},
           {"Resize", 3, "mMn"},
           {"Shape", 1, ""},
           {"Sigmoid", 1, ""},
           {"Size", 1, ""},
           {"Slice", 4, ""},
           {"Squeeze", 1, "X"},
           {"Sub", 2, ""},
           {"Transpose", 1, "p"},
           {"Unsqueeze", 1, "X"},
           {"Upsample", 2, ""}};

static void take_list(recipe *r, onnx_model *m, const char *name, int count, int base) {
    int64_t list[8];
    int odd = take(r, 8) == 0;
    for (int i = 0; i < count; i++)
        list[i] = base + (odd ? take(r, 5) - 1 : take(r, 2));
    model_ints(m, name, odd ? take(r, 6) : count, list);
}

static void take_attribute(recipe *r, onnx_model *m, char which) {
    static const int64_t perms[4][4] = {{0, 2, 3, 1}, {0, 3, 1, 2}, {0, 2, 1, 3}, {1, 0, 2, 3}};
    switch (which) {
    case 'a':
        model_int(m, "axis", 1);
        break;
    case 'A':
        model_int(m, "axis", take(r, 6) - 2);
        break;
    case 'c':
        model_int(m, "ceil_mode", take(r, 3));
        break;
    case 'C':
        model_int(m, "count_include_pad", take(r, 2));
        break;
    case 'g':
        model_int(m, "group", 1 << take(r, 3));
        break;
    case 'B':
        model_int(m, "transB", take(r, 2));
        break;
    case 't':
        model_int(m, "to", take(r, 4) ? 1 : take(r, 12));
        break;
    case 'v':
        model_int(m, "value_int", take(r, 5));
        break;
    case '0':
        model_int(m, "allowzero", take(r, 2));
        break;
    case 'k': /* must be there for pools */
    case 'K':
        take_list(r, m, "kernel_shape", 2, 2);
        break;
    case 's':
        take_list(r, m, "strides", 2, 1);
        break;
    case 'P':
        take_list(r, m, "pads", 4, 0);
        break;
    case 'X':
        take_list(r, m, "axes", 1 + take(r, 2), take(r, 4));
        break;
    case 'p':
        model_ints(m, "perm", 4, perms[take(r, 4)]);
        break;
    case 'e':
        model_float(m, "epsilon", numbers[take(r, 10)]);
        break;
    case 'l':
        model_float(m, "alpha", numbers[take(r, 10)]);
        break;
    case 'w':
        model_text(m, "auto_pad", "VALID");
        break;
    case 'm':
        model_text(m, "mode", "nearest");
        break;
    case 'M':
        model_text(m, "coordinate_transformation_mode", "asymmetric");
        break;
    default:
        model_text(m, "nearest_mode", "floor");
    }
}

/* Data comes mostly from the node before, the rest from new constants or from anywhere. */
static void take_node(recipe *r, onnx_model *m, int *data) {
    char inputs[128] = "", output[16];
    int op = take(r, sizeof(ops) / sizeof(*ops));
    for (int i = 0, n = 0; i < ops[op].inputs; i++) {
        int from = *data;
        if (i ? take(r, 4) : take(r, 8) == 0)
            from = take(r, 5) ? take_constant(r, m) : take(r, r->values);
        n += snprintf(inputs + n, sizeof(inputs) - (size_t)n, "%sv%d", i ? "," : "", from);
    }
    snprintf(output, sizeof(output), "v%d", r->values);
    model_node(m, ops[op].op, inputs, output);
    for (const char *which = ops[op].attributes; *which; which++)
        if (*which == 'k' || take(r, 3))
            take_attribute(r, m, *which);
    static const char folded[] = "Ceil Constant ConstantOfShape Floor Gather Shape Size Slice";
    if (!strstr(folded, ops[op].op)) /* those are for constants alone */
        *data = r->values;
    r->values++;
}

static byte_string cook(const uint8_t *data, size_t size) {
    static const int64_t opsets[] = {13, 11, 9, 8, 17};
    recipe r = {.data = data, .left = size};
    onnx_model m = {.opset = opsets[take(&r, 5)]};
    int64_t dims[8];
    char name[16];
    for (int i = 1 + take(&r, 8) / 7; i > 0; i--) {
        snprintf(name, sizeof(name), "v%d", r.values++);
        int rank = take_dims(&r, dims, true);
        model_input(&m, name, rank, dims);
    }
    int last = r.values - 1;
    for (int i = 1 + take(&r, 8); i > 0; i--)
        take_node(&r, &m, &last);
    snprintf(name, sizeof(name), "v%d", last);
    model_output(&m, name);
    snprintf(name, sizeof(name), "v%d", take(&r, 4) ? last : take(&r, r.values));
    model_output(&m, name);
    return model_end(&m);
}

/* ---- target ---- */

static double flops(const ms_graph *graph) {
    double sum = 0;
    for (int n = 0; n < ms_graph_node_count(graph); n++) {
        const ms_node *node = ms_graph_node(graph, n);
        ms_shape out = ms_graph_shape(graph, node->output);
        sum += (double)(out.n * out.h * out.w * out.c);
        sum += node->op->flops ? node->op->flops(graph, node) : 0;
    }
    return sum;
}

typedef struct buffers {
    ms_onnx_value *shapes;
    float **inputs, **outputs;
    size_t floats;
} buffers;

static float *zeros(buffers *b, size_t count) {
    float *values = calloc(count ? count : 1, sizeof(float));
    fuzz_require(values != NULL, "the fuzzer has memory");
    b->floats += count;
    return values;
}

static void run_net(const ms_compute *compute, const ms_onnx_net *net, const buffers *b, size_t arena_bytes) {
    ms_error err;
    void *arena = compute->dev->backend->alloc(compute->dev, MS_LEDGER_ACTIVATIONS, arena_bytes);
    if (!arena)
        return;
    ms_status status =
        ms_onnx_net_run(net, arena, (const float *const *)b->inputs, (float *const *)b->outputs, &err);
    fuzz_require(status == MS_OK || status == MS_HOST_MEMORY, "what was prepared runs");
    compute->dev->backend->free(compute->dev, arena);
}

static void prepare_and_run(const ms_compute *compute, ms_onnx_net *net) {
    int inputs = ms_onnx_net_input_count(net), outputs = ms_onnx_net_output_count(net);
    buffers b = {.shapes = calloc((size_t)inputs + 1, sizeof(*b.shapes)),
                 .inputs = calloc((size_t)inputs + 1, sizeof(float *)),
                 .outputs = calloc((size_t)outputs + 1, sizeof(float *))};
    fuzz_require(b.shapes && b.inputs && b.outputs, "the fuzzer has memory");
    bool small = true;
    for (int i = 0; i < inputs; i++) {
        size_t elements = 1;
        b.shapes[i] = *ms_onnx_net_input(net, i);
        for (int d = 0; d < b.shapes[i].rank; d++) {
            if (b.shapes[i].shape[d] < 0)
                b.shapes[i].shape[d] = d == 0 ? 1 : OPEN_SIZE;
            small = small && (uint64_t)b.shapes[i].shape[d] < MAX_RUN_BYTES / elements;
            elements *= small ? (size_t)b.shapes[i].shape[d] : 1;
        }
        b.inputs[i] = zeros(&b, small ? elements : 0);
    }
    size_t arena_bytes = 0;
    ms_error err;
    ms_status status = ms_onnx_net_prepare(net, b.shapes, NULL, &arena_bytes, &err);
    fuzz_require(status == MS_OK || status == MS_BAD_MODEL || status == MS_HOST_MEMORY ||
                     status == MS_INVALID_ARGUMENT,
                 "the status of a preparation is one of four");
    fuzz_require(status == MS_OK || strlen(err.message) > 6, "a refusal has a message");
    small = small && status == MS_OK && arena_bytes < MAX_RUN_BYTES &&
            flops(ms_onnx_net_graph(net)) < MAX_RUN_FLOPS;
    for (int i = 0; i < outputs && small; i++)
        b.outputs[i] = zeros(&b, (size_t)ms_onnx_net_output(net, i)->elements);
    if (small)
        run_net(compute, net, &b, arena_bytes);
    for (int i = 0; i < inputs; i++)
        free(b.inputs[i]);
    for (int i = 0; i < outputs; i++)
        free(b.outputs[i]);
    free(b.shapes);
    free(b.inputs);
    free(b.outputs);
}

static void parse(ms_mem *mem, const uint8_t *data, size_t size) {
    const ms_compute_params params = {
        .device = "cpu", .mem = mem, .threads = 1, .isa_limit = MS_ISA_COUNT - 1};
    ms_onnx_file *file = NULL;
    ms_onnx_net *net = NULL;
    ms_compute compute = {0};
    ms_error err;
    ms_status status = ms_onnx_file_open_memory(mem, "fuzz", data, size, &file, &err);
    fuzz_require(status == MS_OK || status == MS_BAD_MODEL || status == MS_HOST_MEMORY ||
                     (status == MS_UNSUPPORTED && !MS_HAVE_ONNX),
                 "the status is one of the promised ones");
    fuzz_require((status == MS_OK) == (file != NULL) && (file || strlen(err.message) > 6),
                 "a refusal has a message and no file");
    if (!file)
        return;
    if (ms_compute_open(&params, &compute, &err) == MS_OK) {
        status = ms_onnx_net_create(&compute, &file, &net, &err);
        fuzz_require(status == MS_OK || status == MS_BAD_MODEL || status == MS_HOST_MEMORY,
                     "a network is made, refused, or there is no memory");
        if (net)
            prepare_and_run(&compute, net);
        ms_onnx_net_close(&net);
        ms_compute_close(&compute);
    }
    ms_onnx_file_close(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || data[0] == 0x08)
        return fuzz_run(parse, data, size);
    byte_string file = cook(data + 1, size - 1);
    fuzz_run(parse, file.data, file.length);
    bytes_free(&file);
    return 0;
}
