/* The video reader: exact frames, rates, turns, colours, seeking, damage. */
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

#include <libavutil/frame.h>
#include <libavutil/log.h>

#include "media/read/video_reader.h"
#include "memsafe/libav_log.h"
#include "support/clip.h"
#include "support/golden.h"

/* ---- helpers */

static ms_video_reader *open_reader(const char *path, const ms_video_reader_params *params) {
    ms_error err;
    ms_video_reader *r;
    assert_ms_ok(ms_video_reader_open(NULL, path, params, &r, &err), &err);
    return r;
}

static size_t frame_bytes(const ms_video_reader *r) {
    const ms_video_info *info = ms_video_reader_info(r);
    return (size_t)info->width * (size_t)info->height * 3;
}

/* All frames from where the reader stands, one after the other; *ret_count how many. */
static uint8_t *read_all(ms_video_reader *r, int64_t *ret_count) {
    ms_error err;
    size_t n = frame_bytes(r), room = 0;
    uint8_t *all = NULL;
    int64_t count = 0;
    for (;;) {
        if ((size_t)count == room) {
            room = room ? room * 2 : 16;
            all = realloc(all, room * n);
        }
        bool got;
        assert_ms_ok(ms_video_reader_read(r, all + (size_t)count * n, 0, &got, &err), &err);
        if (!got)
            break;
        count++;
    }
    *ret_count = count;
    return all;
}

static uint8_t *read_file(const char *path, const ms_video_reader_params *params, int64_t *ret_count) {
    ms_video_reader *r = open_reader(path, params);
    uint8_t *all = read_all(r, ret_count);
    ms_video_reader_close(&r);
    return all;
}

static void assert_picture(const uint8_t *rgb, int width, int height, int64_t number) {
    size_t n = (size_t)width * (size_t)height * 3;
    uint8_t *expected = malloc(n);
    clip_picture(expected, width, height, number);
    assert_memory_equal(rgb, expected, n);
    free(expected);
}

/* ---- frames */

static void lossless_clips_are_read_exactly(void **state) {
    (void)state;
    static const struct {
        const char *name, *encoder, *format, *options;
        int width, height, frames;
    } clips[] = {
        {"rgb.mkv", "libx264rgb", "rgb24", "qp=0:preset=ultrafast:bf=0", 160, 120, 30},
        {"bgr0.mkv", "ffv1", "bgr0", NULL, 853, 479, 3},
        {"one.mov", "png", "rgb24", NULL, 33, 17, 1},
        {"tiny.mkv", "ffv1", "bgr0", NULL, 1, 1, 3},
        {"bgra.mkv", "ffv1", "bgra", NULL, 50, 21, 2},
        {"gbrp.avi", "huffyuv", "rgb24", NULL, 64, 48, 5},
        {"utvideo.avi", "utvideo", "gbrp", NULL, 64, 48, 5},
    };
    for (size_t i = 0; i < sizeof(clips) / sizeof(clips[0]); i++) {
        int w = clips[i].width, h = clips[i].height;
        clip_raw raw = {.encoder = clips[i].encoder,
                        .pixel_format = clips[i].format,
                        .options = clips[i].options,
                        .width = w,
                        .height = h,
                        .fps_num = 25,
                        .fps_den = 1,
                        .frames = clips[i].frames};
        const char *path = clip_path(clips[i].name);
        clip_write_raw(path, &raw);
        int64_t count;
        ms_video_reader *r = open_reader(path, NULL);
        const ms_video_info *info = ms_video_reader_info(r);
        assert_int_equal(info->width, w);
        assert_int_equal(info->height, h);
        assert_int_equal(info->colour.matrix, 0);
        assert_int_equal(info->fps.num, 25);
        assert_int_equal(info->n_audio, 0);
        uint8_t *all = read_all(r, &count);
        assert_int_equal(count, clips[i].frames);
        for (int64_t f = 0; f < count; f++)
            assert_picture(all + (size_t)f * frame_bytes(r), w, h, f);
        ms_video_damage_report damage;
        ms_video_reader_damage(r, &damage);
        assert_string_equal(damage.message, "");
        free(all);
        ms_video_reader_close(&r);
    }
}

static void lossy_clips_are_close(void **state) {
    (void)state;
    static const struct {
        const char *name, *encoder, *format, *options;
        int bits;
        double psnr;
    } clips[] = {
        {"a.mp4", "libx264", "yuv420p", "crf=10:preset=veryfast", 8, 30},
        {"b.mkv", "libx264", "yuv444p", "crf=10:preset=veryfast", 8, 40},
        {"c.mkv", "libx264", "yuv422p10le", "crf=10:preset=veryfast", 10, 30},
        {"d.mp4", "libx265", "yuv420p10le", "crf=10:preset=ultrafast:x265-params=log-level=none", 10, 30},
        {"e.webm", "libvpx-vp9", "yuv444p", "crf=4:b=0:deadline=realtime:cpu-used=8", 8, 38},
        {"f.avi", "mjpeg", "yuvj444p", "qmin=1:qmax=2", 8, 36},
        {"g.mkv", "ffv1", "yuv444p16le", NULL, 16, 48},
        {"h.mkv", "ffv1", "gray", NULL, 8, 5},
    };
    for (size_t i = 0; i < sizeof(clips) / sizeof(clips[0]); i++) {
        clip_raw raw = {.encoder = clips[i].encoder,
                        .pixel_format = clips[i].format,
                        .options = clips[i].options,
                        .width = 176,
                        .height = 144,
                        .fps_num = 25,
                        .fps_den = 1,
                        .frames = 12};
        const char *path = clip_path(clips[i].name);
        clip_write_raw(path, &raw);
        ms_video_reader *r = open_reader(path, NULL);
        assert_int_equal(ms_video_reader_info(r)->bits, clips[i].bits);
        int64_t count;
        uint8_t *all = read_all(r, &count), expected[176 * 144 * 3];
        assert_int_equal(count, 12);
        for (int64_t f = 0; f < count; f++) {
            clip_picture(expected, 176, 144, f);
            double psnr = clip_psnr(all + (size_t)f * sizeof(expected), expected, sizeof(expected));
            if (psnr < clips[i].psnr)
                fail_msg("%s frame %d: %.1f dB", clips[i].name, (int)f, psnr);
        }
        free(all);
        ms_video_reader_close(&r);
    }
}

