/* A model that is loaded once and sessions that frames are pushed into: the frames of a run to the last bit,
   whatever the pieces, the budget and the failures. */
#include "test.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"
#include "support/session_inputs.h"

static void a_session_makes_the_frames_of_a_run(void **state) {
    (void)state;
    uint64_t hashes[FRAMES];
    ms_session_info info;
    ms_error err;
    ms_model *model = open_model(0);
    ms_session_params p = session_params(model);
    assert_ms_ok(pass(&p, hashes, &info, &err), &err);
    check_frames(hashes);
    assert_true(info.weights_read_bytes > 0 && info.window_frames == 16 && info.rung == MS_RUNG_FULL);
    assert_true(info.speech_frames >= FRAMES && info.planned_bytes <= info.budget_bytes);
    p.held_frames = 16 + p.max_gap + 2; /* the least that works */
    p.rung = MS_RUNG_STREAM_ALL;
    assert_ms_ok(pass(&p, hashes, &info, &err), &err);
    check_frames(hashes);
    assert_true(info.rung == MS_RUNG_STREAM_ALL && info.held_frames == p.held_frames);
    p.held_frames--;
    assert_int_equal(pass(&p, hashes, NULL, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "held_frames must be 30 to "));
    ms_model_close(&model);
}

static void the_model_stays_loaded(void **state) {
    (void)state;
    uint64_t hashes[FRAMES];
    static ms_run_report report;
    ms_session_info first, second, third;
    ms_model_info loaded, evicted;
    ms_error err;
    ms_model *model = open_model((size_t)2 << 30);
    ms_session_params p = session_params(model);
    ms_model_get_info(model, &evicted);
    assert_false(evicted.loaded);
    assert_ms_ok(pass(&p, hashes, &first, &err), &err);
    assert_ms_ok(pass(&p, hashes, &second, &err), &err);
    check_frames(hashes);
    assert_true(first.weights_read_bytes > 0 && second.weights_read_bytes == 0);
    if (second.planned_bytes > first.planned_bytes + ((size_t)4 << 20)) /* weights count once */
        fail_msg("%zu bytes are planned for the first session, %zu for the second", first.planned_bytes,
                 second.planned_bytes);
    ms_model_get_info(model, &loaded);
    assert_true(loaded.loaded && loaded.has_faces && loaded.held_bytes > first.weights_read_bytes);
    /* A run on it reads nothing either, and makes the same. */
    uint64_t run[FRAMES];
    ms_run_params r = params;
    r.model = NULL;
    r.loaded = model;
    r.sink_arg = run;
    assert_ms_ok(ms_run(&r, &report, &err), &err);
    check_frames(run);
    assert_true(report.weights_read_bytes == 0 && strcmp(report.model, "model") == 0);
    r.budget_bytes = 1 << 30;
    assert_int_equal(ms_run(&r, NULL, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "budget_bytes was decided when the model was opened"));
    assert_ms_ok(ms_model_evict(model, &err), &err);
    ms_model_get_info(model, &evicted);
    assert_true(!evicted.loaded && evicted.held_bytes + first.weights_read_bytes <= loaded.held_bytes);
    assert_ms_ok(pass(&p, hashes, &third, &err), &err);
    check_frames(hashes);
    assert_true(third.weights_read_bytes == first.weights_read_bytes);
    ms_model_close(&model);
}

/* Where the host cannot touch the weights: they stay there between sessions, within the device's budget. */
static void on_a_device_apart(void **state) {
    (void)state;
    uint64_t hashes[FRAMES];
    ms_session_info first, second;
    ms_error err;
    ms_model *model = NULL;
    ms_model_params m;
    ms_model_params_init(&m);
    m.model = params.model;
    m.device = "remote";
    m.budget_bytes = (size_t)256 << 20;
    assert_ms_ok(ms_model_open(&m, &model, &err), &err);
    ms_session_params p = session_params(model);
    assert_ms_ok(pass(&p, hashes, &first, &err), &err);
    check_frames(hashes);
    assert_ms_ok(pass(&p, hashes, &second, &err), &err);
    check_frames(hashes);
    assert_true(first.weights_read_bytes > 0 && second.weights_read_bytes == 0);
    assert_true(second.planned_bytes <= second.budget_bytes);
    assert_ms_ok(ms_model_evict(model, &err), &err);
    p.rung = MS_RUNG_STREAM_PART;
    assert_ms_ok(pass(&p, hashes, &second, &err), &err);
    check_frames(hashes);
    assert_true(second.rung == MS_RUNG_STREAM_PART && second.weights_read_bytes < first.weights_read_bytes);
    ms_model_close(&model);
}

