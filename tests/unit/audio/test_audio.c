/* Log-mel, its transform, and which features belong to which frame; against the golden data. */
#include "test.h"

#include "audio/chunks.h"
#include "audio/dsp.h"
#include "audio/log_mel.h"
#include "formats/tensor_file.h"
#include "support/golden.h"
#include "text/json.h"

/* ---- helpers */

static float *read_wav(const char *rel, int64_t *ret_count) {
    char path[512];
    if (!golden_path(path, sizeof(path), rel))
        return NULL;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    int64_t n = (ftell(f) - 44) / 2;
    fseek(f, 44, SEEK_SET);
    int16_t *s = malloc((size_t)n * 2);
    assert_int_equal(fread(s, 2, (size_t)n, f), n);
    fclose(f);
    float *x = malloc((size_t)n * sizeof(float));
    for (int64_t i = 0; i < n; i++)
        x[i] = s[i] * 0x1p-15f;
    free(s);
    *ret_count = n;
    return x;
}

static void *read_tensor(ms_tensor_file *file, const char *name, ms_dtype dtype,
                         const ms_tensor_info **ret_info) {
    ms_error err;
    const ms_tensor_info *info = ms_tensor_file_find(file, name);
    assert_non_null(info);
    assert_int_equal(info->dtype, dtype);
    void *data = malloc((size_t)info->elements * ms_dtype_bytes(dtype));
    assert_ms_ok(ms_tensor_file_read(file, info, 0, info->elements, data, &err), &err);
    if (ret_info)
        *ret_info = info;
    return data;
}

static ms_mel_stats scan(const ms_log_mel *mel, const float *x, int64_t n, int64_t piece) {
    ms_error err;
    ms_mel_scan *s;
    ms_mel_stats stats;
    assert_ms_ok(ms_mel_scan_create(NULL, mel, &s, &err), &err);
    for (int64_t at = 0; at < n; at += piece)
        ms_mel_scan_push(s, x + at, n - at < piece ? n - at : piece);
    assert_ms_ok(ms_mel_scan_finish(s, &stats, &err), &err);
    ms_mel_scan_destroy(&s);
    return stats;
}

/* ---- arithmetic */

static void functions_agree_with_the_c_library(void **state) {
    (void)state;
    uint64_t seed = 3;
    for (int i = 0; i < 20000; i++) {
        double x = pow(10, 14 * (double)test_uniform(&seed));
        assert_true(fabs(ms_log10(x) - log10(x)) <= 1e-13 * fabs(log10(x)) + 1e-16);
        double y = 20 * (double)test_uniform(&seed);
        assert_true(fabs(ms_exp(y) / exp(y) - 1) < 1e-14);
    }
    assert_true(ms_log10(1) == 0);
    for (int k = -13; k < 1000; k++) {
        double c, s;
        ms_cos_sin_turn(k, 400, &c, &s);
        double angle = 2 * 3.14159265358979323846 * k / 400;
        assert_true(fabs(c - cos(angle)) < 1e-14 && fabs(s - sin(angle)) < 1e-14);
    }
}

static void transform_is_a_fourier_transform(void **state) {
    (void)state;
    static ms_fft_tables tables;
    static ms_fft_work work;
    static double signal[MS_FFT_SIZE][MS_FFT_LANES], power[MS_FFT_BINS][MS_FFT_LANES];
    uint64_t seed = 5;
    ms_fft_init(&tables);
    for (int n = 0; n < MS_FFT_SIZE; n++)
        for (int lane = 0; lane < MS_FFT_LANES; lane++)
            signal[n][lane] = test_uniform(&seed);
    ms_fft_power(&tables, &work, (const double(*)[MS_FFT_LANES])signal, power);
    for (int lane = 0; lane < MS_FFT_LANES; lane++) {
        for (int k = 0; k < MS_FFT_BINS; k++) {
            double re = 0, im = 0;
            for (int n = 0; n < MS_FFT_SIZE; n++) {
                re += signal[n][lane] * tables.cos[n * k % MS_FFT_SIZE];
                im -= signal[n][lane] * tables.sin[n * k % MS_FFT_SIZE];
            }
            assert_true(fabs(re * re + im * im - power[k][lane]) < 1e-10);
        }
    }
}

/* Sums of librosa's matrix, which Whisper ships (mel_filters.npz, mel_80), and
   single weights of it, to 1e-7. */