static void rows_may_be_apart(void **state) {
    (void)state;
    ms_error err;
    clip_raw raw = {.encoder = "ffv1",
                    .pixel_format = "bgr0",
                    .width = 37,
                    .height = 11,
                    .fps_num = 25,
                    .fps_den = 1,
                    .frames = 1};
    clip_write_raw(clip_path("stride.mkv"), &raw);
    ms_video_reader *r = open_reader(clip_path("stride.mkv"), NULL);
    uint8_t wide[11 * 200], tight[11 * 37 * 3];
    memset(wide, 0xee, sizeof(wide));
    bool got;
    assert_ms_ok(ms_video_reader_read(r, wide, 200, &got, &err), &err);
    clip_picture(tight, 37, 11, 0);
    for (int y = 0; y < 11; y++) {
        assert_memory_equal(wide + y * 200, tight + y * 111, 111);
        for (int x = 111; x < 200; x++)
            assert_int_equal(wide[y * 200 + x], 0xee);
    }
    ms_video_reader_close(&r);
}

static void threads_do_not_change_frames(void **state) {
    (void)state;
    clip_raw raw = {.encoder = "libx264",
                    .pixel_format = "yuv420p",
                    .options = "preset=fast:g=20",
                    .width = 176,
                    .height = 144,
                    .fps_num = 30,
                    .fps_den = 1,
                    .frames = 60};
    clip_write_raw(clip_path("threads.mkv"), &raw);
    int64_t count[2];
    uint8_t *all[2];
    for (int i = 0; i < 2; i++) {
        ms_video_reader_params p = MS_VIDEO_READER_DEFAULTS;
        p.threads = i ? 5 : 1;
        all[i] = read_file(clip_path("threads.mkv"), &p, &count[i]);
    }
    assert_int_equal(count[0], count[1]);
    assert_memory_equal(all[0], all[1], (size_t)count[0] * 176 * 144 * 3);
    free(all[0]);
    free(all[1]);
}

/* ---- turning */

static void pictures_are_turned_upright(void **state) {
    (void)state;
    enum { W = 40, H = 24 };
    static uint8_t stored[H][W][3];
    for (int i = 0; i < 8; i++) {
        int turn = i % 4 * 90;
        bool mirror = i >= 4;
        clip_raw raw = {.encoder = "png",
                        .pixel_format = "rgb24",
                        .width = W,
                        .height = H,
                        .fps_num = 25,
                        .fps_den = 1,
                        .frames = 2,
                        .rotate = turn,
                        .mirror = mirror};
        clip_write_raw(clip_path("turn.mov"), &raw);
        ms_video_reader *r = open_reader(clip_path("turn.mov"), NULL);
        const ms_video_info *info = ms_video_reader_info(r);
        int w = turn % 180 ? H : W, h = turn % 180 ? W : H;
        assert_int_equal(info->width, w);
        assert_int_equal(info->height, h);
        assert_int_equal(info->mirrored, mirror);
        assert_int_equal(info->stored_width, W);
        int64_t count;
        uint8_t *all = read_all(r, &count);
        assert_int_equal(count, 2);
        clip_picture(stored[0][0], W, H, 1);
        const uint8_t *shown = all + (size_t)w * (size_t)h * 3;
        for (int y = 0; y < h; y++) {
            for (int x = 0; x < w; x++) {
                /* Where the pixel was before the picture was turned clockwise and then mirrored left to right. */
                int tx = mirror ? w - 1 - x : x;
                int sx = turn == 0 ? tx : turn == 90 ? y : turn == 180 ? W - 1 - tx : W - 1 - y;
                int sy = turn == 0 ? y : turn == 90 ? H - 1 - tx : turn == 180 ? H - 1 - y : tx;
                assert_memory_equal(shown + 3 * (y * w + x), stored[sy][sx], 3);
            }
        }
        if (!mirror)
            assert_int_equal(info->degrees, turn);
        free(all);
        ms_video_reader_close(&r);
    }
}

static void odd_angles_are_reported(void **state) {
    (void)state;
    clip_raw raw = {.encoder = "png",
                    .pixel_format = "rgb24",
                    .width = 40,
                    .height = 24,
                    .fps_num = 25,
                    .fps_den = 1,
                    .frames = 1,
                    .rotate = 30};
    clip_write_raw(clip_path("odd.mov"), &raw);
    ms_video_reader *r = open_reader(clip_path("odd.mov"), NULL);
    assert_true(ms_video_reader_info(r)->odd_angle);
    assert_int_equal(ms_video_reader_info(r)->width, 40);
    ms_video_reader_close(&r);
}

/* ---- rates */

/* Which source frame an output picture is; the blue squares and the discs make all different. */
static int64_t identify(const uint8_t *rgb, int width, int height, int64_t near) {
    size_t n = (size_t)width * (size_t)height * 3;
    uint8_t *p = malloc(n);
    int64_t found = -1;
    for (int64_t d = 0; d < 40 && found < 0; d++) {
        for (int sign = -1; sign <= 1 && found < 0; sign += 2) {
            int64_t k = near + sign * d;
            if (k < 0)
                continue;
            clip_picture(p, width, height, k);
            if (memcmp(p, rgb, n) == 0)
                found = k;
        }
    }
    free(p);
    return found;
}

/* Frame counts of `ffmpeg -r 25` (5.1.9) for a 4 s clip in Matroska, measured with that command. */
static const struct {
    int num, den, frames, expected;
} rates[] = {
    {25, 1, 100, 100}, {24, 1, 96, 100}, {30, 1, 120, 102},      {30000, 1001, 120, 102}, {50, 1, 200, 102},
    {60, 1, 240, 102}, {12, 1, 48, 100}, {24000, 1001, 96, 100}, {15, 1, 60, 100},        {7, 1, 28, 100},
};