static ms_status plan_of(const ms_session_params *p, ms_session_info *ret_info, ms_error *err) {
    ms_session *s = NULL;
    ms_status status = ms_session_create(p, &s, err);
    if (status == MS_OK)
        status = ms_session_open(s, err);
    ms_session_get_info(s, ret_info);
    ms_session_destroy(&s);
    return status;
}

/* What comes out is what it would have been at that size. */
static void a_lower_resolution_where_it_is_allowed(void **state) {
    (void)state;
    uint64_t lower[FRAMES], hashes[FRAMES];
    ms_session_info small, large, info;
    ms_error err;
    ms_model *model = open_model(0);
    ms_session_params p = session_params(model);
    p.steps = 1;
    p.rung = MS_RUNG_SINGLE_FRAME;
    p.resolution = 320;
    assert_ms_ok(plan_of(&p, &large, &err), &err);
    p.resolution = 128;
    assert_ms_ok(pass(&p, lower, &small, &err), &err);
    assert_true(small.resolution == 128 && small.wanted_resolution == 128);
    assert_true(small.planned_bytes + ((size_t)8 << 20) < large.planned_bytes);
    ms_model_close(&model);
    /* 320, 256 and 192 are too large. */
    model = open_model(small.planned_bytes + ((size_t)2 << 20));
    p.model = model;
    p.resolution = 320;
    assert_int_equal(pass(&p, hashes, &info, &err), MS_BUDGET);
    p.allow_downscale = true;
    assert_ms_ok(pass(&p, hashes, &info, &err), &err);
    assert_true(info.resolution == 128 && info.wanted_resolution == 320 && info.least_bytes == 0);
    assert_memory_equal(hashes, lower, sizeof(hashes));
    ms_model_close(&model);
    model = open_model((size_t)10 << 20); /* nothing fits */
    p.model = model;
    assert_int_equal(plan_of(&p, &info, &err), MS_BUDGET);
    assert_true(info.resolution == 128 && info.least_bytes > (size_t)10 << 20);
    ms_model_close(&model);
}