static void filters_are_whispers(void **state) {
    (void)state;
    static ms_mel_filter filter[MS_MEL_BINS];
    ms_mel_filters(filter);
    static const struct {
        int bin, fft_bin;
        double weight;
    } known[] = {{0, 1, 2.486259490e-02},   {0, 1, 2.486259490e-02},    {5, 5, 9.954108857e-03},
                 {24, 24, 5.927106366e-03}, {25, 25, 4.040425643e-03},  {40, 43, 1.473556645e-02},
                 {60, 95, 2.728930442e-03}, {79, 197, 1.346277073e-03}, {79, 190, 2.232054947e-03}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const ms_mel_filter *f = &filter[known[i].bin];
        int k = known[i].fft_bin - f->first;
        assert_in_range(k, 0, f->count - 1);
        assert_true(fabs(f->weight[k] / known[i].weight - 1) < 1e-7);
    }
    double sum = 0, moment = 0;
    int taps = 0;
    for (int b = 0; b < MS_MEL_BINS; b++) {
        taps += filter[b].count;
        assert_in_range(filter[b].count, 1, MS_MEL_MAX_TAPS - 1);
        for (int k = 0; k < filter[b].count; k++) {
            sum += filter[b].weight[k];
            moment += (double)filter[b].weight[k] * (b + 1) * (filter[b].first + k);
        }
    }
    assert_int_equal(taps, 391);
    assert_true(fabs(sum / 1.99902409239 - 1) < 1e-7);
    assert_true(fabs(moment / 7094.38630528 - 1) < 1e-7);
}

/* ---- log-mel */

static void check_log_mel(const char *wav, const char *tensors) {
    char path[512];
    ms_error err;
    int64_t n = 0;
    float *x = read_wav(wav, &n);
    if (!x || !golden_path(path, sizeof(path), tensors)) {
        print_message("%s is not here\n", wav);
        free(x);
        skip();
    }
    ms_tensor_file *file;
    assert_ms_ok(ms_tensor_file_open(NULL, path, &file, &err), &err);
    const ms_tensor_info *info;
    float *expected = read_tensor(file, "out.log_mel", MS_F32, &info);
    int32_t *columns = read_tensor(file, "idx.mel_columns", MS_I32, NULL);
    int32_t *shape = read_tensor(file, "out.log_mel_shape", MS_I32, NULL);
    double *stats64 = read_tensor(file, "out.log_mel_stats", MS_F64, NULL);

    ms_log_mel *mel;
    assert_ms_ok(ms_log_mel_create(NULL, NULL, &mel, &err), &err);
    ms_mel_stats stats = scan(mel, x, n, n);
    assert_int_equal(stats.samples, n);
    assert_int_equal(stats.columns, shape[1]);
    float *all = malloc((size_t)stats.columns * MS_MEL_BINS * sizeof(float));
    ms_mel_request request = {.count = stats.columns,
                              .samples = x,
                              .n_samples = n,
                              .dst = all,
                              .column_stride = 1,
                              .bin_stride = stats.columns};
    assert_ms_ok(ms_log_mel_columns(mel, &stats, &request, &err), &err);

    double worst = 0, difference = 0, norm = 0, sum = 0, top = -9;
    int64_t kept = info->shape[1];
    for (int b = 0; b < MS_MEL_BINS; b++) {
        for (int64_t c = 0; c < kept; c++) {
            double e = expected[b * kept + c], d = all[b * stats.columns + columns[c]] - e;
            worst = fabs(d) > worst ? fabs(d) : worst;
            difference += d * d;
            norm += e * e;
        }
        for (int64_t c = 0; c < stats.columns; c++) {
            sum += all[b * stats.columns + c];
            top = all[b * stats.columns + c] > top ? all[b * stats.columns + c] : top;
        }
    }
    assert_true(worst < 5e-5); /* 2.9e-5 measured, most of it the reference's float32 */
    assert_true(sqrt(difference / norm) < 1e-5);
    assert_true(fabs(sum / (double)(stats.columns * MS_MEL_BINS) - stats64[0]) < 1e-6);
    assert_true(fabs(top - stats64[3]) < 1e-5);
    free(all);
    free(expected);
    free(columns);
    free(shape);
    free(stats64);
    free(x);
    ms_log_mel_destroy(&mel);
    ms_tensor_file_close(&file);
}

