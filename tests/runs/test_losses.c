/* What the output will not have as the input has it is said in one line each,
   before the work, and is in the report. */
#include "test.h"

#include "media/read/video_reader.h"
#include "support/cli.h"
#include "support/media/clip.h"
#include "support/media/track.h"

#define RATE 16000

static int setup(void **state) {
    (void)state;
    assert_run_works("models --synthesize tiny -o %s", test_file("model"));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    test_dir_remove();
    clip_remove_folder();
    return 0;
}

static const char *write_speech(const char *name, double seconds) {
    const char *path = test_file(name);
    int64_t count = (int64_t)(seconds * RATE);
    int16_t *samples = malloc((size_t)count * sizeof(int16_t));
    uint64_t seed = 5;
    for (int64_t i = 0; i < count; i++)
        samples[i] = (int16_t)(test_rand(&seed) % 4000);
    clip_write_wav(path, RATE, 1, count, samples);
    free(samples);
    return path;
}

static const clip_raw plain = {.encoder = "libx264",
                               .pixel_format = "yuv420p",
                               .options = "preset=ultrafast",
                               .width = 160,
                               .height = 120,
                               .fps_num = 25,
                               .fps_den = 1,
                               .frames = 10};

/* Over the clip, with a face in all of it; what was said is in test_output. */
static int run(const char *clip, const char *speech, const char *out, const char *more) {
    const char *track = test_write_track("losses.jsonl", 60, 80, 60, 80, 0, 0);
    return test_run("run --model %s --video %s --audio %s --track %s -o %s --steps 1 --resolution 64 -y %s",
                    test_file("model"), clip, speech, track, out, more);
}

static void assert_says(const char *text) {
    if (!strstr(test_output, text))
        fail_msg("wanted \"%s\" in: %s", text, test_output);
}

static void assert_says_nothing_of(const char *text) {
    if (strstr(test_output, text))
        fail_msg("did not want \"%s\" in: %s", text, test_output);
}

/* The note comes before the work's own words. */
static void assert_notes(const char *text) {
    const char *note = strstr(test_output, text), *done = strstr(test_output, "made in ");
    if (!note || !done || note > done)
        fail_msg("wanted \"%s\" before the result in: %s", text, test_output);
}

/* But that the model is a made-up one. */
static void assert_notes_nothing(void) {
    const char *note = strstr(test_output, "note:");
    if (!note || strstr(note + 1, "note:") || strncmp(note, "note: the model's weights are random", 36) != 0)
        fail_msg("wanted no note but the model's in: %s", test_output);
}

static void nothing_is_said_when_nothing_is_lost(void **state) {
    (void)state;
    const char *clip = test_file("plain.mp4");
    clip_write_raw(clip, &plain);
    assert_int_equal(run(clip, write_speech("equal.wav", 0.4), test_file("out.mkv"), "--frames 2"), 0);
    assert_notes_nothing();
}

static void frame_rates_that_change_are_said(void **state) {
    (void)state;
    clip_raw raw = plain;
    raw.fps_num = 30;
    const char *clip = test_file("thirty.mp4"), *speech = write_speech("rate.wav", 0.3),
               *out = test_file("rate.mkv");
    clip_write_raw(clip, &raw);
    assert_int_equal(run(clip, speech, out, "--frames 2"), 0);
    assert_notes("note: the video's 30 frames a second become 25 (--fps source keeps them)");
    assert_int_equal(run(clip, speech, out, "--frames 2 --fps source"), 0);
    assert_says_nothing_of("frames a second become");
}