static void rates_are_converted_as_ffmpeg_does(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        clip_raw raw = {.encoder = "ffv1",
                        .pixel_format = "bgr0",
                        .width = 32,
                        .height = 24,
                        .fps_num = rates[i].num,
                        .fps_den = rates[i].den,
                        .frames = rates[i].frames};
        clip_write_raw(clip_path("rate.mkv"), &raw);
        int64_t count;
        uint8_t *all = read_file(clip_path("rate.mkv"), NULL, &count);
        if (count != rates[i].expected)
            fail_msg("%d/%d: %d frames", rates[i].num, rates[i].den, (int)count);
        /* Shown at most 2.2 output frames from its time, and never backwards. */
        int64_t last = 0;
        for (int64_t f = 0; f < count; f++) {
            double time = (double)f / 25 * rates[i].num / rates[i].den;
            int64_t k = identify(all + (size_t)f * 32 * 24 * 3, 32, 24, (int64_t)time);
            assert_true(k >= last);
            assert_true(fabs((double)k - time) <= 2.2 * rates[i].num / rates[i].den / 25 + 1);
            last = k;
        }
        free(all);
        /* At its own rate every frame comes once. */
        ms_video_reader_params own = MS_VIDEO_READER_DEFAULTS;
        own.fps = (ms_rational){0, 1};
        all = read_file(clip_path("rate.mkv"), &own, &count);
        assert_int_equal(count, rates[i].frames);
        for (int64_t f = 0; f < count; f++)
            assert_picture(all + (size_t)f * 32 * 24 * 3, 32, 24, f);
        free(all);
    }
}

/* The command has kept the rules of cfr.h up to version 5; from 6 on it rounds timestamps that vary in another way. */
static bool have_ffmpeg_of_our_rules(void) {
    return system("ffmpeg -version 2>/dev/null | grep -q '^ffmpeg version n\\?[45]\\.'") == 0;
}

static void assert_same_as_command(const char *path) {
    char command[1200];
    const char *reference = clip_path("reference.rgb");
    snprintf(command, sizeof(command),
             "ffmpeg -v quiet -nostdin -y -i '%s' -r 25 -f rawvideo -pix_fmt rgb24 '%s'", path, reference);
    assert_int_equal(system(command), 0);
    int64_t count;
    size_t bytes;
    uint8_t *expected = clip_load(reference, &bytes), *all = read_file(path, NULL, &count);
    if ((size_t)count * 32 * 24 * 3 != bytes)
        fail_msg("%s: %d frames, ffmpeg %d", path, (int)count, (int)(bytes / (32 * 24 * 3)));
    assert_memory_equal(all, expected, bytes);
    free(all);
    free(expected);
}

enum { N_VARYING = 12 };

/* Jittering, with holes, late, fast and slow; with and without a second stream. */
static const char *write_varying(int kind, uint64_t *seed) {
    enum { N = 90 };
    int64_t times[N], t = kind % 4 == 1 ? 90000 * 3 / 2 : 0;
    for (int k = 0; k < N; k++) {
        times[k] = t;
        int64_t step = 90000 / (kind < 4 ? 25 : kind < 8 ? 30 : 60);
        t += step / 2 + test_rand(seed) % (uint32_t)step;
        if (test_rand(seed) % 12 == 0)
            t += step * (int64_t)(test_rand(seed) % 20);
    }
    clip_raw raw = {.encoder = "ffv1",
                    .pixel_format = "bgr0",
                    .width = 32,
                    .height = 24,
                    .fps_num = 25,
                    .fps_den = 1,
                    .frames = N,
                    .times = times,
                    .silent_audio = kind % 2};
    const char *path = clip_path(kind % 3 ? "vfr.mkv" : "vfr.mov");
    clip_write_raw(path, &raw);
    return path;
}

static void same_frames_as_the_command(void **state) {
    (void)state;
    if (!have_ffmpeg_of_our_rules()) {
        print_message("no ffmpeg command of versions 4 and 5\n");
        skip();
    }
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        clip_raw raw = {.encoder = "ffv1",
                        .pixel_format = "bgr0",
                        .width = 32,
                        .height = 24,
                        .fps_num = rates[i].num,
                        .fps_den = rates[i].den,
                        .frames = rates[i].frames,
                        .silent_audio = i % 2};
        clip_write_raw(clip_path("command.mkv"), &raw);
        assert_same_as_command(clip_path("command.mkv"));
    }
    uint64_t seed = 9;
    for (int kind = 0; kind < N_VARYING; kind++)
        assert_same_as_command(write_varying(kind, &seed));
}

/* What the command of version 5 gives, by every version of the libraries. */
static void same_frames_by_every_version(void **state) {
    (void)state;
    uint64_t seed = 9, hash = 0;
    for (int kind = 0; kind < N_VARYING; kind++) {
        int64_t count;
        uint8_t *all = read_file(write_varying(kind, &seed), NULL, &count);
        for (int64_t i = 0; i < count * 32 * 24 * 3; i++)
            hash = (hash ^ all[i]) * 0x100000001b3u;
        free(all);
    }
    assert_int_equal(hash, 0xa15995df22570e99u);
}

static void varying_rates_average(void **state) {
    (void)state;
    int64_t times[100];
    for (int k = 0; k < 100; k++)
        times[k] = 90000 / 20 * k + (k % 3) * 700;
    clip_raw raw = {.encoder = "ffv1",
                    .pixel_format = "bgr0",
                    .width = 32,
                    .height = 24,
                    .fps_num = 20,
                    .fps_den = 1,
                    .frames = 100,
                    .times = times};
    clip_write_raw(clip_path("average.mov"), &raw);
    ms_video_reader_params own = MS_VIDEO_READER_DEFAULTS;
    own.fps = (ms_rational){0, 1};
    ms_video_reader *r = open_reader(clip_path("average.mov"), &own);
    const ms_video_info *info = ms_video_reader_info(r);
    double fps = (double)info->fps.num / info->fps.den;
    assert_true(fabs(fps - 20) < 0.5);
    int64_t count;
    free(read_all(r, &count));
    assert_in_range(count, 98, 102);
    ms_video_reader_close(&r);
}

/* ---- seeking */

