/* The face networks from their ONNX files, against the golden data (facedet/). */
#include "test.h"

#include "formats/tensor_file.h"
#include "models/onnx/landmark106.h"
#include "models/onnx/scrfd.h"
#include "support/golden.h"

/* The golden data's tolerance for outputs of ONNX networks. */
static float tolerance(float expected) {
    return 1e-4f + 1e-4f * fabsf(expected);
}

static void compare(const char *name, const float *got, const float *want, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - want[i]) <= tolerance(want[i])))
            fail_msg("%s[%lld] is %g, expected %g", name, (long long)i, (double)got[i], (double)want[i]);
}

typedef struct named_floats {
    float *data;
    ms_tensor_info info;
} named_floats;

static named_floats read_case(const ms_tensor_file *file, const char *name) {
    const ms_tensor_info *t = ms_tensor_file_find(file, name);
    ms_error err;
    if (!t)
        fail_msg("%s is missing", name);
    named_floats f = {malloc((size_t)t->elements * sizeof(float)), *t};
    assert_non_null(f.data);
    assert_ms_ok(ms_tensor_file_read_f32(file, t, 0, t->elements, f.data, &err), &err);
    return f;
}

typedef struct setup {
    char onnx[512];
    ms_mem *mem;
    ms_compute compute;
    ms_tensor_file *cases;
} setup;

static setup set_up(const char *name, const char *device) {
    setup s = {0};
    char path[512], file[64];
    ms_error err;
#if !MS_HAVE_ONNX
    skip();
#endif
    snprintf(file, sizeof(file), "facedet/%s.onnx", name);
    assert_non_null(golden_path(s.onnx, sizeof(s.onnx), file));
    snprintf(file, sizeof(file), "facedet/%s.safetensors", name);
    assert_non_null(golden_path(path, sizeof(path), file));
    assert_int_equal(ms_mem_create(0, &s.mem), MS_OK);
    assert_ms_ok(ms_tensor_file_open(NULL, path, &s.cases, &err), &err);
    const ms_compute_params params = {.device = device, .mem = s.mem, .isa_limit = MS_ISA_COUNT - 1};
    assert_ms_ok(ms_compute_open(&params, &s.compute, &err), &err);
    return s;
}

/* Everything that was allocated is given back. */
static void tear_down(setup *s) {
    ms_tensor_file_close(&s->cases);
    ms_compute_close(&s->compute);
    assert_int_equal(ms_mem_destroy(&s->mem), 0);
}

/* ---- detector ---- */

static void run_detector(ms_scrfd *scrfd, setup *s, const char *which, float **ret_outputs,
                         ms_scrfd_heads *ret_heads) {
    char name[64];
    size_t arena_bytes;
    ms_error err;
    snprintf(name, sizeof(name), "in.%s", which);
    named_floats in = read_case(s->cases, name);
    assert_ms_ok(ms_scrfd_prepare(scrfd, in.info.shape[2], in.info.shape[3], &arena_bytes, &err), &err);
    void *arena = s->compute.dev->backend->alloc(s->compute.dev, MS_LEDGER_ACTIVATIONS, arena_bytes);
    assert_non_null(arena);
    *ret_outputs = malloc(ms_scrfd_output_floats(scrfd) * sizeof(float));
    assert_ms_ok(ms_scrfd_run(scrfd, arena, in.data, *ret_outputs, ret_heads, &err), &err);
    s->compute.dev->backend->free(s->compute.dev, arena);
    free(in.data);
}

static void check_heads(const setup *s, const char *which, const ms_scrfd_heads *heads) {
    static const char *const kinds[3] = {"score", "bbox", "kps"};
    for (int level = 0; level < MS_SCRFD_STRIDES; level++) {
        const float *const got[3] = {heads->level[level].score, heads->level[level].bbox,
                                     heads->level[level].kps};
        for (int kind = 0; kind < 3; kind++) {
            char name[64];
            snprintf(name, sizeof(name), "out.%s.%s_%d", which, kinds[kind], heads->level[level].stride);
            named_floats want = read_case(s->cases, name);
            assert_int_equal(want.info.shape[0], heads->level[level].rows);
            compare(name, got[kind], want.data, want.info.elements);
            free(want.data);
        }
    }
}

static void detector_on(const char *device) {
    setup s = set_up("scrfd_like", device);
    ms_scrfd *scrfd = NULL;
    ms_error err;
    static const char *const cases[] = {"a", "b", "c", "a"};
    assert_ms_ok(ms_scrfd_open(&s.compute, s.onnx, &scrfd, &err), &err);
    for (int i = 0; i < 4; i++) { /* the sizes follow each other in one network */
        ms_scrfd_heads heads;
        float *outputs;
        run_detector(scrfd, &s, cases[i], &outputs, &heads);
        check_heads(&s, cases[i], &heads);
        free(outputs);
    }
    ms_scrfd_close(&scrfd);
    tear_down(&s);
}

static void detector_matches_golden(void **state) {
    (void)state;
    detector_on("cpu");
}

/* Its constants come from the graph, not from a checkpoint. */
static void detector_matches_golden_on_a_device_apart(void **state) {
    (void)state;
    detector_on("remote");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(detector_matches_golden),
        cmocka_unit_test(detector_matches_golden_on_a_device_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
