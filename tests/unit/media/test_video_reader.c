/* The video reader: exact frames, turns, what is no video, damage, memory. */
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "support/golden.h"
#include "support/media/video.h"

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
                /* Where the pixel was before the picture was turned clockwise and
                   then mirrored left to right. */
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

/* Frames that are in no packet or cannot be decoded are counted, however many holes
   there are: by timestamps, so where there is something after the hole. */
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

int main(void) {
    ms_libav_log_take(NULL); /* holes are counted by what libav says of them */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lossless_clips_are_read_exactly),
        cmocka_unit_test(lossy_clips_are_close),
        cmocka_unit_test(rows_may_be_apart),
        cmocka_unit_test(threads_do_not_change_frames),
        cmocka_unit_test(pictures_are_turned_upright),
        cmocka_unit_test(odd_angles_are_reported),
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
