/* Frames that a session shows again, as a run loops its clip; a session that ends after so many; the budget
   that would do. */
#include "test.h"

#include "base/mem.h"
#include "support/session_inputs.h"

#define FIRST 25 /* the clip's frame that is the first here, so that the speech is longer */
#define CLIP (FRAMES - FIRST)

static uint64_t looped[FRAMES];

static ms_status note_looped(void *arg, int64_t frame, const uint8_t *rgb, int width, int height) {
    (void)arg;
    assert_true(width == WIDTH && height == HEIGHT && frame < FRAMES);
    looped[frame] = test_fnv1a(rgb, BYTES);
    return MS_OK;
}

static int64_t run_loop(ms_loop_mode loop, int64_t frames) {
    static ms_run_report report;
    ms_error err;
    ms_run_params r = params;
    r.start_us = (int64_t)FIRST * 40000;
    r.loop = loop;
    r.frames = frames;
    r.frame_sink = note_looped;
    assert_ms_ok(ms_run(&r, &report, &err), &err);
    return report.frames;
}

static int64_t shown(ms_loop_mode loop, int64_t frame) {
    if (loop == MS_LOOP_MODE_REPEAT)
        return frame % CLIP;
    if (loop == MS_LOOP_MODE_HOLD)
        return frame < CLIP ? frame : CLIP - 1;
    return frame / CLIP % 2 ? CLIP - 1 - frame % CLIP : frame % CLIP;
}

/* Frames of the clip and then those again: hashes of what comes out. */
static ms_status pass_again(const ms_session_params *p, ms_loop_mode loop, int64_t frames, uint64_t *hashes,
                            ms_error *err) {
    ms_session *s = NULL;
    ms_session_frame out;
    int64_t pushed = 0, pulled = 0;
    ms_status status = open_session(p, &s, err);
    if (status == MS_OK)
        status = push_speech(s, 5000, err);
    while (status == MS_OK && pulled < frames) {
        bool taken = true, got = true;
        while (status == MS_OK && taken && pushed < frames) {
            ms_session_frame in = frame_of((int)(FIRST + shown(loop, pushed)));
            if (pushed >= CLIP) {
                in.again = 1 + shown(loop, pushed);
                in.landmarks = NULL;
            }
            status = ms_session_push(s, &in, &taken, err);
            pushed += status == MS_OK && taken;
        }
        if (status == MS_OK && pushed == frames)
            status = ms_session_end(s, err);
        while (status == MS_OK && got) {
            status = ms_session_pull(s, &out, &got, err);
            if (status == MS_OK && got)
                hashes[pulled++] = test_fnv1a(out.pixels, BYTES);
        }
    }
    ms_session_destroy(&s);
    return status;
}

static void a_clip_is_looped_as_a_run_loops_it(void **state) {
    (void)state;
    static const ms_loop_mode loops[] = {MS_LOOP_MODE_PINGPONG, MS_LOOP_MODE_REPEAT, MS_LOOP_MODE_HOLD};
    ms_error err;
    ms_model *model = open_model(0);
    ms_session_params p = session_params(model);
    p.keep_faces = true;
    for (int i = 0; i < 3; i++) {
        uint64_t hashes[FRAMES] = {0};
        int64_t frames = run_loop(loops[i], FRAMES);
        assert_int_equal(frames, FRAMES);
        assert_ms_ok(pass_again(&p, loops[i], frames, hashes, &err), &err);
        for (int64_t k = 0; k < frames; k++)
            if (hashes[k] != looped[k])
                fail_msg("loop %d: frame %d is another", (int)loops[i], (int)k);
    }
    ms_model_close(&model);
}

static void every_place_for_faces_may_be_missing(void **state) {
    (void)state;
    ms_error err;
    ms_model *model = open_model(0);
    ms_session *s = NULL;
    ms_session_params p = session_params(model);
    bool taken = false;
    p.keep_faces = true;
    assert_ms_ok(open_session(&p, &s, &err), &err);
    ms_session_frame in = frame_of(0);
    ms_mem_fail_after(1, false);
    assert_int_equal(ms_session_push(s, &in, &taken, &err), MS_HOST_MEMORY);
    ms_mem_fail_after(0, false);
    assert_ms_ok(ms_session_push(s, &in, &taken, &err), &err); /* nothing of it was taken */
    assert_true(taken);
    ms_session_destroy(&s);
    ms_model_close(&model);
}

/* `frames` cuts the last window where a run of so many frames ends it, and more that is pushed does not come
   out. */
