/* What sessions and runs share: opening that is watched and cancelled, settings of its own for each on one
   model, a run that is pulled, and what an idle model leaves to others. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "memsafe/detect.h"
#include "memsafe/run_stream.h"
#include "support/session_inputs.h"

#define MIB ((size_t)1 << 20)

/* ---- opening ---- */

typedef struct watcher {
    ms_session *session;
    atomic_bool over;
    bool cancels; /* once it has seen bytes of the model */
    int64_t parts;
} watcher;

static void *watch(void *arg) {
    watcher *w = arg;
    while (!atomic_load(&w->over)) {
        ms_session_progress p = {0};
        ms_session_get_progress(w->session, &p);
        if (strcmp(p.stage, "load") != 0 || p.parts == 0)
            continue;
        w->parts = p.parts;
        if (w->cancels)
            ms_session_cancel(w->session);
    }
    return NULL;
}

static ms_status open_watched(const ms_session_params *p, watcher *w, ms_error *err) {
    pthread_t thread;
    w->session = NULL;
    w->parts = 0;
    atomic_store(&w->over, false);
    assert_ms_ok(ms_session_create(p, &w->session, err), err);
    assert_int_equal(pthread_create(&thread, NULL, watch, w), 0);
    ms_status status = ms_session_open(w->session, err);
    atomic_store(&w->over, true);
    pthread_join(thread, NULL);
    return status;
}

/* Reading a tiny model is short: it is read until the other thread has come in time. */
static void opening_is_watched_and_cancelled(void **state) {
    (void)state;
    ms_error err;
    ms_model *model = open_model(0);
    ms_session_params p = session_params(model);
    watcher w = {.cancels = true};
    ms_status status = MS_OK;
    for (int i = 0; i < 500 && status != MS_CANCELLED; i++) {
        status = open_watched(&p, &w, &err);
        assert_true(status == MS_OK || status == MS_CANCELLED);
        if (status == MS_CANCELLED) {
            assert_true(w.parts > 0 && err.code == MS_CANCELLED && err.message[0]);
            assert_int_equal(ms_session_end(w.session, &err), MS_CANCELLED);
            assert_int_equal(ms_session_open(w.session, &err), MS_INVALID_ARGUMENT);
        }
        ms_session_destroy(&w.session);
        assert_ms_ok(ms_model_evict(model, &err), &err);
    }
    assert_int_equal(status, MS_CANCELLED);
    uint64_t hashes[FRAMES];
    assert_ms_ok(pass(&p, hashes, NULL, &err), &err); /* the model is as it was */
    check_frames(hashes);
    ms_model_close(&model);
}

