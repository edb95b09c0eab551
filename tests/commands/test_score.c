/* `memsafe score` on drawn clips, whose truth is known. */
#include "test.h"

#include <stdbool.h>

#include "support/cli.h"
#include "text/json.h"

#define NETS MS_SOURCE_DIR "/models/demo/auxiliary/models/buffalo_l"
#define FRAMES 60
#define SECOND_SAMPLES 16000

static ms_json_doc *doc; /* of the last report */

static void draw(int seed, int speech, const char *name) {
    char line[1024];
    snprintf(
        line, sizeof(line),
        "%s --seed %d --speech-seed %d --frames %d --size 256x256 -o %s.mp4 --track %s.jsonl --speech %s.wav "
        ">/dev/null",
        MS_DRAW_CLIP_PATH, seed, speech, FRAMES, test_file(name), test_file(name), test_file(name));
    assert_int_equal(system(line), 0);
}

/* input: what a run is given; truth: the same person with other speech. */
static int prepare(void **state) {
    (void)state;
    draw(1000600, 1000600, "input");
    draw(1000600, 1000701, "truth");
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    ms_json_doc_destroy(&doc);
    test_dir_remove();
    return 0;
}

static void parse_report(void) {
    ms_error err;
    const char *text = strchr(test_output, '{');
    assert_non_null(text);
    ms_json_doc_destroy(&doc);
    assert_ms_ok(ms_json_parse(NULL, text, strlen(text), &doc, &err), &err);
}

/* "mouth.correlation_truth" of the last report; NAN for null. */
static double value(const char *path) {
    char name[64];
    const ms_json *at = ms_json_root(doc);
    for (;;) {
        size_t length = strcspn(path, ".");
        snprintf(name, sizeof(name), "%.*s", (int)length, path);
        at = ms_json_get(at, name);
        if (!at)
            fail_msg("the report has no \"%s\": %s", name, test_output);
        if (!path[length])
            return at->type == MS_JSON_NUMBER ? at->number : at->type == MS_JSON_BOOL ? at->boolean : NAN;
        path += length + 1;
    }
}

#define score(...)                                                                                           \
    do {                                                                                                     \
        assert_run_works("score --json --progress none --faces " NETS " " __VA_ARGS__);                      \
        parse_report();                                                                                      \
    } while (0)

/* The opening that is measured follows the drawn one, for people that the nets were never trained on. */
static void test_opening(void **state) {
    (void)state;
    for (int seed = 1000610; seed < 1000613; seed++) {
        draw(seed, seed, "one");
        score("%s --audio %s --truth %s", test_file("one.mp4"), test_file("one.wav"), test_file("one.jsonl"));
        print_message("    seed %d: correlation %.4f, error %.2f px\n", seed,
                      value("mouth.correlation_truth"), value("mouth.rmse_truth_px"));
        assert_true(value("mouth.correlation_truth") >= 0.95);
        assert_true(value("mouth.rmse_truth_px") < 1.5);
        assert_true(fabs(value("sync.offset_frames")) <= 1);
        assert_true(value("sync.confidence") > 0.4);
        assert_int_equal((int)value("frames_with_face"), FRAMES);
    }
}

/* What a perfect run would give, and what one that changes nothing gives. */
static void test_perfect_and_untouched(void **state) {
    (void)state;
    score("%s --audio %s --truth %s -i %s --track %s", test_file("truth.mp4"), test_file("truth.wav"),
          test_file("truth.mp4"), test_file("input.mp4"), test_file("input.jsonl"));
    assert_true(value("truth.mouth.identical") == 1);
    assert_true(fabs(value("truth.mouth.ssim") - 1) < 1e-6);
    assert_true(value("mouth.correlation_truth") > 0.9999);
    assert_true(value("mouth.correlation_input") < 0.6);
    assert_true(value("input.mouth.psnr_db") < 30);
    assert_true(value("input.around.psnr_db") > 40 && value("input.around.ssim") > 0.97);
    assert_true(value("input.outside.psnr_db") > 36);
    assert_true(value("identity.drift") < 0.01);
    assert_true(fabs(value("flicker.borders")) < 1e-9);
    assert_true(value("sync.correlation_unshifted") > 0.6);
    score("%s --audio %s --truth %s -i %s", test_file("input.mp4"), test_file("truth.wav"),
          test_file("truth.mp4"), test_file("input.mp4"));
    assert_true(value("input.outside.identical") == 1);
    assert_true(value("mouth.correlation_truth") < 0.6);
    assert_true(value("truth.mouth.ssim") < 0.95);
    assert_true(value("sync.correlation_unshifted") < 0.4);
    assert_true(fabs(value("sync.truth_offset_frames")) <= 1);
}

static void assert_says(const char *video, const char *audio, const char *text) {
    assert_run_works("score --progress none --faces " NETS " %s --audio %s", test_file(video),
                     test_file(audio));
    if (!strstr(test_output, text))
        fail_msg("%s with %s: wanted \"%s\" in: %s", video, audio, text, test_output);
}

