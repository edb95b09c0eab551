/* Numbered pictures as the video: the same frames as of a lossless video of them,
   in whatever order, and what is wrong with one is told by its name. */
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/in_use.h"
#include "job/job_key.h"
#include "media/read/video_reader.h"
#include "memsafe/libav_log.h"
#include "support/cli.h"
#include "support/media/clip.h"
#include "support/run_params.h"
#include "support/media/track.h"

#define FRAMES 14
#define WIDTH 160
#define HEIGHT 120
#define BYTES (WIDTH * HEIGHT * 3)

static const clip_raw raw = {.encoder = "png",
                             .pixel_format = "rgb24",
                             .width = WIDTH,
                             .height = HEIGHT,
                             .fps_num = 25,
                             .fps_den = 1,
                             .frames = FRAMES};

/* in.mkv, and as many pictures from p_0001.png on. */
static int setup(void **state) {
    (void)state;
    clip_raw lossless = raw;
    lossless.encoder = "ffv1";
    lossless.pixel_format = "bgr0";
    clip_write_raw(test_file("p_%04d.png"), &raw);
    clip_write_raw(test_file("in.mkv"), &lossless);
    clip_write_noise(test_file("in.wav"), 16000);
    test_write_track("in.jsonl", FRAMES, 80, 60, 80, 0, 0);
    assert_run_works("models --synthesize tiny -o %s", test_file("model"));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static void in_dir(const char *line) {
    char all[1024];
    snprintf(all, sizeof(all), "cd '%s' && %s", test_dir(), line);
    assert_int_equal(system(all), 0);
}

static ms_video_reader *open_reader(const char *path, ms_rational fps) {
    ms_error err;
    ms_video_reader *r = NULL;
    ms_video_reader_params p = MS_VIDEO_READER_DEFAULTS;
    p.fps = fps;
    assert_ms_ok(ms_video_reader_open(NULL, path, &p, &r, &err), &err);
    return r;
}

static void read_frame(ms_video_reader *r, int64_t number, uint8_t rgb[BYTES]) {
    ms_error err;
    bool got = false;
    assert_ms_ok(ms_video_reader_seek(r, number, &err), &err);
    assert_ms_ok(ms_video_reader_read(r, rgb, 0, &got, &err), &err);
    assert_true(got);
}

static void frames_are_those_of_a_lossless_video(void **state) {
    (void)state;
    static const ms_rational rates[] = {{25, 1}, {0, 1}, {30000, 1001}};
    static const int order[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 6, 13, 0, 7, 2, 12};
    static uint8_t want[BYTES], got[BYTES];
    ms_error err;
    ms_video_reader *video = open_reader(test_file("in.mkv"), (ms_rational){25, 1});
    for (int k = 0; k < 3; k++) {
        ms_video_damage_report damage;
        int64_t frames = 0;
        ms_video_reader *pictures = open_reader(test_file("p_%04d.png"), rates[k]);
        const ms_video_info *info = ms_video_reader_info(pictures);
        assert_true(info->width == WIDTH && info->height == HEIGHT && info->frames == FRAMES);
        ms_rational fps = rates[k].num ? rates[k] : (ms_rational){25, 1};
        assert_true(info->fps.num == fps.num && info->fps.den == fps.den);
        assert_true(info->source_fps.num == fps.num && info->source_fps.den == fps.den);
        for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
            read_frame(video, order[i], want);
            read_frame(pictures, order[i], got);
            assert_memory_equal(want, got, BYTES);
        }
        assert_ms_ok(ms_video_reader_count(pictures, &frames, &err), &err);
        assert_int_equal(frames, FRAMES);
        ms_video_reader_damage(pictures, &damage);
        assert_string_equal(damage.message, "");
        ms_video_reader_close(&pictures);
    }
    ms_video_reader_close(&video);
}

static void assert_fails(const char *path, size_t room_bytes, ms_status code, const char *word) {
    ms_error err;
    ms_video_reader *r = NULL;
    ms_video_reader_params p = MS_VIDEO_READER_DEFAULTS;
    int64_t frames;
    p.room.bytes = room_bytes;
    ms_error_clear(&err);
    ms_status status = ms_video_reader_open(NULL, path, &p, &r, &err);
    if (status == MS_OK)
        status = ms_video_reader_count(r, &frames, &err);
    ms_video_reader_close(&r);
    if (status != code || !strstr(err.message, word))
        fail_msg("wanted \"%s\" in: %s", word, err.message);
}