static void one_at_a_time(void **state) {
    (void)state;
    ms_session *s = NULL, *other = NULL;
    ms_error err;
    ms_model *model = open_model(0);
    ms_session_params p = session_params(model);
    assert_ms_ok(open_session(&p, &s, &err), &err);
    assert_int_equal(open_session(&p, &other, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_model_evict(model, &err), MS_INVALID_ARGUMENT);
    ms_run_params r = params;
    r.model = NULL;
    r.loaded = model;
    assert_int_equal(ms_run(&r, NULL, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "in use"));
    ms_session_destroy(&s);
    assert_ms_ok(open_session(&p, &s, &err), &err); /* and what was refused left nothing */
    ms_session_destroy(&s);
    ms_model_close(&model);
}

static void budgets_hold(void **state) {
    (void)state;
    uint64_t hashes[FRAMES];
    ms_session_info info;
    ms_error err;
    double needs_mib = 0;
    ms_model *model = open_model((size_t)24 << 20);
    ms_session_params p = session_params(model);
    assert_int_equal(pass(&p, hashes, NULL, &err), MS_BUDGET);
    const char *least = strstr(err.message, "at least ");
    assert_non_null(least);
    assert_int_equal(sscanf(least, "at least %lf MiB", &needs_mib), 1);
    ms_model_close(&model);
    model = open_model((size_t)(needs_mib + 4) << 20); /* the process has grown since by the test's own */
    p.model = model;
    assert_ms_ok(pass(&p, hashes, &info, &err), &err);
    check_frames(hashes);
    assert_true(info.rung > MS_RUNG_FULL && info.planned_bytes <= info.budget_bytes);
    for (int again = 0; again < 3; again++) { /* what is left of a session does not count against the next */
        assert_ms_ok(pass(&p, hashes, &info, &err), &err);
        check_frames(hashes);
        if (again == 1)
            assert_ms_ok(ms_model_evict(model, &err), &err);
    }
    ms_model_close(&model);
}

static void floats_and_strides(void **state) {
    (void)state;
    ms_session *s = NULL;
    ms_session_frame out;
    ms_error err;
    ms_model *model = open_model(0);
    ms_session_params p = session_params(model);
    /* rows from below, with a gap between them */
    float *upside_down = malloc((BYTES + HEIGHT * 7) * sizeof(float));
    const ptrdiff_t row = WIDTH * 3 + 7;
    bool taken = false, got = true;
    p.format = MS_PIXEL_RGB_F32;
    assert_ms_ok(open_session(&p, &s, &err), &err);
    assert_ms_ok(push_speech(s, n_speech, &err), &err);
    for (int i = 0; i < 16; i++) {
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH * 3; x++)
                upside_down[(HEIGHT - 1 - y) * row + x] =
                    (float)clip[(size_t)i * BYTES + (size_t)(y * WIDTH * 3 + x)] / 255.0f;
        ms_session_frame in = frame_of(i);
        in.pixels = upside_down + (HEIGHT - 1) * row;
        in.stride_bytes = -row * (ptrdiff_t)sizeof(float);
        assert_ms_ok(ms_session_push(s, &in, &taken, &err), &err);
        assert_true(taken);
    }
    for (int i = 0; i < 16; i++) { /* a full window comes without an end */
        uint8_t bytes[BYTES];
        assert_ms_ok(ms_session_pull(s, &out, &got, &err), &err);
        assert_true(got && out.redrawn == record[i].present && out.stride_bytes == WIDTH * 3 * 4);
        for (size_t k = 0; k < BYTES; k++)
            bytes[k] = (uint8_t)lrintf(((const float *)out.pixels)[k] * 255);
        assert_true(test_fnv1a(bytes, BYTES) == expected[i]);
    }
    assert_ms_ok(ms_session_pull(s, &out, &got, &err), &err);
    assert_false(got);
    ms_session_destroy(&s);
    free(upside_down);
    ms_model_close(&model);
}

/* Pushes a frame that is grey but for one float. */
static ms_status push_one(ms_session *s, float *floats, float value, ms_error *err) {
    bool taken = false;
    ms_session_frame in = {.pixels = floats};
    for (size_t i = 0; i < BYTES; i++)
        floats[i] = 0.5f;
    floats[(7 * WIDTH + 5) * 3 + 1] = value;
    ms_status status = ms_session_push(s, &in, &taken, err);
    assert_true(taken == (status == MS_OK));
    return status;
}

static void floats_out_of_range_are_refused(void **state) {
    (void)state;
    static const float right[] = {-0.25f, -0.01f, 0, 1, 1.01f, 1.25f},
                       wrong[] = {NAN, INFINITY, -INFINITY, -0.2501f, 1.2501f, -1, 2, 255};
    ms_session *s = NULL;
    ms_session_frame out;
    ms_error err;
    bool got = true;
    float *floats = malloc(BYTES * sizeof(*floats));
    ms_model *model = open_model(0);
    ms_session_params p = session_params(model);
    assert_non_null(floats);
    p.format = MS_PIXEL_RGB_F32;
    assert_ms_ok(open_session(&p, &s, &err), &err);
    assert_ms_ok(push_speech(s, n_speech, &err), &err);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        assert_int_equal(push_one(s, floats, wrong[i], &err), MS_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, "frame 0: "));
        assert_non_null(strstr(err.message, "at x 5, y 7 is "));
    }
    assert_non_null(strstr(err.message, "-0.25 to 1.25"));
    assert_non_null(strstr(err.message, "is 255: scale those from -1 to 1"));
    for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++)
        assert_ms_ok(push_one(s, floats, right[i], &err), &err);
    assert_int_equal(push_one(s, floats, 2, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "frame 6: "));
    assert_ms_ok(ms_session_end(s, &err), &err);
    for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++) {
        assert_ms_ok(ms_session_pull(s, &out, &got, &err), &err);
        const float value = ((const float *)out.pixels)[(7 * WIDTH + 5) * 3 + 1];
        assert_true(got && value == (right[i] > 0 ? 1.0f : 0.0f));
    }
    assert_true(ms_session_ended(s));
    ms_session_destroy(&s);
    free(floats);
    ms_model_close(&model);
}

