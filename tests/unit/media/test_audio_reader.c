/* The audio reader: ffmpeg's samples, blocks, rewinding, errors. */
#include "test.h"

#include <unistd.h>

#include <libavutil/log.h>

#include "media/read/audio_reader.h"
#include "support/media/clip.h"
#include "support/golden.h"

static ms_audio_reader *open_reader(const char *path, const ms_audio_reader_params *params) {
    ms_error err;
    ms_audio_reader *r;
    assert_ms_ok(ms_audio_reader_open(NULL, path, params, &r, &err), &err);
    return r;
}

/* Everything from here on, in blocks of `block`. */
static float *read_all(ms_audio_reader *r, int64_t block, int64_t *ret_count) {
    ms_error err;
    int channels = ms_audio_reader_info(r)->channels;
    int64_t count = 0, room = 0, n;
    float *x = NULL;
    do {
        if (count + block > room) {
            room = 2 * room + block;
            x = realloc(x, (size_t)(room * channels) * sizeof(float));
        }
        assert_ms_ok(ms_audio_reader_read(r, x + count * channels, block, &n, &err), &err);
        assert_in_range(n, 0, block);
        count += n;
    } while (n == block);
    assert_ms_ok(ms_audio_reader_read(r, x, 1, &n, &err), &err);
    assert_int_equal(n, 0);
    *ret_count = count;
    return x;
}

static int16_t noise(int64_t i) {
    uint64_t z = (uint64_t)i * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 31) * 0xbf58476d1ce4e5b9u;
    return (int16_t)(z >> 50);
}

/* ---- samples */

static void speech_at_16_khz_is_read_as_it_is(void **state) {
    (void)state;
    enum { N = 50001 };
    static int16_t s[N];
    for (int i = 0; i < N; i++)
        s[i] = i == 7 ? -32768 : i == 8 ? 32767 : noise(i);
    clip_write_wav(clip_path("16k.wav"), 16000, 1, N, s);
    static const int64_t blocks[] = {1, 777, 4096, 100000};
    for (int b = 0; b < 4; b++) {
        int64_t count;
        ms_audio_reader *r = open_reader(clip_path("16k.wav"), NULL);
        assert_int_equal(ms_audio_reader_info(r)->rate, 16000);
        float *x = read_all(r, blocks[b], &count);
        assert_int_equal(count, N);
        for (int i = 0; i < N; i++)
            assert_true(x[i] == s[i] / 32768.0f);
        assert_int_equal(ms_audio_reader_tell(r), N);
        free(x);
        ms_audio_reader_close(&r);
    }
}

static void source_format_is_not_touched(void **state) {
    (void)state;
    enum { N = 9999 };
    static int16_t s[2 * N];
    for (int i = 0; i < 2 * N; i++)
        s[i] = noise(i);
    clip_write_wav(clip_path("44k.wav"), 44100, 2, N, s);
    ms_audio_reader_params p = {.stream = -1, .source_format = true};
    ms_audio_reader *r = open_reader(clip_path("44k.wav"), &p);
    const ms_audio_info *info = ms_audio_reader_info(r);
    assert_int_equal(info->rate, 44100);
    assert_int_equal(info->channels, 2);
    assert_string_equal(info->codec, "pcm_s16le");
    assert_true(fabs(info->duration_s - N / 44100.0) < 1e-6);
    int64_t count;
    float *x = read_all(r, 1000, &count);
    assert_int_equal(count, N);
    for (int i = 0; i < 2 * N; i++)
        assert_true(x[i] == s[i] / 32768.0f);
    free(x);
    ms_audio_reader_close(&r);
    p.rate = 22050;
    r = open_reader(clip_path("44k.wav"), &p);
    free(read_all(r, 1000, &count));
    assert_in_range(count, N / 2, N / 2 + 1);
    ms_audio_reader_close(&r);
}

/* A tone at 48 kHz in both channels keeps its frequency, level and place at 16 kHz. */
static void resampling_keeps_the_tone(void **state) {
    (void)state;
    enum { N = 96000 };
    int16_t *s = malloc(2 * N * sizeof(int16_t));
    for (int i = 0; i < N; i++)
        s[2 * i] = s[2 * i + 1] = (int16_t)lrint(12000 * sin(i * 2 * 3.14159265358979 * 440 / 48000));
    clip_write_wav(clip_path("tone.wav"), 48000, 2, N, s);
    free(s);
    int64_t count;
    ms_audio_reader *r = open_reader(clip_path("tone.wav"), NULL);
    float *x = read_all(r, 5000, &count);
    assert_int_equal(count, 32000);
    for (int i = 200; i < 31800; i++)
        assert_true(fabs(x[i] - 12000.0 / 32768 * sin(i * 2 * 3.14159265358979 * 440 / 16000)) < 2e-3);
    free(x);
    ms_audio_reader_close(&r);
}