static void what_is_wrong_is_told_by_its_name(void **state) {
    (void)state;
    clip_raw other = raw;
    other.width = 176;
    other.frames = 1;
    clip_write_raw(test_file("other_%d.png"), &other);
    other.width = other.height = 3000;
    clip_write_raw(test_file("large_%d.png"), &other);
    in_dir("mkdir d; cp p_*.png d; cp other_1.png d/p_0008.png");
    assert_fails(test_file("d/p_%04d.png"), 0, MS_BAD_MEDIA, "d/p_0008.png is 176x120, and ");
    assert_fails(test_file("d/p_%04d.png"), 0, MS_BAD_MEDIA,
                 "d/p_0001.png is 160x120: numbered pictures must have one size");
    /* One that the budget has no room for is refused before it is decoded. */
    in_dir("cp large_1.png d/p_0008.png");
    assert_fails(test_file("d/p_%04d.png"), (size_t)16 << 20, MS_BAD_MEDIA, "d/p_0008.png is 3000x3000");
    assert_fails(test_file("large_%d.png"), (size_t)16 << 20, MS_BUDGET,
                 "pictures of 3000x3000 take at least");
    assert_fails(test_file("p_%04d.png"), 1000, MS_BUDGET, "the largest of these files takes");
    in_dir("rm d/p_0008.png; mkfifo d/p_0008.png");
    assert_fails(test_file("d/p_%04d.png"), 0, MS_IO, "d/p_0008.png: it is no regular file");
    in_dir("rm d/p_0008.png; : >d/p_0008.png");
    assert_fails(test_file("d/p_%04d.png"), 0, MS_BAD_MEDIA, "d/p_0008.png is empty");
    /* Numbers begin where FFmpeg would find them. */
    in_dir("rm d/*; for i in 5 6 7; do cp p_0001.png d/q$i.png; done");
    assert_fails(test_file("d/q%d.png"), 0, MS_IO, "with a number from 0 to 4");
    in_dir("cp p_0001.png d/q4.png");
    ms_video_reader *r = open_reader(test_file("d/q%d.png"), (ms_rational){25, 1});
    assert_int_equal(ms_video_reader_info(r)->frames, 4);
    ms_video_reader_close(&r);
    in_dir("cp in.wav d/s1.wav; cp in.mkv d/v1.mkv");
    assert_fails(test_file("d/s%d.wav"), 0, MS_UNSUPPORTED, "numbered files of this kind are not read");
    assert_fails(test_file("d/v%d.mkv"), 0, MS_UNSUPPORTED, "numbered files of this kind are not read");
    in_dir("rm -r d other_1.png large_1.png");
}

static void change_byte(const char *path, off_t offset) {
    struct stat st;
    int fd = open(path, O_RDWR);
    char c;
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    assert_int_equal(pread(fd, &c, 1, offset), 1);
    c ^= 1;
    assert_int_equal(pwrite(fd, &c, 1, offset), 1);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static void every_picture_is_in_the_jobs_key(void **state) {
    (void)state;
    static ms_job_key key;
    ms_error err;
    const char *path = test_file("p_%04d.png");
    key.n = 0;
    assert_ms_ok(ms_job_key_add_file(&key, "the video", path, &err), &err);
    for (int i = 1; i <= FRAMES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "p_%04d.png", i);
        change_byte(test_file(name), 1000);
        assert_ms_ok(ms_job_key_add_file(&key, "the video", path, &err), &err);
        change_byte(test_file(name), 1000);
        assert_string_not_equal(key.field[0].text, key.field[1].text);
        key.n--;
    }
    assert_ms_ok(ms_job_key_add_file(&key, "the video", path, &err), &err);
    assert_string_equal(key.field[0].text, key.field[1].text);
}

static void no_picture_is_written_over(void **state) {
    (void)state;
    ms_error err;
    const char *pattern = test_file("p_%04d.png");
    const ms_in_use use = {.files = &pattern, .n_files = 1};
    assert_int_equal(ms_in_use_spare(&use, test_file("p_0009.png"), "output", &err), MS_INVALID_ARGUMENT);
    assert_ms_ok(ms_in_use_spare(&use, test_file("p_0099.png"), "output", &err), &err);
    in_dir("cp p_0009.png kept.png");
    assert_run_fails(2, "is a file that is read", "detect --video '%s' --faces %s -o %s -y", pattern,
                     MS_SOURCE_DIR "/models/demo/auxiliary/models/buffalo_l", test_file("p_0009.png"));
    in_dir("cmp p_0009.png kept.png && rm kept.png");
}

static void assert_same_frames(const char *a, const char *b) {
    static uint8_t want[BYTES], got[BYTES];
    ms_error err;
    int64_t frames[2];
    ms_video_reader *r[2] = {open_reader(a, (ms_rational){0, 1}), open_reader(b, (ms_rational){0, 1})};
    for (int i = 0; i < 2; i++)
        assert_ms_ok(ms_video_reader_count(r[i], &frames[i], &err), &err);
    assert_true(frames[0] == frames[1] && frames[0] > 0);
    for (int64_t i = 0; i < frames[0]; i++) {
        read_frame(r[0], i, want);
        read_frame(r[1], i, got);
        assert_memory_equal(want, got, BYTES);
    }
    ms_video_reader_close(&r[0]);
    ms_video_reader_close(&r[1]);
}

