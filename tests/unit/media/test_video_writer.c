/* The video writer: what comes back, what the file says, sound, failures. */
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libavutil/log.h>

#include "audio/chunks.h"
#include "media/read/audio_reader.h"
#include "media/read/video_reader.h"
#include "support/media/clip.h"

static ms_video_writer_params params_of(ms_video_codec codec, int width, int height) {
    ms_video_writer_params p = MS_VIDEO_WRITER_DEFAULTS;
    p.codec = codec;
    p.width = width;
    p.height = height;
    p.preset = "ultrafast";
    return p;
}

static ms_video_reader *open_reader(const char *path) {
    ms_error err;
    ms_video_reader *r;
    assert_ms_ok(ms_video_reader_open(NULL, path, NULL, &r, &err), &err);
    return r;
}

/* ---- pictures */

static void lossless_is_lossless(void **state) {
    (void)state;
    static const char *const names[] = {"l.mkv", "l.avi", "l.mov"};
    static const int sizes[][2] = {{853, 479}, {1, 1}, {64, 64}, {65, 3}, {2, 7}, {70, 64}};
    for (int i = 0; i < 3; i++) {
        for (int s = 0; s < 6; s++) {
            ms_error err;
            int w = sizes[s][0], h = sizes[s][1], frames = s == 1 ? 1 : 4;
            ms_video_writer_params p = params_of(MS_VIDEO_FFV1, w, h);
            p.force = true;
            assert_ms_ok(clip_write(clip_path(names[i]), &p, frames, &err), &err);
            ms_video_reader *r = open_reader(clip_path(names[i]));
            const ms_video_info *info = ms_video_reader_info(r);
            assert_int_equal(info->width, w);
            assert_int_equal(info->height, h);
            size_t n = (size_t)w * (size_t)h * 3;
            uint8_t *got = malloc(n), *expected = malloc(n);
            bool more;
            for (int f = 0; f < frames; f++) {
                assert_ms_ok(ms_video_reader_read(r, got, 0, &more, &err), &err);
                assert_true(more);
                clip_picture(expected, w, h, f);
                if (memcmp(got, expected, n) != 0)
                    fail_msg("%s %dx%d frame %d", names[i], w, h, f);
            }
            assert_ms_ok(ms_video_reader_read(r, got, 0, &more, &err), &err);
            assert_false(more);
            free(got);
            free(expected);
            ms_video_reader_close(&r);
        }
    }
}

static void lossy_is_close_and_odd_sizes_are_padded(void **state) {
    (void)state;
    static const struct {
        const char *name;
        ms_video_codec codec;
    } files[] = {{"h.mp4", MS_VIDEO_H264}, {"h.mkv", MS_VIDEO_H264}, {"h.mov", MS_VIDEO_H264},
                 {"h.m4v", MS_VIDEO_H264}, {"x.mp4", MS_VIDEO_HEVC}, {"x.mkv", MS_VIDEO_HEVC}};
    enum { W = 253, H = 179, FRAMES = 15 };
    static uint8_t got[(W + 1) * (H + 1) * 3], expected[W * H * 3], inner[W * H * 3];
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        ms_error err;
        ms_video_writer_params p = params_of(files[i].codec, W, H);
        p.crf = 8;
        p.pixel_aspect = (ms_rational){4, 3};
        assert_ms_ok(clip_write(clip_path(files[i].name), &p, FRAMES, &err), &err);
        ms_video_reader *r = open_reader(clip_path(files[i].name));
        const ms_video_info *info = ms_video_reader_info(r);
        assert_int_equal(info->width, W + 1);
        assert_int_equal(info->height, H + 1);
        assert_int_equal(info->frames, FRAMES);
        assert_string_equal(info->codec, ms_video_codec_name(files[i].codec));
        assert_int_equal(info->colour.matrix, 6);
        assert_int_equal(info->colour.primaries, 6);
        assert_int_equal(info->colour.transfer, 6);
        assert_false(info->matrix_guessed || info->range_guessed || info->colour.full_range);
        assert_int_equal(info->pixel_aspect.num, 4);
        assert_int_equal(info->pixel_aspect.den, 3);
        bool more;
        for (int f = 0; f < FRAMES; f++) {
            assert_ms_ok(ms_video_reader_read(r, got, 0, &more, &err), &err);
            assert_true(more);
            clip_picture(expected, W, H, f);
            double edge = 0;
            for (int y = 0; y < H; y++) {
                memcpy(inner + y * W * 3, got + y * (W + 1) * 3, W * 3);
                for (int c = 0; c < 3; c++)
                    edge += abs(got[(y * (W + 1) + W) * 3 + c] - got[(y * (W + 1) + W - 1) * 3 + c]);
            }
            double psnr = clip_psnr(inner, expected, sizeof(expected));
            if (psnr < 31) /* the pattern's blue squares blur in 4:2:0 */
                fail_msg("%s frame %d: %.1f dB", files[i].name, f, psnr);
            assert_true(edge / (3 * H) < 12); /* the added column repeats its neighbour */
        }
        assert_ms_ok(ms_video_reader_read(r, got, 0, &more, &err), &err);
        assert_false(more);
        ms_video_reader_close(&r);
    }
}