static void pictures_that_change_are_said(void **state) {
    (void)state;
    clip_raw raw = plain;
    raw.encoder = "ffv1";
    raw.options = NULL;
    raw.pixel_format = "yuva444p10";
    raw.width = 161;
    const char *clip = test_file("alpha.mkv"), *speech = write_speech("alpha.wav", 0.4);
    const char *report = test_file("alpha.json");
    char more[600];
    clip_write_raw(clip, &raw);
    snprintf(more, sizeof(more), "--frames 2 --report %s", report);
    assert_int_equal(run(clip, speech, test_file("alpha.mp4"), more), 0);
    assert_notes("note: the video's transparency is dropped");
    assert_notes("note: the video's 10 bits a colour become 8");
    assert_notes("note: the video's colours are stored at half the resolution (4:2:0)");
    assert_notes("note: 161x120 becomes 162x120: h264 needs even sizes, the last column is repeated");
    assert_says("2 frames of 162x120");
    size_t bytes;
    char *json = (char *)clip_load(report, &bytes);
    json[bytes] = 0;
    assert_non_null(strstr(json, "\"notes\": [{\"code\": \"alpha\", \"text\": \"the video's transparency"));
    assert_non_null(strstr(json, "{\"code\": \"size\", "));
    assert_non_null(strstr(json, "\"width\": 162, \"height\": 120"));
    free(json);
    assert_int_equal(run(clip, speech, test_file("alpha-out.mkv"), "--frames 2 --codec ffv1"), 0);
    assert_notes("transparency is dropped");
    assert_says_nothing_of("even sizes");
    assert_says_nothing_of("4:2:0");
    assert_says("2 frames of 161x120");
}

static void subtitles_are_said(void **state) {
    (void)state;
    clip_raw raw = plain;
    raw.subtitles = true;
    const char *clip = test_file("subtitles.mkv");
    clip_write_raw(clip, &raw);
    assert_int_equal(run(clip, write_speech("subtitles.wav", 0.4), test_file("sub.mkv"), "--frames 2"), 0);
    assert_notes("note: 1 subtitle track of the video is dropped");
}

static void silence_is_said(void **state) {
    (void)state;
    const char *clip = test_file("quiet.mp4"), *speech = test_file("quiet.wav");
    char line[1024];
    clip_raw raw = plain;
    clip_write_raw(clip, &raw);
    snprintf(line, sizeof(line), "ffmpeg -v error -y -f lavfi -i anullsrc=r=16000:cl=mono -t 1 %s", speech);
    if (system("command -v ffmpeg > /dev/null") != 0)
        skip();
    assert_int_equal(system(line), 0);
    assert_int_equal(run(clip, speech, test_file("quiet.mkv"), ""), 0);
    assert_non_null(strstr(test_output, "the speech is silent"));
}

static void tails_are_said(void **state) {
    (void)state;
    const char *clip = test_file("tail.mp4"), *out = test_file("tail.mkv");
    clip_raw raw = plain;
    raw.frames = 60;
    clip_write_raw(clip, &raw);
    assert_int_equal(run(clip, write_speech("tail.wav", 0.4), out, ""), 0);
    assert_notes("note: the video is longer than the speech: its last 1.9 s, from 0.48 s on, are not used");
    raw.frames = 5;
    clip_write_raw(clip, &raw);
    const char *speech = write_speech("head.wav", 1.0);
    assert_int_equal(run(clip, speech, out, "--loop none"), 0);
    assert_notes("note: the speech is longer than the video: its last 0.80 s, from 0.20 s on, are not used "
                 "(--loop none)");
    assert_int_equal(run(clip, speech, out, ""), 0);
    assert_notes(
        "note: the speech is longer than the video: from 0.20 s on the video goes backwards, then forwards "
        "again (--loop says how)");
    assert_int_equal(run(clip, speech, out, "--loop hold"), 0);
    assert_notes(
        "note: the speech is longer than the video: from 0.20 s on the video stands still (--loop says how)");
    assert_int_equal(run(clip, speech, out, ""), 0);
    assert_says_nothing_of("not used");
}