static void log_mel_of_short_speech(void **state) {
    (void)state;
    check_log_mel("whisper/speech_short.wav", "whisper/case_short.safetensors");
}

static void log_mel_of_long_speech(void **state) {
    (void)state;
    check_log_mel("whisper/speech_long.wav", "whisper/case_long.safetensors");
}

/* Any cut of the samples and columns, any threads: the same bits. */
static void log_mel_does_not_depend_on_the_pieces(void **state) {
    (void)state;
    ms_error err;
    uint64_t seed = 11;
    enum { N = 200123, COLUMNS = N / MS_MEL_HOP };
    float *x = malloc(N * sizeof(float)), *whole = malloc(COLUMNS * MS_MEL_BINS * sizeof(float)),
          *part = malloc(COLUMNS * MS_MEL_BINS * sizeof(float));
    for (int i = 0; i < N; i++)
        x[i] = test_uniform(&seed) * (i < 100000 ? 0.01f : 0.5f);
    ms_pool *pool;
    ms_log_mel *mel, *pooled;
    assert_ms_ok(ms_pool_create(NULL, 3, &pool, &err), &err);
    assert_ms_ok(ms_log_mel_create(NULL, NULL, &mel, &err), &err);
    assert_ms_ok(ms_log_mel_create(NULL, pool, &pooled, &err), &err);
    ms_mel_stats stats = scan(mel, x, N, N);
    static const int64_t pieces[] = {1, 159, 160, 82319, 82320, 82321, 100000};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        ms_mel_stats again = scan(i % 2 ? mel : pooled, x, N, pieces[i]);
        assert_int_equal(again.columns, stats.columns);
        assert_true(again.max == stats.max);
    }
    ms_mel_request all = {.count = COLUMNS,
                          .samples = x,
                          .n_samples = N,
                          .dst = whole,
                          .column_stride = MS_MEL_BINS,
                          .bin_stride = 1};
    assert_ms_ok(ms_log_mel_columns(mel, &stats, &all, &err), &err);
    for (int64_t step = 1; step < 200; step += 37) {
        for (int64_t c = 0; c < COLUMNS; c += step) {
            int64_t first, n;
            ms_log_mel_span(&stats, c, step, &first, &n);
            float *copy = malloc((size_t)n * sizeof(float)); /* exactly: the sanitizer watches its ends */
            memcpy(copy, x + first, (size_t)n * sizeof(float));
            ms_mel_request r = {.first = c,
                                .count = c + step < COLUMNS ? step : COLUMNS - c,
                                .samples = copy,
                                .first_sample = first,
                                .n_samples = n,
                                .dst = part + c * MS_MEL_BINS,
                                .column_stride = MS_MEL_BINS,
                                .bin_stride = 1};
            assert_ms_ok(ms_log_mel_columns(step % 2 ? pooled : mel, &stats, &r, &err), &err);
            r.n_samples--;
            assert_int_equal(ms_log_mel_columns(mel, &stats, &r, &err), MS_INVALID_ARGUMENT);
            free(copy);
        }
        assert_memory_equal(part, whole, COLUMNS * MS_MEL_BINS * sizeof(float));
    }
    /* Columns past the end are zero. */
    all.first = COLUMNS - 1;
    all.count = 3;
    assert_ms_ok(ms_log_mel_columns(mel, &stats, &all, &err), &err);
    for (int i = MS_MEL_BINS; i < 3 * MS_MEL_BINS; i++)
        assert_true(whole[i] == 0);
    assert_memory_equal(whole, part + (COLUMNS - 1) * MS_MEL_BINS, MS_MEL_BINS * sizeof(float));
    ms_log_mel_destroy(&mel);
    ms_log_mel_destroy(&pooled);
    ms_pool_destroy(&pool);
    free(x);
    free(whole);
    free(part);
}