static void it_opens_once_and_not_after_a_cancel(void **state) {
    (void)state;
    ms_session *s = NULL;
    ms_session_frame frame = frame_of(0);
    ms_session_info info;
    ms_session_progress progress;
    ms_model_info about;
    ms_error err;
    bool flag = false;
    ms_model *model = open_model(0);
    ms_session_params p = session_params(model);
    assert_ms_ok(ms_session_create(&p, &s, &err), &err);
    /* Before it is open. */
    assert_int_equal(ms_session_push(s, &frame, &flag, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "not open"));
    assert_int_equal(ms_session_pull(s, &frame, &flag, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_session_push_speech(s, speech, 1, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_session_end_speech(s, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_session_flush(s, &err), MS_INVALID_ARGUMENT);
    ms_session_get_info(s, &info);
    ms_session_get_progress(s, &progress);
    assert_true(info.window_frames == 0 && progress.stage[0] == 0 && !ms_session_ended(s));
    assert_ms_ok(ms_model_evict(model, &err), &err); /* it has not taken the model */
    assert_ms_ok(ms_session_open(s, &err), &err);
    assert_int_equal(ms_session_open(s, &err), MS_INVALID_ARGUMENT);
    assert_ms_ok(ms_session_push(s, &frame, &flag, &err), &err); /* which it has got over */
    assert_true(flag);
    ms_session_destroy(&s);

    assert_ms_ok(ms_model_evict(model, &err), &err);
    assert_ms_ok(ms_session_create(&p, &s, &err), &err);
    ms_session_cancel(s);
    assert_int_equal(ms_session_open(s, &err), MS_CANCELLED);
    assert_non_null(strstr(err.message, "opened"));
    ms_session_destroy(&s);
    ms_model_get_info(model, &about);
    assert_false(about.loaded);
    ms_model_close(&model);
}

/* ---- settings of its own for each ---- */

/* What a run makes of the clip with other settings. */
static void run_with(int steps, bool deepcache, int resolution, uint64_t hashes[FRAMES]) {
    ms_error err;
    ms_run_params r = params;
    r.steps = steps;
    r.deepcache = deepcache;
    r.resolution = resolution;
    r.sink_arg = hashes;
    assert_ms_ok(ms_run(&r, NULL, &err), &err);
}

static void deepcache_and_resolutions_alternate_on_one_model(void **state) {
    (void)state;
    static const struct {
        int steps, resolution;
        bool deepcache;
    } of[] = {{3, RESOLUTION, false}, {3, RESOLUTION, true}, {2, 0, false}};
    enum { KINDS = 3 };
    uint64_t want[KINDS][FRAMES], got[FRAMES];
    ms_session_info info;
    ms_error err;
    for (int k = 0; k < KINDS; k++)
        run_with(of[k].steps, of[k].deepcache, of[k].resolution, want[k]);
    assert_memory_not_equal(want[0], want[1], sizeof(want[0]));
    ms_model *model = open_model(0);
    ms_model_info about;
    ms_model_get_info(model, &about);
    assert_true(about.resolution > 0 && about.resolution != RESOLUTION);
    ms_session_params p = session_params(model);
    for (int i = 0; i <= KINDS; i++) { /* from each to the next, and back to the first */
        const int k = i % KINDS;
        p.steps = of[k].steps;
        p.deepcache = of[k].deepcache;
        p.resolution = of[k].resolution;
        assert_ms_ok(pass(&p, got, &info, &err), &err);
        assert_memory_equal(got, want[k], sizeof(got));
        assert_true(i == 0 || info.weights_read_bytes == 0);
        assert_true(info.resolution == (of[k].resolution ? of[k].resolution : about.resolution));
    }
    ms_model_close(&model);
}

/* ---- a run that is pulled ---- */

static int pull_all(ms_run_stream *stream, uint64_t hashes[FRAMES]) {
    ms_run_frame frame;
    ms_error err;
    bool got = true;
    int n = 0;
    for (;; n++) {
        assert_ms_ok(ms_run_stream_pull(stream, &frame, &got, &err), &err);
        if (!got)
            return n;
        assert_true(n < FRAMES && frame.number == n);
        hashes[n] = test_fnv1a(frame.rgb, BYTES);
        ms_run_stream_release(stream, &frame);
    }
}

static void a_run_is_pulled_on_a_loaded_model(void **state) {
    (void)state;
    uint64_t hashes[FRAMES];
    static ms_run_report report;
    ms_run_stream *stream = NULL;
    ms_run_frame frame;
    ms_session *s = NULL;
    ms_error err;
    bool got = false;
    ms_model *model = open_model(0);
    ms_session_params p = session_params(model);
    assert_ms_ok(pass(&p, hashes, NULL, &err), &err);
    ms_run_params r = params;
    r.model = NULL;
    r.loaded = model;
    r.frame_sink = NULL;
    for (int again = 0; again < 2; again++) {
        assert_ms_ok(ms_run_stream_open(&r, 3, &stream, &err), &err);
        assert_int_equal(pull_all(stream, hashes), FRAMES);
        assert_ms_ok(ms_run_stream_close(&stream, &report), &err);
        check_frames(hashes);
        assert_int_equal(report.weights_read_bytes, 0);
    }
    /* While it waits for its frames to be pulled it has the model; left early, it has not. */
    assert_ms_ok(ms_run_stream_open(&r, 1, &stream, &err), &err);
    assert_ms_ok(ms_run_stream_pull(stream, &frame, &got, &err), &err);
    assert_true(got);
    assert_int_equal(open_session(&p, &s, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "in use"));
    assert_int_equal(ms_run_stream_close(&stream, NULL), MS_CANCELLED);
    assert_ms_ok(pass(&p, hashes, NULL, &err), &err);
    check_frames(hashes);
    ms_model_close(&model);
}

/* ---- beside others ---- */

/* A model that nobody uses counts as what it holds: what is beside it has all of its own budget but that.
   Used, it counts with its budget. */
static void an_idle_model_leaves_what_it_does_not_hold(void **state) {
    (void)state;
    uint64_t hashes[FRAMES];
    static ms_run_report beside;
    ms_session_info info;
    ms_session *s = NULL;
    ms_error err;
    ms_model *model = open_model((size_t)1024 * MIB);
    ms_session_params p = session_params(model);
    ms_run_params r = params;
    r.sink_arg = hashes;
    r.budget_bytes = 512 * MIB;
    for (int i = 0; i < 2; i++) { /* not loaded, then loaded */
        assert_ms_ok(ms_run(&r, &beside, &err), &err);
        check_frames(hashes);
        assert_true(beside.planned_bytes <= 512 * MIB);
        assert_ms_ok(pass(&p, hashes, &info, &err), &err);
        check_frames(hashes);
        assert_true(info.planned_bytes < 512 * MIB); /* what the run had is not counted any more */
    }
    assert_ms_ok(open_session(&p, &s, &err), &err);
    assert_int_equal(ms_run(&r, NULL, &err), MS_BUDGET);
    assert_non_null(strstr(err.message, "may come to hold its budget of 1.00 GiB, which"));
    ms_session_destroy(&s);
    ms_model *second = open_model((size_t)512 * MIB); /* and two may be open at once */
    p.model = second;
    assert_ms_ok(pass(&p, hashes, NULL, &err), &err);
    check_frames(hashes);
    ms_model_close(&second);
    ms_model_close(&model);
}

/* In turn a session counts the run that began while its model was idle, and what other idle models hold. */
static void a_session_counts_who_came_while_its_model_was_idle(void **state) {
    (void)state;
    uint64_t hashes[FRAMES];
    ms_session_info alone, beside;
    ms_run_stream *run = NULL;
    ms_run_frame frame;
    ms_session *s = NULL;
    ms_error err;
    bool got = false;
    ms_model *model = open_model((size_t)1024 * MIB), *small = open_model((size_t)512 * MIB);
    ms_session_params p = session_params(model);
    assert_ms_ok(pass(&p, hashes, &alone, &err), &err);
    ms_run_params r = params;
    r.frame_sink = NULL;
    r.budget_bytes = 512 * MIB;
    assert_ms_ok(ms_run_stream_open(&r, 1, &run, &err), &err);
    assert_ms_ok(ms_run_stream_pull(run, &frame, &got, &err), &err);
    assert_true(got); /* and held: the run goes on only when it is released */
    assert_ms_ok(pass(&p, hashes, &beside, &err), &err);
    check_frames(hashes);
    assert_true(beside.planned_bytes > 512 * MIB && beside.planned_bytes <= 1024 * MIB);
    p.model = small;
    assert_int_equal(open_session(&p, &s, &err), MS_BUDGET);
    if (!strstr(err.message, "its budget of 512 MiB, besides "))
        fail_msg("%s", err.message);
    assert_int_equal(ms_run_stream_close(&run, NULL), MS_CANCELLED);
    assert_ms_ok(pass(&p, hashes, NULL, &err), &err); /* it was refused without a trace */
    check_frames(hashes);
    p.model = model;
    assert_ms_ok(pass(&p, hashes, &beside, &err), &err);
    assert_true(beside.planned_bytes < 512 * MIB && beside.weights_read_bytes == 0);
    ms_model_close(&small);
    ms_model_close(&model);
}

static void a_model_without_face_networks_says_so_once(void **state) {
    (void)state;
    char said[512];
    ms_session *s = NULL;
    ms_model *model = NULL;
    ms_model_params m;
    ms_error err;
    ms_model_params_init(&m);
    m.model = params.model;
    m.no_faces = true;
    m.threads = 2;
    assert_ms_ok(ms_model_open(&m, &model, &err), &err);
    ms_session_params p = session_params(model);
    p.given_faces = false;
    assert_int_equal(open_session(&p, &s, &err), MS_BAD_MODEL);
    assert_non_null(strstr(err.message, "without face networks"));
    snprintf(said, sizeof(said), "%s", err.message);
    ms_run_params r = params;
    r.model = NULL;
    r.loaded = model;
    r.track = NULL;
    assert_int_equal(ms_run(&r, NULL, &err), MS_BAD_MODEL);
    assert_string_equal(err.message, said);
    assert_true(err.hints & MS_HINT_BIT(MS_HINT_TRACK));
    ms_model_close(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_is_watched_and_cancelled),
        cmocka_unit_test(it_opens_once_and_not_after_a_cancel),
        cmocka_unit_test(deepcache_and_resolutions_alternate_on_one_model),
        cmocka_unit_test(a_run_is_pulled_on_a_loaded_model),
        cmocka_unit_test(an_idle_model_leaves_what_it_does_not_hold),
        cmocka_unit_test(a_session_counts_who_came_while_its_model_was_idle),
        cmocka_unit_test(a_model_without_face_networks_says_so_once),
    };
    return cmocka_run_group_tests(tests, test_prepare_session, test_clean_session);
}
