/* Loading the networks of a small model folder, with each allocation made to fail in turn. */
#include "test.h"

#include "graph/graph.h"
#include "models/model_files.h"
#include "support/golden.h"
#include "weights/weights.h"

typedef ms_status (*build_fn)(ms_graph *graph, const ms_model_files *files, ms_error *err);

static ms_status build_unet(ms_graph *g, const ms_model_files *f, ms_error *err) {
    const ms_unet_shape shape = {.branches = 2, .frames = 2, .h = 16, .w = 16, .tokens = 50};
    return ms_unet_build(g, &f->unet_config, &shape, err);
}

static ms_status build_vae(ms_graph *g, const ms_model_files *f, ms_error *err) {
    return ms_vae_build_decoder(g, &f->vae_config_values, &(ms_vae_build){.images = 1, .h = 8, .w = 8}, err);
}

static ms_status build_whisper(ms_graph *g, const ms_model_files *f, ms_error *err) {
    return ms_whisper_build(g, &f->whisper_config, err);
}

/* Everything that a run does until a network's weights are there. */
static ms_status load_all(ms_mem *mem, const ms_compute *compute, const char *path, const char *known,
                          const ms_model_files *files, build_fn build, bool check, ms_error *err) {
    ms_params *decls = NULL;
    ms_weights *weights = NULL;
    ms_graph *graph = NULL;
    ms_tensor_file *file = NULL;
    ms_weights_load_params params = {.precision = MS_F16, .pool = compute->pool};
    ms_status status;
    MS_GOTO(ms_params_create(mem, compute->dev, &decls, err));
    MS_GOTO(ms_weights_create(compute, decls, &weights, err));
    MS_GOTO(ms_graph_create(decls, MS_F32, &graph, err));
    MS_GOTO(build(graph, files, err));
    MS_GOTO(ms_checkpoint_open(mem, path, known, &file, &params.prefix, err));
    if (check)
        MS_GOTO(ms_tensor_file_check(file, NULL, NULL, err));
    MS_GOTO(ms_weights_load(weights, file, MS_ALL_RESIDENT, &params, err));
    for (size_t i = 0; i < ms_params_count(decls); i++)
        assert_true(ms_weights_is_set(weights, (ms_param)i));
fail:
    if (status != MS_OK && weights)
        for (size_t i = 0; i < ms_params_count(decls); i++)
            assert_null(ms_weights_vector(weights, (ms_param)i)); /* nothing is kept on failure */
    ms_tensor_file_close(&file);
    ms_graph_destroy(&graph);
    ms_weights_destroy(&weights);
    ms_params_destroy(&decls);
    return status;
}

static void find_files(ms_model_files *files) {
    char config[512], unet[512], vae[512], whisper[512];
    ms_error err;
    assert_non_null(golden_path(config, sizeof(config), "tiny/unet.yaml"));
    assert_non_null(golden_path(unet, sizeof(unet), "tiny/latentsync_unet_fp16.pt"));
    assert_non_null(golden_path(vae, sizeof(vae), "tiny/vae"));
    assert_non_null(golden_path(whisper, sizeof(whisper), "tiny/whisper/tiny.pt"));
    const ms_model_names names = {.config = config, .unet = unet, .vae = vae, .whisper = whisper};
    assert_ms_ok(ms_model_files_find(&names, MS_PART_UNET | MS_PART_VAE | MS_PART_WHISPER, files, &err),
                 &err);
}

static void walk(const char *path, const char *known, const ms_model_files *files, build_fn build,
                 bool repeat) {
    for (uint64_t n = 1;; n++) {
        ms_mem *mem = NULL;
        ms_compute compute = {0};
        ms_error err;
        ms_error_clear(&err);
        assert_int_equal(ms_mem_create(0, &mem), MS_OK);
        const ms_compute_params params = {
            .device = "cpu", .mem = mem, .threads = 2, .isa_limit = MS_ISA_COUNT - 1};
        assert_ms_ok(ms_compute_open(&params, &compute, &err), &err);
        ms_mem_fail_after(n, repeat);
        ms_status status = load_all(mem, &compute, path, known, files, build, n == 1, &err);
        ms_mem_fail_after(0, false);
        ms_compute_close(&compute);
        assert_int_equal(ms_mem_destroy(&mem), 0);
        if (status == MS_OK) {
            assert_true(n > 20);
            return;
        }
        if (status != MS_HOST_MEMORY || !strstr(err.message, "cannot allocate"))
            fail_msg("allocation %d: %s: %s", (int)n, ms_status_name(status), err.message);
    }
}

typedef struct listener {
    double last;
    int calls, end_at; /* end_at: call that ends the loading; 0 = none */
} listener;

static ms_status listen(void *arg, double done) {
    listener *l = arg;
    assert_true(done > 0 && done <= 1 && done >= l->last);
    l->last = done;
    return ++l->calls == l->end_at ? MS_CANCELLED : MS_OK;
}

