/*
 * Programs that were compiled against an older memsafe, whose structs end earlier, and against a newer one:
 * each function that is given a struct is called with fewer bytes of it, at whose end memory ends that may be
 * read or written, and with more. A ..._sized function in a header that is not called here fails the test.
 */
#include "test.h"

#include <ctype.h>
#include <dirent.h>

#include "memsafe/memsafe.h"

#define GUARD 64
#define OLDER 8 /* bytes that an older struct lacks at its end */

static char called[64][64];
static int n_called;
static ms_error err;

/* A program's struct: its bytes are all that there is for an address sanitizer, and
   behind them stand marks. */
static void *make(size_t bytes) {
    uint8_t *block = malloc(bytes + GUARD);
    assert_non_null(block);
    memset(block, 0xA5, bytes + GUARD);
    return block;
}

static void *copy_of(const void *from, size_t bytes) {
    return memcpy(make(bytes), from, bytes);
}

static void check_guard(const void *block, size_t bytes) {
    for (int i = 0; i < GUARD; i++)
        if (((const uint8_t *)block)[bytes + (size_t)i] != 0xA5)
            fail_msg("byte %d behind a struct of %zu bytes was written", i, bytes);
}

static void note(const char *name) {
    assert_true(n_called < 64 && strlen(name) < sizeof(called[0]));
    snprintf(called[n_called++], sizeof(called[0]), "%s", name);
}

/* Says what is wrong with a size, by the function's name as callers write it and the struct's. */
static void check_refused(const char *call, ms_status status, const char *what, const char *why) {
    char function[64];
    snprintf(function, sizeof(function), "%.*s(): %s", (int)(strstr(call, "_sized") - call), call, what);
    if (status != MS_INVALID_ARGUMENT || !strstr(err.message, why) ||
        strncmp(err.message, function, strlen(function)) != 0)
        fail_msg("%s: %s (%s)", call, ms_status_name(status), err.message);
}