static void run_both(const char *more) {
    static const char *const inputs[2][2] = {{"in.mkv", "a.mkv"}, {"p_%04d.png", "b.mkv"}};
    for (int i = 0; i < 2; i++)
        assert_run_works("run --model %s -i '%s' -a %s --track %s --steps 1 --codec ffv1 -o %s -y %s",
                         test_file("model"), test_file(inputs[i][0]), test_file("in.wav"),
                         test_file("in.jsonl"), test_file(inputs[i][1]), more);
    assert_same_frames(test_file("a.mkv"), test_file("b.mkv"));
}

/* A second of speech is longer than the clip: it is shown backwards too. */
static void runs_give_the_same_bits(void **state) {
    (void)state;
    run_both("");
    run_both("-ss 0.12 -t 0.3");
    run_both("-ss 0.12 -t 0.16 --rest keep");
    assert_run_fails(12, "have no sound", "run --model %s -i %s -a '%s' --track %s -o %s -y",
                     test_file("model"), test_file("in.mkv"), test_file("p_%04d.png"), test_file("in.jsonl"),
                     test_file("c.mkv"));
}

static bool once_two_segments_are_begun(void *arg) {
    (void)arg;
    return test_exists(test_file("c.mkv.memsafe/segment-000002"));
}

static void a_run_over_pictures_is_resumed(void **state) {
    (void)state;
    ms_error err;
    static ms_run_report report;
    run_both("--segment 4 --guidance 1 --resolution 64");
    assert_int_equal(chdir(test_dir()), 0);
    ms_run_params p = test_job_params("p_%04d.png", "c.mkv", 4);
    p.cancelled = once_two_segments_are_begun;
    assert_int_equal(ms_run(&p, &report, &err), MS_CANCELLED);
    assert_true(err.hints & MS_HINT_BIT(MS_HINT_RESUME));
    p.cancelled = NULL;
    /* A picture in the middle is another one now: named, and with it as it was the run goes on. */
    change_byte(test_file("p_0007.png"), 1000);
    assert_int_equal(ms_run(&p, &report, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "begun with other contents of the video"));
    change_byte(test_file("p_0007.png"), 1000);
    assert_ms_ok(ms_run(&p, &report, &err), &err);
    assert_true(report.frames_resumed >= 4);
    assert_same_frames(test_file("a.mkv"), test_file("c.mkv"));
}

static void a_gap_is_said(void **state) {
    (void)state;
    char line[600];
    snprintf(line, sizeof(line),
             "p_0010.png is missing: the video ends there, and 4 files from p_0011.png on are not read");
    in_dir("mv p_0010.png away.png");
    assert_run_works("run --model %s -i '%s' -a %s --track %s --steps 1 -o %s -y --frames 2",
                     test_file("model"), test_file("p_%04d.png"), test_file("in.wav"), test_file("in.jsonl"),
                     test_file("gap.mkv"));
    if (!strstr(test_output, line))
        fail_msg("wanted \"%s\" in: %s", line, test_output);
    assert_run_fails(8, line, "detect --model %s -i '%s' -y %s", test_file("model"), test_file("p_%04d.png"),
                     test_file("gap.jsonl"));
    assert_run_works("score --model %s --track %s '%s' -a %s", test_file("model"), test_file("in.jsonl"),
                     test_file("p_%04d.png"), test_file("in.wav"));
    if (!strstr(test_output, line))
        fail_msg("score: wanted \"%s\" in: %s", line, test_output);
    in_dir("mv away.png p_0010.png");
    assert_run_works("run --model %s -i '%s' -a %s --track %s --steps 1 -o %s -y --frames 2",
                     test_file("model"), test_file("p_%04d.png"), test_file("in.wav"), test_file("in.jsonl"),
                     test_file("gap.mkv"));
    assert_null(strstr(test_output, "is missing"));
}

int main(void) {
    ms_libav_log_take(NULL); /* which picture is too large is known by what libav says of it */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_those_of_a_lossless_video),
        cmocka_unit_test(what_is_wrong_is_told_by_its_name),
        cmocka_unit_test(every_picture_is_in_the_jobs_key),
        cmocka_unit_test(no_picture_is_written_over),
        cmocka_unit_test(runs_give_the_same_bits),
        cmocka_unit_test(a_run_over_pictures_is_resumed),
        cmocka_unit_test(a_gap_is_said),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