/* What -t says itself is not said again; what it does not show is. */
static void tails_of_a_range_are_said_where_they_are_a_loss(void **state) {
    (void)state;
    const char *clip = test_file("range.mp4"), *out = test_file("range.mkv"),
               *speech = write_speech("range.wav", 1.0);
    clip_raw raw = plain;
    raw.frames = 60;
    clip_write_raw(clip, &raw);
    assert_int_equal(run(clip, speech, out, "-t 0.48"), 0);
    assert_notes_nothing();
    assert_int_equal(run(clip, speech, out, "-ss 0.2 -t 2"), 0);
    assert_notes(
        "note: the speech is shorter than the range, whose last 0.92 s, from 1.3 s on, are not used");
    assert_int_equal(run(clip, speech, out, "-t 2 --rest keep"), 0);
    assert_notes_nothing();
    assert_int_equal(run(clip, speech, out, "-t 0.48 --rest keep"), 0);
    assert_notes("note: the speech is longer than the range: its last 0.52 s, from 0.48 s on, are not used");
    raw.frames = 5;
    clip_write_raw(clip, &raw);
    assert_int_equal(run(clip, speech, out, "-t 0.8"), 0);
    assert_notes("note: the speech is longer than the video: from 0.20 s on the video goes backwards");
    assert_int_equal(run(clip, speech, out, "-t 0.8 --loop none"), 0);
    assert_notes("note: the speech is longer than the video: its last 0.60 s, from 0.20 s on, are not used");
}

static void sound_that_cannot_be_copied_is_said(void **state) {
    (void)state;
    const char *clip = test_file("sound.mp4"), *speech = write_speech("sound.wav", 0.4);
    clip_write_raw(clip, &plain);
    assert_int_equal(run(clip, speech, test_file("sound-out.mp4"), "--frames 2 -v"), 0);
    assert_notes("note: pcm_s16le sound cannot be copied into this kind of file: it is encoded anew as aac");
    assert_int_equal(run(clip, speech, test_file("sound-out.mp4"), "--frames 2"), 0);
    assert_says_nothing_of("encoded anew"); /* so it is with every WAV: for who asks, and for programs */
    assert_int_equal(run(clip, speech, test_file("sound-out.mp4"), "--frames 2 --progress json"), 0);
    assert_says("\"code\": \"sound\"");
    assert_int_equal(run(clip, speech, test_file("sound-out.mov"), "--frames 2 -v"), 0);
    assert_says_nothing_of("encoded anew");
}

/* As FFmpeg's users type: what memsafe does anyway passes, anything else is an error before the work. */
static void what_is_asked_for_and_done_anyway_passes(void **state) {
    (void)state;
    const char *clip = test_file("wish.mp4"), *speech = write_speech("wish.wav", 0.4);
    clip_write_raw(clip, &plain);
    assert_int_equal(run(clip, speech, test_file("wish-out.mp4"), "--frames 2 -pix_fmt yuv420p -c:a aac"), 0);
    assert_int_equal(run(clip, speech, test_file("wish-out.mkv"), "--frames 2 -c:a pcm_s16le"), 0);
    assert_int_equal(run(clip, speech, test_file("wish-out.mkv"), "--frames 2 -codec ffv1 -pix_fmt bgr0"), 0);
    assert_int_equal(run(clip, speech, test_file("wish-out.mkv"), "--frames 2 -an -c:a aac"), 0);
    static const struct {
        const char *out, *more, *says;
    } cases[] = {{"no.mp4", "-pix_fmt yuv444p", "the output would be yuv420p, not yuv444p"},
                 {"no.mkv", "-codec ffv1 -pix_fmt yuv420p", "the output would be bgr0, not yuv420p"},
                 {"no.mp4", "-pix_fmt nonsense", "the output would be yuv420p, not nonsense"},
                 {"no.mp4", "-c:a flac", "sound would be aac, not flac: what this kind of file cannot take"},
                 {"no.mkv", "-c:a aac", "sound would be pcm_s16le, not aac: it is copied as it is given"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        clip = test_file("wish.mp4"); /* test_file()'s buffers are used in turn */
        speech = test_file("wish.wav");
        assert_int_equal(run(clip, speech, test_file(cases[i].out), cases[i].more), 12);
        assert_says(cases[i].says);
        assert_false(test_exists(test_file(cases[i].out)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_said_when_nothing_is_lost),
        cmocka_unit_test(frame_rates_that_change_are_said),
        cmocka_unit_test(pictures_that_change_are_said),
        cmocka_unit_test(subtitles_are_said),
        cmocka_unit_test(tails_are_said),
        cmocka_unit_test(tails_of_a_range_are_said_where_they_are_a_loss),
        cmocka_unit_test(silence_is_said),
        cmocka_unit_test(sound_that_cannot_be_copied_is_said),
        cmocka_unit_test(what_is_asked_for_and_done_anyway_passes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