/* Flat patches through both conversions and an encoder at its best quality. */
static void colours_survive(void **state) {
    (void)state;
    static const uint8_t patches[][3] = {{255, 255, 255}, {0, 0, 0},       {255, 0, 0},     {0, 255, 0},
                                         {0, 0, 255},     {128, 128, 128}, {200, 150, 120}, {90, 60, 45},
                                         {16, 235, 128},  {12, 34, 56}};
    enum { N = 10, SIDE = 32, W = N * SIDE };
    static const struct {
        ms_colour colour;
        int height, matrix;
        bool full;
        int primaries;
    } cases[] = {
        {{2, 2, 2, false}, 64, 6, false, 6}, {{2, 2, 2, false}, 720, 1, false, 1},
        {{1, 1, 1, false}, 64, 1, false, 1}, {{6, 2, 2, true}, 64, 6, true, 6},
        {{1, 2, 2, true}, 64, 1, true, 1},   {{9, 9, 14, false}, 64, 9, false, 9},
        {{5, 5, 2, false}, 64, 5, false, 5},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int codec = 0; codec < 2; codec++) {
            ms_error err;
            int height = cases[i].height;
            ms_video_writer_params p = params_of(codec ? MS_VIDEO_HEVC : MS_VIDEO_H264, W, height);
            p.crf = codec ? 1 : 0;
            p.colour = cases[i].colour;
            p.force = true;
            size_t n = (size_t)W * (size_t)height * 3;
            uint8_t *rgb = malloc(n);
            for (int y = 0; y < height; y++)
                for (int x = 0; x < W; x++)
                    memcpy(rgb + 3 * ((size_t)y * W + (size_t)x), patches[x / SIDE], 3);
            ms_video_writer *w;
            const char *path = clip_path(codec ? "colour.mp4" : "colour.mkv");
            assert_ms_ok(ms_video_writer_open(NULL, path, &p, &w, &err), &err);
            assert_ms_ok(ms_video_writer_write(w, rgb, 0, &err), &err);
            assert_ms_ok(ms_video_writer_write(w, rgb, 0, &err), &err);
            assert_ms_ok(ms_video_writer_finish(&w, &err), &err);
            ms_video_reader *r = open_reader(path);
            const ms_video_info *info = ms_video_reader_info(r);
            assert_int_equal(info->colour.matrix, cases[i].matrix);
            assert_int_equal(info->colour.primaries, cases[i].primaries);
            assert_int_equal(info->colour.full_range, cases[i].full);
            assert_false(info->matrix_guessed || info->range_guessed);
            bool more;
            assert_ms_ok(ms_video_reader_read(r, rgb, 0, &more, &err), &err);
            for (int k = 0; k < N; k++) {
                const uint8_t *q = rgb + 3 * ((size_t)(height / 2) * W + (size_t)(k * SIDE + SIDE / 2));
                for (int c = 0; c < 3; c++)
                    if (abs(q[c] - patches[k][c]) > 2)
                        fail_msg("case %d codec %d patch %d: %d,%d,%d", (int)i, codec, k, q[0], q[1], q[2]);
            }
            free(rgb);
            ms_video_reader_close(&r);
        }
    }
}

/* ---- sound */

typedef struct tone {
    int64_t at, count;
    int rate, channels;
    ms_status fail; /* given back instead of samples after a second */
} tone;