/* The string is the caller's until create has returned, and no longer. */
static void a_trace_is_copied(void **state) {
    (void)state;
    ms_session *s = NULL;
    ms_error err;
    ms_model *model = open_model(0);
    ms_session_params p = session_params(model);
    char name[512], trace[512];
    snprintf(name, sizeof(name), "%s", test_file("levels.jsonl"));
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_true(fputs("{\"at\": 0, \"level\": \"low\"}\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    snprintf(trace, sizeof(trace), "%s", name);
    p.pressure_trace = trace;
    assert_ms_ok(ms_session_create(&p, &s, &err), &err);
    memset(trace, 'x', sizeof(trace) - 1);
    assert_ms_ok(ms_session_open(s, &err), &err);
    ms_session_destroy(&s);
    ms_model_close(&model);
}

static void it_says_when_to_pull_and_when_it_is_over(void **state) {
    (void)state;
    ms_session *s = NULL;
    ms_session_frame out, in;
    ms_session_progress progress;
    ms_error err;
    ms_model *model = open_model(0);
    ms_session_params p = session_params(model);
    bool taken = true, got = true;
    int pushed = 0;
    p.held_frames = 30;
    assert_ms_ok(open_session(&p, &s, &err), &err);
    for (; taken; pushed += taken) {
        in = frame_of(pushed % FRAMES);
        assert_ms_ok(ms_session_push(s, &in, &taken, &err), &err);
    }
    assert_int_equal(pushed, 30);
    assert_ms_ok(ms_session_pull(s, &out, &got, &err), &err);
    assert_false(got); /* speech is missing */
    assert_ms_ok(push_speech(s, 777, &err), &err);
    assert_int_equal(ms_session_push_speech(s, speech, 1, &err), MS_INVALID_ARGUMENT);
    assert_ms_ok(ms_session_pull(s, &out, &got, &err), &err);
    assert_true(got && out.redrawn);
    ms_session_get_progress(s, &progress);
    assert_true(progress.pushed == 30 && progress.pulled == 1 && progress.redrawn == 16);
    assert_ms_ok(ms_session_push(s, &in, &taken, &err), &err);
    assert_true(taken);
    assert_ms_ok(ms_session_flush(s, &err), &err);
    for (int i = 1; i < 31; i++) {
        assert_ms_ok(ms_session_pull(s, &out, &got, &err), &err);
        assert_true(got && out.number == i);
    }
    assert_false(ms_session_ended(s));
    in = frame_of(31);
    in.landmarks = NULL; /* passes through */
    assert_ms_ok(ms_session_push(s, &in, &taken, &err), &err);
    assert_ms_ok(ms_session_end(s, &err), &err);
    assert_int_equal(ms_session_push(s, &in, &taken, &err), MS_INVALID_ARGUMENT);
    assert_ms_ok(ms_session_pull(s, &out, &got, &err), &err);
    assert_true(got && !out.redrawn && memcmp(out.pixels, in.pixels, BYTES) == 0 && ms_session_ended(s));
    ms_session_destroy(&s);
    ms_model_close(&model);
}

static void after_the_speech_frames_pass_through(void **state) {
    (void)state;
    ms_session *s = NULL;
    ms_session_frame out;
    ms_session_info info;
    ms_error err;
    ms_model *model = open_model(0);
    ms_session_params p = session_params(model);
    bool taken, got;
    assert_ms_ok(open_session(&p, &s, &err), &err);
    assert_ms_ok(ms_session_push_speech(s, speech, 3200, &err), &err);
    assert_ms_ok(ms_session_end_speech(s, &err), &err);
    ms_session_get_info(s, &info);
    assert_true(info.speech_frames > 4 && info.speech_frames < 10);
    for (int i = 0; i < 12; i++) {
        ms_session_frame in = frame_of(i);
        assert_ms_ok(ms_session_push(s, &in, &taken, &err), &err);
    }
    assert_ms_ok(ms_session_end(s, &err), &err);
    for (int i = 0; i < 12; i++) {
        assert_ms_ok(ms_session_pull(s, &out, &got, &err), &err);
        assert_true(got && out.redrawn == (i < info.speech_frames));
        assert_true(out.redrawn || memcmp(out.pixels, clip + (size_t)i * BYTES, BYTES) == 0);
    }
    ms_session_destroy(&s);
    assert_ms_ok(open_session(&p, &s, &err), &err);
    assert_ms_ok(ms_session_push_speech(s, speech, 100, &err), &err);
    assert_int_equal(ms_session_end_speech(s, &err), MS_BAD_MEDIA);
    const float none[2] = {0, NAN};
    assert_int_equal(ms_session_push_speech(s, none, 2, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "sample 101"));
    ms_session_destroy(&s);
    ms_model_close(&model);
}

/* Frames first .. FRAMES - 1 of a session, given `change` before each push. */
typedef bool (*change_fn)(int number, int attempt, ms_session_frame *frame);

static void pass_changed(ms_model *model, change_fn change, uint64_t hashes[FRAMES], bool redrawn[FRAMES]) {
    ms_session *s = NULL;
    ms_session_frame out;
    ms_error err;
    ms_session_params p = session_params(model);
    bool taken, got = true;
    p.held_frames = FRAMES + 30;
    assert_ms_ok(open_session(&p, &s, &err), &err);
    assert_ms_ok(push_speech(s, n_speech, &err), &err);
    for (int i = 0; i < FRAMES; i++)
        for (int attempt = 0; attempt < 2; attempt++) {
            ms_session_frame in = frame_of(i);
            taken = true;
            if (!change(i, attempt, &in))
                continue;
            if (ms_session_push(s, &in, &taken, &err) == MS_OK)
                break;
            assert_true(err.code == MS_INVALID_ARGUMENT && taken); /* left alone on failure */
        }
    assert_ms_ok(ms_session_end(s, &err), &err);
    for (int i = 0; i < FRAMES; i++) {
        assert_ms_ok(ms_session_pull(s, &out, &got, &err), &err);
        assert_true(got && out.number == i);
        hashes[i] = test_fnv1a(out.pixels, BYTES);
        redrawn[i] = out.redrawn;
    }
    ms_session_destroy(&s);
}

static float broken[MS_SESSION_LANDMARKS][2];

/* Another picture with landmarks that are no numbers is refused first, then the right one comes. */
static bool refused_first(int number, int attempt, ms_session_frame *frame) {
    if (number == 10 && attempt == 0) {
        memcpy(broken, record[10].landmarks, sizeof(broken));
        broken[50][1] = NAN;
        frame->landmarks = (const float(*)[2])broken;
        frame->pixels = clip + 39 * BYTES;
    }
    return true;
}

/* A gap with a cut in it is not bridged. */
static bool gap_with_cut(int number, int attempt, ms_session_frame *frame) {
    (void)attempt;
    if (number >= 6 && number < 9)
        frame->landmarks = NULL;
    frame->begins_scene = number == 7;
    return true;
}

static bool gap_alone(int number, int attempt, ms_session_frame *frame) {
    gap_with_cut(number, attempt, frame);
    frame->begins_scene = false;
    return true;
}

static void what_is_refused_leaves_no_trace_and_cuts_are_heeded(void **state) {
    (void)state;
    uint64_t hashes[FRAMES];
    bool redrawn[FRAMES];
    ms_model *model = open_model(0);
    pass_changed(model, refused_first, hashes, redrawn);
    check_frames(hashes);
    pass_changed(model, gap_alone, hashes, redrawn);
    assert_true(redrawn[5] && redrawn[6] && redrawn[7] && redrawn[8] && redrawn[9]);
    pass_changed(model, gap_with_cut, hashes, redrawn);
    assert_true(redrawn[5] && !redrawn[6] && !redrawn[7] && !redrawn[8] && redrawn[9]);
    ms_model_close(&model);
}

/* A piece of speech is taken whole or not at all. */
static void speech_that_does_not_fit_is_not_taken(void **state) {
    (void)state;
    static float quiet[600000];
    ms_session *s = NULL;
    ms_session_info info;
    ms_error err;
    ms_model *model = open_model(0);
    ms_session_params p = session_params(model);
    quiet[0] = 0.5f;
    assert_ms_ok(open_session(&p, &s, &err), &err);
    ms_mem_fail_after(2, false); /* of the two blocks */
    assert_int_equal(ms_session_push_speech(s, quiet, 600000, &err), MS_HOST_MEMORY);
    ms_mem_fail_after(0, false);
    assert_ms_ok(ms_session_push_speech(s, quiet, 600000, &err), &err);
    assert_ms_ok(ms_session_end_speech(s, &err), &err);
    ms_session_get_info(s, &info);
    assert_true(info.speech_frames >= 937 && info.speech_frames <= 940);
    ms_session_destroy(&s);
    p.given_faces = false;
    p.width = 8192;
    p.height = 2; /* of which no detector can make anything */
    assert_int_equal(open_session(&p, &s, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "8192x2"));
    ms_model_close(&model);
}

static void *cancel_soon(void *arg) {
    ms_session_progress progress = {0};
    while (progress.parts == 0 || strcmp(progress.stage, "denoise") != 0)
        ms_session_get_progress(arg, &progress);
    ms_session_cancel(arg);
    return NULL;
}

static void another_thread_may_cancel(void **state) {
    (void)state;
    ms_session *s = NULL;
    ms_session_frame out;
    ms_error err;
    pthread_t thread;
    ms_model *model = open_model(0);
    ms_session_params p = session_params(model);
    bool taken, got;
    p.steps = 999;
    assert_ms_ok(open_session(&p, &s, &err), &err);
    assert_ms_ok(push_speech(s, n_speech, &err), &err);
    for (int i = 0; i < 16; i++) {
        ms_session_frame in = frame_of(i);
        assert_ms_ok(ms_session_push(s, &in, &taken, &err), &err);
    }
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, s), 0);
    assert_int_equal(ms_session_pull(s, &out, &got, &err), MS_CANCELLED);
    pthread_join(thread, NULL);
    assert_int_equal(ms_session_pull(s, &out, &got, &err), MS_CANCELLED);
    assert_true(err.message[0]);
    ms_session_destroy(&s);
    p.steps = 2;
    uint64_t hashes[FRAMES];
    assert_ms_ok(pass(&p, hashes, NULL, &err), &err); /* the model is as it was */
    check_frames(hashes);
    ms_model_close(&model);
}

