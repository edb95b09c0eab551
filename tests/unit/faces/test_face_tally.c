/* When the faces of a run are doubtful. */
#include "test.h"

#include "faces/face_tally.h"

/* Points on a circle of 100 pixels; `wrong`: each elsewhere by so many pixels, in alternation. */
static ms_face_record face(int64_t frame, float shift, float wrong) {
    ms_face_record r = {.frame = frame, .present = true};
    for (int i = 0; i < MS_LANDMARKS; i++) {
        float at = (float)i * 0.0593f;
        r.landmarks[i][0] = 50 + 50 * cosf(at) + shift + (i % 2 ? wrong : -wrong);
        r.landmarks[i][1] = 50 + 50 * sinf(at) + shift;
    }
    return r;
}

static ms_run_faces_report tell(float score, float wrong, int64_t frames, int64_t without,
                                ms_face_tally *tally) {
    ms_run_faces_report r;
    for (int i = 0; i < frames - without; i++) {
        ms_face_record record = face(i, 3 * (float)i, i % 2 ? wrong : 0);
        ms_face_tally_add(tally, &record, score);
    }
    ms_face_tally_report(tally, frames, without, &r);
    return r;
}

static void sure_faces_are_not_doubted(void **state) {
    (void)state;
    ms_face_tally tally = {0};
    ms_run_faces_report r = tell(0.9f, 0.5f, 30, 10, &tally);
    assert_string_equal(r.doubt, "");
    assert_true(fabs(r.score - 0.9) < 1e-6);
    assert_true(r.jitter > 0.004 && r.jitter < 0.006); /* moving as a whole does not count */
}

static void each_sign_is_told(void **state) {
    (void)state;
    ms_face_tally low = {0}, jumping = {0}, rare = {0}, track = {0};
    assert_non_null(strstr(tell(0.55f, 0.5f, 30, 0, &low).doubt, "hardly sure of them (0.55"));
    assert_non_null(strstr(tell(0.9f, 5, 30, 0, &jumping).doubt, "their points jump about"));
    assert_non_null(strstr(tell(0.9f, 0.5f, 30, 16, &rare).doubt, "(16 of 30)"));
    ms_run_faces_report r;
    ms_face_tally_report(&track, 30, 0, &r);
    assert_string_equal(r.doubt, "");
    assert_true(isnan(r.score) && isnan(r.jitter));
    ms_face_tally_report(&track, 30, 20, &r);
    assert_non_null(strstr(r.doubt, "more than half of the frames have none"));
}

/* Another face, or the same after a gap, is no jump of the points. */
static void only_neighbours_are_compared(void **state) {
    (void)state;
    ms_face_tally tally = {0};
    ms_face_record a = face(0, 0, 0), b = face(2, 0, 20), c = face(3, 0, 0);
    c.begins = true;
    ms_face_tally_add(&tally, &a, 1);
    ms_face_tally_add(&tally, &b, 1);
    ms_face_tally_add(&tally, &c, 1);
    assert_int_equal(tally.pairs, 0);
    assert_int_equal(tally.found, 3);
}

static void it_is_saved_and_restored(void **state) {
    (void)state;
    ms_face_tally tally = {0}, again = {0};
    static ms_state s;
    tell(0.75f, 2, 20, 0, &tally);
    ms_state_begin_saving(&s);
    ms_face_tally_visit(&tally, &s);
    ms_state_begin_restoring(&s);
    ms_face_tally_visit(&again, &s);
    assert_true(ms_state_whole(&s));
    assert_int_equal(again.found, tally.found);
    assert_int_equal(again.pairs, tally.pairs);
    assert_true(again.score_sum == tally.score_sum && again.jitter_sum == tally.jitter_sum);
    /* What a hostile journal says is refused. */
    ms_face_tally bad = {.found = -1};
    ms_state_begin_saving(&s);
    ms_face_tally_visit(&bad, &s);
    ms_state_begin_restoring(&s);
    ms_face_tally_visit(&again, &s);
    assert_false(ms_state_whole(&s));
    bad = (ms_face_tally){.found = 3, .score_sum = NAN};
    ms_state_begin_saving(&s);
    ms_face_tally_visit(&bad, &s);
    ms_state_begin_restoring(&s);
    ms_face_tally_visit(&again, &s);
    assert_false(ms_state_whole(&s));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sure_faces_are_not_doubted), cmocka_unit_test(each_sign_is_told),
        cmocka_unit_test(only_neighbours_are_compared), cmocka_unit_test(it_is_saved_and_restored)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
