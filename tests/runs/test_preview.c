/* A preview shows what the run itself makes, beside the video, and leaves the run's output alone. */
#include "test.h"

#include <math.h>

#include "base/error.h"
#include "media/read/video_reader.h"
#include "support/media/clip.h"
#include "support/run_inputs.h"
#include "support/media/sound.h"

#define FRAMES 60
#define WIDTH 160
#define HEIGHT 144
#define FACE 10 /* first frame with one */

/* The track without its first frames. */
static int setup(void **state) {
    (void)state;
    test_make_run_inputs(FRAMES, "160x144");
    FILE *in = fopen(test_file("in.jsonl"), "r"), *out = fopen(test_file("late.jsonl"), "w");
    assert_true(in && out);
    static char line[65536];
    while (fgets(line, sizeof(line), in)) {
        const char *frame = strstr(line, "\"frame\":");
        assert_non_null(frame);
        if (atoi(frame + 8) >= FACE)
            fputs(line, out);
    }
    fclose(in);
    fclose(out);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    test_dir_remove();
    clip_remove_folder();
    return 0;
}

typedef struct pictures {
    uint8_t *rgb;
    int width;
    int64_t count;
} pictures;

static pictures load(const char *path) {
    ms_error err;
    ms_video_reader_params params = MS_VIDEO_READER_DEFAULTS;
    ms_video_reader *reader = NULL;
    assert_ms_ok(ms_video_reader_open(NULL, path, &params, &reader, &err), &err);
    pictures p = {.width = ms_video_reader_info(reader)->width};
    assert_int_equal(ms_video_reader_info(reader)->height, HEIGHT);
    size_t bytes = (size_t)p.width * HEIGHT * 3;
    p.rgb = malloc(bytes * 100);
    assert_non_null(p.rgb);
    for (bool got = true; got; p.count += got) {
        assert_true(p.count < 100);
        assert_ms_ok(ms_video_reader_read(reader, p.rgb + bytes * (size_t)p.count, 0, &got, &err), &err);
    }
    ms_video_reader_close(&reader);
    return p;
}

static void late_params(ms_run_params *p, const char *output) {
    test_run_params(0, p);
    p->track = test_file("late.jsonl");
    p->steps = 2;
    p->output = output;
}

static void run(ms_run_params *p, ms_run_report *r) {
    ms_error err;
    assert_ms_ok(ms_run(p, r, &err), &err);
}

/* Left the video's frames from `in_first` on, right the run's from `out_first` on. */
static void compare(const char *preview, int64_t count, const char *whole, int64_t in_first,
                    int64_t out_first) {
    pictures v = load(preview), in = load(test_file("in.mkv")), out = load(whole);
    size_t row = (size_t)WIDTH * 3;
    assert_int_equal(v.width, 2 * WIDTH);
    assert_int_equal(v.count, count);
    for (int64_t i = 0; i < count; i++) {
        for (int y = 0; y < HEIGHT; y++) {
            const uint8_t *pair = v.rgb + ((size_t)i * HEIGHT + (size_t)y) * 2 * row;
            size_t left = ((size_t)(in_first + i) * HEIGHT + (size_t)y) * row;
            size_t right = ((size_t)(out_first + i) * HEIGHT + (size_t)y) * row;
            if (memcmp(pair, in.rgb + left, row) != 0 || memcmp(pair + row, out.rgb + right, row) != 0)
                fail_msg("frame %d, row %d", (int)i, y);
        }
    }
    assert_true(memcmp(in.rgb + (size_t)in_first * HEIGHT * row, out.rgb + (size_t)out_first * HEIGHT * row,
                       HEIGHT * row) != 0);
    free(v.rgb), free(in.rgb), free(out.rgb);
}

static void note_plan(void *arg, const ms_run_report *r) {
    *(ms_run_report *)arg = *r;
}

static void the_first_window_with_a_face_beside_the_video(void **state) {
    (void)state;
    static ms_run_report planned;
    ms_run_params p;
    ms_run_report r;
    late_params(&p, test_file("whole.mkv"));
    run(&p, &r);
    int64_t all = r.frames;
    static const int64_t frames[] = {MS_RUN_PREVIEW_WINDOW, 5, 20};
    for (int i = 0; i < 3; i++) {
        late_params(&p, test_file("preview.mkv"));
        p.preview_frames = frames[i];
        p.planned = note_plan;
        p.arg = &planned;
        run(&p, &r);
        assert_int_equal(planned.width, 2 * WIDTH);
        assert_int_equal(planned.planned_frames, i == 0 ? 16 : frames[i]);
        assert_int_equal(r.preview_first, FACE);
        assert_int_equal(r.whole_frames, all);
        assert_true(r.whole_s > 0);
        assert_int_equal(r.windows, i == 2 ? 2 : 1);
        assert_int_equal(r.width, 2 * WIDTH);
        assert_int_equal(r.frames_without_face, 0);
        compare(test_file("preview.mkv"), i == 0 ? 16 : frames[i], test_file("whole.mkv"), FACE, FACE);
    }
    /* With the memory that was planned it runs. */
    p.budget_bytes = r.planned_bytes;
    run(&p, &r);
}