static void check_seeking(const char *path, const ms_video_reader_params *params, int jumps) {
    ms_error err;
    int64_t count, again;
    ms_video_reader *r = open_reader(path, params);
    size_t n = frame_bytes(r);
    uint8_t *all = read_all(r, &count), *frame = malloc(n);
    uint64_t seed = 21;
    bool got;
    for (int i = 0; i < jumps; i++) {
        int64_t at = (int64_t)(test_rand(&seed) % (uint32_t)count), run = 1 + test_rand(&seed) % 4;
        assert_ms_ok(ms_video_reader_seek(r, at, &err), &err);
        for (int64_t f = at; f < at + run; f++) {
            assert_int_equal(ms_video_reader_tell(r), f < count ? f : count);
            assert_ms_ok(ms_video_reader_read(r, frame, 0, &got, &err), &err);
            assert_int_equal(got, f < count);
            if (got && memcmp(frame, all + (size_t)f * n, n) != 0)
                fail_msg("%s: frame %d after a seek to %d differs", path, (int)f, (int)at);
        }
    }
    /* Backwards in blocks, as ping-pong does. */
    for (int64_t end = count; end > 0; end -= 10) {
        int64_t begin = end > 10 ? end - 10 : 0;
        assert_ms_ok(ms_video_reader_seek(r, begin, &err), &err);
        for (int64_t f = begin; f < end; f++) {
            assert_ms_ok(ms_video_reader_read(r, frame, 0, &got, &err), &err);
            assert_true(got && memcmp(frame, all + (size_t)f * n, n) == 0);
        }
    }
    ms_video_reader_close(&r);

    /* A reader that never read to the end: counting, and a seek past it. */
    r = open_reader(path, params);
    assert_ms_ok(ms_video_reader_seek(r, count / 2, &err), &err);
    assert_ms_ok(ms_video_reader_count(r, &again, &err), &err);
    assert_int_equal(again, count);
    assert_int_equal(ms_video_reader_tell(r), count / 2);
    assert_ms_ok(ms_video_reader_read(r, frame, 0, &got, &err), &err);
    assert_true(got && memcmp(frame, all + (size_t)(count / 2) * n, n) == 0);
    assert_ms_ok(ms_video_reader_seek(r, count + 5, &err), &err);
    assert_ms_ok(ms_video_reader_read(r, frame, 0, &got, &err), &err);
    assert_false(got);
    assert_int_equal(ms_video_reader_seek(r, -1, &err), MS_INVALID_ARGUMENT);
    ms_video_reader_close(&r);
    free(all);
    free(frame);
}

static void seeks_are_exact(void **state) {
    (void)state;
    static const struct {
        const char *name, *encoder, *options;
    } clips[] = {
        {"s.mp4", "libx264", "preset=veryfast:bf=3:g=15"},
        {"s.mkv", "libx264", "preset=veryfast:bf=3:x264-params=open-gop=1\\:keyint=15\\:scenecut=0"},
        {"s.mov", "libx264", "preset=veryfast:bf=5:x264-params=intra-refresh=1\\:keyint=15"},
        {"s.avi", "libx264", "preset=veryfast:bf=2:g=15"},
        {"s.ts", "libx264", "preset=veryfast:bf=2:g=15"},
        {"s.flv", "libx264", "preset=veryfast:bf=2:g=15"},
        {"s.h264", "libx264", "preset=veryfast:bf=2:g=15"},
        {"s2.mp4", "libx265", "preset=ultrafast:x265-params=log-level=none\\:keyint=15"},
        {"s.webm", "libvpx-vp9", "deadline=realtime:cpu-used=8:g=15"},
        {"s.mpg", "mpeg2video", "bf=2:g=15"},
        {"s2.avi", "mpeg4", "bf=2:g=15"},
    };
    for (size_t i = 0; i < sizeof(clips) / sizeof(clips[0]); i++) {
        clip_raw raw = {.encoder = clips[i].encoder,
                        .pixel_format = "yuv420p",
                        .options = clips[i].options,
                        .width = 64,
                        .height = 48,
                        .fps_num = i % 2 ? 25 : 30,
                        .fps_den = 1,
                        .frames = 110};
        clip_write_raw(clip_path(clips[i].name), &raw);
        check_seeking(clip_path(clips[i].name), NULL, 40);
    }
}

static void seeks_are_exact_when_the_rate_varies(void **state) {
    (void)state;
    enum { N = 150 };
    int64_t times[N], t = 0;
    uint64_t seed = 77;
    for (int k = 0; k < N; k++) {
        times[k] = t;
        t += 1500 + test_rand(&seed) % 6000 + (k % 50 == 49 ? 90000 : 0);
    }
    clip_raw raw = {.encoder = "libx264",
                    .pixel_format = "yuv420p",
                    .options = "preset=veryfast:bf=3:g=20",
                    .width = 64,
                    .height = 48,
                    .fps_num = 25,
                    .fps_den = 1,
                    .frames = N,
                    .times = times};
    clip_write_raw(clip_path("v.mkv"), &raw);
    clip_write_raw(clip_path("v.mp4"), &raw);
    check_seeking(clip_path("v.mkv"), NULL, 60);
    check_seeking(clip_path("v.mp4"), NULL, 60);
    ms_video_reader_params own = MS_VIDEO_READER_DEFAULTS;
    own.fps = (ms_rational){0, 1};
    check_seeking(clip_path("v.mp4"), &own, 40);
}

static void marks_carry_over(void **state) {
    (void)state;
    ms_error err;
    clip_raw raw = {.encoder = "libx264",
                    .pixel_format = "yuv420p",
                    .options = "preset=veryfast:g=25:bf=2",
                    .width = 64,
                    .height = 48,
                    .fps_num = 30,
                    .fps_den = 1,
                    .frames = 300};
    clip_write_raw(clip_path("marks.mkv"), &raw);
    int64_t count;
    ms_video_reader *r = open_reader(clip_path("marks.mkv"), NULL);
    uint8_t *all = read_all(r, &count), frame[64 * 48 * 3];
    ms_video_mark mark, stale;
    assert_true(ms_video_reader_get_mark(r, 200, &mark));
    assert_in_range(mark.first_frame, 150, 200);
    ms_video_reader_close(&r);

    /* Right away near the end, without having read what is before. */
    bool got;
    for (int kind = 0; kind < 3; kind++) {
        r = open_reader(clip_path("marks.mkv"), NULL);
        stale = mark;
        if (kind == 1)
            stale.fingerprint ^= 1;
        if (kind == 2)
            stale.timestamp += 3;
        ms_video_reader_add_mark(r, &stale);
        assert_ms_ok(ms_video_reader_seek(r, 205, &err), &err);
        for (int64_t f = 205; f < 215; f++) {
            assert_ms_ok(ms_video_reader_read(r, frame, 0, &got, &err), &err);
            assert_true(got && memcmp(frame, all + (size_t)f * sizeof(frame), sizeof(frame)) == 0);
        }
        ms_video_reader_close(&r);
    }
    free(all);
}