static bool have_ffmpeg(void) {
    return system("ffmpeg -version >/dev/null 2>&1") == 0;
}

static void same_samples_as_the_command(void **state) {
    (void)state;
    if (!have_ffmpeg()) {
        print_message("the ffmpeg command is not installed\n");
        skip();
    }
    enum { N = 44100 * 3 };
    int16_t *s = malloc(2 * N * sizeof(int16_t));
    for (int i = 0; i < N; i++) {
        s[2 * i] = (int16_t)(9000 * sin(i * 0.03 + 5 * sin(i * 0.0004)) + noise(i) / 16);
        s[2 * i + 1] = (int16_t)(7000 * sin(i * 0.011) + noise(i + N) / 16);
    }
    clip_write_wav(clip_path("source.wav"), 44100, 2, N, s);
    free(s);
    /* FFmpeg 5.1 resamples what is decoded to 16 bits with 16 bits, 7.1 with floats unless it is told. */
    static const struct {
        const char *name, *options, *told;
    } files[] = {
        {"a.wav", "-ac 1 -ar 16000", ""},
        {"b.wav", "-c:a copy", "-internal_sample_fmt s16p"},
        {"c.mp3", "", ""},
        {"d.m4a", "-c:a aac", ""},
        {"e.flac", "", "-internal_sample_fmt s16p"},
        {"f.ogg", "-c:a vorbis -strict -2", ""},
        {"g.opus", "", ""},
        {"h.mkv", "-c:a aac -b:a 96k", ""},
        {"i.wav", "-ar 8000 -ac 1", "-internal_sample_fmt s16p"},
        {"j.wav", "-ar 96000 -c:a pcm_s24le", ""},
        {"k.ac3", "-ac 6", ""},
        {"l.mp4", "-ac 6 -ar 48000 -c:a aac", ""},
        {"m.wav", "-c:a pcm_f32le", ""},
        {"n.ts", "-c:a aac", ""},
        {"o.avi", "-c:a mp2", "-internal_sample_fmt s16p"},
    };
    int checked = 0;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char command[3000], path[512], source[512], reference[512];
        snprintf(path, sizeof(path), "%s", clip_path(files[i].name));
        snprintf(source, sizeof(source), "%s", clip_path("source.wav"));
        snprintf(reference, sizeof(reference), "%s", clip_path("reference.s16"));
        snprintf(command, sizeof(command),
                 "ffmpeg -v quiet -nostdin -y -i '%s' %s '%s' && "
                 "ffmpeg -v quiet -nostdin -y -i '%s' -f s16le -ac 1 -ar 16000 %s '%s'",
                 source, files[i].options, path, path, files[i].told, reference);
        if (system(command) != 0) { /* an encoder that this ffmpeg does not have */
            print_message("no %s\n", files[i].name);
            continue;
        }
        size_t bytes;
        uint8_t *expected = clip_load(reference, &bytes);
        int64_t count;
        ms_audio_reader *r = open_reader(path, NULL);
        float *x = read_all(r, 1234, &count);
        if ((size_t)count * 2 != bytes)
            fail_msg("%s: %d samples, ffmpeg %d", files[i].name, (int)count, (int)bytes / 2);
        for (int64_t n = 0; n < count; n++)
            if (x[n] != ((int16_t *)expected)[n] / 32768.0f)
                fail_msg("%s: sample %d", files[i].name, (int)n);
        free(x);
        free(expected);
        ms_audio_reader_close(&r);
        checked++;
    }
    assert_in_range(checked, 8, 100);
}

static void seeks_are_exact(void **state) {
    (void)state;
    enum { N = 48000 };
    static int16_t s[2 * N];
    for (int i = 0; i < 2 * N; i++)
        s[i] = noise(i / 30);
    clip_write_wav(clip_path("seek.wav"), 44100, 2, N, s);
    ms_error err;
    int64_t count;
    ms_audio_reader *r = open_reader(clip_path("seek.wav"), NULL);
    float *all = read_all(r, 4096, &count), part[1000];
    uint64_t seed = 4;
    for (int i = 0; i < 60; i++) {
        int64_t at = test_rand(&seed) % (uint32_t)count, n;
        assert_ms_ok(ms_audio_reader_seek(r, at, &err), &err);
        assert_int_equal(ms_audio_reader_tell(r), at);
        assert_ms_ok(ms_audio_reader_read(r, part, 1000, &n, &err), &err);
        assert_int_equal(n, count - at < 1000 ? count - at : 1000);
        assert_memory_equal(part, all + at, (size_t)n * sizeof(float));
    }
    int64_t n;
    assert_ms_ok(ms_audio_reader_seek(r, count + 99, &err), &err);
    assert_ms_ok(ms_audio_reader_read(r, part, 1000, &n, &err), &err);
    assert_int_equal(n, 0);
    assert_int_equal(ms_audio_reader_seek(r, -1, &err), MS_INVALID_ARGUMENT);
    free(all);
    ms_audio_reader_close(&r);
}