static void it_ends_after_so_many(void **state) {
    (void)state;
    enum { LIMIT = 21 };
    uint64_t hashes[FRAMES] = {0};
    ms_session *s = NULL;
    ms_session_frame out;
    ms_error err;
    bool taken = true, got = true;
    int pulled = 0;
    ms_run_params r = params;
    r.frames = LIMIT;
    r.frame_sink = note_looped;
    assert_ms_ok(ms_run(&r, NULL, &err), &err);
    ms_model *model = open_model(0);
    ms_session_params p = session_params(model);
    p.frames = LIMIT;
    assert_ms_ok(open_session(&p, &s, &err), &err);
    assert_ms_ok(push_speech(s, n_speech, &err), &err);
    for (int i = 0; i < 30; i++) {
        ms_session_frame in = frame_of(i);
        assert_ms_ok(ms_session_push(s, &in, &taken, &err), &err);
        assert_true(taken);
    }
    while (got && !ms_session_ended(s)) {
        assert_ms_ok(ms_session_pull(s, &out, &got, &err), &err);
        if (got)
            hashes[pulled++] = test_fnv1a(out.pixels, BYTES);
    }
    assert_int_equal(pulled, LIMIT);
    assert_memory_equal(hashes, looped, LIMIT * sizeof(*hashes));
    assert_ms_ok(ms_session_pull(s, &out, &got, &err), &err);
    assert_false(got);
    ms_session_frame in = frame_of(30);
    assert_int_equal(ms_session_push(s, &in, &taken, &err), MS_INVALID_ARGUMENT);
    ms_session_destroy(&s);
    ms_model_close(&model);
}

static void push_refused(ms_session *s, ms_session_frame in, const char *why) {
    bool taken;
    ms_error err;
    assert_int_equal(ms_session_push(s, &in, &taken, &err), MS_INVALID_ARGUMENT);
    if (!strstr(err.message, why))
        fail_msg("\"%s\" and not \"%s\"", err.message, why);
}

static void what_cannot_be_shown_again_is_refused(void **state) {
    (void)state;
    ms_session *s = NULL;
    ms_error err;
    bool taken;
    ms_model *model = open_model(0);
    ms_session_params p = session_params(model);
    assert_ms_ok(open_session(&p, &s, &err), &err);
    ms_session_frame in = frame_of(0), again = frame_of(0);
    again.again = 1;
    again.landmarks = NULL;
    push_refused(s, again, "keep_faces");
    ms_session_destroy(&s);
    p.keep_faces = true;
    assert_ms_ok(open_session(&p, &s, &err), &err);
    push_refused(s, again, "of 0 frames, not 1");
    assert_ms_ok(ms_session_push(s, &in, &taken, &err), &err);
    again.again = 2;
    push_refused(s, again, "of 1 frames, not 2");
    again.again = -1;
    push_refused(s, again, "not -1");
    again.again = 1;
    again.landmarks = (const float(*)[2])record[0].landmarks;
    push_refused(s, again, "landmarks");
    again.landmarks = NULL;
    assert_ms_ok(ms_session_push(s, &again, &taken, &err), &err);
    assert_true(taken);
    push_refused(s, in, "a new frame after");
    again.again = 2;
    push_refused(s, again, "of 1 frames, not 2"); /* only new ones have numbers */
    ms_session_destroy(&s);
    p.frames = -1;
    assert_int_equal(ms_session_create(&p, &s, &err), MS_INVALID_ARGUMENT);
    ms_model_close(&model);
}

static void it_says_which_budget_would_do(void **state) {
    (void)state;
    ms_session *s = NULL;
    ms_session_info info;
    ms_error err;
    ms_model *model = open_model((size_t)24 << 20);
    ms_session_params p = session_params(model);
    assert_ms_ok(ms_session_create(&p, &s, &err), &err);
    assert_int_equal(ms_session_open(s, &err), MS_BUDGET);
    ms_session_get_info(s, &info);
    char least[64];
    snprintf(least, sizeof(least), "at least %zu MiB", info.least_bytes >> 20);
    assert_true(info.least_bytes > (size_t)24 << 20);
    assert_non_null(strstr(err.message, least));
    ms_session_destroy(&s);
    ms_model_close(&model);
    /* the process has grown since by the test's own */
    model = open_model(info.least_bytes + ((size_t)4 << 20));
    p.model = model;
    assert_ms_ok(open_session(&p, &s, &err), &err);
    ms_session_get_info(s, &info);
    assert_int_equal(info.least_bytes, 0);
    ms_session_destroy(&s);
    ms_model_close(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clip_is_looped_as_a_run_loops_it),
        cmocka_unit_test(every_place_for_faces_may_be_missing),
        cmocka_unit_test(it_ends_after_so_many),
        cmocka_unit_test(what_cannot_be_shown_again_is_refused),
        cmocka_unit_test(it_says_which_budget_would_do),
    };
    return cmocka_run_group_tests(tests, test_prepare_session, test_clean_session);
}
