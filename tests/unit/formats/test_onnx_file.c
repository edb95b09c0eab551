/* ONNX files as formats/onnx/onnx_file.h reads them: what is understood, and what is refused by name. */
#include "test.h"

#include "formats/onnx/onnx_file.h"
#include "support/golden.h"
#include "support/models/onnx_model.h"

#define OPEN (-1)

static const int64_t two_by_two[2] = {2, 2};
static const float four[4] = {1, 2, 3, 4};

/* ---- help ---- */

/* Opens and frees the bytes; nothing of the reader may be left after a refusal. */
static ms_status open_model(ms_mem *mem, byte_string *bytes, ms_onnx_file **ret_file, ms_error *err) {
    unsigned char *exact = malloc(bytes->length + 1); /* so that a sanitizer sees the end */
    if (bytes->length)
        memcpy(exact, bytes->data, bytes->length);
    ms_status status = ms_onnx_file_open_memory(mem, "net.onnx", exact, bytes->length, ret_file, err);
    free(exact);
    bytes_free(bytes);
    return status;
}

/* Expects MS_BAD_MODEL with the file's name and the given words in its message. */
static void refused(byte_string bytes, const char *words, const char *more) {
    ms_mem *mem = NULL;
    ms_onnx_file *file = NULL;
    ms_error err;
    assert_int_equal(ms_mem_create(0, &mem), MS_OK);
    ms_status status = open_model(mem, &bytes, &file, &err);
    if (status != MS_BAD_MODEL || strncmp(err.message, "net.onnx: ", 10) != 0 ||
        !strstr(err.message, words) || (more && !strstr(err.message, more)))
        fail_msg("expected a refusal with \"%s\", got %s: %s", words, ms_status_name(status),
                 status == MS_OK ? "" : err.message);
    assert_null(file);
    assert_int_equal(ms_mem_destroy(&mem), 0);
}

/* y = Relu(x), to which tests add one thing that is wrong. */
static onnx_model small_model(void) {
    onnx_model m = {0};
    model_input(&m, "x", 4, (int64_t[]){1, 3, OPEN, 8});
    model_node(&m, "Relu", "x", "y");
    model_output(&m, "y");
    return m;
}

static void refused_model(onnx_model m, const char *words, const char *more) {
    refused(model_end(&m), words, more);
}

/* The small model with an initializer that has these fields. */
static void refused_tensor(byte_string tensor, const char *words, const char *more) {
    onnx_model m = small_model();
    pb_message(&m.graph, PB_GRAPH_TENSOR, &tensor);
    refused_model(m, words, more);
}

static ms_onnx_file *opened(onnx_model m) {
    ms_onnx_file *file = NULL;
    ms_error err;
    byte_string bytes = model_end(&m);
    assert_ms_ok(open_model(NULL, &bytes, &file, &err), &err);
    return file;
}

static const ms_onnx_tensor *constant(const ms_onnx_file *file, const char *name) {
    for (int v = 0; v < file->n_values; v++)
        if (strcmp(file->value_names[v], name) == 0)
            return file->constants[v];
    return NULL;
}

/* ---- what is understood ---- */

static void graphs_are_numbered(void **state) {
    (void)state;
    onnx_model m = {.opset = 11};
    model_f32(&m, "w", 2, two_by_two, four);
    model_input(&m, "w", 2, two_by_two); /* as up to IR version 3 */
    model_input(&m, "x", 4, (int64_t[]){1, 3, OPEN, 8});
    model_node(&m, "A", "x,,w,", "y,,z");
    model_node(&m, "B", "z", "out");
    model_output(&m, "out");
    model_output(&m, "y");
    ms_onnx_file *f = opened(m);
    assert_string_equal(f->path, "net.onnx");
    assert_int_equal(f->opset, 11);
    assert_int_equal(f->n_nodes, 2);
    assert_int_equal(f->n_inputs, 1);
    assert_int_equal(f->n_outputs, 2);
    assert_int_equal(f->n_values, 5);
    const ms_onnx_port *x = &f->inputs[0];
    assert_string_equal(x->name, "x");
    assert_true(x->is_float);
    assert_int_equal(x->rank, 4);
    assert_int_equal(x->shape[1], 3);
    assert_int_equal(x->shape[2], -1);
    const ms_onnx_node *a = &f->nodes[0], *b = &f->nodes[1];
    assert_string_equal(a->op, "A");
    assert_string_equal(a->name, "n_y");
    assert_int_equal(a->n_inputs, 3); /* trailing empty ones say nothing */
    assert_int_equal(a->input[0], x->value);
    assert_int_equal(a->input[1], -1);
    assert_string_equal(f->value_names[a->input[2]], "w");
    assert_int_equal(a->n_outputs, 3);
    assert_int_equal(a->output[1], -1);
    assert_int_equal(b->input[0], a->output[2]);
    assert_int_equal(f->outputs[0].value, b->output[0]);
    assert_int_equal(f->outputs[1].value, a->output[0]);
    ms_onnx_file_close(&f);
    assert_null(f);
    ms_onnx_file_close(&f);
}