/* A status function's struct `what`, of `type`: with no bytes and with more than there are. */
#define WRONG_SIZES(call, what, type)                                                                        \
    do {                                                                                                     \
        size_t bytes = 0;                                                                                    \
        ms_status refused_ = call;                                                                           \
        check_refused(#call, refused_, what, "a size of 0 bytes");                                           \
        bytes = sizeof(type) + 1;                                                                            \
        refused_ = call;                                                                                     \
        check_refused(#call, refused_, what, "was compiled against a newer memsafe");                        \
    } while (0)

/* ms_TYPE_init(): a front of the defaults; behind what the library knows there is zero. */
#define CHECK_INIT(type)                                                                                     \
    do {                                                                                                     \
        type whole;                                                                                          \
        type##_init(&whole);                                                                                 \
        type *older = make(sizeof(whole) - OLDER), *newer = make(sizeof(whole) + OLDER);                     \
        type##_init_sized(older, sizeof(whole) - OLDER);                                                     \
        check_guard(older, sizeof(whole) - OLDER);                                                           \
        assert_memory_equal(older, &whole, sizeof(whole) - OLDER);                                           \
        type##_init_sized(newer, sizeof(whole) + OLDER);                                                     \
        check_guard(newer, sizeof(whole) + OLDER);                                                           \
        assert_memory_equal(newer, &whole, sizeof(whole));                                                   \
        for (int i = 0; i < OLDER; i++)                                                                      \
            assert_int_equal(((uint8_t *)newer)[sizeof(whole) + (size_t)i], 0);                              \
        type##_init_sized(NULL, sizeof(whole));                                                              \
        note(#type "_init_sized");                                                                           \
        free(older);                                                                                         \
        free(newer);                                                                                         \
    } while (0)

/* ---- header by header ---- */

/* What a struct of before had is taken, and what it did not have is as it always was. */
static void sizes_of_runs(void) {
    CHECK_INIT(ms_run_params);
    ms_run_params p;
    ms_run_report *report = make(sizeof(*report));
    ms_run_params_init(&p);
    p.video = p.audio = "/nowhere/in.mp4";
    p.output = "/nowhere/out.mp4";
    p.model = "/nowhere";
    const size_t before = offsetof(ms_run_params, crf); /* an impossible crf would be refused */
    ms_run_params *older = copy_of(&p, before);
    ms_status status = ms_run_sized(older, before, report, sizeof(*report) - OLDER, &err);
    assert_true(status == MS_IO || status == MS_UNSUPPORTED); /* without FFmpeg */
    check_guard(older, before);
    WRONG_SIZES(ms_run_sized(&p, bytes, NULL, 0, &err), "params", ms_run_params);
    WRONG_SIZES(ms_run_sized(&p, sizeof(p), report, bytes, &err), "ret_report", ms_run_report);
    note("ms_run_sized");
    free(older);
    free(report);
}

static void sizes_of_report_pages(void) {
    ms_run_params p;
    char *whole = NULL, *front = NULL;
    ms_run_params_init(&p);
    ms_run_report *report = calloc(1, sizeof(*report));
    assert_non_null(report);
    p.video = p.output = "clip.mp4";
    snprintf(report->tier, sizeof(report->tier), "compact");
    report->frames = 77;
    const size_t before = offsetof(ms_run_report, seconds);
    ms_run_report *older = copy_of(report, before);
    assert_ms_ok(ms_run_report_html(&p, report, &whole, &err), &err);
    assert_ms_ok(ms_run_report_html_sized(&p, sizeof(p), older, before, &front, &err), &err);
    assert_string_equal(whole, front);
    WRONG_SIZES(ms_run_report_html_sized(&p, bytes, report, sizeof(*report), &front, &err), "params",
                ms_run_params);
    WRONG_SIZES(ms_run_report_html_sized(&p, sizeof(p), report, bytes, &front, &err), "report",
                ms_run_report);
    note("ms_run_report_html_sized");
    ms_mem_free(whole);
    ms_mem_free(front);
    free(older);
    free(report);
}

/* A void function's struct: an older one's front is that of a whole one, and a newer one's end is zero. */
#define CHECK_FILL(call, type)                                                                               \
    do {                                                                                                     \
        type *whole_ = make(sizeof(type)), *older_ = make(sizeof(type) - OLDER),                             \
             *newer_ = make(sizeof(type) + OLDER);                                                           \
        type *ret = whole_;                                                                                  \
        size_t bytes = sizeof(type);                                                                         \
        call;                                                                                                \
        check_guard(whole_, bytes);                                                                          \
        ret = older_, bytes = sizeof(type) - OLDER;                                                          \
        call;                                                                                                \
        check_guard(older_, bytes);                                                                          \
        ret = newer_, bytes = sizeof(type) + OLDER;                                                          \
        call;                                                                                                \
        check_guard(newer_, bytes);                                                                          \
        assert_memory_equal(older_, whole_, sizeof(type) - OLDER);                                           \
        assert_memory_equal(newer_, whole_, sizeof(type));                                                   \
        for (int i = 0; i < OLDER; i++)                                                                      \
            assert_int_equal(((uint8_t *)newer_)[sizeof(type) + (size_t)i], 0);                              \
        free(whole_);                                                                                        \
        free(older_);                                                                                        \
        free(newer_);                                                                                        \
    } while (0)

static void sizes_of_memory(void) {
    CHECK_FILL(ms_mem_get_usage_sized(NULL, ret, bytes), ms_mem_usage);
    note("ms_mem_get_usage_sized");
}

static void sizes_of_devices(void) {
    ms_device *device = NULL;
    const ms_device_options options = {.backend = "dummy", .memory_bytes = 1 << 20};
    const size_t before = offsetof(ms_device_options, mem);
    ms_device_options *older = copy_of(&options, before);
    assert_ms_ok(ms_device_create_sized(older, before, &device, &err), &err);
    CHECK_FILL(ms_device_get_info_sized(device, ret, bytes), ms_device_info);
    CHECK_FILL(ms_device_get_info_sized(NULL, ret, bytes), ms_device_info);
    note("ms_device_get_info_sized");
    ms_device_destroy(&device);
    WRONG_SIZES(ms_device_create_sized(&options, bytes, &device, &err), "options", ms_device_options);
    note("ms_device_create_sized");
    assert_null(device);
    free(older);
}

static void sizes_of_optimizers(void) {
    CHECK_INIT(ms_optimizer_params);
    ms_optimizer *optimizer = NULL;
    ms_optimizer_params p;
    ms_optimizer_params_init(&p);
    p.device_bytes = (size_t)8 << 30;
    p.free_bytes = (size_t)6 << 30;
    p.environment = false;
    p.costs[MS_TASK_VAE_DECODE].fixed_bytes = 1;
    p.settings = (const char *const[]){"vae_decode_batch=8"};
    p.n_settings = 1;
    const size_t before = offsetof(ms_optimizer_params, arg);
    ms_optimizer_params *older = copy_of(&p, before);
    assert_ms_ok(ms_optimizer_create_sized(older, before, &optimizer, &err), &err);
    WRONG_SIZES(ms_optimizer_create_sized(&p, bytes, &optimizer, &err), "params", ms_optimizer_params);
    note("ms_optimizer_create_sized");

    /* A pressure of 3 behind what an older request has would leave one item. */
    const ms_batch_request request = {.height = 64, .width = 64, .pressure = 3};
    const size_t asked = offsetof(ms_batch_request, pressure), answered = offsetof(ms_batch_answer, one);
    ms_batch_request *old_request = copy_of(&request, asked);
    ms_batch_answer whole, *old_answer = make(answered);
    int batch = 0;
    assert_ms_ok(ms_optimizer_explain_sized(optimizer, MS_TASK_VAE_DECODE, old_request, asked, &whole,
                                            sizeof(whole), &err),
                 &err);
    assert_true(whole.batch > 1);
    assert_ms_ok(ms_optimizer_explain_sized(optimizer, MS_TASK_VAE_DECODE, old_request, asked, old_answer,
                                            answered, &err),
                 &err);
    check_guard(old_answer, answered);
    assert_memory_equal(old_answer, &whole, answered);
    WRONG_SIZES(ms_optimizer_explain_sized(optimizer, MS_TASK_VAE_DECODE, &request, bytes, &whole,
                                           sizeof(whole), &err),
                "request", ms_batch_request);
    WRONG_SIZES(ms_optimizer_explain_sized(optimizer, MS_TASK_VAE_DECODE, &request, sizeof(request), &whole,
                                           bytes, &err),
                "ret_answer", ms_batch_answer);
    note("ms_optimizer_explain_sized");
    assert_ms_ok(ms_optimizer_get_optimal_batch_size_sized(optimizer, MS_TASK_VAE_DECODE, old_request, asked,
                                                           &batch, &err),
                 &err);
    assert_int_equal(batch, whole.batch);
    const size_t none = 0, more = sizeof(request) + 1;
    assert_int_equal(ms_optimizer_get_optimal_batch_size_sized(optimizer, MS_TASK_VAE_DECODE, &request, none,
                                                               &batch, &err),
                     MS_INVALID_ARGUMENT);
    assert_int_equal(ms_optimizer_get_optimal_batch_size_sized(optimizer, MS_TASK_VAE_DECODE, &request, more,
                                                               &batch, &err),
                     MS_INVALID_ARGUMENT);
    note("ms_optimizer_get_optimal_batch_size_sized");
    ms_optimizer_destroy(&optimizer);
    free(older);
    free(old_request);
    free(old_answer);
}

static ms_status process_items(void *arg, int64_t first, int64_t count, ms_error *e) {
    (void)first, (void)e;
    *(int64_t *)arg += count;
    return MS_OK;
}

/* The state of an older program is read and written as far as it goes, and what was
   learned goes on from there. */
static void sizes_of_loops(void) {
    int64_t seen = 0, done = 0;
    const ms_adaptive_params p = {.process = process_items, .max_batch = 4, .arg = &seen};
    ms_adaptive_state whole = {0};
    const size_t before = offsetof(ms_adaptive_state, worst_pressure);
    ms_adaptive_state *older = copy_of(&whole, before);
    for (int i = 0; i < 2; i++) {
        assert_ms_ok(ms_adaptive_process(&p, 0, 10, &whole, &done, &err), &err);
        assert_ms_ok(ms_adaptive_process_sized(&p, sizeof(p), 0, 10, older, before, &done, &err), &err);
        check_guard(older, before);
        assert_memory_equal(older, &whole, before);
    }
    assert_true(seen == 40 && whole.items == 20);
    WRONG_SIZES(ms_adaptive_process_sized(&p, bytes, 0, 1, NULL, 0, &done, &err), "params",
                ms_adaptive_params);
    WRONG_SIZES(ms_adaptive_process_sized(&p, sizeof(p), 0, 1, &whole, bytes, &done, &err), "state",
                ms_adaptive_state);
    note("ms_adaptive_process_sized");
    free(older);
}

static void sizes_of_frame_streams(void) {
    CHECK_INIT(ms_frame_stream_params);
    ms_frame_stream *stream = NULL;
    ms_frame_stream_params p;
    ms_frame_stream_params_init(&p);
    p.frame_bytes = 8;
    p.buffer_frames = 3;
    p.own_thread = true; /* refused without a process, if it were read */
    const ms_adaptive_params adaptive = {.process = process_items}; /* likewise, with it */
    const size_t before = offsetof(ms_frame_stream_params, own_thread),
                 loop = offsetof(ms_adaptive_params, process);
    ms_frame_stream_params *older = copy_of(&p, before);
    ms_adaptive_params *old_loop = copy_of(&adaptive, loop);
    assert_ms_ok(ms_frame_stream_create_sized(older, before, old_loop, loop, &stream, &err), &err);
    assert_ms_ok(ms_frame_stream_push(stream, 0, "abcdefg", 8, &err), &err);
    CHECK_FILL(ms_frame_stream_get_stats_sized(stream, ret, bytes), ms_frame_stream_stats);
    CHECK_FILL(ms_frame_stream_get_state_sized(stream, ret, bytes), ms_adaptive_state);
    note("ms_frame_stream_get_stats_sized");
    note("ms_frame_stream_get_state_sized");
    ms_frame_stream_destroy(&stream);
    WRONG_SIZES(ms_frame_stream_create_sized(&p, bytes, NULL, 0, &stream, &err), "params",
                ms_frame_stream_params);
    WRONG_SIZES(ms_frame_stream_create_sized(&p, sizeof(p), &adaptive, bytes, &stream, &err), "adaptive",
                ms_adaptive_params);
    note("ms_frame_stream_create_sized");
    free(older);
    free(old_loop);
}

static void sizes_of_integrations(void) {
    CHECK_INIT(ms_integrate_params);
    ms_integration *integration = NULL;
    ms_integrate_params p;
    ms_integrate_params_init(&p);
    p.height = p.width = 64;
    p.device_bytes = (size_t)8 << 30;
    p.environment = p.watch = false;
    p.costs[MS_TASK_VAE_DECODE].fixed_bytes = 1;
    p.task = MS_TASK_VAE_DECODE;
    p.max_batch = -1; /* refused if it were read */
    const size_t before = offsetof(ms_integrate_params, max_batch);
    ms_integrate_params *older = copy_of(&p, before);
    assert_ms_ok(ms_integrate_sized(older, before, &integration, &err), &err);
    ms_integration_destroy(&integration);
    WRONG_SIZES(ms_integrate_sized(&p, bytes, &integration, &err), "params", ms_integrate_params);
    note("ms_integrate_sized");
    free(older);
}

static void sizes_of_plans(void) {
    CHECK_INIT(ms_plan_params);
    ms_plan_params p;
    ms_plan_params_init(&p);
    p.shape = "tiny";
    p.device = "toaster"; /* refused if it were read */
    p.profile.environment = false;
    p.budget_bytes = (size_t)4 << 30;
    const size_t before = offsetof(ms_plan_params, device), reported = offsetof(ms_plan_report, windows);
    ms_plan_params *older = copy_of(&p, before);
    ms_plan_report *old_report = make(reported), *whole = make(sizeof(*whole));
    p.device = NULL;
    assert_ms_ok(ms_plan_run(&p, whole, NULL, &err), &err);
    assert_ms_ok(ms_plan_run_sized(older, before, old_report, reported, NULL, &err), &err);
    check_guard(old_report, reported);
    ms_plan_report front;
    memcpy(&front, old_report, reported);
    assert_true(front.weight_bytes == whole->weight_bytes && front.weight_bytes > 0 &&
                front.n_phases == whole->n_phases);
    WRONG_SIZES(ms_plan_run_sized(&p, bytes, whole, sizeof(*whole), NULL, &err), "params", ms_plan_params);
    WRONG_SIZES(ms_plan_run_sized(&p, sizeof(p), whole, bytes, NULL, &err), "ret_report", ms_plan_report);
    note("ms_plan_run_sized");
    size_t budget = 0;
    assert_ms_ok(ms_plan_budget_sized(older, before, &budget, &err), &err);
    assert_int_equal(budget, p.budget_bytes);
    WRONG_SIZES(ms_plan_budget_sized(&p, bytes, &budget, &err), "params", ms_plan_params);
    note("ms_plan_budget_sized");
    free(older);
    free(old_report);
    free(whole);
}

static void sizes_of_detections(void) {
    CHECK_INIT(ms_detect_params);
    ms_detect_report report;
    ms_detect_params p;
    ms_detect_params_init(&p);
    p.video = "/nowhere/video.mp4";
    p.output = "/nowhere/track.jsonl";
    p.model = "/nowhere";
    p.frames = -1; /* refused if it were read */
    const size_t before = offsetof(ms_detect_params, frames);
    ms_detect_params *older = copy_of(&p, before);
    ms_status status = ms_detect_sized(older, before, &report, sizeof(report) - OLDER, &err);
    assert_true(status == MS_IO || status == MS_UNSUPPORTED); /* without FFmpeg */
    WRONG_SIZES(ms_detect_sized(&p, bytes, NULL, 0, &err), "params", ms_detect_params);
    WRONG_SIZES(ms_detect_sized(&p, sizeof(p), &report, bytes, &err), "ret_report", ms_detect_report);
    note("ms_detect_sized");
    free(older);
}

/* Faces and reports of real frames: tests/sessions/test_pushed_frames.c. */
static void sizes_of_pushed_frames(void) {
    CHECK_INIT(ms_finder_params);
    CHECK_INIT(ms_scorer_params);
    ms_finder *finder = NULL;
    ms_scorer *scorer = NULL;
    ms_finder_params f;
    ms_scorer_params s;
    ms_found_face face;
    ms_score_frame frame = {0};
    ms_score_report *report = make(sizeof(*report));
    bool got;
    ms_finder_params_init(&f);
    ms_scorer_params_init(&s);
    WRONG_SIZES(ms_finder_create_sized(&f, bytes, &finder, &err), "params", ms_finder_params);
    WRONG_SIZES(ms_scorer_create_sized(&s, bytes, &scorer, &err), "params", ms_scorer_params);
    f.model = s.model = "/nowhere";
    f.width = f.height = s.width = s.height = 64;
    f.max_gap = -1; /* refused if it were read */
    const float hush = 0;
    s.speech = &hush;
    s.speech_samples = -1; /* likewise */
    const size_t before = offsetof(ms_finder_params, max_gap);
    ms_finder_params *older = copy_of(&f, before);
    assert_int_equal(ms_finder_create_sized(older, before, &finder, &err), MS_IO);
    assert_int_equal(ms_scorer_create_sized(&s, sizeof(s), &scorer, &err), MS_INVALID_ARGUMENT);
    WRONG_SIZES(ms_scorer_push_sized(scorer, &frame, bytes, &err), "frame", ms_score_frame);
    note("ms_finder_create_sized");
    note("ms_scorer_create_sized");
    note("ms_scorer_push_sized");
    WRONG_SIZES(ms_finder_take_sized(finder, &face, bytes, &got, &err), "ret_face", ms_found_face);
    WRONG_SIZES(ms_scorer_get_report_sized(scorer, report, bytes, &err), "ret_report", ms_score_report);
    note("ms_finder_take_sized");
    note("ms_scorer_get_report_sized");
    free(older);
    free(report);
}

/* Frames and reports of real ones: tests/runs/test_run_stream.c, tests/runs/test_session.c. */
static void sizes_of_run_streams(void) {
    ms_run_stream *stream = NULL;
    ms_run_report report;
    ms_run_frame frame = {0};
    bool got = false;
    ms_run_params p;
    ms_run_params_init(&p);
    p.video = p.audio = "/nowhere/in.mp4";
    p.model = "/nowhere";
    p.crf = -1; /* refused if it were read */
    const size_t before = offsetof(ms_run_params, crf);
    ms_run_params *older = copy_of(&p, before);
    assert_ms_ok(ms_run_stream_open_sized(older, before, 4, &stream, &err), &err);
    WRONG_SIZES(ms_run_stream_pull_sized(stream, &frame, bytes, &got, &err), "ret_frame", ms_run_frame);
    note("ms_run_stream_pull_sized");
    ms_run_stream_release_sized(stream, &frame, 0);
    ms_run_stream_release_sized(stream, &frame, sizeof(frame) + 1);
    note("ms_run_stream_release_sized");
    ms_status ended = ms_run_stream_close_sized(&stream, &report, sizeof(report) - OLDER);
    assert_true(ended == MS_IO || ended == MS_UNSUPPORTED || ended == MS_CANCELLED);
    note("ms_run_stream_close_sized");
    WRONG_SIZES(ms_run_stream_open_sized(&p, bytes, 4, &stream, &err), "params", ms_run_params);
    note("ms_run_stream_open_sized");
    free(older);
}

static void sizes_of_models_and_sessions(void) {
    CHECK_INIT(ms_model_params);
    CHECK_INIT(ms_session_params);
    ms_model *model = NULL;
    ms_session *session = NULL;
    ms_model_params p;
    ms_model_params_init(&p);
    p.model = "/nowhere";
    p.precision = (ms_precision)77; /* refused if it were read */
    const size_t before = offsetof(ms_model_params, precision);
    ms_model_params *older = copy_of(&p, before);
    assert_int_equal(ms_model_open_sized(older, before, &model, &err), MS_IO);
    WRONG_SIZES(ms_model_open_sized(&p, bytes, &model, &err), "params", ms_model_params);
    note("ms_model_open_sized");
    ms_model_info info = {.resolution = 7};
    ms_model_get_info_sized(NULL, &info, sizeof(info));
    assert_int_equal(info.resolution, 7);
    note("ms_model_get_info_sized");

    ms_session_params sp;
    ms_session_params_init(&sp);
    WRONG_SIZES(ms_session_create_sized(&sp, bytes, &session, &err), "params", ms_session_params);
    note("ms_session_create_sized");
    ms_session_frame frame = {0};
    ms_session_progress progress = {.pulled = 7};
    ms_session_info about = {.resolution = 7};
    bool flag = false;
    WRONG_SIZES(ms_session_push_sized(session, &frame, bytes, &flag, &err), "frame", ms_session_frame);
    WRONG_SIZES(ms_session_pull_sized(session, &frame, bytes, &flag, &err), "ret_frame", ms_session_frame);
    ms_session_get_progress_sized(session, &progress, sizeof(progress));
    ms_session_get_info_sized(session, &about, sizeof(about));
    assert_true(progress.pulled == 7 && about.resolution == 7);
    note("ms_session_push_sized");
    note("ms_session_pull_sized");
    note("ms_session_get_progress_sized");
    note("ms_session_get_info_sized");
    free(older);
}

static void sizes_of_scores(void) {
    CHECK_INIT(ms_score_params);
    ms_score_params p;
    ms_score_report *report = make(sizeof(*report));
    ms_score_params_init(&p);
    p.video = "/nowhere/in.mp4";
    p.model = "/nowhere";
    p.frames = -1; /* refused if it were read */
    const size_t before = offsetof(ms_score_params, frames);
    ms_score_params *older = copy_of(&p, before);
    ms_status status = ms_score_sized(older, before, report, sizeof(*report) - OLDER, &err);
    assert_true(status == MS_IO || status == MS_UNSUPPORTED); /* without FFmpeg */
    WRONG_SIZES(ms_score_sized(&p, bytes, NULL, 0, &err), "params", ms_score_params);
    WRONG_SIZES(ms_score_sized(&p, sizeof(p), report, bytes, &err), "ret_report", ms_score_report);
    note("ms_score_sized");
    free(older);
    free(report);
}

static void sizes_of_models_checked(void) {
    CHECK_INIT(ms_model_check_params);
    CHECK_INIT(ms_model_synthesize_params);
    ms_model_check_params p = {.model = "/nowhere", .config = "/nowhere/unet.yaml"};
    const size_t before = offsetof(ms_model_check_params, config);
    ms_model_check_params *older = copy_of(&p, before);
    assert_int_equal(ms_model_check_sized(older, before, &err), MS_IO);
    WRONG_SIZES(ms_model_check_sized(&p, bytes, &err), "params", ms_model_check_params);
    note("ms_model_check_sized");
    assert_false(ms_model_is_synthetic_sized(older, before));
    assert_false(ms_model_is_synthetic_sized(&p, 0));
    assert_false(ms_model_is_synthetic_sized(&p, sizeof(p) + 1));
    note("ms_model_is_synthetic_sized");
    assert_false(ms_model_has_file_sized(older, before, "/nowhere/unet.yaml"));
    assert_false(ms_model_has_file_sized(&p, 0, "/nowhere/unet.yaml"));
    assert_false(ms_model_has_file_sized(&p, sizeof(p) + 1, "/nowhere/unet.yaml"));
    note("ms_model_has_file_sized");
    free(older);
    /* An impossible precision behind what an older program's struct has. */
    const ms_model_synthesize_params m = {
        .shape = "tiny", .folder = "/nowhere/deep/model", .precision = (ms_precision)99};
    const size_t made = offsetof(ms_model_synthesize_params, precision);
    ms_model_synthesize_params *old_made = copy_of(&m, made);
    assert_int_equal(ms_model_synthesize_sized(old_made, made, &err), MS_IO);
    WRONG_SIZES(ms_model_synthesize_sized(&m, bytes, &err), "params", ms_model_synthesize_params);
    note("ms_model_synthesize_sized");
    free(old_made);
}

static void sizes_of_batches(void) {
    CHECK_INIT(ms_batches_params);
    ms_batches *batches = NULL;
    ms_batches_params p;
    ms_batches_params_init(&p);
    p.shape = "tiny";
    p.profile.environment = false;
    p.device_bytes = (size_t)8 << 30;
    p.free_bytes = 1; /* behind what an older program's struct has */
    const size_t before = offsetof(ms_batches_params, free_bytes);
    ms_batches_params *older = copy_of(&p, before);
    assert_ms_ok(ms_batches_create_sized(older, before, &batches, &err), &err);
    ms_batches_info info;
    ms_batches_get_info(batches, &info);
    assert_true(info.free_bytes > 1);
    CHECK_FILL(ms_batches_get_info_sized(batches, ret, bytes), ms_batches_info);
    note("ms_batches_get_info_sized");
    ms_batches_destroy(&batches);
    WRONG_SIZES(ms_batches_create_sized(&p, bytes, &batches, &err), "params", ms_batches_params);
    note("ms_batches_create_sized");
    assert_null(batches);
    free(older);
}

/* An older caller cannot ask for what its struct lacks: rank, lossy and whose memory it is. */
static void sizes_of_latents(void) {
    const float rows[4] = {1, 2, 3, 5};
    const ms_latents_params p = {.frames = 2, .values = 2, .rank_percent = 101}; /* refused if it were read */
    const size_t before = offsetof(ms_latents_params, rank_percent),
                 reported = offsetof(ms_latents_report, components);
    ms_latents_params *older = copy_of(&p, before);
    ms_latents_report *old_report = make(reported);
    ms_latents_report whole;
    void *block = NULL;
    assert_ms_ok(ms_latents_compress_sized(older, before, rows, &block, old_report, reported, &err), &err);
    check_guard(old_report, reported);
    assert_true(old_report->raw_bytes == 16 && old_report->block_bytes > 40);
    ms_latents_info info;
    const size_t said = offsetof(ms_latents_info, components);
    ms_latents_info *old_info = make(said);
    assert_ms_ok(ms_latents_read_sized(block, old_report->block_bytes, old_info, said, &err), &err);
    check_guard(old_info, said);
    assert_true(old_info->frames == 2 && old_info->values == 2);
    free(old_info);
    ms_mem_free(block);
    block = NULL;
    WRONG_SIZES(ms_latents_compress_sized(&p, bytes, rows, &block, NULL, 0, &err), "params",
                ms_latents_params);
    WRONG_SIZES(ms_latents_compress_sized(older, before, rows, &block, &whole, bytes, &err), "ret_report",
                ms_latents_report);
    WRONG_SIZES(ms_latents_read_sized(rows, sizeof(rows), &info, bytes, &err), "ret_info", ms_latents_info);
    note("ms_latents_compress_sized");
    note("ms_latents_read_sized");
    assert_null(block);
    free(older);
    free(old_report);
}

static void sizes_of_probes(void) {
    ms_probe *probe = NULL;
    const ms_probe_params p = {.device = "cpu", .threads = -1};
    const size_t before = offsetof(ms_probe_params, threads);
    ms_probe_params *older = copy_of(&p, before);
    assert_ms_ok(ms_probe_create_sized(older, before, &probe, &err), &err);
    free(older);
    CHECK_FILL(ms_probe_get_host_sized(probe, ret, bytes), ms_probe_host);
    CHECK_FILL(ms_probe_get_cgroup_sized(probe, 0, ret, bytes), ms_probe_cgroup);
    CHECK_FILL(ms_probe_get_device_sized(probe, ret, bytes), ms_probe_device);
    CHECK_FILL(ms_probe_get_card_sized(probe, 0, ret, bytes), ms_probe_card);
    note("ms_probe_get_card_sized");
    note("ms_probe_get_host_sized");
    note("ms_probe_get_cgroup_sized");
    note("ms_probe_get_device_sized");
    const size_t less = sizeof(ms_probe_bandwidth) - OLDER;
    ms_probe_bandwidth *bandwidth = make(less);
    assert_ms_ok(ms_probe_disk_sized(probe, "/proc/self/exe", bandwidth, less, &err), &err);
    check_guard(bandwidth, less);
    assert_true(bandwidth->bytes_per_s > 0);
    assert_ms_ok(ms_probe_upload_sized(probe, bandwidth, less, &err), &err);
    check_guard(bandwidth, less);
    WRONG_SIZES(ms_probe_disk_sized(probe, "/proc/self/exe", bandwidth, bytes, &err), "ret_bandwidth",
                ms_probe_bandwidth);
    WRONG_SIZES(ms_probe_upload_sized(probe, bandwidth, bytes, &err), "ret_bandwidth", ms_probe_bandwidth);
    note("ms_probe_disk_sized");
    note("ms_probe_upload_sized");
    free(bandwidth);
    ms_probe_rates rates;
    WRONG_SIZES(ms_probe_calibrate_sized(probe, "/proc/self/exe", NULL, &rates, bytes, &err), "ret_rates",
                ms_probe_rates);
    note("ms_probe_calibrate_sized");
    ms_probe_destroy(&probe);
    ms_probe *none = NULL;
    WRONG_SIZES(ms_probe_create_sized(&p, bytes, &none, &err), "params", ms_probe_params);
    note("ms_probe_create_sized");
    assert_null(none);
}

/* ---- none is missing ---- */

static int check_header(const char *name) {
    char path[512], text[65536], function[64];
    snprintf(path, sizeof(path), "%s/include/memsafe/%s", MS_SOURCE_DIR, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = 0;
    fclose(f);
    int found = 0;
    for (char *at = text; (at = strstr(at, "\nMS_API ")) != NULL; at++) {
        char *end = strchr(at, '('), *begin = end;
        while (isalnum((unsigned char)begin[-1]) || begin[-1] == '_')
            begin--;
        snprintf(function, sizeof(function), "%.*s", (int)(end - begin), begin);
        if (!strstr(function, "_sized"))
            continue;
        bool there = false;
        for (int i = 0; i < n_called; i++)
            there = there || strcmp(called[i], function) == 0;
        if (!there)
            fail_msg("%s() of memsafe/%s is not called here", function, name);
        found++;
    }
    return found;
}

static void structs_of_other_versions(void **state) {
    (void)state;
    sizes_of_runs();
    sizes_of_report_pages();
    sizes_of_memory();
    sizes_of_devices();
    sizes_of_optimizers();
    sizes_of_loops();
    sizes_of_frame_streams();
    sizes_of_integrations();
    sizes_of_plans();
    sizes_of_detections();
    sizes_of_run_streams();
    sizes_of_models_and_sessions();
    sizes_of_pushed_frames();
    sizes_of_scores();
    sizes_of_models_checked();
    sizes_of_batches();
    sizes_of_latents();
    sizes_of_probes();
    DIR *headers = opendir(MS_SOURCE_DIR "/include/memsafe");
    int found = 0;
    assert_non_null(headers);
    for (struct dirent *entry; (entry = readdir(headers)) != NULL;)
        if (strstr(entry->d_name, ".h"))
            found += check_header(entry->d_name);
    closedir(headers);
    assert_int_equal(found, n_called);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structs_of_other_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
