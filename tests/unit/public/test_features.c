/* Speech features of 70 s: the same rows whatever was asked for before, each segment heard once by a run. */
#include "engine/features.h"

#include <stdlib.h>
#include <string.h>

#include "models/model_files.h"
#include "support/cli.h"
#include "test.h"

#define RATE 16000
#define SAMPLES (70 * RATE + 77)
#define SEGMENT_ROWS (MS_SEGMENT_COLUMNS / 2)
#define WINDOW 16

typedef struct speech {
    float *samples;
    int64_t next, read, jumps; /* jumps: reads that were not where the one before had ended */
} speech;

static speech said;
static ms_compute compute;
static ms_model_files files;
static ms_mel_stats stats;

static ms_status read_samples(void *arg, int64_t first, int64_t count, float *ret_samples, ms_error *err) {
    speech *s = arg;
    (void)err;
    assert_true(first >= 0 && count > 0 && first + count <= SAMPLES);
    s->jumps += first != s->next;
    s->read += count;
    s->next = first + count;
    memcpy(ret_samples, s->samples + first, (size_t)count * sizeof(float));
    return MS_OK;
}

static void make_stats(void) {
    ms_error err;
    ms_log_mel *mel;
    ms_mel_scan *scan;
    assert_ms_ok(ms_log_mel_create(NULL, NULL, &mel, &err), &err);
    assert_ms_ok(ms_mel_scan_create(NULL, mel, &scan, &err), &err);
    ms_mel_scan_push(scan, said.samples, SAMPLES);
    assert_ms_ok(ms_mel_scan_finish(scan, &stats, &err), &err);
    ms_mel_scan_destroy(&scan);
    ms_log_mel_destroy(&mel);
}

static int prepare(void **state) {
    (void)state;
    ms_error err;
    uint64_t seed = 5;
    ms_compute_params params = {.device = "cpu", .isa_limit = MS_ISA_AVX512};
    said.samples = malloc(SAMPLES * sizeof(float));
    for (int64_t i = 0; i < SAMPLES; i++) /* louder and softer, so that no two seconds are alike */
        said.samples[i] = test_uniform(&seed) * (float)(i / 4000 % 7) / 7;
    make_stats();
    assert_run_works("models --synthesize tiny -o %s", test_file("model"));
    ms_model_names names = {.dir = test_file("model")};
    assert_ms_ok(ms_model_files_find(&names, MS_PART_WHISPER, &files, &err), &err);
    assert_ms_ok(ms_compute_open(&params, &compute, &err), &err);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    ms_compute_close(&compute);
    free(said.samples);
    test_dir_remove();
    return 0;
}

typedef struct listener {
    ms_params *params;
    ms_context at;
    ms_features *features;
} listener;

static listener listen(void) {
    ms_error err;
    listener l = {.at = {.compute = compute}};
    size_t bytes;
    ms_tensor_file *file;
    ms_weights_load_params load = {.precision = MS_F32};
    assert_ms_ok(ms_params_create(NULL, compute.dev, &l.params, &err), &err);
    assert_ms_ok(ms_weights_create(&compute, l.params, &l.at.weights, &err), &err);
    ms_features_params params = {.compute = compute,
                                 .params = l.params,
                                 .config = files.whisper_config,
                                 .chunks = MS_CHUNK_DEFAULTS,
                                 .stats = stats,
                                 .source = {SAMPLES, read_samples, &said}};
    said.next = said.read = said.jumps = 0;
    assert_ms_ok(ms_features_create(&params, &l.features, &bytes, &err), &err);
    assert_ms_ok(ms_checkpoint_open(NULL, files.whisper, "encoder.conv1.weight", &file, &load.prefix, &err),
                 &err);
    assert_ms_ok(ms_weights_load(l.at.weights, file, MS_ALL_RESIDENT, &load, &err), &err);
    ms_tensor_file_close(&file);
    l.at.arena = compute.dev->backend->alloc(compute.dev, MS_LEDGER_ACTIVATIONS, bytes);
    assert_non_null(l.at.arena);
    return l;
}