static void the_mark_table_stays_small(void **state) {
    (void)state;
    ms_error err;
    clip_raw raw = {.encoder = "ffv1",
                    .pixel_format = "bgr0",
                    .width = 16,
                    .height = 8,
                    .fps_num = 2,
                    .fps_den = 1,
                    .frames = 700}; /* every second a key frame: 350 s at 25 fps, 350 marks */
    clip_write_raw(clip_path("long.mkv"), &raw);
    ms_video_reader *r = open_reader(clip_path("long.mkv"), NULL);
    ms_mem_usage before, after;
    ms_mem_get_usage(NULL, &before);
    int64_t count;
    assert_ms_ok(ms_video_reader_count(r, &count, &err), &err);
    ms_mem_get_usage(NULL, &after);
    assert_int_equal(count, 8750);
    assert_int_equal(before.current_bytes, after.current_bytes);
    /* Filling it by hand far beyond its room thins it out. */
    ms_video_mark mark = {.fingerprint = 1};
    for (int i = 0; i < 3 * MS_VIDEO_MAX_MARKS; i++) {
        mark.first_frame = 10000 + i;
        ms_video_reader_add_mark(r, &mark);
    }
    assert_true(ms_video_reader_get_mark(r, 10000 + 3 * MS_VIDEO_MAX_MARKS, &mark));
    assert_in_range(mark.first_frame, 10000 + 3 * MS_VIDEO_MAX_MARKS - 8, 10000 + 3 * MS_VIDEO_MAX_MARKS);
    uint8_t frame[16 * 8 * 3];
    bool got;
    assert_ms_ok(ms_video_reader_seek(r, 5000, &err), &err);
    assert_ms_ok(ms_video_reader_read(r, frame, 0, &got, &err), &err);
    assert_true(got);
    assert_picture(frame, 16, 8, 400);
    ms_video_reader_close(&r);
}

/* ---- colour */

static const uint8_t patches[][3] = {{255, 255, 255}, {0, 0, 0},       {255, 0, 0},   {0, 255, 0},
                                     {0, 0, 255},     {255, 255, 0},   {0, 255, 255}, {255, 0, 255},
                                     {128, 128, 128}, {200, 150, 120}, {90, 60, 45},  {16, 235, 128},
                                     {12, 34, 56},    {250, 240, 230}, {77, 77, 20},  {180, 20, 99}};
#define N_PATCHES ((int)(sizeof(patches) / sizeof(patches[0])))
#define PATCH 16

typedef struct coding {
    double kr, kb;
    bool full;
} coding;

/* Patches side by side in YUV by the definition in H.273; 8 or 10 bits, any chroma. */
static void fill_patches(AVFrame *frame, int64_t number, const void *context) {
    (void)number;
    const coding *c = context;
    bool ten = frame->format == AV_PIX_FMT_YUV420P10LE;
    bool half_x = frame->format != AV_PIX_FMT_YUV444P, half_y = half_x && frame->format != AV_PIX_FMT_YUV422P;
    for (int plane = 0; plane < 3; plane++) {
        int w = plane && half_x ? frame->width / 2 : frame->width;
        int h = plane && half_y ? frame->height / 2 : frame->height;
        int patch = plane && half_x ? PATCH / 2 : PATCH;
        for (int y = 0; y < h; y++) {
            for (int x = 0; x < w; x++) {
                const uint8_t *rgb = patches[x / patch % N_PATCHES];
                double r = rgb[0] / 255.0, g = rgb[1] / 255.0, b = rgb[2] / 255.0;
                double luma = c->kr * r + (1 - c->kr - c->kb) * g + c->kb * b;
                double v = plane == 0   ? luma
                           : plane == 1 ? (b - luma) / (2 - 2 * c->kb)
                                        : (r - luma) / (2 - 2 * c->kr);
                double coded =
                    c->full ? v * 255 + (plane ? 128 : 0) : v * (plane ? 224 : 219) + (plane ? 128 : 16);
                coded = coded < 0 ? 0 : coded > 255 ? 255 : coded;
                uint8_t *row = frame->data[plane] + (ptrdiff_t)y * frame->linesize[plane];
                if (ten)
                    ((uint16_t *)row)[x] = (uint16_t)lrint(coded * 4);
                else
                    row[x] = (uint8_t)lrint(coded);
            }
        }
    }
}

/* Largest difference to the patches in their middles, where chroma does not mix. */
static int worst_patch(const uint8_t *rgb, int width, int y) {
    int worst = 0;
    for (int i = 0; i < N_PATCHES; i++) {
        const uint8_t *p = rgb + 3 * ((size_t)y * (size_t)width + (size_t)(i * PATCH + PATCH / 2));
        for (int c = 0; c < 3; c++) {
            int d = abs(p[c] - patches[i][c]);
            worst = d > worst ? d : worst;
        }
    }
    return worst;
}

static void colours_survive(void **state) {
    (void)state;
    static const coding bt601 = {0.299, 0.114, false}, bt601_full = {0.299, 0.114, true},
                        bt709 = {0.2126, 0.0722, false}, bt709_full = {0.2126, 0.0722, true},
                        bt2020 = {0.2627, 0.0593, false}, smpte240 = {0.212, 0.087, false};
    static const struct {
        const coding *coding;
        int matrix; /* as written in the file, 0 = not */
        int height;
        bool matrix_guessed;
        int expected;
    } cases[] = {
        {&bt601, 6, 32, false, 6},    {&bt601_full, 6, 32, false, 6}, {&bt601, 5, 32, false, 5},
        {&bt709, 1, 32, false, 1},    {&bt709_full, 1, 32, false, 1}, {&bt2020, 9, 32, false, 9},
        {&smpte240, 7, 32, false, 7}, {&bt601, 0, 32, true, 6},       {&bt601, 0, 718, true, 6},
        {&bt709, 0, 720, true, 1},
    };
    static const char *const formats[] = {"yuv420p", "yuv444p", "yuv422p", "yuv420p10le"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int f = 0; f < (cases[i].height > 100 ? 1 : 4); f++) {
            clip_raw raw = {.encoder = "ffv1",
                            .pixel_format = formats[f],
                            .width = N_PATCHES * PATCH,
                            .height = cases[i].height,
                            .fps_num = 25,
                            .fps_den = 1,
                            .frames = 1,
                            .matrix = cases[i].matrix,
                            .full_range = cases[i].coding->full,
                            .fill = fill_patches,
                            .context = cases[i].coding};
            clip_write_raw(clip_path("colour.mkv"), &raw);
            ms_video_reader *r = open_reader(clip_path("colour.mkv"), NULL);
            const ms_video_info *info = ms_video_reader_info(r);
            assert_int_equal(info->colour.matrix, cases[i].expected);
            assert_int_equal(info->matrix_guessed, cases[i].matrix_guessed);
            assert_int_equal(info->colour.full_range, cases[i].coding->full);
            int64_t count;
            uint8_t *all = read_all(r, &count);
            int worst = worst_patch(all, info->width, info->height / 2);
            if (worst > 2)
                fail_msg("case %d, %s: %d levels", (int)i, formats[f], worst);
            free(all);
            ms_video_reader_close(&r);
        }
    }
}