/* Of a session on a model that another has loaded: every allocation may fail. */
static void any_allocation_may_fail(void **state) {
    (void)state;
    uint64_t hashes[FRAMES];
    ms_error err;
    ms_model *model = open_model(0);
    ms_session_params p = session_params(model);
    p.steps = 1;
    assert_ms_ok(pass(&p, hashes, NULL, &err), &err);
    uint64_t good[FRAMES], count = ms_mem_allocation_count();
    memcpy(good, hashes, sizeof(good));
    assert_ms_ok(pass(&p, hashes, NULL, &err), &err);
    count = ms_mem_allocation_count() - count;
    int refused = 0, recovered = 0;
    for (uint64_t n = 1; n <= count; n += 1 + count / (test_at_length() ? 23 : 7)) {
        ms_mem_fail_after(n, false);
        ms_status status = pass(&p, hashes, NULL, &err);
        ms_mem_fail_after(0, false);
        if (status == MS_OK)
            assert_memory_equal(hashes, good, sizeof(good));
        else
            assert_int_equal(status, MS_HOST_MEMORY);
        refused += status != MS_OK;
        recovered += status == MS_OK;
    }
    assert_true(refused > 0 && recovered > 0);
    assert_ms_ok(pass(&p, hashes, NULL, &err), &err);
    assert_memory_equal(hashes, good, sizeof(good));
    ms_model_close(&model);
}

