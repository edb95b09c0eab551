/* Parts of a video: which frames are redrawn, what becomes of the others, and what
   is heard (docs/ranges.md). */
#include "test.h"

#include <math.h>

#include "base/error.h"
#include "media/read/video_reader.h"
#include "media/write/sound_splice.h"
#include "support/media/clip.h"
#include "support/run_inputs.h"
#include "support/media/sound.h"

#define FRAMES 60
#define FIRST 25 /* -ss 1 at 25 frames a second */
#define COUNT 20 /* -t 0.8 */
#define WIDTH 160
#define HEIGHT 144
#define FRAME_BYTES ((size_t)WIDTH * HEIGHT * 3)

static int setup(void **state) {
    (void)state;
    test_make_run_inputs(FRAMES, "160x144");
    return 0;
}

static int teardown(void **state) {
    (void)state;
    test_dir_remove();
    clip_remove_folder();
    return 0;
}

/* All frames of a file; *ret_count of them. */
static uint8_t *load(const char *path, int64_t *ret_count) {
    ms_error err;
    ms_video_reader_params params = MS_VIDEO_READER_DEFAULTS;
    ms_video_reader *reader = NULL;
    assert_ms_ok(ms_video_reader_open(NULL, path, &params, &reader, &err), &err);
    assert_int_equal(ms_video_reader_info(reader)->height, HEIGHT);
    uint8_t *all = malloc(FRAME_BYTES * (FRAMES + 40));
    assert_non_null(all);
    bool got = true;
    for (*ret_count = 0; got; *ret_count += got) {
        assert_true(*ret_count < FRAMES + 40);
        assert_ms_ok(ms_video_reader_read(reader, all + FRAME_BYTES * (size_t)*ret_count, 0, &got, &err),
                     &err);
    }
    ms_video_reader_close(&reader);
    return all;
}

static const uint8_t *at(const uint8_t *all, int64_t frame) {
    return all + FRAME_BYTES * (size_t)frame;
}

static void range_params(ms_run_params *p, const char *output) {
    test_run_params(0, p);
    p->steps = 2;
    p->start_us = 1000000;
    p->duration_us = 800000;
    p->output = output;
}

static void run_range(ms_run_params *p, ms_run_report *r) {
    ms_error err;
    assert_ms_ok(ms_run(p, r, &err), &err);
}

/* The range alone, and the range within the video: the same redrawn frames, and
   around them the video's own. */
static void the_rest_is_cut_or_kept(void **state) {
    (void)state;
    ms_run_params p;
    ms_run_report r;
    int64_t n_in, n_cut, n_keep;
    range_params(&p, test_file("cut.mkv"));
    run_range(&p, &r);
    assert_int_equal(r.range_first, FIRST);
    assert_int_equal(r.frames, COUNT);
    assert_int_equal(r.frames_kept, 0);
    range_params(&p, test_file("keep.mkv"));
    p.rest = MS_REST_KEEP;
    run_range(&p, &r);
    assert_int_equal(r.frames, FRAMES);
    assert_int_equal(r.frames_kept, FRAMES - COUNT);
    assert_int_equal(r.frames_without_face, 0);
    uint8_t *in = load(test_file("in.mkv"), &n_in), *cut = load(test_file("cut.mkv"), &n_cut),
            *keep = load(test_file("keep.mkv"), &n_keep);
    assert_int_equal(n_in, FRAMES);
    assert_int_equal(n_cut, COUNT);
    assert_int_equal(n_keep, FRAMES);
    for (int64_t i = 0; i < FRAMES; i++) {
        bool within = i >= FIRST && i < FIRST + COUNT,
             same = memcmp(at(keep, i), at(in, i), FRAME_BYTES) == 0;
        if (within == same)
            fail_msg("frame %d is %s", (int)i, same ? "not redrawn" : "not the video's");
        if (within && memcmp(at(keep, i), at(cut, i - FIRST), FRAME_BYTES) != 0)
            fail_msg("frame %d is another one in the range alone", (int)i);
    }
    free(in), free(cut), free(keep);
}