static void fill_ramp(AVFrame *frame, int64_t number, const void *context) {
    (void)number;
    (void)context;
    for (int y = 0; y < frame->height; y++)
        memset(frame->data[0] + (ptrdiff_t)y * frame->linesize[0], 128, (size_t)frame->width);
    for (int y = 0; y < frame->height / 2; y++) {
        for (int x = 0; x < frame->width / 2; x++) {
            frame->data[1][(ptrdiff_t)y * frame->linesize[1] + x] = 128;
            frame->data[2][(ptrdiff_t)y * frame->linesize[2] + x] = (uint8_t)(64 + 2 * x);
        }
    }
}

/* A straight ramp in V: with chroma at the left of its pixel pair, red at pixel x follows 64 + x; taken for the
   middle, it would be half a level of V less. */
static void chroma_lies_on_the_left(void **state) {
    (void)state;
    clip_raw raw = {.encoder = "ffv1",
                    .pixel_format = "yuv420p",
                    .width = 128,
                    .height = 32,
                    .fps_num = 25,
                    .fps_den = 1,
                    .frames = 1,
                    .matrix = 6,
                    .fill = fill_ramp};
    clip_write_raw(clip_path("siting.mkv"), &raw);
    int64_t count;
    uint8_t *all = read_file(clip_path("siting.mkv"), NULL, &count);
    double sum = 0;
    for (int x = 16; x < 96; x++) { /* V = 64 + x runs to 160 there: no clipping */
        double exact = 255.0 / 219 * (128 - 16) + 255.0 / 224 * 1.402 * (64 + x - 128);
        exact = exact < 0 ? 0 : exact > 255 ? 255 : exact;
        sum += all[3 * (16 * 128 + x)] - exact;
    }
    assert_true(fabs(sum / 80) < 0.3); /* half a level of V would be 0.8 */
    free(all);
}

/* ---- what is no video */

static void save_text(const char *path, const char *text) {
    clip_save(path, (const uint8_t *)text, strlen(text));
}

static void assert_refused(const char *path, ms_status code, const char *word) {
    ms_error err;
    ms_video_reader *r = NULL;
    assert_int_equal(ms_video_reader_open(NULL, path, NULL, &r, &err), code);
    assert_null(r);
    if (!strstr(err.message, path) || !strstr(err.message, word))
        fail_msg("message of %s: %s", path, err.message);
}

static void what_is_no_video_is_refused(void **state) {
    (void)state;
    assert_refused(clip_path("missing.mp4"), MS_IO, "No such file");
    assert_refused(clip_folder(), MS_IO, "folder");
    assert_refused("/dev/null", MS_IO, "pipe or device");
    save_text(clip_path("empty.mp4"), "");
    assert_refused(clip_path("empty.mp4"), MS_BAD_MEDIA, "empty");
    save_text(clip_path("words.txt"), "This is a text, and FFmpeg would show it as a terminal's picture.\n");
    assert_refused(clip_path("words.txt"), MS_BAD_MEDIA, "not a readable media file");
    save_text(clip_path("words.mp4"), "No box here at all, only words, for some hundred bytes or so.....");
    assert_refused(clip_path("words.mp4"), MS_BAD_MEDIA, "not a readable media file");
    clip_write_wav(clip_path("sound.wav"), 16000, 1, 16000, NULL);
    assert_refused(clip_path("sound.wav"), MS_BAD_MEDIA, "no video stream");
    clip_write_cover(clip_path("cover.m4a"));
    assert_refused(clip_path("cover.m4a"), MS_BAD_MEDIA, "no video stream");

    clip_raw raw = {
        .encoder = "ffv1", .pixel_format = "bgr0", .width = 32, .height = 24, .fps_num = 25, .fps_den = 1};
    clip_write_raw(clip_path("none.mkv"), &raw);
    assert_refused(clip_path("none.mkv"), MS_BAD_MEDIA, "");
}

/* What the ffmpeg command would take besides files is refused with what to do; a file may have any name. */
static void what_is_no_file_is_refused_by_its_name(void **state) {
    (void)state;
    assert_refused("https://example.org/a.mp4", MS_UNSUPPORTED, "download it first");
    assert_refused("http://example.org/a_%d.png", MS_UNSUPPORTED, "is an address");
    assert_refused("rtmp://example.org/live", MS_UNSUPPORTED, "is an address");
    assert_refused("-", MS_UNSUPPORTED, "standard input is not read");
    assert_refused("pipe:0", MS_UNSUPPORTED, "save it to a file first");
    assert_refused(clip_path("frame_%04d.png"), MS_IO,
                   "there is no file of that name with a number from 0 to 4");
    assert_refused("-", MS_UNSUPPORTED, "ffmpeg -i - -c copy in.mkv");
    assert_refused(clip_path("100%.mp4"), MS_IO, "No such file");
    assert_int_equal(mkfifo(clip_path("fifo.mkv"), 0600), 0);
    assert_refused(clip_path("fifo.mkv"), MS_IO, "save it to a file first: ffmpeg -i ");
    assert_refused(clip_path("fifo.mkv"), MS_IO, " -c copy in.mkv");
    unlink(clip_path("fifo.mkv"));
    clip_raw raw = {.encoder = "ffv1",
                    .pixel_format = "bgr0",
                    .width = 32,
                    .height = 24,
                    .fps_num = 25,
                    .fps_den = 1,
                    .frames = 2};
    clip_write_raw(clip_path("odd_%d.mkv"), &raw);
    ms_error err;
    ms_video_reader *r = NULL;
    assert_ms_ok(ms_video_reader_open(NULL, clip_path("odd_%d.mkv"), NULL, &r, &err), &err);
    ms_video_reader_close(&r);
    char name[600];
    snprintf(name, sizeof(name), "file:%s", clip_path("odd_%d.mkv"));
    assert_refused(name, MS_UNSUPPORTED, "the file's name alone");
}