static void a_model_file_that_changes_is_told(void **state) {
    (void)state;
    uint64_t hashes[FRAMES];
    char command[2048];
    ms_error err;
    ms_model *model = NULL;
    ms_model_params m;
    snprintf(command, sizeof(command), "cp -r %s %s", params.model, test_file("copy"));
    assert_int_equal(system(command), 0);
    ms_model_params_init(&m);
    m.model = test_file("copy");
    assert_ms_ok(ms_model_open(&m, &model, &err), &err);
    ms_session_params p = session_params(model);
    assert_ms_ok(pass(&p, hashes, NULL, &err), &err);
    snprintf(command, sizeof(command), "touch -d 2001-01-01 %s/latentsync_unet.*", test_file("copy"));
    assert_int_equal(system(command), 0);
    assert_int_equal(pass(&p, hashes, NULL, &err), MS_IO);
    assert_non_null(strstr(err.message, "changed while its weights were in use"));
    assert_ms_ok(ms_model_evict(model, &err), &err);
    assert_int_equal(pass(&p, hashes, NULL, &err), MS_IO);
    ms_model_close(&model);
    /* The face networks likewise. */
    assert_ms_ok(ms_model_open(&m, &model, &err), &err);
    ms_session *s = NULL;
    p.model = model;
    p.given_faces = false;
    assert_ms_ok(open_session(&p, &s, &err), &err);
    ms_session_destroy(&s);
    snprintf(command, sizeof(command), "touch -d 2001-01-01 %s/auxiliary/models/buffalo_l/det_10g.onnx",
             test_file("copy"));
    assert_int_equal(system(command), 0);
    assert_int_equal(open_session(&p, &s, &err), MS_IO);
    assert_non_null(strstr(err.message, "det_10g.onnx changed"));
    assert_ms_ok(ms_model_evict(model, &err), &err);
    assert_int_equal(open_session(&p, &s, &err), MS_IO);
    /* And no run writes over them. */
    ms_run_params r = params;
    char net[600];
    snprintf(net, sizeof(net), "%s/auxiliary/models/buffalo_l/det_10g.onnx", test_file("copy"));
    r.model = NULL;
    r.loaded = model;
    r.output = net;
    assert_int_equal(ms_run(&r, NULL, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "is a file that is read"));
    ms_model_close(&model);
}

