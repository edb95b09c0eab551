/* Faces found and videos judged in frames that are pushed: what ms_detect() and ms_score() say of the
   file. */
#include "test.h"

#include <math.h>

#include "base/mem.h"
#include "memsafe/detect.h"
#include "memsafe/score.h"
#include "support/session_inputs.h"

#define NETS MS_SOURCE_DIR "/models/demo"

static ms_finder_params finder_params(void) {
    ms_finder_params p;
    ms_finder_params_init(&p);
    p.model = NETS;
    p.width = WIDTH;
    p.height = HEIGHT;
    p.threads = 2;
    return p;
}

/* All frames through a finder; those in [grey_from, grey_end) have no face. */
static int find_all(ms_found_face faces[FRAMES], int grey_from, int grey_end) {
    ms_finder_params p = finder_params();
    ms_finder *finder = NULL;
    ms_error err;
    int known = 0;
    static uint8_t grey[BYTES];
    memset(grey, 128, sizeof(grey));
    assert_ms_ok(ms_finder_create(&p, &finder, &err), &err);
    for (int i = 0; i <= FRAMES; i++) {
        bool got = true;
        if (i < FRAMES)
            assert_ms_ok(ms_finder_push(finder,
                                        i >= grey_from && i < grey_end ? grey : clip + (size_t)i * BYTES,
                                        i % 2 ? WIDTH * 3 : 0, &err),
                         &err);
        else
            assert_ms_ok(ms_finder_end(finder, &err), &err);
        while (got) {
            assert_ms_ok(ms_finder_take(finder, &faces[known], &got, &err), &err);
            known += got;
        }
        assert_true(known <= i + 1);
    }
    assert_int_equal(ms_finder_push(finder, clip, 0, &err), MS_INVALID_ARGUMENT);
    ms_finder_destroy(&finder);
    assert_null(finder);
    return known;
}

static void faces_are_those_of_the_file(void **state) {
    (void)state;
    static ms_found_face faces[FRAMES + 1];
    ms_detect_params d;
    ms_detect_report report;
    ms_track_reader *reader = NULL;
    ms_face_record r;
    ms_error err;
    bool got = true;
    int with_face = 0;
    ms_detect_params_init(&d);
    d.video = params.video;
    d.model = NETS;
    d.output = test_file("found.jsonl");
    assert_ms_ok(ms_detect(&d, &report, &err), &err);
    assert_int_equal(find_all(faces, 0, 0), FRAMES);
    assert_ms_ok(ms_track_reader_open(NULL, test_file("found.jsonl"), &reader, &err), &err);
    for (;;) {
        assert_ms_ok(ms_track_reader_next(reader, &r, &got, &err), &err);
        if (!got)
            break;
        const ms_found_face *f = &faces[r.frame];
        assert_true(f->frame == r.frame && f->present);
        assert_memory_equal(f->landmarks, r.landmarks, sizeof(f->landmarks));
        assert_memory_equal(f->box, r.box, sizeof(f->box));
        with_face++;
    }
    ms_track_reader_close(&reader);
    assert_true(with_face == report.frames_with_face && with_face > FRAMES / 2);
    for (int i = 0; i < FRAMES; i++)
        with_face -= faces[i].present;
    assert_int_equal(with_face, 0);
}

static void gaps_are_bridged_or_not(void **state) {
    (void)state;
    static ms_found_face faces[FRAMES + 1];
    assert_int_equal(find_all(faces, FRAMES - 5, FRAMES), FRAMES);
    assert_true(faces[FRAMES - 6].present && !faces[FRAMES - 5].present && !faces[FRAMES - 1].present);
    assert_true(faces[FRAMES - 1].frame == FRAMES - 1 && faces[FRAMES - 1].box[2] == 0);
}

static void what_is_known_must_be_taken(void **state) {
    (void)state;
    ms_finder_params p = finder_params();
    ms_finder *finder = NULL;
    ms_found_face face;
    ms_error err;
    bool got;
    assert_ms_ok(ms_finder_create(&p, &finder, &err), &err);
    assert_int_equal(ms_finder_push(finder, clip, 5, &err), MS_INVALID_ARGUMENT);
    assert_ms_ok(ms_finder_push(finder, clip, 0, &err), &err);
    assert_int_equal(ms_finder_push(finder, clip, 0, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "taken"));
    assert_ms_ok(ms_finder_take(finder, &face, &got, &err), &err);
    assert_true(got);
    assert_ms_ok(ms_finder_take(finder, &face, &got, &err), &err);
    assert_false(got);
    assert_ms_ok(ms_finder_push(finder, clip, 0, &err), &err);
    ms_finder_destroy(&finder);
    p.width = 8192, p.height = 2;
    assert_int_equal(ms_finder_create(&p, &finder, &err), MS_INVALID_ARGUMENT);
    p = finder_params();
    p.budget_bytes = 1 << 20;
    assert_int_equal(ms_finder_create(&p, &finder, &err), MS_BUDGET);
    p.budget_bytes = 0;
    p.model = "/nowhere";
    assert_int_equal(ms_finder_create(&p, &finder, &err), MS_IO);
    assert_null(finder);
}