/* Silence put before the speech makes the mouth early by as much. */
static void test_shift(void **state) {
    (void)state;
    score("%s --audio %s", test_file("truth.mp4"), test_file("truth.wav"));
    int before = (int)value("sync.offset_frames");
    for (int frames = 4; frames <= 12; frames += 8) {
        static uint8_t head[44], sound[2 * FRAMES * SECOND_SAMPLES / 25];
        static const uint8_t silence[2 * 12 * SECOND_SAMPLES / 25];
        FILE *in = fopen(test_file("truth.wav"), "rb"), *out = fopen(test_file("late.wav"), "wb");
        size_t bytes = (size_t)2 * (size_t)frames * SECOND_SAMPLES / 25;
        assert_non_null(in);
        assert_non_null(out);
        assert_int_equal(fread(head, 1, sizeof(head), in), sizeof(head));
        assert_int_equal(fread(sound, 1, sizeof(sound), in), sizeof(sound));
        fwrite(head, 1, sizeof(head), out);
        fwrite(silence, 1, bytes, out);
        fwrite(sound, 1, sizeof(sound) - bytes, out);
        fclose(in);
        assert_int_equal(fclose(out), 0);
        score("%s --audio %s", test_file("truth.mp4"), test_file("late.wav"));
        assert_int_equal((int)value("sync.offset_frames"), before - frames);
    }
    assert_says("truth.mp4", "late.wav", "unshifted no more alike than by chance");
    assert_says("truth.mp4", "truth.wav", "the mouth follows this speech");
    assert_says("truth.mp4", "input.wav", "unshifted no more alike than by chance");
}

/* Without --audio the video's own sound, which draw_clip writes, is judged: the
   same but for what AAC loses. */
static void test_own_sound(void **state) {
    (void)state;
    char line[700];
    score("%s --audio %s", test_file("truth.mp4"), test_file("truth.wav"));
    double unshifted = value("sync.correlation_unshifted");
    score("%s", test_file("truth.mp4"));
    assert_true(fabs(value("sync.correlation_unshifted") - unshifted) < 0.05);
    if (system("command -v ffmpeg >/dev/null") != 0)
        return;
    snprintf(line, sizeof(line), "ffmpeg -loglevel error -y -i %s -an -c:v copy %s", test_file("truth.mp4"),
             test_file("silent.mp4"));
    assert_int_equal(system(line), 0);
    assert_run_fails(7, "no audio stream", "score --faces " NETS " %s", test_file("silent.mp4"));
    assert_non_null(strstr(test_output, "--audio names the speech"));
}

/* Numbers come, as for every length, but nothing is said of whether the mouth follows. */
static void test_too_few_frames(void **state) {
    (void)state;
    assert_run_works("score --progress none --faces " NETS " %s --audio %s --frames 39",
                     test_file("input.mp4"), test_file("input.wav"));
    assert_non_null(
        strstr(test_output, "Lip sync       not to be judged: 39 frames with a face are too few"));
    assert_null(strstr(test_output, "confidence"));
    assert_null(strstr(test_output, "follows"));
    score("%s --audio %s --frames 39", test_file("input.mp4"), test_file("input.wav"));
    assert_non_null(strstr(test_output, "\"enough_frames\":false"));
    assert_run_works("score --progress none --faces " NETS " %s --audio %s --frames 40",
                     test_file("input.mp4"), test_file("input.wav"));
    assert_non_null(strstr(test_output, "confidence"));
    score("%s --audio %s --frames 40", test_file("input.mp4"), test_file("input.wav"));
    assert_non_null(strstr(test_output, "\"enough_frames\":true"));
}

static void test_refusals(void **state) {
    (void)state;
    char line[700];
    const char *video = test_file("input.mp4"), *audio = test_file("input.wav");
    snprintf(line, sizeof(line), "%s --frames 2 --size 128x96 -o %s --track %s >/dev/null", MS_DRAW_CLIP_PATH,
             test_file("small.mp4"), test_file("small.jsonl"));
    assert_int_equal(system(line), 0);
    assert_run_fails(2, "cannot be compared", "score %s --audio %s --faces " NETS " --truth %s", video, audio,
                     test_file("small.mp4"));
    /* A track of the detector's is no truth of the mouth. */
    assert_run_works("detect --video %s --faces " NETS " --frames 2 -y -o %s", video,
                     test_file("found.jsonl"));
    assert_run_fails(7, "mouth_opening", "score %s --audio %s --faces " NETS " --truth %s", video, audio,
                     test_file("found.jsonl"));
}

/* Nobody writes to it, so whoever waits for it waits for ever. */
static void test_pipes(void **state) {
    (void)state;
    static const char at_once[] = "timeout 20 " MS_CLI_PATH;
    const char *video = test_file("input.mp4"), *audio = test_file("input.wav"), *fifo = test_file("fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    static const char *const options[] = {"--track", "--truth", "-i"};
    for (int i = 0; i < 3; i++) {
        assert_program_fails(at_once, 11, "a pipe or device", "score %s --audio %s --faces " NETS " %s %s",
                             video, audio, options[i], fifo);
        assert_non_null(strstr(test_output, fifo));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opening),        cmocka_unit_test(test_perfect_and_untouched),
        cmocka_unit_test(test_shift),          cmocka_unit_test(test_own_sound),
        cmocka_unit_test(test_too_few_frames), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_pipes)};
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