/* Structs as an older memsafe had them: what is read and written ends with them, marked bytes stay, and the
   frames are the same. */
static void an_older_programs_structs(void **state) {
    (void)state;
    enum { MARKED = 16 };
    struct {
        ms_session_frame frame;
        uint8_t marks[MARKED];
    } out;
    union {
        ms_session_info info;
        ms_model_info model;
        ms_session_progress progress;
        uint8_t bytes[sizeof(ms_model_info) + MARKED];
    } told;
    const size_t opened = offsetof(ms_session_params, pressure_trace),
                 pushed = offsetof(ms_session_frame, begins_scene),
                 pulled = offsetof(ms_session_frame, redrawn);
    ms_model *model = open_model(0);
    ms_session_params p = session_params(model);
    ms_session *s = NULL;
    ms_error err;
    p.pressure_trace = "/nowhere"; /* behind what an older program has */
    assert_ms_ok(ms_session_create_sized(&p, opened, &s, &err), &err);
    assert_ms_ok(ms_session_open(s, &err), &err);
    assert_ms_ok(push_speech(s, n_speech, &err), &err);
    for (int in = 0, n = 0; n < FRAMES;) {
        ms_session_frame f = in < FRAMES ? frame_of(in) : (ms_session_frame){0};
        bool taken = false, got = false;
        f.begins_scene = true; /* behind */
        if (in < FRAMES)
            assert_ms_ok(ms_session_push_sized(s, &f, pushed, &taken, &err), &err);
        in += taken;
        if (in == FRAMES)
            assert_ms_ok(ms_session_end(s, &err), &err);
        memset(&out, 0xA5, sizeof(out));
        assert_ms_ok(ms_session_pull_sized(s, &out.frame, pulled, &got, &err), &err);
        for (size_t i = pulled; i < sizeof(out); i++)
            assert_int_equal(((uint8_t *)&out)[i], 0xA5);
        if (!got)
            continue;
        assert_true(out.frame.number == n && test_fnv1a(out.frame.pixels, BYTES) == expected[n]);
        n++;
    }
    memset(&told, 0xA5, sizeof(told));
    ms_session_get_info_sized(s, &told.info, offsetof(ms_session_info, rung));
    assert_true(told.info.window_frames == 16 && told.bytes[offsetof(ms_session_info, rung)] == 0xA5);
    memset(&told, 0xA5, sizeof(told));
    ms_session_get_progress_sized(s, &told.progress, offsetof(ms_session_progress, stage));
    assert_true(told.progress.pulled == FRAMES && told.bytes[offsetof(ms_session_progress, stage)] == 0xA5);
    memset(&told, 0xA5, sizeof(told));
    ms_model_get_info_sized(model, &told.model, offsetof(ms_model_info, held_bytes));
    assert_true(told.model.loaded && told.bytes[offsetof(ms_model_info, held_bytes)] == 0xA5);
    ms_session_destroy(&s);
    ms_model_close(&model);
}

