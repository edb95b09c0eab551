/* The video reader: rates, and seeking to a frame. */
#include "test.h"

#include "support/media/video.h"

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

/* The command has kept the rules of cfr.h up to version 5; from 6 on it rounds
   timestamps that vary in another way. */
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

int main(void) {
    ms_libav_log_take(NULL); /* holes are counted by what libav says of them */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_converted_as_ffmpeg_does),
        cmocka_unit_test(same_frames_as_the_command),
        cmocka_unit_test(same_frames_by_every_version),
        cmocka_unit_test(varying_rates_average),
        cmocka_unit_test(seeks_are_exact),
        cmocka_unit_test(seeks_are_exact_when_the_rate_varies),
        cmocka_unit_test(marks_carry_over),
        cmocka_unit_test(the_mark_table_stays_small),
    };
    av_log_set_level(AV_LOG_QUIET); /* the clips' own encoders, before the reader's log takes over */
    return cmocka_run_group_tests(tests, NULL, remove_folder);
}