static void short_and_silent_audio(void **state) {
    (void)state;
    ms_error err;
    ms_log_mel *mel;
    ms_mel_scan *s;
    ms_mel_stats stats;
    static float silence[1000];
    assert_ms_ok(ms_log_mel_create(NULL, NULL, &mel, &err), &err);
    for (int n = 0; n <= 330; n++) {
        assert_ms_ok(ms_mel_scan_create(NULL, mel, &s, &err), &err);
        ms_mel_scan_push(s, silence, n);
        ms_status status = ms_mel_scan_finish(s, &stats, &err);
        assert_int_equal(status, n < MS_MEL_MIN_SAMPLES ? MS_BAD_MEDIA : MS_OK);
        ms_mel_scan_destroy(&s);
        if (status)
            continue;
        assert_int_equal(stats.columns, n / 160);
        float out[2][MS_MEL_BINS];
        ms_mel_request r = {.count = stats.columns,
                            .samples = silence,
                            .n_samples = n,
                            .dst = out[0],
                            .column_stride = MS_MEL_BINS,
                            .bin_stride = 1};
        assert_ms_ok(ms_log_mel_columns(mel, &stats, &r, &err), &err);
        assert_true(out[0][0] == -1.5f && out[stats.columns - 1][79] == -1.5f); /* (-10 + 4) / 4 */
    }
    ms_log_mel_destroy(&mel);
}

static void allocations_may_fail(void **state) {
    (void)state;
    ms_error err;
    for (uint64_t n = 1;; n++) {
        ms_log_mel *mel = NULL;
        ms_mel_scan *s = NULL;
        ms_mem_fail_after(n, true);
        ms_status status = ms_log_mel_create(NULL, NULL, &mel, &err);
        if (status == MS_OK)
            status = ms_mel_scan_create(NULL, mel, &s, &err);
        ms_mem_fail_after(0, false);
        ms_mel_scan_destroy(&s);
        ms_log_mel_destroy(&mel);
        if (status == MS_OK)
            break;
        assert_int_equal(status, MS_HOST_MEMORY);
    }
    ms_mem_usage u;
    ms_mem_get_usage(NULL, &u);
    assert_int_equal(u.current_bytes, 0);
}

/* ---- chunks */

static void check_chunks(const char *tensors, double fps, const char *name) {
    char path[512];
    ms_error err;
    if (!golden_path(path, sizeof(path), tensors)) {
        print_message("%s is not here\n", tensors);
        skip();
    }
    ms_tensor_file *file;
    assert_ms_ok(ms_tensor_file_open(NULL, path, &file, &err), &err);
    const ms_tensor_info *info;
    int32_t *expected = read_tensor(file, name, MS_I32, &info);
    int32_t *shape = read_tensor(file, "out.features_shape", MS_I32, NULL);
    int32_t *mel_shape = read_tensor(file, "out.log_mel_shape", MS_I32, NULL);
    ms_chunk_params p = MS_CHUNK_DEFAULTS;
    p.fps = fps;
    int64_t rows = ms_feature_rows(mel_shape[1]), sum = 0;
    for (int64_t i = 0; i < ms_segment_count(mel_shape[1]); i++)
        sum += ms_segment_rows(mel_shape[1], i);
    assert_int_equal(rows, shape[0]);
    assert_int_equal(sum, shape[0]);
    assert_int_equal(ms_chunk_rows(&p), info->shape[1]);
    assert_int_equal(ms_chunk_frames(&p, rows), info->shape[0]);
    for (int64_t i = 0; i < info->shape[0]; i++) {
        int64_t got[10];
        ms_chunk_indices(&p, i, rows, got);
        for (int k = 0; k < 10; k++)
            assert_int_equal(got[k], expected[i * 10 + k]);
    }
    free(expected);
    free(shape);
    free(mel_shape);
    ms_tensor_file_close(&file);
}

static void chunks_of_short_speech(void **state) {
    (void)state;
    check_chunks("whisper/case_short.safetensors", 25, "out.chunk_indices_fps25");
    check_chunks("whisper/case_short.safetensors", 30, "out.chunk_indices_fps30");
}

static void chunks_of_long_speech(void **state) {
    (void)state;
    check_chunks("whisper/case_long.safetensors", 25, "out.chunk_indices_fps25");
    check_chunks("whisper/case_long.safetensors", 30, "out.chunk_indices_fps30");
}