/* Loading takes seconds to minutes: it says how far it is, and can be ended. */
static void it_tells_and_can_be_ended(void **state) {
    (void)state;
    ms_model_files files;
    char path[512];
    find_files(&files);
    assert_non_null(golden_path(path, sizeof(path), "tiny/latentsync_unet_fp16.pt"));
    for (int end_at = 0; end_at <= 3; end_at += 3) {
        for (int threads = 1; threads <= 2; threads++) {
            ms_compute compute = {0};
            ms_params *decls = NULL;
            ms_weights *weights = NULL;
            ms_graph *graph = NULL;
            ms_tensor_file *file = NULL;
            ms_error err;
            ms_error_clear(&err);
            listener l = {.end_at = end_at};
            const ms_compute_params device = {
                .device = "cpu", .threads = threads, .isa_limit = MS_ISA_COUNT - 1};
            assert_ms_ok(ms_compute_open(&device, &compute, &err), &err);
            ms_weights_load_params params = {
                .precision = MS_F16, .pool = compute.pool, .progress = listen, .arg = &l};
            assert_ms_ok(ms_params_create(NULL, compute.dev, &decls, &err), &err);
            assert_ms_ok(ms_weights_create(&compute, decls, &weights, &err), &err);
            assert_ms_ok(ms_graph_create(decls, MS_F32, &graph, &err), &err);
            assert_ms_ok(build_unet(graph, &files, &err), &err);
            assert_ms_ok(ms_checkpoint_open(NULL, path, "conv_in.weight", &file, &params.prefix, &err), &err);
            ms_status status = ms_weights_load(weights, file, MS_ALL_RESIDENT, &params, &err);
            /* The caller's thread tells, and on a busy machine the other may have done all the work. */
            bool ended = end_at && (threads == 1 || l.calls == end_at);
            assert_int_equal(status, ended ? MS_CANCELLED : MS_OK);
            if (ended) {
                assert_int_equal(l.calls, end_at);
                assert_int_equal(err.code, MS_CANCELLED);
                assert_null(ms_weights_vector(weights, 0));
            } else if (threads == 1) {
                assert_true(l.calls > 100 && l.last == 1);
            }
            ms_tensor_file_close(&file);
            ms_graph_destroy(&graph);
            ms_weights_destroy(&weights);
            ms_params_destroy(&decls);
            ms_compute_close(&compute);
        }
    }
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    static ms_model_files files;
    if (!MS_HAVE_YAML)
        skip();
    find_files(&files);
    for (int repeat = 0; repeat < 2; repeat++) {
        walk(files.unet, "conv_in.weight", &files, build_unet, repeat);
        walk(files.vae, "decoder.conv_in.weight", &files, build_vae, repeat);
        walk(files.whisper, "encoder.conv1.weight", &files, build_whisper, repeat);
    }
}

/* A parameter whose values cannot be brought to the device is not set, and can be set later. */
static void what_cannot_be_set_is_not_there(void **state) {
    (void)state;
    enum { ROWS = 128, COLUMNS = 128 };
    static float values[ROWS * COLUMNS];
    const size_t bytes = sizeof(values);
    const ms_param_decl decl = {
        .parts = 1, .name = {"w"}, .rank = 2, .shape = {ROWS, COLUMNS}, .layout = MS_LAYOUT_PANEL};
    /* Room for the matrix, and not for the values beside it. */
    const ms_compute_params params = {
        .device = "remote", .threads = 1, .isa_limit = MS_ISA_COUNT - 1, .memory_bytes = bytes + bytes / 2};
    ms_compute compute = {0};
    ms_params *decls = NULL;
    ms_weights *weights = NULL;
    ms_param w;
    ms_error err;
    size_t before, after, total;
    assert_ms_ok(ms_compute_open(&params, &compute, &err), &err);
    assert_ms_ok(ms_params_create(NULL, compute.dev, &decls, &err), &err);
    assert_ms_ok(ms_params_declare(decls, &decl, &w, &err), &err);
    assert_ms_ok(ms_weights_create(&compute, decls, &weights, &err), &err);
    compute.dev->backend->memory(compute.dev, &before, &total);
    for (int i = 0; i < 2; i++) { /* the same error again, not "set already" */
        assert_int_equal(ms_weights_set(weights, w, values, &err), MS_DEVICE_MEMORY);
        assert_null(ms_weights_matrix(weights, w).data);
        compute.dev->backend->memory(compute.dev, &after, &total);
        assert_true(after == before);
    }
    ms_weights_destroy(&weights);
    ms_params_destroy(&decls);
    ms_compute_close(&compute);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(it_tells_and_can_be_ended),
        cmocka_unit_test(what_cannot_be_set_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
