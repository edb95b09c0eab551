/* A run whose frames are pulled: the same frames as in the file, in order, within
   the buffer; and its ways to end. */
#include "test.h"

#include "base/mem.h"
#include "media/read/video_reader.h"
#include "memsafe/run_stream.h"
#include "support/media/drawn.h"
#include "support/run_inputs.h"

#define FRAMES 20 /* a window and a short one */

static ms_run_params params;

static int prepare(void **state) {
    (void)state;
    test_make_run_inputs(FRAMES, "240x208");
    test_run_params(FRAMES, &params);
    params.steps = 2;
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static int hashes_of_file(const char *path, uint64_t hashes[FRAMES]) {
    ms_video_reader *reader = NULL;
    ms_error err;
    ms_video_reader_params p = MS_VIDEO_READER_DEFAULTS;
    assert_ms_ok(ms_video_reader_open(NULL, path, &p, &reader, &err), &err);
    const ms_video_info *info = ms_video_reader_info(reader);
    size_t bytes = (size_t)info->width * (size_t)info->height * 3;
    uint8_t *rgb = malloc(bytes);
    int frames = 0;
    for (bool got = true;; frames++) {
        assert_ms_ok(ms_video_reader_read(reader, rgb, 0, &got, &err), &err);
        if (!got)
            break;
        assert_true(frames < FRAMES);
        hashes[frames] = test_fnv1a(rgb, bytes);
    }
    free(rgb);
    ms_video_reader_close(&reader);
    return frames;
}

static int pull_all(ms_run_stream *stream, uint64_t hashes[FRAMES]) {
    ms_run_frame frame;
    ms_error err;
    bool got = false;
    for (int n = 0;; n++) {
        assert_ms_ok(ms_run_stream_pull(stream, &frame, &got, &err), &err);
        if (!got)
            return n;
        assert_true(n < FRAMES && frame.number == n && frame.width == 240 && frame.height == 208);
        hashes[n] = test_fnv1a(frame.rgb, (size_t)frame.width * (size_t)frame.height * 3);
        ms_run_stream_release(stream, &frame);
    }
}

static void pulled_frames_are_those_of_the_file(void **state) {
    (void)state;
    uint64_t both[FRAMES], alone[FRAMES], file[FRAMES];
    ms_run_stream *stream = NULL;
    ms_error err;
    static ms_run_report report, lone;
    ms_run_params p = params;
    p.output = test_file("out.mkv");
    assert_ms_ok(ms_run_stream_open(&p, 3, &stream, &err), &err);
    assert_int_equal(pull_all(stream, both), FRAMES);
    assert_true(test_exists(p.output)); /* whole, before the stream is closed */
    assert_ms_ok(ms_run_stream_close(&stream, &report), &err);
    assert_null(stream);
    assert_int_equal(hashes_of_file(p.output, file), FRAMES);
    assert_memory_equal(both, file, sizeof(file));
    assert_true(report.frames == FRAMES && report.n_samples > 1 && report.n_choices > 1);
    int taken = 0;
    for (int i = 0; i < report.n_choices; i++)
        taken += report.choice[i].taken && report.choice[i].rung == report.rung &&
                 report.choice[i].vae_batch == report.vae_decode_batch &&
                 report.choice[i].slice_frames == report.slice_frames;
    assert_int_equal(taken, 1);
    assert_true(report.planned_bytes == report.arena_bytes + report.resident_bytes + report.stream_bytes +
                                            report.buffer_bytes + report.other_bytes);
    p.output = NULL;
    assert_ms_ok(ms_run_stream_open(&p, 1, &stream, &err), &err);
    assert_int_equal(pull_all(stream, alone), FRAMES);
    assert_ms_ok(ms_run_stream_close(&stream, &lone), &err);
    assert_memory_equal(alone, file, sizeof(file));
    assert_true(lone.ledger_peak_bytes[MS_LEDGER_CODEC] <
                report.ledger_peak_bytes[MS_LEDGER_CODEC]); /* no encoder */
}

/* Structs as an older memsafe had them: what is written ends with them, and marked bytes stay. */
static void an_older_programs_structs(void **state) {
    (void)state;
    enum { MARKS = 0xA5 };
    static ms_run_report report;
    ms_run_stream *stream = NULL;
    ms_run_frame frame;
    ms_error err;
    bool got = true;
    const size_t pulled = offsetof(ms_run_frame, place), reported = offsetof(ms_run_report, latents);
    ms_run_params p = params;
    assert_ms_ok(ms_run_stream_open(&p, FRAMES, &stream, &err), &err); /* without `place` none is released */
    for (int n = 0; n < FRAMES; n++) {
        memset(&frame, MARKS, sizeof(frame));
        assert_ms_ok(ms_run_stream_pull_sized(stream, &frame, pulled, &got, &err), &err);
        assert_true(got && frame.number == n && frame.width == 240 && frame.height == 208);
        assert_int_equal(((uint8_t *)&frame)[pulled], MARKS);
    }
    assert_ms_ok(ms_run_stream_pull(stream, &frame, &got, &err), &err);
    assert_false(got);
    memset(&report, MARKS, sizeof(report));
    assert_ms_ok(ms_run_stream_close_sized(&stream, &report, reported), &err);
    assert_true(report.frames == FRAMES && ((uint8_t *)&report)[reported] == MARKS);
}

typedef struct sink_state {
    int64_t frames, stop_at;
    ms_status stop_with;
} sink_state;

static ms_status sink(void *arg, int64_t frame, const uint8_t *rgb, int width, int height) {
    sink_state *s = arg;
    assert_true(frame == s->frames && rgb && width == 240 && height == 208);
    s->frames++;
    return frame == s->stop_at ? s->stop_with : MS_OK;
}

static void a_sink_may_end_the_run(void **state) {
    (void)state;
    ms_error err;
    sink_state s = {.stop_at = 3, .stop_with = MS_IO};
    ms_run_params p = params;
    p.output = test_file("none.mkv");
    p.frame_sink = sink;
    p.sink_arg = &s;
    assert_int_equal(ms_run(&p, NULL, &err), MS_IO);
    assert_true(s.frames == 4 && strstr(err.message, "frame 3: the frame sink says"));
    assert_false(test_exists(p.output));
    p.output = NULL;
    s = (sink_state){.stop_at = -1};
    assert_ms_ok(ms_run(&p, NULL, &err), &err);
    assert_int_equal(s.frames, FRAMES);
    p.frame_sink = NULL;
    assert_int_equal(ms_run(&p, NULL, &err), MS_INVALID_ARGUMENT); /* neither file nor sink */
}

static void a_stream_may_be_left_early_or_fail(void **state) {
    (void)state;
    ms_run_stream *stream = NULL;
    ms_run_frame frame;
    ms_error err;
    bool got = false;
    ms_run_params p = params;
    p.output = test_file("left.mkv");
    assert_ms_ok(ms_run_stream_open(&p, 2, &stream, &err), &err);
    assert_ms_ok(ms_run_stream_pull(stream, &frame, &got, &err), &err); /* and keep it */
    assert_true(got);
    assert_int_equal(ms_run_stream_close(&stream, NULL), MS_CANCELLED); /* the run waits for room */
    assert_false(test_exists(p.output));
    assert_ms_ok(ms_run_stream_open(&p, 2, &stream, &err), &err); /* cancelled before its first frame */
    ms_run_stream_cancel(stream);
    assert_int_equal(ms_run_stream_pull(stream, &frame, &got, &err), MS_CANCELLED);
    assert_int_equal(ms_run_stream_close(&stream, NULL), MS_CANCELLED);
    p.video = "/nonexistent/clip.mkv";
    assert_ms_ok(ms_run_stream_open(&p, 2, &stream, &err), &err);
    assert_int_equal(ms_run_stream_pull(stream, &frame, &got, &err), MS_IO);
    assert_non_null(strstr(err.message, "/nonexistent/clip.mkv"));
    assert_int_equal(ms_run_stream_close(&stream, NULL), MS_IO);
    assert_int_equal(ms_run_stream_open(&p, 0, &stream, &err), MS_INVALID_ARGUMENT);
    p.frame_sink = sink;
    assert_int_equal(ms_run_stream_open(&p, 2, &stream, &err), MS_INVALID_ARGUMENT);
    ms_mem_fail_after(1, false);
    p.frame_sink = NULL;
    assert_int_equal(ms_run_stream_open(&p, 2, &stream, &err), MS_HOST_MEMORY);
    ms_mem_fail_after(0, false);
    assert_null(stream);
}

/* --report chooses its form by the name's end; the page of a real run has its numbers. */
static void the_command_writes_a_page(void **state) {
    (void)state;
    char text[400000];
    const char *page = test_file("report.HTML"), *json = test_file("report.json");
    for (int i = 0; i < 2; i++) {
        const char *report = i ? json : page;
        assert_run_works(
            "run --video %s --audio %s --track %s --model %s --steps 1 --frames %d --codec ffv1 -y -o %s "
            "--report %s",
            params.video, params.audio, params.track, params.model, FRAMES, test_file("page.mkv"), report);
        FILE *f = fopen(report, "r");
        assert_non_null(f);
        size_t length = fread(text, 1, sizeof(text) - 1, f);
        fclose(f);
        text[length] = 0;
        assert_true(length < sizeof(text) - 1);
        assert_memory_equal(text, i ? "{\n" : "<!DOCTYPE html>", i ? 2 : 15);
        assert_non_null(
            strstr(text, i ? "\"layouts\": [{\"rung\": \"full\"" : "20 frames of 240x208 at 25 a second"));
        assert_non_null(strstr(text, i ? "\"budget_reason\"" : "class='rss' points='"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pulled_frames_are_those_of_the_file),
        cmocka_unit_test(an_older_programs_structs),
        cmocka_unit_test(a_sink_may_end_the_run),
        cmocka_unit_test(a_stream_may_be_left_early_or_fail),
        cmocka_unit_test(the_command_writes_a_page),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