/* As many frames as FFmpeg gives for the same times: those that begin within, wherever it starts. */
static void lengths_are_ffmpegs(void **state) {
    (void)state;
    static const struct {
        int64_t start_us, duration_us, frames;
    } cases[] = {{0, 500000, 13},       {1000000, 500000, 13}, {0, 480000, 12},    {1000000, 490000, 13},
                 {1000000, 510000, 13}, {300000, 100000, 3},   {1000000, 1000, 1}, {0, 100000, 3}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ms_run_params p;
        ms_run_report r;
        range_params(&p, test_file("length.mkv"));
        p.start_us = cases[i].start_us;
        p.duration_us = cases[i].duration_us;
        p.steps = 1;
        p.force = true;
        run_range(&p, &r);
        if (r.frames != cases[i].frames)
            fail_msg("case %zu: %d frames, not %d", i, (int)r.frames, (int)cases[i].frames);
    }
}

/* Of a track file it is the lines of the video's own frames: cutting the range out
   beforehand gives the same. And looping stays in the range: longer than the rest
   of the video, it turns at its end, not before its beginning. */
static void a_range_loops_within_itself(void **state) {
    (void)state;
    ms_run_params p;
    ms_run_report r;
    int64_t n_in, n_out;
    range_params(&p, test_file("loop.mkv"));
    p.start_us = 2000000; /* frames 50 to 59, and back */
    p.duration_us = 0;
    p.frames = 25;
    run_range(&p, &r);
    assert_int_equal(r.frames, 25);
    assert_int_equal(r.video_frames, 10);
    uint8_t *in = load(test_file("in.mkv"), &n_in), *out = load(test_file("loop.mkv"), &n_out);
    assert_int_equal(n_out, 25);
    for (int64_t i = 0; i < 25; i++) { /* above the face nothing is redrawn: the first rows tell the frame */
        int64_t turn = i % 20, shown = 50 + (turn < 10 ? turn : 19 - turn);
        if (memcmp(at(out, i), at(in, shown), (size_t)WIDTH * 3 * 2) != 0)
            fail_msg("output frame %d is not frame %d of the video", (int)i, (int)shown);
    }
    free(in), free(out);
}

/* The words from a time on are those of a file that begins there. */
static void speech_may_begin_later(void **state) {
    (void)state;
    ms_error err;
    ms_run_params p;
    ms_run_report r;
    int64_t n_a, n_b, got = 0;
    ms_audio_reader_params whole = MS_AUDIO_READER_DEFAULTS;
    ms_audio_reader *reader = NULL;
    assert_ms_ok(ms_audio_reader_open(NULL, test_file("in.wav"), &whole, &reader, &err), &err);
    enum { SKIP = 8000, MOST = 160000 };
    float *samples = malloc(MOST * sizeof(float));
    int16_t *later = malloc(MOST * sizeof(int16_t));
    assert_true(samples && later);
    assert_ms_ok(ms_audio_reader_read(reader, samples, MOST, &got, &err), &err);
    ms_audio_reader_close(&reader);
    assert_true(got > 2 * SKIP && got < MOST);
    for (int64_t i = SKIP; i < got; i++)
        later[i - SKIP] = (int16_t)lrintf(samples[i] * 32768.0f);
    clip_write_wav(test_file("later.wav"), 16000, 1, got - SKIP, later);
    free(samples), free(later);
    range_params(&p, test_file("a.mkv"));
    p.audio_start_us = 500000;
    p.audio_output = MS_AUDIO_OUTPUT_ORIGINAL;
    run_range(&p, &r);
    range_params(&p, test_file("b.mkv"));
    p.audio = test_file("later.wav");
    p.audio_output = MS_AUDIO_OUTPUT_ORIGINAL;
    run_range(&p, &r);
    uint8_t *a = load(test_file("a.mkv"), &n_a), *b = load(test_file("b.mkv"), &n_b);
    assert_int_equal(n_a, COUNT);
    assert_int_equal(n_b, COUNT);
    assert_memory_equal(a, b, FRAME_BYTES * COUNT);
    free(a), free(b);
    /* And so is what is heard. */
    float heard[2][8000];
    for (int i = 0; i < 2; i++) {
        assert_ms_ok(ms_audio_reader_open(NULL, test_file(i ? "b.mkv" : "a.mkv"), &whole, &reader, &err),
                     &err);
        assert_ms_ok(ms_audio_reader_read(reader, heard[i], 8000, &got, &err), &err);
        assert_int_equal(got, 8000);
        ms_audio_reader_close(&reader);
    }
    for (int i = 0; i < 8000; i++)
        assert_true(fabsf(heard[0][i] - heard[1][i]) < 2e-3f);
    range_params(&p, test_file("none.mkv"));
    p.audio_start_us = 3600000000;
    assert_int_equal(ms_run(&p, NULL, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "the speech ends after"));
}