static void of_a_range(void **state) {
    (void)state;
    ms_run_params p;
    ms_run_report r;
    for (int keep = 0; keep < 2; keep++) {
        late_params(&p, test_file("range.mkv"));
        p.start_us = 1000000;
        p.duration_us = 1000000;
        p.rest = keep ? MS_REST_KEEP : MS_REST_CUT;
        run(&p, &r);
        p.output = test_file("range.preview.mkv");
        p.preview_frames = 12;
        run(&p, &r);
        assert_int_equal(r.preview_first, keep ? 25 : 0);
        compare(p.output, 12, test_file("range.mkv"), 25, keep ? 25 : 0);
    }
}

static void its_words_are_those_of_its_place(void **state) {
    (void)state;
    enum { MOST = 16000 * 4, FIRST = FACE * 16000 / 25 };
    static float speech[MOST], heard[MOST];
    static const ms_audio_output outputs[] = {MS_AUDIO_OUTPUT_ORIGINAL, MS_AUDIO_OUTPUT_SPEECH};
    int64_t all = test_hear(test_file("in.wav"), speech, MOST);
    for (int k = 0; k < 2; k++) {
        ms_run_params p;
        ms_run_report r;
        late_params(&p, test_file("heard.mkv"));
        p.preview_frames = 16;
        p.audio_output = outputs[k];
        run(&p, &r);
        int64_t n = test_hear(test_file("heard.mkv"), heard, MOST);
        assert_true(n >= 16 * 640 - 1 && n <= 16 * 640 && n + FIRST <= all);
        for (int64_t i = 0; i < n; i++)
            if (fabsf(heard[i] - speech[FIRST + i]) > 1e-4f)
                fail_msg("sample %d is %g, not %g", (int)i, (double)heard[i], (double)speech[FIRST + i]);
    }
}

static void what_is_no_preview_is_refused(void **state) {
    (void)state;
    ms_error err;
    ms_run_params p;
    late_params(&p, test_file("none.mkv"));
    p.preview_frames = -2;
    assert_int_equal(ms_run(&p, NULL, &err), MS_INVALID_ARGUMENT);
    p.preview_frames = 1;
    p.resume = true;
    assert_int_equal(ms_run(&p, NULL, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "cannot be resumed"));
    p.resume = false;
    FILE *f = fopen(test_file("nobody.jsonl"), "w"); /* a face, but behind the video's end */
    assert_non_null(f);
    FILE *in = fopen(test_file("late.jsonl"), "r");
    static char line[65536];
    assert_non_null(fgets(line, sizeof(line), in));
    fclose(in);
    const char *rest = strchr(strstr(line, "\"frame\":"), ',');
    fprintf(f, "{\"frame\": 5000%s", rest);
    fclose(f);
    p.track = test_file("nobody.jsonl");
    assert_int_equal(ms_run(&p, NULL, &err), MS_NO_FACE);
    assert_false(test_exists(test_file("none.mkv")));
}

static void the_command_leaves_the_output_alone(void **state) {
    (void)state;
    clip_save(test_file("out.mkv"), (const uint8_t *)"mine", 4);
    for (int i = 0; i < 2; i++) {
        assert_run_works("run -i %s -i %s -m %s --track %s --steps 1 --resolution 64 -c ffv1 --preview %s %s "
                         "-y --report %s",
                         test_file("in.mkv"), test_file("in.wav"), test_file("model"),
                         test_file("late.jsonl"), i ? "4" : "", test_file("out.mkv"),
                         test_file("preview.json"));
        assert_non_null(strstr(test_output, "out.preview.mkv"));
        assert_non_null(strstr(test_output, "would take about"));
        pictures v = load(test_file("out.preview.mkv"));
        assert_int_equal(v.count, i ? 4 : 16);
        free(v.rgb);
        size_t n;
        uint8_t *text = clip_load(test_file("preview.json"), &n);
        assert_true(n > 100 && strstr((char *)text, "\"first_frame\": 10, \"whole_frames\": 6"));
        free(text);
        uint8_t *mine = clip_load(test_file("out.mkv"), &n);
        assert_true(n == 4 && memcmp(mine, "mine", 4) == 0);
        free(mine);
    }
    assert_run_fails(2, "not within 1 to", "run -i a -a b c.mp4 --preview 0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_window_with_a_face_beside_the_video),
        cmocka_unit_test(of_a_range),
        cmocka_unit_test(its_words_are_those_of_its_place),
        cmocka_unit_test(what_is_no_preview_is_refused),
        cmocka_unit_test(the_command_leaves_the_output_alone),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
