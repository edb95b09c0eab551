/* Networks made by hand (onnx_model.h), run on the cpu back end and compared with row-major arrays. */
#ifndef MS_TESTS_SUPPORT_MODELS_ONNX_RUN_H
#define MS_TESTS_SUPPORT_MODELS_ONNX_RUN_H

#include "test.h"

#include "models/onnx/onnx_net.h"
#include "support/models/onnx_model.h"

#define OPEN (-1)

/* A row-major array of the references. */
typedef struct array {
    int rank;
    int64_t dim[8], elements;
    float *data;
} array;

static inline array array_new(int rank, const int64_t *dim) {
    array a = {.rank = rank, .elements = 1};
    for (int i = 0; i < rank; i++)
        a.elements *= a.dim[i] = dim[i];
    a.data = calloc((size_t)a.elements + 1, sizeof(float));
    assert_non_null(a.data);
    return a;
}

static inline array array_random(uint64_t *rng, int rank, const int64_t *dim) {
    array a = array_new(rank, dim);
    for (int64_t i = 0; i < a.elements; i++)
        a.data[i] = test_uniform(rng);
    return a;
}

#define DIMS(...)                                                                                            \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]) {                                 \
        __VA_ARGS__                                                                                          \
    }

static inline void model_array(onnx_model *m, const char *name, const array *a) {
    model_f32(m, name, a->rank, a->dim, a->data);
}

/* ---- running ---- */

typedef struct runner {
    ms_mem *mem;
    ms_compute compute;
    ms_onnx_net *net;
    ms_error err;
} runner;

static inline runner runner_open(void) {
    runner r = {0};
    assert_int_equal(ms_mem_create(0, &r.mem), MS_OK);
    const ms_compute_params params = {
        .device = "cpu", .mem = r.mem, .threads = 2, .isa_limit = MS_ISA_COUNT - 1};
    assert_ms_ok(ms_compute_open(&params, &r.compute, &r.err), &r.err);
    return r;
}

static inline void runner_close(runner *r) {
    ms_onnx_net_close(&r->net);
    ms_compute_close(&r->compute);
    assert_int_equal(ms_mem_destroy(&r->mem), 0);
}

static inline ms_status runner_load(runner *r, onnx_model *m) {
    ms_onnx_file *file = NULL;
    byte_string bytes = model_end(m);
    ms_status status = ms_onnx_file_open_memory(r->mem, "net.onnx", bytes.data, bytes.length, &file, &r->err);
    bytes_free(&bytes);
    return status == MS_OK ? ms_onnx_net_create(&r->compute, &file, &r->net, &r->err) : status;
}

static inline ms_status runner_prepare(runner *r, const array *inputs, int64_t images, size_t *ret_arena) {
    ms_onnx_value shapes[4] = {0};
    const ms_slicing slicing = {.frames = images};
    for (int i = 0; i < ms_onnx_net_input_count(r->net); i++) {
        shapes[i].rank = inputs[i].rank;
        memcpy(shapes[i].shape, inputs[i].dim, sizeof(inputs[i].dim));
    }
    return ms_onnx_net_prepare(r->net, shapes, &slicing, ret_arena, &r->err);
}

/* The first output, whose shape is the network's. */
static inline array runner_run(runner *r, const array *inputs, size_t arena_bytes) {
    const float *in[4] = {0};
    float *out[4] = {0};
    void *arena = r->compute.dev->backend->alloc(r->compute.dev, MS_LEDGER_ACTIVATIONS, arena_bytes);
    assert_non_null(arena);
    memset(arena, 0xff, arena_bytes); /* NaNs, so that what is read before it is written shows */
    for (int i = 0; i < ms_onnx_net_input_count(r->net); i++)
        in[i] = inputs[i].data;
    const ms_onnx_value *described = ms_onnx_net_output(r->net, 0);
    array result = array_new(described->rank, described->shape);
    assert_int_equal(result.elements, described->elements);
    out[0] = result.data;
    for (int i = 1; i < ms_onnx_net_output_count(r->net); i++)
        out[i] = calloc((size_t)ms_onnx_net_output(r->net, i)->elements + 1, sizeof(float));
    assert_ms_ok(ms_onnx_net_run(r->net, arena, in, out, &r->err), &r->err);
    r->compute.dev->backend->free(r->compute.dev, arena);
    for (int i = 1; i < ms_onnx_net_output_count(r->net); i++)
        free(out[i]);
    return result;
}