static void leave(listener *l) {
    compute.dev->backend->free(compute.dev, l->at.arena);
    ms_features_destroy(&l->features);
    ms_weights_destroy(&l->at.weights);
    ms_params_destroy(&l->params);
}

static int64_t row_floats(void) {
    return (int64_t)(files.whisper_config.n_layer + 1) * files.whisper_config.n_state;
}

/* All rows, each segment's by a listener of its own, which has heard nothing before. */
static float *all_rows(void) {
    ms_error err;
    int64_t rows = ms_feature_rows(stats.columns);
    float *all = malloc((size_t)(rows * row_floats()) * sizeof(float));
    for (int64_t first = 0; first < rows; first += SEGMENT_ROWS) {
        listener l = listen();
        for (int64_t row = first; row < rows && row < first + SEGMENT_ROWS; row++) {
            const float *found;
            assert_ms_ok(ms_features_row(l.features, &l.at, row, &found, &err), &err);
            memcpy(all + row * row_floats(), found, (size_t)row_floats() * sizeof(float));
        }
        leave(&l);
    }
    return all;
}

static void check_window(listener *l, const float *all, int64_t first, int64_t count) {
    ms_error err;
    ms_chunk_params chunks = MS_CHUNK_DEFAULTS;
    int64_t per_frame = ms_chunk_rows(&chunks), rows[64];
    float *tokens = malloc((size_t)(count * per_frame * row_floats()) * sizeof(float));
    assert_ms_ok(ms_features_gather(l->features, &l->at, first, count, tokens, &err), &err);
    for (int64_t i = 0; i < count; i++) {
        ms_chunk_indices(&chunks, first + i, ms_feature_rows(stats.columns), rows);
        for (int64_t k = 0; k < per_frame; k++)
            assert_memory_equal(tokens + (i * per_frame + k) * row_floats(), all + rows[k] * row_floats(),
                                (size_t)row_floats() * sizeof(float));
    }
    free(tokens);
}

static void windows_have_their_rows(void **state) {
    (void)state;
    float *all = all_rows();
    listener l = listen();
    int64_t frames = ms_features_frames(l.features);
    for (int64_t first = 0; first < frames; first += WINDOW)
        check_window(&l, all, first, frames - first < WINDOW ? frames - first : WINDOW);
    /* Once and in order: a file's reader would go back to its beginning. The last
       samples are no whole column. */
    assert_in_range(said.read, SAMPLES - MS_MEL_HOP, SAMPLES);
    assert_int_equal(said.jumps, 0);
    leave(&l);
    free(all);
}

/* As when a window is done again, at any place, also one in which two segments meet. */
static void going_back_gives_the_same(void **state) {
    (void)state;
    static const int64_t places[] = {740, 752, 736, 0, 1490, 744, 1498, 1482, 1748, 3};
    float *all = all_rows();
    listener l = listen();
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        check_window(&l, all, places[i], WINDOW);
    leave(&l);
    free(all);
}

/* The arrays are as large for a second of speech as for an hour. */
static void memory_does_not_grow(void **state) {
    (void)state;
    ms_mem_usage before, first, second;
    ms_mel_stats whole = stats;
    ms_mem_get_usage(ms_mem_process(), &before);
    listener l = listen();
    ms_mem_get_usage(ms_mem_process(), &first);
    leave(&l);
    stats = (ms_mel_stats){.samples = RATE, .columns = RATE / MS_MEL_HOP, .max = whole.max};
    l = listen();
    ms_mem_get_usage(ms_mem_process(), &second);
    leave(&l);
    stats = whole;
    assert_true(first.current_bytes > before.current_bytes);
    assert_int_equal(first.current_bytes, second.current_bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_have_their_rows),
        cmocka_unit_test(going_back_gives_the_same),
        cmocka_unit_test(memory_does_not_grow),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
