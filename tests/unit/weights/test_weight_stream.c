/* Weights that pass through a buffer give the bits of resident ones, whichever they are. */
#include "test.h"

#include "base/philox.h"
#include "engine/denoiser.h"
#include "models/model_files.h"
#include "support/golden.h"
#include "weights/weight_stream.h"

enum { FRAMES = 3, SIDE = 8, PIXELS = SIDE * SIDE, TOKENS = 10, STEPS = 2 };

typedef struct bench {
    ms_mem *mem;
    ms_compute compute;
    ms_params *params;
    ms_weights *weights;
    ms_weight_stream *stream;
    ms_denoiser *denoiser;
    ms_tensor_file *file;
    size_t arena_bytes, state_bytes;
} bench;

static ms_model_files files;

static void find_files(void) {
    char config[512], unet[512];
    ms_error err;
    assert_non_null(golden_path(config, sizeof(config), "tiny/unet.yaml"));
    assert_non_null(golden_path(unet, sizeof(unet), "tiny/latentsync_unet_fp16.pt"));
    const ms_model_names names = {.config = config, .unet = unet};
    assert_ms_ok(ms_model_files_find(&names, MS_PART_UNET, &files, &err), &err);
}

static bool replay;

static ms_status open_bench_on(const char *name, bench *b, ms_residency residency, int threads, int64_t slice,
                               ms_error *err) {
    ms_status status;
    *b = (bench){0};
    assert_int_equal(ms_mem_create(0, &b->mem), MS_OK);
    const ms_compute_params device = {
        .device = name, .mem = b->mem, .threads = threads, .isa_limit = MS_ISA_COUNT - 1};
    MS_TRY(ms_compute_open(&device, &b->compute, err));
    b->compute.replay = replay;
    MS_TRY(ms_params_create(b->mem, b->compute.dev, &b->params, err));
    MS_TRY(ms_weights_create(&b->compute, b->params, &b->weights, err));
    MS_TRY(ms_denoiser_create(b->params, MS_F32, &files.unet_config, &b->denoiser, err));
    ms_denoise_params params = {.frames = FRAMES,
                                .h = SIDE,
                                .w = SIDE,
                                .tokens = TOKENS,
                                .steps = STEPS,
                                .guidance = 1.5f,
                                .slicing = {.frames = slice, .pixels = slice ? slice * 16 : 0}};
    MS_TRY(ms_denoiser_prepare(b->denoiser, &params, &b->arena_bytes, &b->state_bytes, err));
    size_t bytes = ms_params_stream_bytes(b->params, MS_F16, residency);
    if (bytes) {
        size_t scratch = ms_params_stream_scratch_floats(b->params, residency);
        MS_TRY(ms_weight_stream_create(&b->compute, bytes, scratch, ms_params_slot_bytes(b->params),
                                       &b->stream, err));
        ms_weights_attach_stream(b->weights, b->stream);
    }
    ms_weights_load_params load = {.precision = MS_F16, .pool = b->compute.pool};
    MS_GOTO(ms_checkpoint_open(b->mem, files.unet, "conv_in.weight", &b->file, &load.prefix, err));
    MS_GOTO(ms_weights_load(b->weights, b->file, residency, &load, err));
fail:
    return status;
}

static ms_status open_bench(bench *b, ms_residency residency, int threads, int64_t slice, ms_error *err) {
    return open_bench_on("cpu", b, residency, threads, slice, err);
}

static void close_bench(bench *b) {
    ms_denoiser_destroy(&b->denoiser);
    ms_weights_destroy(&b->weights);
    ms_params_destroy(&b->params);
    ms_weight_stream_destroy(&b->stream);
    ms_tensor_file_close(&b->file);
    ms_compute_close(&b->compute);
    assert_int_equal(ms_mem_destroy(&b->mem), 0);
}