/* Every element type, in raw bytes and in the field that onnx.proto names for it. */
static void element_types_are_widened(void **state) {
    (void)state;
    static const struct {
        int type, field; /* field: 0 = raw */
        size_t bytes;
        uint64_t bits[2]; /* raw: little-endian; varints otherwise */
        double want[2];
    } cases[] = {
        {1, 0, 4, {0x3fc00000, 0x80000000}, {1.5, 0}},
        {2, 0, 1, {255, 1}, {255, 1}},
        {2, PB_TENSOR_INT32S, 0, {200, 3}, {200, 3}},
        {3, 0, 1, {0x80, 0x7f}, {-128, 127}},
        {3, PB_TENSOR_INT32S, 0, {(uint64_t)-5, 5}, {-5, 5}},
        {4, 0, 2, {65535, 2}, {65535, 2}},
        {5, 0, 2, {0x8000, 2}, {-32768, 2}},
        {6, 0, 4, {0xffffffff, 7}, {-1, 7}},
        {6, PB_TENSOR_INT32S, 0, {(uint64_t)-1, 7}, {-1, 7}},
        {7, 0, 8, {(uint64_t)-2, 1}, {-2, 1}},
        {7, PB_TENSOR_INT64S, 0, {(uint64_t)-2, 1}, {-2, 1}},
        {9, 0, 1, {0, 2}, {0, 1}},
        {9, PB_TENSOR_INT32S, 0, {0, 1}, {0, 1}},
        {10, 0, 2, {0x3c00, 0x8001}, {1, -0x1p-24}},
        {10, PB_TENSOR_INT32S, 0, {0xbc00, 0x7bff}, {-1, 65504}},
        {11, 0, 8, {0x3ff8000000000000, 0xc000000000000000}, {1.5, -2}},
        {12, 0, 4, {0xffffffff, 0}, {4294967295.0, 0}},
        {12, PB_TENSOR_UINT64S, 0, {0xffffffff, 0}, {4294967295.0, 0}},
        {13, 0, 8, {1, 2}, {1, 2}},
        {13, PB_TENSOR_UINT64S, 0, {1, 2}, {1, 2}},
        {16, 0, 2, {0x3fc0, 0xc000}, {1.5, -2}},
        {16, PB_TENSOR_INT32S, 0, {0x3fc0, 0xc000}, {1.5, -2}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        byte_string t = {0}, values = {0};
        onnx_model m = small_model();
        for (int j = 0; j < 2; j++) {
            if (cases[i].field)
                pb_bare_varint(&values, cases[i].bits[j]);
            else
                bytes_number(&values, cases[i].bits[j], (int)cases[i].bytes);
        }
        pb_varint(&t, PB_TENSOR_DIMS, 2);
        pb_varint(&t, PB_TENSOR_TYPE, (uint64_t)cases[i].type);
        pb_text(&t, PB_TENSOR_NAME, "w");
        pb_message(&t, cases[i].field ? cases[i].field : PB_TENSOR_RAW, &values);
        pb_message(&m.graph, PB_GRAPH_TENSOR, &t);
        ms_onnx_file *f = opened(m);
        const ms_onnx_tensor *w = constant(f, "w");
        bool is_float =
            cases[i].type == 1 || cases[i].type == 10 || cases[i].type == 11 || cases[i].type == 16;
        assert_int_equal(w->dtype, is_float ? MS_F32 : MS_I64);
        assert_int_equal(w->elements, 2);
        for (int j = 0; j < 2; j++) {
            double got =
                is_float ? (double)((const float *)w->data)[j] : (double)((const int64_t *)w->data)[j];
            if (got != cases[i].want[j])
                fail_msg("case %zu: %g, not %g", i, got, cases[i].want[j]);
        }
        ms_onnx_file_close(&f);
    }
}

static void typed_floats_and_doubles(void **state) {
    (void)state;
    static const double doubles[2] = {0.5, -8};
    onnx_model m = small_model();
    byte_string t = {0}, u = {0}, v = {0};
    pb_varint(&t, PB_TENSOR_DIMS, 4);
    pb_varint(&t, PB_TENSOR_TYPE, 1);
    pb_text(&t, PB_TENSOR_NAME, "f");
    pb_bytes(&t, PB_TENSOR_FLOATS, four, sizeof(four));
    pb_message(&m.graph, PB_GRAPH_TENSOR, &t);
    pb_varint(&u, PB_TENSOR_DIMS, 2);
    pb_varint(&u, PB_TENSOR_TYPE, 11);
    pb_text(&u, PB_TENSOR_NAME, "d");
    pb_bytes(&u, PB_TENSOR_DOUBLES, doubles, sizeof(doubles));
    pb_message(&m.graph, PB_GRAPH_TENSOR, &u);
    v = tensor_f32("s", 0, NULL, four); /* a scalar */
    pb_message(&m.graph, PB_GRAPH_TENSOR, &v);
    v = tensor_f32("e", 2, (int64_t[]){0, 5}, NULL);
    pb_message(&m.graph, PB_GRAPH_TENSOR, &v);
    ms_onnx_file *f = opened(m);
    assert_memory_equal(constant(f, "f")->data, four, sizeof(four));
    assert_true(((const float *)constant(f, "d")->data)[1] == -8);
    assert_int_equal(constant(f, "s")->rank, 0);
    assert_int_equal(constant(f, "s")->elements, 1);
    assert_int_equal(constant(f, "e")->elements, 0);
    ms_onnx_file_close(&f);
}

static void attributes_are_read(void **state) {
    (void)state;
    onnx_model m = small_model();
    byte_string t = tensor_f32(NULL, 2, two_by_two, four), graph = {0};
    model_int(&m, "i", -3);
    model_float(&m, "f", 0.25f);
    model_text(&m, "s", "SAME");
    model_text(&m, "none", "");
    model_ints(&m, "is", 3, (int64_t[]){1, -2, 3});
    model_floats(&m, "fs", 2, four);
    model_tensor(&m, "t", &t);
    pb_text(&graph, PB_ATTR_NAME, "body"); /* a subgraph: only its name is kept */
    pb_varint(&graph, PB_ATTR_TYPE, 5);
    pb_message(&m.node, PB_NODE_ATTR, &graph);
    ms_onnx_file *f = opened(m);
    const ms_onnx_attr *a = f->nodes[0].attr;
    assert_int_equal(f->nodes[0].n_attrs, 8);
    assert_true(a[0].type == MS_ONNX_INT && a[0].i == -3);
    assert_true(a[1].type == MS_ONNX_FLOAT && a[1].f == 0.25f);
    assert_string_equal(a[2].text, "SAME");
    assert_string_equal(a[3].text, "");
    assert_true(a[4].type == MS_ONNX_INTS && a[4].count == 3 && a[4].ints[1] == -2);
    assert_true(a[5].type == MS_ONNX_FLOATS && a[5].count == 2 && a[5].floats[1] == 2);
    assert_true(a[6].type == MS_ONNX_TENSOR && a[6].tensor->elements == 4);
    assert_int_equal(a[7].type, MS_ONNX_OTHER);
    assert_string_equal(a[7].name, "body");
    ms_onnx_file_close(&f);
}

/* Weights that are with the network already need not be held twice. */
static void large_constants_can_be_given_back(void **state) {
    (void)state;
    enum { LARGE = 10000 };
    static float values[LARGE];
    ms_mem *mem = NULL;
    ms_onnx_file *f = NULL;
    ms_error err;
    ms_mem_usage before, after;
    onnx_model m = small_model();
    model_f32(&m, "large", 1, (int64_t[]){LARGE}, values);
    model_f32(&m, "other", 1, (int64_t[]){LARGE}, values);
    model_f32(&m, "small", 1, (int64_t[]){4}, four);
    byte_string bytes = model_end(&m);
    assert_int_equal(ms_mem_create(0, &mem), MS_OK);
    assert_ms_ok(open_model(mem, &bytes, &f, &err), &err);
    ms_mem_get_usage(mem, &before);
    for (int v = 0; v < f->n_values; v++)
        if (strcmp(f->value_names[v], "other") != 0)
            ms_onnx_file_release(f, v);
    ms_mem_get_usage(mem, &after);
    assert_true(before.current_bytes - after.current_bytes >= LARGE * sizeof(float));
    assert_null(constant(f, "large")->data);
    assert_non_null(constant(f, "other")->data);
    assert_non_null(constant(f, "small")->data);
    ms_onnx_file_release(f, 0); /* twice is nothing */
    ms_onnx_file_close(&f);
    assert_int_equal(ms_mem_destroy(&mem), 0);
}

static void golden_files_open(void **state) {
    (void)state;
    char path[512];
    ms_error err;
    static const char *const names[2] = {"facedet/scrfd_like.onnx", "facedet/lm106_like.onnx"};
    static const int outputs[2] = {9, 1};
    for (int i = 0; i < 2; i++) {
        ms_onnx_file *f = NULL;
        assert_non_null(golden_path(path, sizeof(path), names[i]));
        assert_ms_ok(ms_onnx_file_open(NULL, path, &f, &err), &err);
        assert_int_equal(f->n_inputs, 1);
        assert_int_equal(f->inputs[0].shape[1], 3);
        assert_int_equal(f->n_outputs, outputs[i]);
        ms_onnx_file_close(&f);
    }
}

/* ---- what is refused ---- */

static void files_that_are_none(void **state) {
    (void)state;
    ms_onnx_file *f = NULL;
    ms_error err;
    byte_string b = {0};
    refused(b, "IR version 0", NULL); /* no bytes are a message without fields */
    bytes_text(&b, "not a protobuf at all");
    refused(b, "do not parse", NULL);
    assert_int_equal(ms_onnx_file_open(NULL, "/nowhere/net.onnx", &f, &err), MS_IO);
    assert_non_null(strstr(err.message, "/nowhere/net.onnx"));
    assert_int_equal(ms_onnx_file_open(NULL, MS_SOURCE_DIR, &f, &err), MS_IO);
    assert_int_equal(ms_onnx_file_open_memory(NULL, "n", "", (size_t)MS_ONNX_MAX_FILE_BYTES + 1, &f, &err),
                     MS_BAD_MODEL);
    assert_null(f);
}

/* Cut anywhere: a refusal with a message, or, between two fields, a model with less in it. */
static void cut_files(void **state) {
    (void)state;
    onnx_model m = small_model();
    model_ints(&m, "is", 3, (int64_t[]){1, -2, 3});
    model_f32(&m, "w", 2, two_by_two, four);
    byte_string whole = model_end(&m);
    size_t refusals = 0;
    for (size_t n = 0; n < whole.length; n++) {
        byte_string part = {0};
        ms_onnx_file *f = NULL;
        ms_error err;
        bytes_append(&part, whole.data, n);
        ms_status status = open_model(NULL, &part, &f, &err);
        assert_true(status == MS_BAD_MODEL || status == MS_OK);
        assert_true((status == MS_OK) == (f != NULL));
        refusals += status != MS_OK;
        ms_onnx_file_close(&f);
    }
    assert_int_equal(refusals, whole.length); /* the operator set comes last, and without it there is none */
    bytes_free(&whole);
}

static void models_of_other_kinds(void **state) {
    (void)state;
    byte_string inner = {0};
    onnx_model m = small_model();
    m.ir = 2;
    refused_model(m, "IR version 2", NULL);
    m = small_model();
    m.ir = 15;
    refused_model(m, "IR version 15", NULL);
    m = small_model();
    m.opset = 6;
    refused_model(m, "operator set 6 is outside of 7 to 25", NULL);
    m = small_model();
    m.opset = 26;
    refused_model(m, "operator set 26", NULL);
    m = small_model();
    pb_varint(&inner, 2, 12);
    pb_message(&m.model, PB_MODEL_OPSET, &inner);
    refused_model(m, "names 2 versions", NULL);
    m = small_model();
    pb_text(&m.model, PB_MODEL_FUNCTIONS, "");
    refused_model(m, "functions of its own", NULL);
    m = small_model();
    pb_text(&m.graph, PB_GRAPH_SPARSE, "");
    refused_model(m, "sparse tensors", NULL);
    m = (onnx_model){0};
    model_input(&m, "x", 1, (int64_t[]){1});
    model_output(&m, "x");
    refused_model(m, "has no graph with nodes", NULL);
}

static void graphs_that_do_not_hang_together(void **state) {
    (void)state;
    onnx_model m = small_model();
    model_output(&m, "nothing");
    refused_model(m, "nothing makes the output \"nothing\"", NULL);
    m = small_model();
    model_node(&m, "Relu", "missing", "z"); /* an initializer that is not there */
    refused_model(m, "node 1 \"n_z\" (Relu)", "missing");
    m = small_model();
    model_node(&m, "Relu", "b", "a"); /* a cycle */
    model_node(&m, "Relu", "a", "b");
    refused_model(m, "node 1 \"n_a\"", "\"b\"");
    m = small_model();
    model_node(&m, "Relu", "z", "z"); /* of itself */
    refused_model(m, "node 1 \"n_z\"", "\"z\"");
    m = small_model();
    model_node(&m, "Relu", "x", "y");
    refused_model(m, "node 1 \"n_y\"", "makes \"y\", which is there already");
    m = small_model();
    model_node(&m, "Split", "x", "a,a");
    refused_model(m, "makes \"a\", which is there already", NULL);
    m = small_model();
    model_node(&m, "Relu", "x", "x");
    refused_model(m, "makes \"x\"", NULL);
    m = small_model();
    model_f32(&m, "w", 2, two_by_two, four);
    model_f32(&m, "w", 2, two_by_two, four);
    refused_model(m, "an initializer: makes \"w\"", NULL);
    m = small_model();
    model_input(&m, "x", 4, (int64_t[]){1, 3, OPEN, 8});
    refused_model(m, "an input of the graph: makes \"x\"", NULL);
    m = small_model();
    model_f32(&m, "", 2, two_by_two, four);
    refused_model(m, "an initializer: has no name", NULL);
    m = small_model();
    model_input(&m, "v", 2, (int64_t[]){1, 0});
    refused_model(m, "input \"v\": dimension 1 is 0", NULL);
    m = small_model();
    model_input(&m, "v", 9, (int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1});
    refused_model(m, "input \"v\" has 9 dimensions", NULL);
}

static void nodes_that_are_not_understood(void **state) {
    (void)state;
    byte_string attr = {0};
    onnx_model m = small_model();
    pb_text(&m.node, PB_NODE_DOMAIN, "com.microsoft");
    refused_model(m, "node 0 \"n_y\" (Relu): is of the domain \"com.microsoft\"", NULL);
    m = small_model();
    pb_text(&m.node, 8, "v2");
    refused_model(m, "overload \"v2\"", NULL);
    m = small_model();
    model_node(&m, "", "x", "z");
    refused_model(m, "has no operator", NULL);
    m = small_model();
    model_node(&m, "Relu", "x", "");
    refused_model(m, "has no output", NULL);
    m = small_model();
    model_int(&m, "a", 1);
    model_int(&m, "a", 2);
    refused_model(m, "node 0 \"n_y\"", "attribute a is there twice");
    m = small_model();
    model_int(&m, "", 1);
    refused_model(m, "attribute 0 has no name", NULL);
    m = small_model();
    pb_text(&attr, PB_ATTR_NAME, "t");
    pb_varint(&attr, PB_ATTR_TYPE, 4);
    pb_message(&m.node, PB_NODE_ATTR, &attr);
    refused_model(m, "attribute t: holds no tensor", NULL);
    m = small_model();
    pb_text(&attr, PB_ATTR_NAME, "r");
    pb_text(&attr, PB_ATTR_REFERS, "outer");
    pb_message(&m.node, PB_NODE_ATTR, &attr);
    refused_model(m, "attribute r refers to a function's", NULL);
    m = small_model();
    pb_text(&attr, PB_ATTR_NAME, "s");
    pb_varint(&attr, PB_ATTR_TYPE, 3);
    pb_bytes(&attr, PB_ATTR_S, "a\0b", 3);
    pb_message(&m.node, PB_NODE_ATTR, &attr);
    refused_model(m, "attribute s holds a zero byte", NULL);
    m = small_model();
    for (int i = 0; i < 65; i++) {
        char name[8];
        snprintf(name, sizeof(name), "a%d", i);
        model_int(&m, name, i);
    }
    refused_model(m, "65 attributes", NULL);
    m = small_model(); /* what is hostile in a name is shown harmlessly */
    model_node(&m, "Re\nlu\x1b[2J", "x,gone", "z");
    refused_model(m, "Re\\", NULL);
}

static byte_string tensor_head(int type, int rank, const int64_t *dims) {
    byte_string t = {0};
    for (int i = 0; i < rank; i++)
        pb_varint(&t, PB_TENSOR_DIMS, (uint64_t)dims[i]);
    pb_varint(&t, PB_TENSOR_TYPE, (uint64_t)type);
    pb_text(&t, PB_TENSOR_NAME, "w");
    return t;
}

static void tensors_that_lie(void **state) {
    (void)state;
    byte_string t = tensor_head(1, 2, two_by_two);
    pb_bytes(&t, PB_TENSOR_RAW, four, 12);
    refused_tensor(t, "tensor \"w\": holds 3 values, its shape asks for 4", NULL);
    t = tensor_head(1, 2, two_by_two);
    pb_bytes(&t, PB_TENSOR_RAW, four, 15);
    refused_tensor(t, "15 bytes are no whole number of float", NULL);
    t = tensor_head(1, 2, (int64_t[]){2, 1});
    pb_bytes(&t, PB_TENSOR_FLOATS, four, sizeof(four));
    refused_tensor(t, "holds 4 values, its shape asks for 2", NULL);
    refused_tensor(tensor_head(1, 2, two_by_two), "holds 0 values", NULL);
    t = tensor_head(1, 2, two_by_two);
    pb_bytes(&t, PB_TENSOR_RAW, four, sizeof(four));
    pb_bytes(&t, PB_TENSOR_FLOATS, four, sizeof(four));
    refused_tensor(t, "values of several types", NULL);
    t = tensor_head(7, 2, two_by_two); /* integers in the floats' field */
    pb_bytes(&t, PB_TENSOR_FLOATS, four, sizeof(four));
    refused_tensor(t, "values of several types", NULL);
    refused_tensor(tensor_head(1, 2, (int64_t[]){2, -1}), "dimension 1 is -1", NULL);
    refused_tensor(tensor_head(1, 2, (int64_t[]){INT64_C(1) << 32, INT64_C(1) << 32}), "2^63-1 elements",
                   NULL);
    refused_tensor(tensor_head(1, 1, (int64_t[]){INT64_MAX}), "its shape asks for 9223372036854775807", NULL);
    refused_tensor(tensor_head(1, 9, (int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}), "9 dimensions", NULL);
    refused_tensor(tensor_head(8, 1, two_by_two), "element type 8 is not supported", NULL);   /* string */
    refused_tensor(tensor_head(17, 1, two_by_two), "element type 17 is not supported", NULL); /* float8 */
    refused_tensor(tensor_head(-1, 1, two_by_two), "element type -1", NULL);
}

static void tensors_that_are_elsewhere(void **state) {
    (void)state;
    byte_string t = tensor_head(1, 2, two_by_two), entry = {0};
    pb_text(&entry, 1, "location");
    pb_text(&entry, 2, "../../etc/passwd");
    pb_message(&t, PB_TENSOR_EXTERNAL, &entry);
    refused_tensor(t, "tensor \"w\": its values are in another file", NULL);
    t = tensor_head(1, 2, two_by_two);
    pb_varint(&t, PB_TENSOR_LOCATION, 1);
    refused_tensor(t, "in another file", NULL);
    t = tensor_head(1, 2, two_by_two);
    pb_text(&t, PB_TENSOR_SEGMENT, "");
    refused_tensor(t, "comes in segments", NULL);
}

static void values_that_are_none(void **state) {
    (void)state;
    static const uint32_t bits[2] = {0x7fc00000, 0xff800000};
    static const char *const words[2] = {"tensor \"w\": holds NaN at element 2",
                                         "holds infinity at element 2"};
    for (int i = 0; i < 2; i++) {
        float values[4] = {0};
        memcpy(&values[2], &bits[i], 4);
        refused_tensor(tensor_f32("w", 2, two_by_two, values), words[i], NULL);
    }
    byte_string t = tensor_head(10, 1, (int64_t[]){2}); /* float16 */
    pb_bytes(&t, PB_TENSOR_RAW, "\0\0\0\x7c", 4);
    refused_tensor(t, "holds infinity at element 1", NULL);
    t = tensor_head(11, 1, (int64_t[]){1}); /* a double that no float holds */
    pb_bytes(&t, PB_TENSOR_RAW, &(double){1e300}, 8);
    refused_tensor(t, "holds infinity at element 0", NULL);
    t = tensor_head(13, 1, (int64_t[]){1}); /* uint64 */
    pb_bytes(&t, PB_TENSOR_RAW, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    refused_tensor(t, "element 0 is larger than 2^63-1", NULL);
}

/* One byte of the file becomes 12 in memory here; large files may take twice their size and 256 MiB. */
static void memory_is_bounded_by_the_file(void **state) {
    (void)state;
    const size_t n = (size_t)30 << 20;
    onnx_model m = small_model();
    byte_string t = tensor_head(9, 1, (int64_t[]){(int64_t)n});
    void *zeros = calloc(1, n);
    assert_non_null(zeros);
    pb_bytes(&t, PB_TENSOR_INT32S, zeros, n);
    free(zeros);
    pb_message(&m.graph, PB_GRAPH_TENSOR, &t);
    refused_model(m, "asks for more than", "for its size");
}

/* ---- memory ---- */

static void every_allocation_may_fail(void **state) {
    (void)state;
    char path[512];
    ms_error err;
    assert_non_null(golden_path(path, sizeof(path), "facedet/lm106_like.onnx"));
    for (uint64_t n = 1;; n++) {
        ms_mem *mem = NULL;
        ms_onnx_file *f = NULL;
        assert_int_equal(ms_mem_create(0, &mem), MS_OK);
        ms_mem_fail_after(n, false);
        ms_status status = ms_onnx_file_open(mem, path, &f, &err);
        ms_mem_fail_after(0, false);
        ms_onnx_file_close(&f);
        assert_int_equal(ms_mem_destroy(&mem), 0);
        if (status == MS_OK) {
            assert_true(n > 4);
            break;
        }
        if (status != MS_HOST_MEMORY)
            fail_msg("allocation %d: %s: %s", (int)n, ms_status_name(status), err.message);
        assert_non_null(strstr(err.message, "lm106_like.onnx"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs_are_numbered),
        cmocka_unit_test(element_types_are_widened),
        cmocka_unit_test(typed_floats_and_doubles),
        cmocka_unit_test(attributes_are_read),
        cmocka_unit_test(large_constants_can_be_given_back),
        cmocka_unit_test(golden_files_open),
        cmocka_unit_test(files_that_are_none),
        cmocka_unit_test(cut_files),
        cmocka_unit_test(models_of_other_kinds),
        cmocka_unit_test(graphs_that_do_not_hang_together),
        cmocka_unit_test(nodes_that_are_not_understood),
        cmocka_unit_test(tensors_that_lie),
        cmocka_unit_test(tensors_that_are_elsewhere),
        cmocka_unit_test(values_that_are_none),
        cmocka_unit_test(memory_is_bounded_by_the_file),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return MS_HAVE_ONNX ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