typedef struct stopper {
    int64_t at;
} stopper;

static int64_t done;

static void note_progress(void *arg, const ms_run_progress *progress) {
    (void)arg;
    done = progress->frames_done;
}

static bool enough(void *arg) {
    return done >= ((stopper *)arg)->at;
}

static void same_file(const char *a, const char *b) {
    size_t n, m;
    uint8_t *x = clip_load(a, &n), *y = clip_load(b, &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x), free(y);
}

/* Interrupted and resumed, both kinds come out to the last byte; another range is another job. */
static void an_interrupted_range_is_finished(void **state) {
    (void)state;
    for (int keep = 0; keep < 2; keep++) {
        ms_error err;
        ms_run_params p;
        ms_run_report r;
        stopper stop = {.at = keep ? 32 : 8};
        range_params(&p, test_file("whole.mkv"));
        p.rest = keep ? MS_REST_KEEP : MS_REST_CUT;
        p.segment_frames = 8;
        p.audio_output = MS_AUDIO_OUTPUT_ORIGINAL;
        run_range(&p, &r);
        p.output = test_file(keep ? "part_keep.mkv" : "part_cut.mkv");
        p.force = false;
        p.progress = note_progress;
        p.cancelled = enough;
        p.arg = &stop;
        done = 0;
        assert_int_equal(ms_run(&p, NULL, &err), MS_CANCELLED);
        p.cancelled = NULL;
        p.resume = true;
        p.start_us += 40000;
        assert_int_equal(ms_run(&p, NULL, &err), MS_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, "start"));
        p.start_us -= 40000;
        run_range(&p, &r);
        assert_true(r.frames_resumed > 0);
        assert_int_equal(r.frames_kept, keep ? FRAMES - COUNT : 0);
        same_file(test_file("whole.mkv"), p.output);
    }
}