static ms_status run(bench *b, float latents[FRAMES * PIXELS * 4], ms_error *err) {
    int64_t dim = files.unet_config.cross_attention_dim;
    size_t audio_floats = (size_t)(FRAMES * TOKENS * dim);
    float *audio = malloc(audio_floats * sizeof(float)), mask[PIXELS];
    float *pictures = malloc(2 * FRAMES * PIXELS * 4 * sizeof(float));
    void *arena = b->compute.dev->backend->alloc(b->compute.dev, MS_LEDGER_ACTIVATIONS, b->arena_bytes);
    void *state = b->compute.dev->backend->alloc(b->compute.dev, MS_LEDGER_STAGING, b->state_bytes);
    ms_noise_normals(1, 0, 0, 0, audio_floats, audio);
    ms_noise_normals(2, 0, 0, 0, 2 * FRAMES * PIXELS * 4, pictures);
    ms_noise_normals(3, 0, 0, 0, FRAMES * PIXELS * 4, latents);
    for (int i = 0; i < PIXELS; i++)
        mask[i] = i < PIXELS / 2;
    const ms_denoise_io io = {.audio = audio, .mask = mask, .latents = latents};
    const ms_context context = {.compute = b->compute, .weights = b->weights, .arena = arena, .state = state};
    const size_t bytes = FRAMES * PIXELS * 4 * sizeof(float);
    ms_compute_upload(&b->compute, ms_denoiser_part(b->denoiser, &context, MS_DENOISE_MASKED), pictures,
                      bytes);
    ms_compute_upload(&b->compute, ms_denoiser_part(b->denoiser, &context, MS_DENOISE_REFERENCE),
                      pictures + FRAMES * PIXELS * 4, bytes);
    ms_status status = ms_denoiser_run(b->denoiser, &context, &io, NULL, err);
    if (status == MS_OK)
        status = ms_compute_download(&b->compute, latents,
                                     ms_denoiser_part(b->denoiser, &context, MS_DENOISE_LATENTS), bytes);
    b->compute.dev->backend->free(b->compute.dev, arena);
    b->compute.dev->backend->free(b->compute.dev, state);
    free(audio);
    free(pictures);
    return status;
}

#define PART(times, of) (MS_ALL_STREAMED / (of) * (times))
#define ONLY_THE_FIRST ((ms_residency)1) /* conv_in: at least something is a matrix */

static void streamed_weights_give_the_same_bits(void **state) {
    (void)state;
    const ms_residency choices[] = {MS_ALL_STREAMED, PART(1, 3), PART(1, 2), ONLY_THE_FIRST};
    static float expected[FRAMES * PIXELS * 4], got[FRAMES * PIXELS * 4];
    ms_error err;
    bench b;
    assert_ms_ok(open_bench(&b, MS_ALL_RESIDENT, 2, 0, &err), &err);
    uint64_t all_bytes = ms_weights_kept_bytes(b.weights);
    assert_int_equal(all_bytes, ms_params_bytes(b.params, MS_F16));
    assert_ms_ok(run(&b, expected, &err), &err);
    close_bench(&b);
    for (int c = 0; c < 8; c++) { /* the second half of them on a device whose memory is apart */
        for (int threads = 1; threads <= 3; threads++) {
            char seed[16];
            snprintf(seed, sizeof(seed), "%d", 10 * c + threads);
            setenv("MEMSAFE_REMOTE_SEED", seed, 1);
            assert_ms_ok(
                open_bench_on(c < 4 ? "cpu" : "remote", &b, choices[c % 4], threads, threads - 1, &err),
                &err);
            for (ms_param i = 0; i < (ms_param)ms_params_count(b.params); i++)
                assert_true(ms_weights_is_set(b.weights, i) != ms_weights_is_streamed(b.weights, i));
            ms_mem_usage usage;
            ms_mem_get_usage(b.mem, &usage);
            uint64_t allocations = usage.allocations;
            assert_ms_ok(run(&b, got, &err), &err);
            assert_memory_equal(got, expected, sizeof(expected));
            ms_mem_get_usage(b.mem, &usage);
            /* the test's arena and state */
            assert_int_equal(usage.allocations, allocations + (c < 4 ? 2 : 0));
            if (c % 4 == 0) {
                ms_weight_stream_stats stats = ms_weight_stream_get_stats(b.stream);
                assert_true(ms_weights_kept_bytes(b.weights) < all_bytes / 4);
                assert_true(stats.loads > (uint64_t)STEPS * 50);
            }
            close_bench(&b);
        }
    }
}