static void silence_is_allowed(void **state) {
    (void)state;
    int64_t count;
    clip_write_wav(clip_path("silence.wav"), 16000, 1, 1, NULL);
    ms_audio_reader *r = open_reader(clip_path("silence.wav"), NULL);
    float *x = read_all(r, 10, &count);
    assert_int_equal(count, 1);
    assert_true(x[0] == 0);
    free(x);
    ms_audio_reader_close(&r);
}

static void the_golden_speech(void **state) {
    (void)state;
    char path[512];
    if (!golden_path(path, sizeof(path), "whisper/speech_short.wav")) {
        print_message("whisper/speech_short.wav is not here\n");
        skip();
    }
    int64_t count;
    ms_audio_reader *r = open_reader(path, NULL);
    free(read_all(r, 16000, &count));
    assert_int_equal(count, 51200);
    ms_audio_reader_close(&r);
}

/* ---- refusals */

static void assert_refused(const char *path, ms_status code, const char *word) {
    ms_error err;
    ms_audio_reader *r = NULL;
    assert_int_equal(ms_audio_reader_open(NULL, path, NULL, &r, &err), code);
    assert_null(r);
    if (!strstr(err.message, path) || !strstr(err.message, word))
        fail_msg("message of %s: %s", path, err.message);
}

static void what_is_no_sound_is_refused(void **state) {
    (void)state;
    ms_error err;
    assert_refused(clip_path("missing.wav"), MS_IO, "No such file");
    assert_refused(clip_folder(), MS_IO, "folder");
    clip_save(clip_path("empty.wav"), (const uint8_t *)"", 0);
    assert_refused(clip_path("empty.wav"), MS_BAD_MEDIA, "empty");
    clip_save(clip_path("text.wav"), (const uint8_t *)"words, words, words, words, words, words, words", 47);
    assert_refused(clip_path("text.wav"), MS_BAD_MEDIA, "not a readable media file");
    clip_write_wav(clip_path("zero.wav"), 16000, 1, 0, NULL);
    assert_refused(clip_path("zero.wav"), MS_BAD_MEDIA, "no samples");
    ms_video_writer_params p = MS_VIDEO_WRITER_DEFAULTS;
    p.width = p.height = 64;
    p.preset = "ultrafast";
    assert_ms_ok(clip_write(clip_path("mute.mp4"), &p, 2, &err), &err);
    assert_refused(clip_path("mute.mp4"), MS_BAD_MEDIA, "no audio stream");
    clip_write_cover(clip_path("cover.m4a"));
    int64_t count;
    ms_audio_reader *r = open_reader(clip_path("cover.m4a"), NULL);
    free(read_all(r, 1000, &count));
    assert_in_range(count, 17 * 1024, 20 * 1024);
    ms_audio_reader_close(&r);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    ms_error err;
    clip_write_wav(clip_path("alloc.wav"), 44100, 2, 30000, NULL);
    for (uint64_t n = 1;; n++) {
        ms_audio_reader *r = NULL;
        static float x[20000];
        int64_t count;
        ms_mem_fail_after(n, n % 2);
        ms_status status = ms_audio_reader_open(NULL, clip_path("alloc.wav"), NULL, &r, &err);
        if (status == MS_OK)
            status = ms_audio_reader_read(r, x, 20000, &count, &err);
        if (status == MS_OK)
            status = ms_audio_reader_seek(r, 5, &err);
        ms_mem_fail_after(0, false);
        ms_audio_reader_close(&r);
        ms_mem_usage u;
        ms_mem_get_usage(NULL, &u);
        assert_int_equal(u.current_bytes, 0);
        if (status == MS_OK)
            break;
        assert_int_equal(status, MS_HOST_MEMORY);
        assert_in_range(n, 1, 100);
    }
    ms_mem *mem;
    ms_audio_reader *r;
    assert_int_equal(ms_mem_create(1 << 20, &mem), MS_OK);
    assert_int_equal(ms_audio_reader_open(mem, clip_path("alloc.wav"), NULL, &r, &err), MS_HOST_MEMORY);
    assert_int_equal(ms_mem_destroy(&mem), 0);
}

static int remove_folder(void **state) {
    (void)state;
    clip_remove_folder();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speech_at_16_khz_is_read_as_it_is),
        cmocka_unit_test(source_format_is_not_touched),
        cmocka_unit_test(resampling_keeps_the_tone),
        cmocka_unit_test(same_samples_as_the_command),
        cmocka_unit_test(seeks_are_exact),
        cmocka_unit_test(silence_is_allowed),
        cmocka_unit_test(the_golden_speech),
        cmocka_unit_test(what_is_no_sound_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    av_log_set_level(AV_LOG_QUIET);
    return cmocka_run_group_tests(tests, NULL, remove_folder);
}