static void what_is_no_range_is_refused(void **state) {
    (void)state;
    static const struct {
        int64_t start_us, duration_us, audio_start_us;
        ms_rest rest;
        ms_loop_mode loop;
        const char *text;
    } cases[] = {{10000000, 0, 0, MS_REST_CUT, MS_LOOP_MODE_PINGPONG, "before the range begins"},
                 {2900000, 0, 0, MS_REST_KEEP, MS_LOOP_MODE_PINGPONG, "before the range begins"},
                 {2900000, 0, 0, MS_REST_CUT, MS_LOOP_MODE_PINGPONG, "before the range begins"},
                 {-1, 0, 0, MS_REST_CUT, MS_LOOP_MODE_PINGPONG, "start must be"},
                 {0, INT64_MAX, 0, MS_REST_CUT, MS_LOOP_MODE_PINGPONG, "duration must be"},
                 {0, 0, -5, MS_REST_CUT, MS_LOOP_MODE_PINGPONG, "audio-start must be"},
                 {0, 0, 0, (ms_rest)7, MS_LOOP_MODE_PINGPONG, "rest"},
                 {0, 0, 0, MS_REST_KEEP, MS_LOOP_MODE_REPEAT, "nothing to loop"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ms_error err;
        ms_run_params p;
        range_params(&p, test_file("none.mkv"));
        p.start_us = cases[i].start_us;
        p.duration_us = cases[i].duration_us;
        p.audio_start_us = cases[i].audio_start_us;
        p.rest = cases[i].rest;
        p.loop = cases[i].loop;
        if (ms_run(&p, NULL, &err) != MS_INVALID_ARGUMENT || !strstr(err.message, cases[i].text))
            fail_msg("case %zu: %s", i, err.message);
        assert_false(test_exists(test_file("none.mkv")));
    }
}

/* ---- sound ---- */

static void constant_wav(const char *path, int rate, int channels, int64_t count, int16_t value) {
    int16_t *samples = malloc((size_t)(count * channels) * sizeof(*samples));
    assert_non_null(samples);
    for (int64_t i = 0; i < count * channels; i++)
        samples[i] = value;
    clip_write_wav(path, rate, channels, count, samples);
    free(samples);
}

static void speech_lies_over_the_videos_sound(void **state) {
    (void)state;
    ms_error err;
    ms_sound_splice *s = NULL;
    constant_wav(test_file("base.wav"), 48000, 2, 96000, 8192);
    constant_wav(test_file("over.wav"), 48000, 1, 48000, -16384);
    ms_sound_splice_params p = {
        .base = test_file("base.wav"), .over = test_file("over.wav"), .from_s = 0.5, .length_s = 0.25};
    assert_ms_ok(ms_sound_splice_open(NULL, &p, &s, &err), &err);
    assert_int_equal(ms_sound_splice_rate(s), 48000);
    assert_int_equal(ms_sound_splice_channels(s), 2);
    float block[2 * 1000];
    for (int64_t first = 0; first < 144000; first += 1000) {
        int64_t got = 0;
        assert_ms_ok(ms_sound_splice_read(s, block, 1000, &got, &err), &err);
        assert_int_equal(got, 1000);
        for (int i = 0; i < 2000; i++) {
            int64_t n = first + i / 2;
            float want = n >= 96000 ? 0 : n >= 24000 && n < 36000 ? -0.5f : 0.25f;
            if (fabsf(block[i] - want) > 1e-4f)
                fail_msg("sample %d of channel %d is %g, not %g", (int)n, i % 2, (double)block[i],
                         (double)want);
        }
    }
    ms_sound_splice_close(&s);
}

/* Losslessly, in Matroska. */
static void the_speech_is_heard_in_the_range_and_the_video_around_it(void **state) {
    (void)state;
    enum { MOST = 16000 * 3, FROM = 16000, TO = 16000 + 12800 };
    static float own[MOST], speech[MOST], heard[MOST];
    ms_run_params p;
    ms_run_report r;
    range_params(&p, test_file("heard.mkv"));
    p.rest = MS_REST_KEEP;
    p.audio_output = MS_AUDIO_OUTPUT_ORIGINAL;
    run_range(&p, &r);
    int64_t n = test_hear(test_file("heard.mkv"), heard, MOST);
    assert_true(test_hear(test_file("in.wav"), speech, MOST) >= TO - FROM);
    assert_true(n > 16000 * 2 && test_hear(test_file("in.mkv"), own, MOST) >= n);
    for (int64_t i = 0; i < n; i++) {
        float want = i >= FROM && i < TO ? speech[i - FROM] : own[i];
        if (fabsf(heard[i] - want) > 1e-4f)
            fail_msg("sample %d is %g, not %g", (int)i, (double)heard[i], (double)want);
    }
}

/* ---- the command ---- */

static void the_command_takes_times_as_ffmpeg_does(void **state) {
    (void)state;
    assert_run_works(
        "run -i %s -i %s -m %s --track %s -ss 0:01 -t 800ms --rest keep --steps 1 -c ffv1 --audio-out none "
        "-y %s --report %s",
        test_file("in.mkv"), test_file("in.wav"), test_file("model"), test_file("in.jsonl"),
        test_file("cli.mkv"), test_file("cli.json"));
    size_t n;
    uint8_t *text = clip_load(test_file("cli.json"), &n);
    char range[300] = "";
    snprintf(range, sizeof(range), "%.*s", 250, strstr((char *)text, "\"range\""));
    if (!strstr(range, "\"start_s\": 1.000000, \"duration_s\": 0.800000, \"rest\": \"keep\"") ||
        !strstr(range, "\"first_frame\": 25, \"frames_kept\": 40"))
        fail_msg("%s", range);
    free(text);
    assert_run_fails(2, "is not a time like", "run -i a -a b c.mp4 -ss soon");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rest_is_cut_or_kept),
        cmocka_unit_test(lengths_are_ffmpegs),
        cmocka_unit_test(a_range_loops_within_itself),
        cmocka_unit_test(speech_may_begin_later),
        cmocka_unit_test(an_interrupted_range_is_finished),
        cmocka_unit_test(what_is_no_range_is_refused),
        cmocka_unit_test(speech_lies_over_the_videos_sound),
        cmocka_unit_test(the_speech_is_heard_in_the_range_and_the_video_around_it),
        cmocka_unit_test(the_command_takes_times_as_ffmpeg_does),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