/* Against the reference's loop, written out. */
static void frame_counts_at_odd_rates(void **state) {
    (void)state;
    static const double rates[] = {25, 30,  24, 30000.0 / 1001, 24000.0 / 1001, 23.976, 50, 60, 12.5,
                                   1,  120, 7};
    for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
        ms_chunk_params p = MS_CHUNK_DEFAULTS;
        p.fps = rates[r];
        double step = 50.0 / rates[r];
        assert_int_equal(ms_chunk_frames(&p, 0), 0);
        for (int64_t rows = 1; rows < 400; rows++) {
            int64_t i = 0;
            for (;;) {
                int64_t start = (int64_t)((double)i * step);
                i++;
                if (start > rows)
                    break;
            }
            assert_int_equal(ms_chunk_frames(&p, rows), i);
        }
    }
    assert_int_equal(ms_segment_rows(3001, 0), 1500);
    assert_int_equal(ms_segment_rows(3001, 1), 0);
    assert_int_equal(ms_segment_count(3001), 2);
    assert_int_equal(ms_segment_count(0), 0);
}

static void output_samples_truncate_as_the_reference(void **state) {
    (void)state;
    static const int64_t short_by_one[] = {201, 203, 402, 406, 803};
    size_t at = 0;
    for (int64_t n = 1; n <= 803; n++) {
        int64_t expected = n * 640;
        if (n == short_by_one[at]) {
            expected--;
            at++;
        }
        assert_int_equal(ms_output_samples(n, 25, 16000), expected);
    }
    assert_int_equal(at, 5);
    assert_int_equal(ms_output_samples(42, 25, 16000), 26880);
}

static void loops_are_the_references(void **state) {
    (void)state;
    char path[512];
    ms_error err;
    if (!golden_path(path, sizeof(path), "e2e/loop_indices.json"))
        skip();
    FILE *f = fopen(path, "rb");
    static char text[16384];
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    ms_json_doc *doc;
    assert_ms_ok(ms_json_parse(NULL, text, n, &doc, &err), &err);
    const ms_json *cases = ms_json_root(doc);
    assert_in_range(cases->count, 5, 100);
    for (uint32_t i = 0; i < cases->count; i++) {
        const ms_json *c = ms_json_at(cases, i), *index = ms_json_get(c, "frame_index");
        int64_t video = ms_json_get(c, "video_frames")->integer, wanted = ms_json_get(c, "chunks")->integer;
        assert_int_equal(ms_loop_frames(MS_LOOP_PINGPONG, wanted, video), index->count);
        for (uint32_t k = 0; k < index->count; k++)
            assert_int_equal(ms_loop_index(MS_LOOP_PINGPONG, k, video), ms_json_at(index, k)->integer);
    }
    ms_json_doc_destroy(&doc);
}

static void other_ways_to_fill_up(void **state) {
    (void)state;
    static const int64_t repeat[] = {0, 1, 2, 0, 1, 2, 0}, hold[] = {0, 1, 2, 2, 2, 2, 2};
    for (int i = 0; i < 7; i++) {
        assert_int_equal(ms_loop_index(MS_LOOP_REPEAT, i, 3), repeat[i]);
        assert_int_equal(ms_loop_index(MS_LOOP_HOLD, i, 3), hold[i]);
        assert_int_equal(ms_loop_index(MS_LOOP_NONE, i, 3), i < 3 ? i : -1);
    }
    assert_int_equal(ms_loop_frames(MS_LOOP_NONE, 7, 3), 3);
    assert_int_equal(ms_loop_frames(MS_LOOP_NONE, 2, 3), 2);
    assert_int_equal(ms_loop_frames(MS_LOOP_HOLD, 7, 3), 7);
    assert_int_equal(ms_loop_frames(MS_LOOP_PINGPONG, 7, 0), 0);
    assert_int_equal(ms_loop_index(MS_LOOP_PINGPONG, 0, 0), -1);
    assert_int_equal(ms_loop_index(MS_LOOP_PINGPONG, -1, 3), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_agree_with_the_c_library),
        cmocka_unit_test(transform_is_a_fourier_transform),
        cmocka_unit_test(filters_are_whispers),
        cmocka_unit_test(log_mel_of_short_speech),
        cmocka_unit_test(log_mel_of_long_speech),
        cmocka_unit_test(log_mel_does_not_depend_on_the_pieces),
        cmocka_unit_test(short_and_silent_audio),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(chunks_of_short_speech),
        cmocka_unit_test(chunks_of_long_speech),
        cmocka_unit_test(frame_counts_at_odd_rates),
        cmocka_unit_test(output_samples_truncate_as_the_reference),
        cmocka_unit_test(loops_are_the_references),
        cmocka_unit_test(other_ways_to_fill_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