static inline void compare(const array *got, const array *want) {
    assert_int_equal(got->rank, want->rank);
    for (int i = 0; i < want->rank; i++)
        assert_int_equal(got->dim[i], want->dim[i]);
    for (int64_t i = 0; i < want->elements; i++)
        if (!(fabsf(got->data[i] - want->data[i]) <= 1e-5f + 1e-5f * fabsf(want->data[i])))
            fail_msg("element %d is %.9g, expected %.9g", (int)i, (double)got->data[i],
                     (double)want->data[i]);
}

/* The model's first output is `want`; frees want. */
static inline void computes(onnx_model m, const array *inputs, array want) {
    runner r = runner_open();
    size_t arena = 0;
    assert_ms_ok(runner_load(&r, &m), &r.err);
    assert_ms_ok(runner_prepare(&r, inputs, 0, &arena), &r.err);
    array got = runner_run(&r, inputs, arena);
    compare(&got, &want);
    free(got.data);
    free(want.data);
    runner_close(&r);
}

/* Creating or preparing it fails with these words, and nothing is left. */
static inline void refuses(onnx_model m, const array *inputs, ms_status code, const char *words) {
    runner r = runner_open();
    size_t arena = 0;
    ms_status status = runner_load(&r, &m);
    if (status == MS_OK)
        status = runner_prepare(&r, inputs, 0, &arena);
    if (status != code || !strstr(r.err.message, words) || !strstr(r.err.message, "net.onnx"))
        fail_msg("expected %s \"%s\", got %s: %s", ms_status_name(code), words, ms_status_name(status),
                 status == MS_OK ? "" : r.err.message);
    runner_close(&r);
}

static inline onnx_model model_of(const array *x) {
    onnx_model m = {0};
    int64_t dim[8];
    for (int i = 0; i < x->rank; i++)
        dim[i] = i == 2 ? OPEN : x->dim[i];
    model_input(&m, "x", x->rank, dim);
    model_output(&m, "y");
    return m;
}

/* ---- images */

static inline float *at4(const array *a, int64_t n, int64_t c, int64_t h, int64_t w) {
    return &a->data[((n * a->dim[1] + c) * a->dim[2] + h) * a->dim[3] + w];
}

typedef struct window {
    int64_t kernel[2], stride[2], pad[4], groups;
} window;

static inline int64_t out_size(const array *x, const window *k, int i, bool ceil_mode) {
    int64_t space = x->dim[2 + i] + k->pad[i] + k->pad[2 + i] - k->kernel[i];
    int64_t size = (space + (ceil_mode ? k->stride[i] - 1 : 0)) / k->stride[i] + 1;
    /* ONNX: the last window begins inside the image or its padding in front */
    return ceil_mode && (size - 1) * k->stride[i] >= x->dim[2 + i] + k->pad[i] ? size - 1 : size;
}

static inline window random_window(uint64_t *rng, int64_t most) {
    window k = {.groups = 1};
    for (int i = 0; i < 2; i++) {
        k.kernel[i] = 1 + test_rand(rng) % most;
        k.stride[i] = 1 + test_rand(rng) % 3;
        k.pad[i] = test_rand(rng) % (uint32_t)k.kernel[i];
        k.pad[2 + i] = test_rand(rng) % (uint32_t)k.kernel[i];
    }
    return k;
}

#endif