/* Quiet noise that only the sample's number decides, with a click at every whole second from the first. */
static float tone_sample(const tone *t, int64_t n, int channel) {
    if (n > 0 && n % t->rate == 0)
        return 0.9f;
    int16_t s = (int16_t)((n * 7919 + channel * 31) % 2001 - 1000);
    return s / 32768.0f;
}

static ms_status read_tone(void *context, float *dst, int64_t max, int64_t *ret_count, ms_error *err) {
    tone *t = context;
    if (t->fail && t->at > t->rate)
        return ms_fail(err, t->fail, "the feed failed");
    int64_t n = t->count - t->at < max ? t->count - t->at : max;
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < t->channels; c++)
            dst[i * t->channels + c] = tone_sample(t, t->at + i, c);
    t->at += n;
    *ret_count = n;
    return MS_OK;
}

static float *read_sound(const char *path, bool source_format, ms_audio_info *ret_info, int64_t *ret_count) {
    ms_error err;
    ms_audio_reader *r;
    ms_audio_reader_params p = MS_AUDIO_READER_DEFAULTS;
    p.source_format = source_format;
    assert_ms_ok(ms_audio_reader_open(NULL, path, &p, &r, &err), &err);
    *ret_info = *ms_audio_reader_info(r);
    enum { ROOM = 1 << 20 };
    float *x = malloc(ROOM * sizeof(float));
    assert_ms_ok(ms_audio_reader_read(r, x, ROOM / ret_info->channels, ret_count, &err), &err);
    ms_audio_reader_close(&r);
    return x;
}

static int64_t count_frames(const char *path) {
    ms_error err;
    int64_t count;
    ms_video_reader *r = open_reader(path);
    assert_ms_ok(ms_video_reader_count(r, &count, &err), &err);
    ms_video_reader_close(&r);
    return count;
}

static void sound_lasts_as_long_as_the_picture(void **state) {
    (void)state;
    static const struct {
        const char *name, *codec;
        ms_video_codec video;
        int frames;
    } files[] = {
        {"s.mp4", "aac", MS_VIDEO_H264, 45},       {"s.mov", "aac", MS_VIDEO_HEVC, 30},
        {"s.mkv", "flac", MS_VIDEO_H264, 45},      {"f.mkv", "flac", MS_VIDEO_FFV1, 1},
        {"f.avi", "pcm_s16le", MS_VIDEO_FFV1, 45}, {"one.mp4", "aac", MS_VIDEO_H264, 1},
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        ms_error err;
        tone t = {.count = 1000000, .rate = 16000, .channels = 1};
        ms_video_writer_params p = params_of(files[i].video, 64, 64);
        p.audio = MS_AUDIO_FEED;
        p.feed = (ms_audio_feed){read_tone, &t, 16000, 1};
        const char *path = clip_path(files[i].name);
        assert_ms_ok(clip_write(path, &p, files[i].frames, &err), &err);
        int64_t expected = ms_output_samples(files[i].frames, 25, 16000), count;
        assert_int_equal(t.at, expected); /* not a sample more was asked for */
        assert_int_equal(count_frames(path), files[i].frames);
        ms_audio_info info;
        float *x = read_sound(path, false, &info, &count);
        assert_string_equal(info.codec, files[i].codec);
        if (strcmp(info.codec, "aac") == 0) {
            assert_true(fabs(info.duration_s - files[i].frames / 25.0) < 1e-3);
            assert_in_range(count, expected, expected + 1023); /* FFmpeg decodes the last packet's padding */
        } else {                                               /* lossless: the very samples */
            assert_int_equal(count, expected);
            for (int64_t n = 0; n < count; n++)
                assert_true(fabsf(x[n] - tone_sample(&t, n, 0)) < 1.1f / 32768);
        }
        if (files[i].frames > 26) { /* the click at 1 s is where it was */
            int64_t loudest = 0;
            for (int64_t n = 0; n < count; n++)
                loudest = fabsf(x[n]) > fabsf(x[loudest]) ? n : loudest;
            assert_in_range(loudest, 16000 - 8, 16000 + 8);
        }
        free(x);
    }
}