/* A playlist must not make the reader open what it names. */
static void other_files_are_not_opened(void **state) {
    (void)state;
    clip_raw raw = {.encoder = "libx264",
                    .pixel_format = "yuv420p",
                    .options = "preset=ultrafast",
                    .width = 64,
                    .height = 48,
                    .fps_num = 25,
                    .fps_den = 1,
                    .frames = 5};
    clip_write_raw(clip_path("part.ts"), &raw);
    save_text(clip_path("list.m3u8"),
              "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\npart.ts\n"
              "#EXT-X-ENDLIST\n");
    assert_refused(clip_path("list.m3u8"), MS_BAD_MEDIA, "");
    save_text(clip_path("list.ffconcat"), "ffconcat version 1.0\nfile part.ts\n");
    assert_refused(clip_path("list.ffconcat"), MS_BAD_MEDIA, "");
}

static void parameters_are_checked(void **state) {
    (void)state;
    ms_error err;
    ms_video_reader *r;
    ms_video_reader_params p = MS_VIDEO_READER_DEFAULTS;
    p.fps = (ms_rational){25, 0};
    assert_int_equal(ms_video_reader_open(NULL, "x.mp4", &p, &r, &err), MS_INVALID_ARGUMENT);
    p = MS_VIDEO_READER_DEFAULTS;
    p.threads = 0;
    assert_int_equal(ms_video_reader_open(NULL, "x.mp4", &p, &r, &err), MS_INVALID_ARGUMENT);
    clip_raw raw = {.encoder = "ffv1",
                    .pixel_format = "bgr0",
                    .width = 32,
                    .height = 24,
                    .fps_num = 25,
                    .fps_den = 1,
                    .frames = 2,
                    .silent_audio = true};
    clip_write_raw(clip_path("streams.mkv"), &raw);
    p = MS_VIDEO_READER_DEFAULTS;
    p.stream = 1;
    assert_int_equal(ms_video_reader_open(NULL, clip_path("streams.mkv"), &p, &r, &err), MS_BAD_MEDIA);
    p.stream = 0;
    r = open_reader(clip_path("streams.mkv"), &p);
    assert_int_equal(ms_video_reader_info(r)->n_audio, 1);
    assert_string_equal(ms_video_reader_info(r)->audio[0].codec, "pcm_s16le");
    assert_int_equal(ms_video_reader_info(r)->audio[0].rate, 16000);
    ms_video_reader_close(&r);
}

/* ---- damage */

static void truncated_files_give_what_is_there(void **state) {
    (void)state;
    static const char *const names[] = {"cut.mkv", "cut.mp4", "cut.ts"};
    for (int i = 0; i < 3; i++) {
        ms_error err;
        if (i == 1) { /* with the index in front, as our writer puts it */
            ms_video_writer_params p = MS_VIDEO_WRITER_DEFAULTS;
            p.width = 160;
            p.height = 120;
            p.preset = "ultrafast";
            assert_ms_ok(clip_write(clip_path(names[i]), &p, 100, &err), &err);
        } else {
            clip_raw raw = {.encoder = "libx264",
                            .pixel_format = "yuv420p",
                            .options = "preset=veryfast:g=10",
                            .width = 160,
                            .height = 120,
                            .fps_num = 25,
                            .fps_den = 1,
                            .frames = 100};
            clip_write_raw(clip_path(names[i]), &raw);
        }
        size_t bytes;
        uint8_t *data = clip_load(clip_path(names[i]), &bytes);
        clip_save(clip_path(names[i]), data, bytes * 3 / 5);
        free(data);
        int64_t count;
        ms_video_reader *r = open_reader(clip_path(names[i]), NULL);
        free(read_all(r, &count));
        assert_in_range(count, 30, 75);
        ms_video_damage_report damage;
        ms_video_reader_damage(r, &damage);
        if (i < 2) { /* MPEG-TS does not say how many there should be */
            assert_true(damage.truncated);
            assert_in_range(damage.frames_lost, 100 - count - 3, 100 - count + 3);
        }
        int64_t lost = damage.frames_lost;
        /* Reading again counts nothing twice. */
        assert_ms_ok(ms_video_reader_seek(r, 0, &err), &err);
        free(read_all(r, &count));
        ms_video_reader_damage(r, &damage);
        assert_int_equal(damage.frames_lost, lost);
        ms_video_reader_close(&r);
    }
}

static void corrupt_files_are_survived(void **state) {
    (void)state;
    size_t bytes;
    uint8_t *data = clip_hundred_frames("good.mkv", &bytes);
    uint64_t seed = 5;
    for (int round = 0; round < 20; round++) {
        uint8_t *bad = malloc(bytes);
        memcpy(bad, data, bytes);
        for (int i = 0; i < 40; i++)
            bad[test_rand(&seed) % bytes] = (uint8_t)test_rand(&seed);
        clip_save(clip_path("bad.mkv"), bad, bytes);
        free(bad);
        ms_error err;
        ms_video_reader *r;
        ms_status status = ms_video_reader_open(NULL, clip_path("bad.mkv"), NULL, &r, &err);
        if (status) {
            assert_true(status == MS_BAD_MEDIA || status == MS_UNSUPPORTED); /* the codec's name may be hit */
            continue;
        }
        uint8_t *frame = malloc(frame_bytes(r));
        bool got = true;
        int64_t count = 0;
        while (got && count < 100000) {
            status = ms_video_reader_read(r, frame, 0, &got, &err);
            if (status)
                break;
            count += got;
        }
        assert_true(status == MS_OK);
        ms_video_damage_report damage;
        ms_video_reader_damage(r, &damage);
        assert_true(damage.message[0] == 0 || strstr(damage.message, "bad.mkv"));
        assert_ms_ok(ms_video_reader_seek(r, count / 2, &err), &err);
        ms_video_reader_close(&r);
        free(frame);
    }
    free(data);
}

/* Frames that are in no packet or cannot be decoded are counted, however many holes there are: by timestamps, so where there is
   something after the hole. */