static ms_scorer_params scorer_params(void) {
    ms_scorer_params p;
    ms_scorer_params_init(&p);
    p.model = NETS;
    p.width = WIDTH;
    p.height = HEIGHT;
    p.threads = 2;
    p.speech = speech;
    p.speech_samples = n_speech;
    return p;
}

static void scores_are_those_of_the_file(void **state) {
    (void)state;
    static ms_score_report file, pushed;
    ms_scorer_params p = scorer_params();
    ms_scorer *scorer = NULL;
    ms_score_params s;
    ms_error err;
    for (int with = 0; with < 2; with++) { /* the video alone, and beside an input and a truth */
        ms_score_params_init(&s);
        s.video = params.video;
        s.audio = params.audio;
        s.model = NETS;
        s.input = with ? params.video : NULL;
        s.truth = with ? params.video : NULL;
        assert_ms_ok(ms_score(&s, &file, &err), &err);
        p.input = p.truth = with;
        assert_ms_ok(ms_scorer_create(&p, &scorer, &err), &err);
        for (int i = 0; i < FRAMES; i++) {
            const uint8_t *rgb = clip + (size_t)i * BYTES;
            const ms_score_frame f = {.video = rgb, .input = with ? rgb : NULL, .truth = with ? rgb : NULL};
            assert_ms_ok(ms_scorer_push(scorer, &f, &err), &err);
        }
        assert_ms_ok(ms_scorer_get_report(scorer, &pushed, &err), &err);
        ms_scorer_destroy(&scorer);
        assert_true(pushed.seconds > 0 && pushed.frames == FRAMES && pushed.frames_with_face > FRAMES / 2);
        pushed.seconds = file.seconds;
        assert_memory_equal(&pushed, &file, sizeof(file));
        assert_true(!with || isinf(pushed.input.psnr_db[MS_REGION_MOUTH]));
    }
}

static void what_was_not_announced_is_refused(void **state) {
    (void)state;
    static ms_score_report report;
    ms_scorer_params p = scorer_params();
    ms_scorer *scorer = NULL;
    ms_error err;
    ms_score_frame f = {.video = clip, .truth = clip};
    assert_ms_ok(ms_scorer_create(&p, &scorer, &err), &err);
    assert_int_equal(ms_scorer_get_report(scorer, &report, &err), MS_NO_FACE);
    assert_int_equal(ms_scorer_push(scorer, &f, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "truth"));
    f.truth = NULL;
    f.has_opening = true;
    f.truth_opening = 3;
    assert_ms_ok(ms_scorer_push(scorer, &f, &err), &err);
    assert_ms_ok(ms_scorer_get_report(scorer, &report, &err), &err);
    assert_true(report.frames == 1 && report.has_truth && !report.truth_is_video && report.mouth_rmse_px > 0);
    ms_scorer_destroy(&scorer);
    p.speech = NULL;
    assert_int_equal(ms_scorer_create(&p, &scorer, &err), MS_INVALID_ARGUMENT);
    p = scorer_params();
    p.fps_num = 0;
    assert_int_equal(ms_scorer_create(&p, &scorer, &err), MS_INVALID_ARGUMENT);
    p = scorer_params();
    p.window = 1;
    assert_int_equal(ms_scorer_create(&p, &scorer, &err), MS_INVALID_ARGUMENT);
}

static void check_refusal(uint64_t n, ms_status status, bool is_left, const ms_error *err) {
    if (status != MS_OK && (status != MS_HOST_MEMORY || is_left))
        fail_msg("allocation %d: %s (%s)", (int)n, ms_status_name(status), err->message);
}

static void any_allocation_may_fail(void **state) {
    (void)state;
    ms_error err;
    int refused = 0;
    for (uint64_t n = 1; n < 200; n += 7) {
        ms_finder_params p = finder_params();
        ms_scorer_params q = scorer_params();
        ms_finder *finder = NULL;
        ms_scorer *scorer = NULL;
        ms_mem_fail_after(n, false);
        ms_status status = ms_finder_create(&p, &finder, &err);
        ms_mem_fail_after(0, false);
        check_refusal(n, status, finder != NULL, &err);
        refused += status != MS_OK;
        ms_finder_destroy(&finder);
        ms_mem_fail_after(n, false);
        status = ms_scorer_create(&q, &scorer, &err);
        ms_mem_fail_after(0, false);
        check_refusal(n, status, scorer != NULL, &err);
        refused += status != MS_OK;
        ms_scorer_destroy(&scorer);
    }
    assert_true(refused > 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faces_are_those_of_the_file),       cmocka_unit_test(gaps_are_bridged_or_not),
        cmocka_unit_test(what_is_known_must_be_taken),       cmocka_unit_test(scores_are_those_of_the_file),
        cmocka_unit_test(what_was_not_announced_is_refused), cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, test_prepare_session, test_clean_session);
}