/* With all weights resident: captured once and launched for every step, the same bits. */
static void captured_networks_give_the_same_bits(void **state) {
    (void)state;
    static float expected[FRAMES * PIXELS * 4], got[FRAMES * PIXELS * 4];
    ms_error err;
    bench b;
    assert_ms_ok(open_bench(&b, MS_ALL_RESIDENT, 2, 0, &err), &err);
    assert_ms_ok(run(&b, expected, &err), &err);
    /* the cpu has nothing to capture */
    assert_null(ms_denoiser_network(b.denoiser, false)->list[0].launches);
    close_bench(&b);
    replay = true;
    for (int streamed = 0; streamed < 2; streamed++) {
        assert_ms_ok(open_bench_on("remote", &b, streamed ? PART(1, 3) : MS_ALL_RESIDENT, 2, 0, &err), &err);
        for (int again = 0; again < 2; again++) {
            assert_ms_ok(run(&b, got, &err), &err);
            assert_memory_equal(got, expected, sizeof(expected));
            assert_true((ms_denoiser_network(b.denoiser, false)->list[0].launches != NULL) == !streamed);
        }
        close_bench(&b);
    }
    replay = false;
}

/* Weights that both residencies keep are not read again and stay where they are; a
   change that fails changes nothing. */
static void a_change_of_residency_keeps_what_both_keep(void **state) {
    (void)state;
    static const ms_residency changes[] = {PART(1, 3), MS_ALL_STREAMED, PART(1, 2), ONLY_THE_FIRST,
                                           MS_ALL_RESIDENT};
    static float expected[FRAMES * PIXELS * 4], got[FRAMES * PIXELS * 4];
    for (int on = 0; on < 2; on++) {
        ms_error err;
        bench b;
        /* Opened with all streamed, so that the stream has room for any two. */
        assert_ms_ok(open_bench_on(on ? "remote" : "cpu", &b, MS_ALL_STREAMED, 2, 0, &err), &err);
        const ms_weights_load_params load = {.pool = b.compute.pool};
        const int n = (int)ms_params_count(b.params);
        assert_ms_ok(ms_weights_set_residency(b.weights, b.file, MS_ALL_RESIDENT, &load, &err), &err);
        assert_ms_ok(run(&b, on ? got : expected, &err), &err);
        assert_memory_equal(on ? got : expected, expected, sizeof(expected));
        for (size_t c = 0; c < sizeof(changes) / sizeof(changes[0]); c++) {
            const ms_residency before = ms_weights_get_residency(b.weights);
            uint64_t read = ms_weights_kept_bytes(b.weights);
            size_t had = ms_params_resident_bytes(b.params, MS_F16, before),
                   wanted = ms_params_resident_bytes(b.params, MS_F16, changes[c]);
            const void **places = calloc((size_t)n, sizeof(*places));
            for (int i = 0; i < n; i++)
                places[i] = ms_weights_is_streamed(b.weights, i) ? NULL : ms_weights_vector(b.weights, i);
            assert_ms_ok(ms_weights_set_residency(b.weights, b.file, changes[c], &load, &err), &err);
            assert_int_equal(ms_weights_kept_bytes(b.weights) - read, wanted > had ? wanted - had : 0);
            for (int i = 0; i < n; i++)
                if (places[i] && !ms_weights_is_streamed(b.weights, i))
                    assert_ptr_equal(ms_weights_vector(b.weights, i), places[i]);
            free(places);
            assert_ms_ok(run(&b, got, &err), &err);
            assert_memory_equal(got, expected, sizeof(expected));
        }
        close_bench(&b);
    }
}

static ms_status end_at_once(void *arg, double done) {
    (void)arg, (void)done;
    return MS_CANCELLED;
}