static void holes_are_counted(void **state) {
    (void)state;
    static const char *const names[] = {"hole.mkv", "hole.flv"};
    uint64_t seed = 5;
    for (int f = 0; f < 2; f++) {
        size_t bytes;
        uint8_t *data = clip_hundred_frames(names[f], &bytes);
        for (int holes = 0; holes < 12; holes++) {
            memset(data + bytes / 8 + test_rand(&seed) % (bytes / 4 * 3), 0, 100 + test_rand(&seed) % 1500);
            clip_save(clip_path(names[f]), data, bytes);
            int64_t count, shown = 0;
            ms_video_reader *r = open_reader(clip_path(names[f]), NULL);
            uint8_t *all = read_all(r, &count);
            size_t n = frame_bytes(r);
            for (size_t i = 0; i < (size_t)count; i++) /* what is lost is filled with the frame before it */
                shown += i == 0 || memcmp(all + (i - 1) * n, all + i * n, n) != 0;
            ms_video_damage_report damage, again;
            ms_video_reader_damage(r, &damage);
            if (f == 0)
                assert_int_equal(damage.frames_lost, 100 - shown);
            if (f == 1 && holes == 11) /* not every gap has somebody who complains */
                assert_true(damage.frames_lost > 0 && damage.frames_lost <= 100 - shown);
            ms_video_reader_close(&r);
            /* What is concealed, and what is counted, is the same each time. */
            int64_t second;
            r = open_reader(clip_path(names[f]), NULL);
            uint8_t *same = read_all(r, &second);
            ms_video_reader_damage(r, &again);
            assert_int_equal(second, count);
            assert_memory_equal(same, all, (size_t)count * n);
            assert_int_equal(again.frames_lost, damage.frames_lost);
            assert_int_equal(again.frames_marred, damage.frames_marred);
            ms_video_reader_close(&r);
            free(same);
            free(all);
        }
        free(data);
    }
}

/* ---- memory */

static void every_allocation_may_fail(void **state) {
    (void)state;
    ms_error err;
    clip_raw raw = {.encoder = "libx264",
                    .pixel_format = "yuv420p",
                    .options = "preset=ultrafast:g=5",
                    .width = 64,
                    .height = 48,
                    .fps_num = 30,
                    .fps_den = 1,
                    .frames = 12};
    clip_write_raw(clip_path("alloc.mkv"), &raw);
    uint8_t frame[64 * 48 * 3];
    for (uint64_t n = 1;; n++) {
        ms_video_reader *r = NULL;
        bool got = true;
        ms_mem_fail_after(n, n % 2);
        ms_status status = ms_video_reader_open(NULL, clip_path("alloc.mkv"), NULL, &r, &err);
        while (status == MS_OK && got)
            status = ms_video_reader_read(r, frame, 0, &got, &err);
        if (status == MS_OK)
            status = ms_video_reader_seek(r, 2, &err);
        ms_mem_fail_after(0, false);
        ms_video_reader_close(&r);
        ms_mem_usage u;
        ms_mem_get_usage(NULL, &u);
        assert_int_equal(u.current_bytes, 0);
        if (status == MS_OK)
            break;
        assert_int_equal(status, MS_HOST_MEMORY);
        assert_in_range(n, 1, 100);
    }
}

static void a_budget_is_kept(void **state) {
    (void)state;
    ms_error err;
    ms_mem *mem;
    clip_raw raw = {.encoder = "libx264",
                    .pixel_format = "yuv420p",
                    .options = "preset=ultrafast",
                    .width = 640,
                    .height = 480,
                    .fps_num = 25,
                    .fps_den = 1,
                    .frames = 3};
    clip_write_raw(clip_path("budget.mkv"), &raw);
    assert_int_equal(ms_mem_create(4 << 20, &mem), MS_OK);
    ms_video_reader *r = NULL;
    assert_int_equal(ms_video_reader_open(mem, clip_path("budget.mkv"), NULL, &r, &err), MS_HOST_MEMORY);
    assert_non_null(strstr(err.message, "budget.mkv"));
    assert_non_null(strstr(err.message, "video decoder"));
    assert_int_equal(ms_mem_destroy(&mem), 0);
    assert_int_equal(ms_mem_create(64 << 20, &mem), MS_OK);
    assert_ms_ok(ms_video_reader_open(mem, clip_path("budget.mkv"), NULL, &r, &err), &err);
    ms_mem_usage u;
    ms_mem_get_usage(mem, &u);
    assert_true(u.ledger_current[MS_LEDGER_CODEC] > 1 << 20 &&
                u.ledger_current[MS_LEDGER_FRAMES] > 640 * 480 * 3);
    ms_video_reader_close(&r);
    assert_int_equal(ms_mem_destroy(&mem), 0);
}

static void the_golden_clip(void **state) {
    (void)state;
    char path[512];
    if (!golden_path(path, sizeof(path), "e2e/clip.mkv")) {
        print_message("e2e/clip.mkv is not here\n");
        skip();
    }
    ms_video_reader *r = open_reader(path, NULL);
    const ms_video_info *info = ms_video_reader_info(r);
    assert_int_equal(info->width, 360);
    assert_int_equal(info->height, 640);
    int64_t count;
    free(read_all(r, &count));
    assert_int_equal(count, 45);
    ms_video_reader_close(&r);
}

static int remove_folder(void **state) {
    (void)state;
    clip_remove_folder();
    return 0;
}

int main(void) {
    ms_libav_log_take(NULL); /* holes are counted by what libav says of them */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lossless_clips_are_read_exactly),
        cmocka_unit_test(lossy_clips_are_close),
        cmocka_unit_test(rows_may_be_apart),
        cmocka_unit_test(threads_do_not_change_frames),
        cmocka_unit_test(pictures_are_turned_upright),
        cmocka_unit_test(odd_angles_are_reported),
        cmocka_unit_test(rates_are_converted_as_ffmpeg_does),
        cmocka_unit_test(same_frames_as_the_command),
        cmocka_unit_test(same_frames_by_every_version),
        cmocka_unit_test(varying_rates_average),
        cmocka_unit_test(seeks_are_exact),
        cmocka_unit_test(seeks_are_exact_when_the_rate_varies),
        cmocka_unit_test(marks_carry_over),
        cmocka_unit_test(the_mark_table_stays_small),
        cmocka_unit_test(colours_survive),
        cmocka_unit_test(chroma_lies_on_the_left),
        cmocka_unit_test(what_is_no_video_is_refused),
        cmocka_unit_test(what_is_no_file_is_refused_by_its_name),
        cmocka_unit_test(other_files_are_not_opened),
        cmocka_unit_test(parameters_are_checked),
        cmocka_unit_test(truncated_files_give_what_is_there),
        cmocka_unit_test(corrupt_files_are_survived),
        cmocka_unit_test(holes_are_counted),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_budget_is_kept),
        cmocka_unit_test(the_golden_clip),
    };
    av_log_set_level(AV_LOG_QUIET); /* the clips' own encoders, before the reader's log takes over */
    return cmocka_run_group_tests(tests, NULL, remove_folder);
}