static void short_sound_ends_early(void **state) {
    (void)state;
    ms_error err;
    tone t = {.count = 10000, .rate = 16000, .channels = 1};
    ms_video_writer_params p = params_of(MS_VIDEO_H264, 64, 64);
    p.audio = MS_AUDIO_FEED;
    p.feed = (ms_audio_feed){read_tone, &t, 16000, 1};
    assert_ms_ok(clip_write(clip_path("short.mkv"), &p, 50, &err), &err);
    ms_audio_info info;
    int64_t count;
    free(read_sound(clip_path("short.mkv"), false, &info, &count));
    assert_int_equal(count, 10000);
    assert_int_equal(count_frames(clip_path("short.mkv")), 50);
}

static void failures_of_the_feed_come_through(void **state) {
    (void)state;
    ms_error err;
    tone t = {.count = 1000000, .rate = 16000, .channels = 1, .fail = MS_CANCELLED};
    ms_video_writer_params p = params_of(MS_VIDEO_H264, 64, 64);
    p.audio = MS_AUDIO_FEED;
    p.feed = (ms_audio_feed){read_tone, &t, 16000, 1};
    int before = clip_files();
    assert_int_equal(clip_write(clip_path("feed.mp4"), &p, 100, &err), MS_CANCELLED);
    assert_int_equal(clip_files(), before);
    p.feed.rate = 12345; /* no AAC at this rate */
    assert_int_equal(clip_write(clip_path("feed.mp4"), &p, 1, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(clip_files(), before);
}

/* A 44.1 kHz stereo track into every container: copied where that is possible, else
   encoded; 40 frames of it. */
static void original_sound_is_kept(void **state) {
    (void)state;
    enum { RATE = 44100, COUNT = RATE * 3 };
    int16_t *samples = malloc(COUNT * 2 * sizeof(int16_t));
    tone t = {.rate = RATE, .channels = 2};
    for (int64_t n = 0; n < COUNT; n++)
        for (int c = 0; c < 2; c++)
            samples[2 * n + c] = (int16_t)lrintf(tone_sample(&t, n, c) * 32768);
    clip_write_wav(clip_path("o.wav"), RATE, 2, COUNT, samples);
    static const struct {
        const char *name, *codec;
        ms_video_codec video;
        bool exact;
    } files[] = {
        {"o.mp4", "aac", MS_VIDEO_H264, false},
        {"o.mov", "pcm_s16le", MS_VIDEO_H264, true},
        {"o.mkv", "pcm_s16le", MS_VIDEO_H264, true},
        {"o.avi", "pcm_s16le", MS_VIDEO_FFV1, true},
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        ms_error err;
        ms_video_writer_params p = params_of(files[i].video, 64, 64);
        p.audio = MS_AUDIO_ORIGINAL;
        p.audio_path = clip_path("o.wav");
        const char *path = clip_path(files[i].name);
        assert_ms_ok(clip_write(path, &p, 40, &err), &err);
        assert_int_equal(count_frames(path), 40);
        ms_audio_info info;
        int64_t count;
        float *x = read_sound(path, true, &info, &count);
        assert_string_equal(info.codec, files[i].codec);
        assert_int_equal(info.rate, RATE);
        assert_int_equal(info.channels, 2);
        assert_in_range(count, 70560, files[i].exact ? 70560 : 70560 + 1023);
        if (files[i].exact)
            for (int64_t n = 0; n < count * 2; n++)
                assert_true(x[n] == samples[n] * 0x1p-15f);
        free(x);
    }
    /* Now the AAC track of that mp4: copied, packet for packet, into the three that take it. */
    ms_audio_info info;
    int64_t whole, count;
    float *original = read_sound(clip_path("o.mp4"), true, &info, &whole);
    static const char *const copies[] = {"c.mp4", "c.mov", "c.mkv"};
    for (int i = 0; i < 3; i++) {
        ms_error err;
        ms_video_writer_params p = params_of(MS_VIDEO_H264, 64, 64);
        p.audio = MS_AUDIO_ORIGINAL;
        p.audio_path = clip_path("o.mp4");
        assert_ms_ok(clip_write(clip_path(copies[i]), &p, 30, &err), &err);
        assert_int_equal(count_frames(clip_path(copies[i])), 30);
        float *x = read_sound(clip_path(copies[i]), true, &info, &count);
        assert_string_equal(info.codec, "aac");
        assert_in_range(count, 52920, 52920 + 1023);
        /* Matroska has lost the packet before zero: its first 1024 samples fade in, and
           the noise that AAC's decoder puts in place of noise comes out differently. */
        for (int64_t n = i == 2 ? 2048 : 0; n < 52920 * 2; n++)
            if (fabsf(x[n] - original[n]) > (i == 2 ? 0.02f : 0))
                fail_msg("%s sample %d: %g, not %g", copies[i], (int)n, x[n], original[n]);
        free(x);
    }
    free(original);
    free(samples);
}

static void original_sound_must_be_there(void **state) {
    (void)state;
    ms_error err;
    ms_video_writer_params p = params_of(MS_VIDEO_H264, 64, 64);
    p.audio = MS_AUDIO_ORIGINAL;
    p.audio_path = clip_path("no-such.wav");
    int before = clip_files();
    assert_int_equal(clip_write(clip_path("n.mp4"), &p, 1, &err), MS_IO);
    assert_non_null(strstr(err.message, "no-such.wav"));
    p.audio_path = NULL;
    assert_int_equal(clip_write(clip_path("n.mp4"), &p, 1, &err), MS_INVALID_ARGUMENT);
    ms_video_writer_params silent = params_of(MS_VIDEO_H264, 64, 64);
    assert_ms_ok(clip_write(clip_path("silent.mp4"), &silent, 2, &err), &err);
    p.audio_path = clip_path("silent.mp4");
    assert_int_equal(clip_write(clip_path("n.mp4"), &p, 1, &err), MS_BAD_MEDIA);
    assert_non_null(strstr(err.message, "no audio stream"));
    assert_int_equal(clip_files(), before + 1);
}

/* ---- the file */

static void same_frames_same_bytes(void **state) {
    (void)state;
    static const struct {
        const char *extension;
        ms_video_codec codec;
    } files[] = {{"mp4", MS_VIDEO_H264},
                 {"mkv", MS_VIDEO_H264},
                 {"mp4", MS_VIDEO_HEVC},
                 {"mkv", MS_VIDEO_FFV1},
                 {"avi", MS_VIDEO_FFV1}};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        uint8_t *data[2];
        size_t bytes[2];
        for (int k = 0; k < 2; k++) {
            ms_error err;
            tone t = {.count = 1000000, .rate = 16000, .channels = 1};
            ms_video_writer_params p = params_of(files[i].codec, 320, 240);
            p.audio = MS_AUDIO_FEED;
            p.feed = (ms_audio_feed){read_tone, &t, 16000, 1};
            p.preset = "veryfast";
            p.threads = 3;
            char name[32];
            snprintf(name, sizeof(name), "same%d-%d.%s", (int)i, k, files[i].extension);
            assert_ms_ok(clip_write(clip_path(name), &p, 60, &err), &err);
            data[k] = clip_load(clip_path(name), &bytes[k]);
        }
        assert_int_equal(bytes[0], bytes[1]);
        assert_memory_equal(data[0], data[1], bytes[0]);
        free(data[0]);
        free(data[1]);
    }
}

/* As few frames as an encoder may reorder, and fewer. */
static void short_clips_keep_their_frames(void **state) {
    (void)state;
    static const ms_video_codec codecs[] = {MS_VIDEO_H264, MS_VIDEO_HEVC};
    for (int i = 0; i < 2; i++) {
        for (int n = 1; n <= 9; n++) {
            for (int k = 0; k < 2; k++) {
                ms_error err;
                ms_video_writer_params p = params_of(codecs[i], 128, 96);
                p.force = true;
                const char *path = clip_path(k ? "short.mp4" : "short.mkv");
                assert_ms_ok(clip_write(path, &p, n, &err), &err);
                ms_video_reader *r = open_reader(path);
                uint8_t got[128 * 96 * 3];
                bool more;
                for (int f = 0; f < n; f++) {
                    assert_ms_ok(ms_video_reader_read(r, got, 0, &more, &err), &err);
                    if (!more)
                        fail_msg("%d of %d frames of %s", f, n, path);
                }
                assert_ms_ok(ms_video_reader_read(r, got, 0, &more, &err), &err);
                assert_false(more);
                ms_video_reader_close(&r);
            }
        }
    }
}

static size_t find(const uint8_t *data, size_t bytes, const char *word) {
    for (size_t i = 0; i + 4 <= bytes; i++)
        if (memcmp(data + i, word, 4) == 0)
            return i;
    return SIZE_MAX;
}

static void the_index_comes_first_and_colours_are_noted(void **state) {
    (void)state;
    ms_error err;
    ms_video_writer_params p = params_of(MS_VIDEO_H264, 128, 96);
    assert_ms_ok(clip_write(clip_path("fast.mp4"), &p, 20, &err), &err);
    size_t bytes;
    uint8_t *data = clip_load(clip_path("fast.mp4"), &bytes);
    assert_true(find(data, bytes, "moov") < find(data, bytes, "mdat"));
    size_t colr = find(data, bytes, "colr");
    assert_true(colr != SIZE_MAX);
    static const uint8_t nclx[] = {'n', 'c', 'l', 'x', 0, 6, 0, 6, 0, 6, 0};
    assert_memory_equal(data + colr + 4, nclx, sizeof(nclx));
    free(data);
    struct stat st;
    assert_int_equal(stat(clip_path("fast.mp4"), &st), 0);
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(st.st_mode & 0777, 0666 & ~mask);
}

static void other_rates(void **state) {
    (void)state;
    ms_error err;
    static const ms_rational rates[] = {{30000, 1001}, {24, 1}, {60, 1}, {25, 2}};
    for (int i = 0; i < 4; i++) {
        ms_video_writer_params p = params_of(MS_VIDEO_H264, 64, 64);
        p.fps = rates[i];
        p.force = true;
        assert_ms_ok(clip_write(clip_path("rate.mp4"), &p, 30, &err), &err);
        ms_video_reader_params rp = MS_VIDEO_READER_DEFAULTS;
        rp.fps = (ms_rational){0, 1};
        ms_video_reader *r;
        int64_t count;
        assert_ms_ok(ms_video_reader_open(NULL, clip_path("rate.mp4"), &rp, &r, &err), &err);
        assert_int_equal(ms_video_reader_info(r)->fps.num, rates[i].num);
        assert_int_equal(ms_video_reader_info(r)->fps.den, rates[i].den);
        assert_ms_ok(ms_video_reader_count(r, &count, &err), &err);
        assert_int_equal(count, 30);
        ms_video_reader_close(&r);
    }
}

/* ---- refusals */

static void refuse(const char *name, const ms_video_writer_params *p, ms_status code, const char *word) {
    ms_error err;
    ms_video_writer *w = NULL;
    int before = clip_files();
    assert_int_equal(ms_video_writer_check(clip_path(name), p, &err), code);
    assert_int_equal(ms_video_writer_open(NULL, clip_path(name), p, &w, &err), code);
    assert_null(w);
    if (!strstr(err.message, word))
        fail_msg("%s: %s", name, err.message);
    assert_int_equal(clip_files(), before);
}

static void what_cannot_be_written_is_refused(void **state) {
    (void)state;
    ms_error err;
    ms_video_writer_params h264 = params_of(MS_VIDEO_H264, 64, 64), ffv1 = params_of(MS_VIDEO_FFV1, 64, 64);
    refuse("a.webm", &h264, MS_INVALID_ARGUMENT,
           "memsafe does not write h264 video into .webm files; it goes into .mp4");
    refuse("a.mp4", &ffv1, MS_INVALID_ARGUMENT,
           "does not write ffv1 video into .mp4 files; it goes into .mov, .mkv, .avi");
    refuse("a.avi", &h264, MS_INVALID_ARGUMENT, "does not write h264 video into .avi");
    refuse("a.ts", &h264, MS_INVALID_ARGUMENT,
           "memsafe does not write h264 video into .ts files; it goes into .mp4, .m4v, .mov, .mkv");
    refuse("a", &h264, MS_INVALID_ARGUMENT, "needs an extension");
    refuse("no-such-folder/a.mp4", &h264, MS_IO, "no-such-folder");
    assert_int_equal(mkdir(clip_path("folder.mp4"), 0700), 0);
    refuse("folder.mp4", &h264, MS_IO, "folder");

    static const struct {
        int width, height, crf, threads, lookahead, fps;
        const char *preset, *word;
    } bad[] = {
        {0, 64, 18, 1, 0, 25, "fast", "video size 0x64"},
        {64, 20000, 18, 1, 0, 25, "fast", "64x20000"},
        {64, 64, 52, 1, 0, 25, "fast", "crf 52"},
        {64, 64, 18, 0, 0, 25, "fast", "0 encoder threads"},
        {64, 64, 18, 1, 251, 25, "fast", "lookahead of 251"},
        {64, 64, 18, 1, 0, 0, "fast", "frame rate 0/1"},
        {64, 64, 18, 1, 0, 25, "fastest", "preset 'fastest'"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ms_video_writer_params p = params_of(MS_VIDEO_H264, bad[i].width, bad[i].height);
        p.crf = bad[i].crf;
        p.threads = bad[i].threads;
        p.lookahead = bad[i].lookahead;
        p.fps.num = bad[i].fps;
        p.preset = bad[i].preset;
        refuse("bad.mp4", &p, MS_INVALID_ARGUMENT, bad[i].word);
    }

    /* An existing file stays as it is without force. */
    clip_save(clip_path("there.mp4"), (const uint8_t *)"old", 3);
    refuse("there.mp4", &h264, MS_IO, "exists already");
    size_t bytes;
    uint8_t *data = clip_load(clip_path("there.mp4"), &bytes);
    assert_int_equal(bytes, 3);
    free(data);
    h264.force = true;
    assert_ms_ok(clip_write(clip_path("there.mp4"), &h264, 2, &err), &err);
    assert_int_equal(count_frames(clip_path("there.mp4")), 2);
}

static void a_file_that_appears_meanwhile_is_kept(void **state) {
    (void)state;
    ms_error err;
    ms_video_writer *w;
    uint8_t rgb[64 * 64 * 3];
    clip_picture(rgb, 64, 64, 0);
    ms_video_writer_params p = params_of(MS_VIDEO_H264, 64, 64);
    const char *path = clip_path("race.mp4");
    assert_ms_ok(ms_video_writer_open(NULL, path, &p, &w, &err), &err);
    assert_ms_ok(ms_video_writer_write(w, rgb, 0, &err), &err);
    clip_save(path, (const uint8_t *)"other", 5);
    int before = clip_files();
    assert_int_equal(ms_video_writer_finish(&w, &err), MS_IO);
    assert_null(w);
    assert_int_equal(clip_files(), before - 1); /* the temporary file is gone */
    size_t bytes;
    free(clip_load(path, &bytes));
    assert_int_equal(bytes, 5);
}

static void an_abort_leaves_nothing(void **state) {
    (void)state;
    ms_error err;
    ms_video_writer *w;
    static uint8_t rgb[320 * 240 * 3];
    int before = clip_files();
    for (int frames = 0; frames < 90; frames += 44) {
        tone t = {.count = 1000000, .rate = 16000, .channels = 1};
        ms_video_writer_params p = params_of(MS_VIDEO_H264, 320, 240);
        p.audio = MS_AUDIO_FEED;
        p.feed = (ms_audio_feed){read_tone, &t, 16000, 1};
        assert_ms_ok(ms_video_writer_open(NULL, clip_path("abort.mp4"), &p, &w, &err), &err);
        for (int f = 0; f < frames; f++) {
            clip_picture(rgb, 320, 240, f);
            assert_ms_ok(ms_video_writer_write(w, rgb, 0, &err), &err);
        }
        assert_int_equal(ms_video_writer_frames(w), frames);
        assert_int_equal(clip_files(), before + 1);
        ms_video_writer_abort(&w);
        assert_null(w);
        assert_int_equal(clip_files(), before);
    }
    ms_video_writer_params p = params_of(MS_VIDEO_H264, 320, 240);
    assert_ms_ok(ms_video_writer_open(NULL, clip_path("none.mp4"), &p, &w, &err), &err);
    assert_int_equal(ms_video_writer_finish(&w, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(clip_files(), before);
}

/* A limit on the size of files stands in for a full disk; in a child, as it cannot be taken back. */
static int write_with_limit(const char *name, ms_video_codec codec, rlim_t limit) {
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, limit});
    ms_error err;
    ms_video_writer_params p = params_of(codec, 320, 240);
    p.crf = 1;
    int before = clip_files();
    ms_status status = clip_write(clip_path(name), &p, 150, &err);
    if (status != MS_IO || !strstr(err.message, name) || !strstr(err.message, "File too large")) {
        fprintf(stderr, "%s: %s\n", ms_status_name(status), err.message);
        return 1;
    }
    return clip_files() == before ? 0 : 2;
}

static void a_full_disk_is_reported(void **state) {
    (void)state;
    static const struct {
        const char *name;
        ms_video_codec codec;
        rlim_t limit;
    } cases[] = {{"full.mp4", MS_VIDEO_H264, 20},
                 {"full.mp4", MS_VIDEO_H264, 100000},
                 {"full.mkv", MS_VIDEO_H264, 300},
                 {"full.mkv", MS_VIDEO_FFV1, 1000000}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)clip_folder();
        pid_t child = fork();
        if (child == 0)
            _exit(write_with_limit(cases[i].name, cases[i].codec, cases[i].limit));
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

/* ---- memory */

static void every_allocation_may_fail(void **state) {
    (void)state;
    ms_error err;
    clip_write_wav(clip_path("alloc.wav"), 44100, 2, 44100, NULL);
    int before = clip_files();
    for (int mode = 0; mode < 3; mode++) {
        for (uint64_t n = 1;; n++) {
            tone t = {.count = 1000000, .rate = 16000, .channels = 1};
            ms_video_writer_params p = params_of(MS_VIDEO_H264, 64, 64);
            p.audio = mode ? MS_AUDIO_ORIGINAL : MS_AUDIO_FEED;
            p.feed = (ms_audio_feed){read_tone, &t, 16000, 1};
            p.audio_path = mode ? clip_path("alloc.wav") : NULL;
            const char *path = clip_path(mode == 1 ? "alloc.mkv" : "alloc.mp4");
            ms_mem_fail_after(n, n % 2);
            ms_status status = clip_write(path, &p, 10, &err);
            ms_mem_fail_after(0, false);
            ms_mem_usage u;
            ms_mem_get_usage(NULL, &u);
            assert_int_equal(u.current_bytes, 0);
            if (status == MS_OK) {
                unlink(path);
                break;
            }
            assert_int_equal(status, MS_HOST_MEMORY);
            assert_int_equal(clip_files(), before);
            assert_in_range(n, 1, 100);
        }
    }
}

static void a_budget_is_kept(void **state) {
    (void)state;
    ms_error err;
    ms_mem *mem;
    ms_video_writer *w = NULL;
    ms_video_writer_params p = params_of(MS_VIDEO_H264, 640, 480);
    size_t need = ms_video_writer_memory(&p);
    assert_int_equal(ms_mem_create(need / 2, &mem), MS_OK);
    assert_int_equal(ms_video_writer_open(mem, clip_path("budget.mp4"), &p, &w, &err), MS_HOST_MEMORY);
    assert_non_null(strstr(err.message, "video encoder"));
    assert_int_equal(ms_mem_destroy(&mem), 0);
    assert_int_equal(ms_mem_create(need + 100000, &mem), MS_OK);
    assert_ms_ok(ms_video_writer_open(mem, clip_path("budget.mp4"), &p, &w, &err), &err);
    ms_video_writer_abort(&w);
    assert_int_equal(ms_mem_destroy(&mem), 0);
    p.expected_frames = 90000;
    assert_in_range(ms_video_writer_memory(&p) - need, 90000 * 90, 90000 * 400);
}

static int remove_folder(void **state) {
    (void)state;
    clip_remove_folder();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lossless_is_lossless),
        cmocka_unit_test(lossy_is_close_and_odd_sizes_are_padded),
        cmocka_unit_test(colours_survive),
        cmocka_unit_test(sound_lasts_as_long_as_the_picture),
        cmocka_unit_test(short_sound_ends_early),
        cmocka_unit_test(failures_of_the_feed_come_through),
        cmocka_unit_test(original_sound_is_kept),
        cmocka_unit_test(original_sound_must_be_there),
        cmocka_unit_test(same_frames_same_bytes),
        cmocka_unit_test(short_clips_keep_their_frames),
        cmocka_unit_test(the_index_comes_first_and_colours_are_noted),
        cmocka_unit_test(other_rates),
        cmocka_unit_test(what_cannot_be_written_is_refused),
        cmocka_unit_test(a_file_that_appears_meanwhile_is_kept),
        cmocka_unit_test(an_abort_leaves_nothing),
        cmocka_unit_test(a_full_disk_is_reported),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_budget_is_kept),
    };
    av_log_set_level(AV_LOG_QUIET);
    return cmocka_run_group_tests(tests, NULL, remove_folder);
}