static void a_change_of_residency_that_fails_changes_nothing(void **state) {
    (void)state;
    static float expected[FRAMES * PIXELS * 4], got[FRAMES * PIXELS * 4];
    ms_error err;
    bench b;
    /* One thread: the caller's own is told, and with another it may come to no task at all. */
    assert_ms_ok(open_bench(&b, MS_ALL_STREAMED, 1, 0, &err), &err);
    ms_weights_load_params load = {.pool = b.compute.pool};
    assert_ms_ok(ms_weights_set_residency(b.weights, b.file, PART(1, 2), &load, &err), &err);
    assert_ms_ok(run(&b, expected, &err), &err);
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        ms_mem_usage before, after;
        ms_mem_get_usage(b.mem, &before);
        if (cancelled)
            load.progress = end_at_once;
        else
            assert_true(ms_mem_set_budget(b.mem, before.current_bytes + 65536));
        ms_status status = ms_weights_set_residency(b.weights, b.file, MS_ALL_RESIDENT, &load, &err);
        assert_true(cancelled ? status == MS_CANCELLED : ms_is_out_of_memory(status));
        assert_int_equal(ms_weights_get_residency(b.weights), PART(1, 2));
        ms_mem_get_usage(b.mem, &after);
        assert_int_equal(after.current_bytes, before.current_bytes);
        assert_true(ms_mem_set_budget(b.mem, 0));
        assert_ms_ok(run(&b, got, &err), &err);
        assert_memory_equal(got, expected, sizeof(expected));
    }
    close_bench(&b);
}

static void weights_without_a_stream_are_refused(void **state) {
    (void)state;
    static float got[FRAMES * PIXELS * 4];
    ms_error err;
    bench b;
    assert_ms_ok(open_bench(&b, MS_ALL_STREAMED, 2, 0, &err), &err);
    ms_weights_attach_stream(b.weights, NULL);
    assert_int_equal(run(&b, got, &err), MS_INTERNAL);
    close_bench(&b);
}

/* The file is cut while the run goes on: an error that names it, and nothing hangs. */
static void a_file_that_goes_bad_is_reported(void **state) {
    (void)state;
    static float got[FRAMES * PIXELS * 4];
    static ms_model_files kept;
    char copy[] = "/tmp/memsafe-test-XXXXXX";
    int fd = mkstemp(copy);
    assert_true(fd >= 0);
    FILE *from = fopen(files.unet, "rb"), *to = fdopen(fd, "wb");
    for (int c; (c = getc(from)) != EOF;)
        putc(c, to);
    fclose(from);
    fclose(to);
    kept = files;
    snprintf(files.unet, sizeof(files.unet), "%s", copy);
    ms_error err;
    bench b;
    assert_ms_ok(open_bench(&b, MS_ALL_STREAMED, 2, 0, &err), &err);
    assert_int_equal(truncate(copy, 4096), 0);
    assert_int_equal(run(&b, got, &err), MS_IO);
    assert_non_null(strstr(err.message, copy));
    close_bench(&b);
    unlink(copy);
    files = kept;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    for (uint64_t n = 1;; n++) {
        bench b;
        ms_error err;
        ms_mem_fail_after(n, false);
        ms_status status = open_bench(&b, PART(1, 3), 2, 0, &err);
        ms_mem_fail_after(0, false);
        if (b.mem)
            close_bench(&b);
        if (status == MS_OK)
            break;
        assert_int_equal(status, MS_HOST_MEMORY);
    }
}

static int prepare(void **state) {
    (void)state;
    find_files();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streamed_weights_give_the_same_bits),
        cmocka_unit_test(captured_networks_give_the_same_bits),
        cmocka_unit_test(a_change_of_residency_keeps_what_both_keep),
        cmocka_unit_test(a_change_of_residency_that_fails_changes_nothing),
        cmocka_unit_test(weights_without_a_stream_are_refused),
        cmocka_unit_test(a_file_that_goes_bad_is_reported),
        cmocka_unit_test(every_allocation_may_fail),
    };
    if (!MS_HAVE_YAML)
        return 0;
    return cmocka_run_group_tests(tests, prepare, NULL);
}