/* The demo's networks find the faces, as they do in a run. */
static void faces_are_found(void **state) {
    (void)state;
    uint64_t run[FRAMES], found[FRAMES];
    ms_error err;
    ms_model *model = NULL;
    ms_model_params m;
    ms_model_params_init(&m);
    m.model = MS_SOURCE_DIR "/models/demo";
    assert_ms_ok(ms_model_open(&m, &model, &err), &err);
    ms_run_params r = params;
    r.model = NULL;
    r.track = NULL;
    r.loaded = model;
    r.sink_arg = run;
    r.steps = 1;
    assert_ms_ok(ms_run(&r, NULL, &err), &err);
    ms_session_params p = session_params(model);
    p.given_faces = false;
    p.steps = 1;
    memset(record, 0, sizeof(record)); /* no landmarks are pushed */
    assert_ms_ok(pass(&p, found, NULL, &err), &err);
    assert_memory_equal(found, run, sizeof(run));
    ms_model_close(&model);
    read_track();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_makes_the_frames_of_a_run),
        cmocka_unit_test(the_model_stays_loaded),
        cmocka_unit_test(on_a_device_apart),
        cmocka_unit_test(a_lower_resolution_where_it_is_allowed),
        cmocka_unit_test(one_at_a_time),
        cmocka_unit_test(budgets_hold),
        cmocka_unit_test(floats_and_strides),
        cmocka_unit_test(floats_out_of_range_are_refused),
        cmocka_unit_test(a_trace_is_copied),
        cmocka_unit_test(it_says_when_to_pull_and_when_it_is_over),
        cmocka_unit_test(after_the_speech_frames_pass_through),
        cmocka_unit_test(what_is_refused_leaves_no_trace_and_cuts_are_heeded),
        cmocka_unit_test(speech_that_does_not_fit_is_not_taken),
        cmocka_unit_test(another_thread_may_cancel),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(a_model_file_that_changes_is_told),
        cmocka_unit_test(an_older_programs_structs),
        cmocka_unit_test(faces_are_found),
    };
    return cmocka_run_group_tests(tests, test_prepare_session, test_clean_session);
}
