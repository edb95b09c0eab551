/*
 * What callers get wrong, over the whole public interface: parameters that are NULL, calls that come too
 * early, numbers and enumerations that are none. All of it is MS_INVALID_ARGUMENT with a message, or nothing
 * at all where a function has no status. A function in a header that is not called here fails the test.
 */
#include "test.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>

#include "support/nowhere.h"

/* ---- which functions were called ---- */

static char called[512][64];
static int n_called;

static void note(const char *expression) {
    expression = strstr(expression, "ms_");
    assert_non_null(expression);
    size_t length = strcspn(expression, "(");
    assert_true(length < sizeof(called[0]) && n_called < 512);
    snprintf(called[n_called++], sizeof(called[0]), "%.*s", (int)length, expression);
}

static bool was_called(const char *name) {
    for (int i = 0; i < n_called; i++)
        if (strcmp(called[i], name) == 0)
            return true;
    return false;
}

static void check_refused(const char *expression, ms_status status, const ms_error *err) {
    note(expression);
    if (status != MS_INVALID_ARGUMENT)
        fail_msg("%s: %s", expression, ms_status_name(status));
    if (err && (err->code != MS_INVALID_ARGUMENT || !err->message[0]))
        fail_msg("%s: no message", expression);
}

static ms_error err;

#define REFUSED(expr)                                                                                        \
    do {                                                                                                     \
        ms_error_clear(&err);                                                                                \
        ms_status refused_ = (expr);                                                                         \
        check_refused(#expr, refused_, &err);                                                                \
    } while (0)

/* Without a place for the message. */
#define REFUSED_QUIETLY(expr) check_refused(#expr, (expr), NULL)

/* Does nothing, and does not crash. */
#define NOTHING(expr)                                                                                        \
    do {                                                                                                     \
        expr;                                                                                                \
        note(#expr);                                                                                         \
    } while (0)

#define GIVES(expr)                                                                                          \
    do {                                                                                                     \
        if (!(expr))                                                                                         \
            fail_msg("%s", #expr);                                                                           \
        note(#expr);                                                                                         \
    } while (0)

/* ---- NULL, header by header ---- */

static void null_status(void) {
    GIVES(ms_status_text((ms_status)-1) != NULL);
    GIVES(ms_status_name((ms_status)99) != NULL);
    GIVES(strcmp(ms_hint_code((ms_hint)-1), "") == 0);
    GIVES(strcmp(ms_hint_text((ms_hint)99), "") == 0);
    GIVES(ms_status_exit_code((ms_status)99) == 70);
}

static void null_library(void) {
    GIVES(strcmp(ms_version(), MS_VERSION_TEXT) == 0);
    GIVES(ms_version_number() == MS_VERSION_NUMBER);
    GIVES(!ms_has_feature((ms_feature)-1));
    GIVES(!ms_has_feature((ms_feature)99));
    GIVES(ms_feature_name((ms_feature)-1) == NULL);
    GIVES(ms_feature_name((ms_feature)99) == NULL);
}

static void null_libav_log(void) {
    NOTHING(ms_libav_log_take(NULL));
}

static int messages;

static void count_message(void *arg, const ms_log_message *message) {
    (void)arg;
    (void)message;
    messages++;
}

static void null_log(void) {
    NOTHING(ms_log_set(NULL, NULL, MS_LOG_DETAIL));
    NOTHING(ms_log_set(count_message, NULL, (ms_log_level)-1));
    NOTHING(ms_log_set(count_message, NULL, (ms_log_level)3));
    assert_int_equal(messages, 0);
}

static void null_memory(void) {
    ms_mem *none = NULL;
    const ms_ledger bad = (ms_ledger)MS_LEDGER_COUNT, worse = (ms_ledger)-1;
    REFUSED_QUIETLY(ms_mem_create(0, NULL));
    GIVES(ms_mem_set_budget(NULL, 0));
    GIVES(!ms_mem_set_budget(NULL, 1));
    GIVES(ms_mem_destroy(NULL) == 0);
    GIVES(ms_mem_destroy(&none) == 0);
    GIVES(ms_mem_alloc(NULL, bad, 1) == NULL);
    GIVES(ms_mem_alloc(NULL, worse, 1) == NULL);
    GIVES(ms_mem_alloc(NULL, MS_LEDGER_GENERAL, SIZE_MAX) == NULL);
    GIVES(ms_mem_calloc(NULL, MS_LEDGER_GENERAL, SIZE_MAX, 2) == NULL);
    GIVES(ms_mem_calloc(NULL, bad, 1, 1) == NULL);
    NOTHING(ms_mem_free(NULL));
    GIVES(!ms_mem_charge(NULL, bad, 1));
    GIVES(!ms_mem_charge(NULL, worse, 1));
    NOTHING(ms_mem_release(NULL, bad, 1));
    NOTHING(ms_mem_release(NULL, worse, 1));
    NOTHING(ms_mem_get_usage(NULL, NULL));
    NOTHING(ms_mem_reset_peaks(NULL));
    GIVES(strcmp(ms_ledger_name(bad), "unknown") == 0);
    GIVES(strcmp(ms_ledger_name(worse), "unknown") == 0);
    GIVES(ms_mem_allocation_count() >= ms_mem_fail_after(0, false));
    NOTHING(ms_mem_fail_after(0, false));
}

static void null_device(void) {
    ms_device *none = NULL;
    ms_device_info info;
    REFUSED(ms_device_create(NULL, NULL, &err));
    REFUSED_QUIETLY(ms_device_create(NULL, NULL, NULL));
    NOTHING(ms_device_destroy(NULL));
    NOTHING(ms_device_destroy(&none));
    NOTHING(ms_device_get_info(NULL, NULL));
    NOTHING(ms_device_get_info(NULL, &info));
    assert_true(info.backend && info.description && info.total_bytes == 0);
}

static void null_optimizer(void) {
    ms_optimizer_params params;
    ms_optimizer *optimizer = NULL;
    ms_batch_request request = {.height = 64, .width = 64};
    ms_batch_answer answer;
    ms_task task;
    int batch;
    NOTHING(ms_optimizer_params_init(NULL));
    ms_optimizer_params_init(&params);
    params.environment = false;
    params.device_bytes = (size_t)8 << 30;
    params.costs[MS_TASK_VAE_DECODE].fixed_bytes = 1;
    REFUSED(ms_optimizer_create(NULL, &optimizer, &err));
    REFUSED(ms_optimizer_create(&params, NULL, &err));
    params.n_settings = 1;
    REFUSED(ms_optimizer_create(&params, &optimizer, &err));
    const char *const missing[] = {NULL};
    params.settings = missing;
    REFUSED(ms_optimizer_create(&params, &optimizer, &err));
    params.n_settings = -1;
    REFUSED(ms_optimizer_create(&params, &optimizer, &err));
    params.n_settings = 0;
    assert_ms_ok(ms_optimizer_create(&params, &optimizer, &err), &err);
    REFUSED(ms_optimizer_get_optimal_batch_size(NULL, MS_TASK_VAE_DECODE, &request, &batch, &err));
    REFUSED(ms_optimizer_get_optimal_batch_size(optimizer, MS_TASK_VAE_DECODE, NULL, &batch, &err));
    REFUSED(ms_optimizer_get_optimal_batch_size(optimizer, MS_TASK_VAE_DECODE, &request, NULL, &err));
    REFUSED(ms_optimizer_get_optimal_batch_size(optimizer, MS_TASK_COUNT, &request, &batch, &err));
    REFUSED(ms_optimizer_get_optimal_batch_size(optimizer, (ms_task)-1, &request, &batch, &err));
    REFUSED(ms_optimizer_explain(NULL, MS_TASK_VAE_DECODE, &request, &answer, &err));
    REFUSED(ms_optimizer_explain(optimizer, MS_TASK_VAE_DECODE, NULL, &answer, &err));
    REFUSED(ms_optimizer_explain(optimizer, MS_TASK_VAE_DECODE, &request, NULL, &err));
    GIVES(strcmp(ms_optimizer_tier(NULL), "unknown") == 0);
    GIVES(ms_optimizer_clean_up_frames(NULL) == 0);
    GIVES(strcmp(ms_task_name(MS_TASK_COUNT), "unknown") == 0);
    GIVES(strcmp(ms_batch_limit_name((ms_batch_limit)99), "unknown") == 0);
    GIVES(!ms_task_find(NULL, &task));
    GIVES(!ms_task_find("vae_decode", NULL));
    NOTHING(ms_optimizer_destroy(NULL));
    ms_optimizer_destroy(&optimizer);
    NOTHING(ms_optimizer_destroy(&optimizer));
}

static void null_pressure(void) {
    ms_pressure_watch *none = NULL;
    REFUSED(ms_pressure_watch_create(NULL, NULL, NULL, NULL, &err));
    NOTHING(ms_pressure_watch_destroy(NULL));
    NOTHING(ms_pressure_watch_destroy(&none));
    GIVES(ms_pressure_watch_level(NULL) == 0);
    GIVES(ms_pressure_watch_step(NULL) == 0);
    GIVES(strcmp(ms_pressure_level_name(-1), "unknown") == 0);
    GIVES(strcmp(ms_pressure_level_name(4), "unknown") == 0);
}

static ms_status process_items(void *arg, int64_t first, int64_t count, ms_error *e) {
    (void)arg, (void)first, (void)count, (void)e;
    return MS_OK;
}

static void null_adaptive(void) {
    ms_adaptive_params params = {0};
    int64_t done;
    REFUSED(ms_adaptive_process(NULL, 0, 1, NULL, &done, &err));
    REFUSED(ms_adaptive_process(&params, 0, 1, NULL, &done, &err));
    params.process = process_items;
    params.task = MS_TASK_COUNT;
    REFUSED(ms_adaptive_process(&params, 0, 1, NULL, &done, &err));
    params.task = MS_TASK_VAE_DECODE;
    REFUSED(ms_adaptive_process(&params, INT64_MAX, 1, NULL, &done, &err));
    assert_ms_ok(ms_adaptive_process(&params, 0, 1, NULL, NULL, NULL), &err);
}

static void null_frame_stream(void) {
    ms_frame_stream_params params;
    ms_frame_stream_stats stats;
    ms_adaptive_state learned;
    const ms_adaptive_params own_process = {.process = process_items};
    ms_frame_stream *stream = NULL;
    ms_frame frame = {0};
    bool got;
    NOTHING(ms_frame_stream_params_init(NULL));
    ms_frame_stream_params_init(&params);
    params.frame_bytes = 8;
    params.buffer_frames = 2;
    REFUSED(ms_frame_stream_create(NULL, NULL, &stream, &err));
    REFUSED(ms_frame_stream_create(&params, NULL, NULL, &err));
    REFUSED(ms_frame_stream_push(NULL, 0, "x", 1, &err));
    REFUSED(ms_frame_stream_try_push(NULL, 0, "x", 1, &got, &err));
    REFUSED(ms_frame_stream_reserve(NULL, &frame, &err));
    NOTHING(ms_frame_stream_commit(NULL, &frame));
    REFUSED(ms_frame_stream_pull(NULL, &frame, &got, &err));
    REFUSED(ms_frame_stream_try_pull(NULL, &frame, &got, &err));
    NOTHING(ms_frame_stream_release(NULL, &frame));
    NOTHING(ms_frame_stream_close(NULL));
    NOTHING(ms_frame_stream_fail(NULL, MS_IO, NULL));
    NOTHING(ms_frame_stream_cancel(NULL));
    GIVES(ms_frame_stream_ended(NULL));
    NOTHING(ms_frame_stream_get_stats(NULL, NULL));
    NOTHING(ms_frame_stream_get_stats(NULL, &stats));
    NOTHING(ms_frame_stream_get_state(NULL, NULL));
    NOTHING(ms_frame_stream_get_state(NULL, &learned));
    assert_true(stats.pushed == 0 && learned.items == 0);
    REFUSED(ms_frame_stream_create(&params, &own_process, &stream, &err));
    NOTHING(ms_frame_stream_destroy(NULL));

    assert_ms_ok(ms_frame_stream_create(&params, NULL, &stream, &err), &err);
    REFUSED(ms_frame_stream_push(stream, 0, NULL, 1, &err));
    REFUSED(ms_frame_stream_try_push(stream, 0, NULL, 1, &got, &err));
    REFUSED(ms_frame_stream_try_push(stream, 0, "x", 1, NULL, &err));
    REFUSED(ms_frame_stream_reserve(stream, NULL, &err));
    REFUSED(ms_frame_stream_try_pull(stream, NULL, &got, &err));
    REFUSED(ms_frame_stream_try_pull(stream, &frame, NULL, &err));
    REFUSED(ms_frame_stream_pull(stream, NULL, &got, &err));
    NOTHING(ms_frame_stream_commit(stream, NULL));
    NOTHING(ms_frame_stream_release(stream, NULL));
    NOTHING(ms_frame_stream_get_stats(stream, NULL));
    /* Frames that nobody reserved or pulled. */
    static const int64_t places[] = {0, 1, -1, 77, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        NOTHING(ms_frame_stream_commit(stream, &(ms_frame){.place = places[i]}));
        NOTHING(ms_frame_stream_release(stream, &(ms_frame){.place = places[i]}));
    }
    /* They have changed nothing. */
    for (int i = 0; i < 5; i++) {
        assert_ms_ok(ms_frame_stream_try_push(stream, i, "abcdefg", 8, &got, &err), &err);
        assert_true(got);
        ms_frame_stream_get_stats(stream, &stats);
        assert_true(stats.pushed == i + 1 && stats.held == 1);
        assert_ms_ok(ms_frame_stream_try_pull(stream, &frame, &got, &err), &err);
        assert_true(got && frame.number == i && memcmp(frame.data, "abcdefg", 8) == 0);
        ms_frame_stream_release(stream, &frame);
    }
    ms_frame_stream_destroy(&stream);
    NOTHING(ms_frame_stream_destroy(&stream));
}

static void null_integrate(void) {
    ms_integrate_params params;
    ms_integration *integration = NULL;
    NOTHING(ms_integrate_params_init(NULL));
    ms_integrate_params_init(&params);
    params.height = params.width = 64;
    params.device_bytes = (size_t)8 << 30;
    params.environment = params.watch = false;
    params.costs[MS_TASK_VAE_DECODE].fixed_bytes = 1;
    params.task = MS_TASK_VAE_DECODE;
    REFUSED(ms_integrate(NULL, &integration, &err));
    REFUSED(ms_integrate(&params, NULL, &err));
    params.task = MS_TASK_COUNT;
    REFUSED(ms_integrate(&params, &integration, &err));
    params.task = MS_TASK_VAE_DECODE;
    params.max_batch = -1;
    REFUSED(ms_integrate(&params, &integration, &err));
    params.max_batch = 0;
    REFUSED(ms_integration_process(NULL, process_items, NULL, &err));
    assert_ms_ok(ms_integrate(&params, &integration, &err), &err);
    REFUSED(ms_integration_process(integration, NULL, NULL, &err));
    REFUSED(ms_integration_process(integration, process_items, NULL, &err)); /* of unknown length */
    NOTHING(ms_integration_destroy(NULL));
    ms_integration_destroy(&integration);
    NOTHING(ms_integration_destroy(&integration));
}

static void null_run(void) {
    ms_run_report *report = calloc(1, sizeof(*report));
    assert_non_null(report);
    char *html = NULL;
    ms_run_params p = run_params();
    GIVES(strcmp(ms_stage_name((ms_stage)-1), "?") == 0);
    GIVES(strcmp(ms_stage_name(MS_STAGE_COUNT), "?") == 0);
    GIVES(strcmp(ms_stage_text((ms_stage)-1), "?") == 0);
    GIVES(strcmp(ms_stage_text(MS_STAGE_COUNT), "?") == 0);
    GIVES(strcmp(ms_paste_name(MS_PASTE_COUNT), "?") == 0);
    GIVES(strcmp(ms_rung_name(MS_RUNG_COUNT), "?") == 0);
    for (int rung = 0; rung < MS_RUNG_COUNT; rung++)
        GIVES(ms_rung_named(ms_rung_name((ms_rung)rung)) == (ms_rung)rung);
    GIVES(ms_rung_named("?") == MS_RUNG_AUTO && ms_rung_named(NULL) == MS_RUNG_AUTO);
    GIVES(strcmp(ms_paste_name(MS_PASTE_COUNT), "?") == 0);
    GIVES(strcmp(ms_rung_text((ms_rung)-1), "?") == 0);
    NOTHING(ms_run_params_init(NULL));
    REFUSED(ms_run(NULL, report, &err));
    REFUSED_QUIETLY(ms_run(NULL, NULL, NULL));
    const char **const texts[] = {&p.video, &p.audio, &p.output, &p.model};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        p = run_params();
        *texts[i] = NULL;
        REFUSED(ms_run(&p, report, &err));
    }
    REFUSED(ms_run_report_html(NULL, report, &html, &err));
    REFUSED(ms_run_report_html(&p, NULL, &html, &err));
    REFUSED(ms_run_report_html(&p, report, NULL, &err));
    assert_null(html);
    free(report);
}

static void null_model(void) {
    ms_model *model = NULL;
    ms_model_params p;
    ms_model_info info = {.resolution = 7};
    NOTHING(ms_model_params_init(NULL));
    ms_model_params_init(&p);
    REFUSED(ms_model_open(NULL, &model, &err));
    REFUSED(ms_model_open(&p, NULL, &err));
    REFUSED(ms_model_open(&p, &model, &err)); /* no model is named */
    p.model = "/nowhere";
    p.precision = (ms_precision)77;
    REFUSED(ms_model_open(&p, &model, &err));
    REFUSED_QUIETLY(ms_model_open(&p, &model, NULL));
    p.precision = MS_PRECISION_AUTO;
    assert_int_equal(ms_model_open(&p, &model, &err), MS_IO);
    assert_non_null(strstr(err.message, "/nowhere"));
    assert_null(model);
    REFUSED(ms_model_evict(NULL, &err));
    NOTHING(ms_model_get_info(NULL, &info));
    assert_int_equal(info.resolution, 7);
    NOTHING(ms_model_close(NULL));
    NOTHING(ms_model_close(&model));
}

static void null_session(void) {
    ms_session *session = NULL;
    ms_session_params p;
    ms_session_frame frame = {0};
    ms_session_progress progress = {.pulled = 7};
    ms_session_info info = {.resolution = 7};
    bool flag = false;
    const float sample = 0;
    NOTHING(ms_session_params_init(NULL));
    ms_session_params_init(&p);
    REFUSED(ms_session_create(NULL, &session, &err));
    REFUSED(ms_session_create(&p, &session, &err)); /* without a model */
    REFUSED_QUIETLY(ms_session_create(&p, &session, NULL));
    REFUSED(ms_session_open(NULL, &err));
    REFUSED(ms_session_push_speech(NULL, &sample, 1, &err));
    REFUSED(ms_session_end_speech(NULL, &err));
    REFUSED(ms_session_push(NULL, &frame, &flag, &err));
    REFUSED(ms_session_flush(NULL, &err));
    REFUSED(ms_session_end(NULL, &err));
    REFUSED(ms_session_pull(NULL, &frame, &flag, &err));
    GIVES(!ms_session_ended(NULL));
    NOTHING(ms_session_cancel(NULL));
    NOTHING(ms_session_get_progress(NULL, &progress));
    NOTHING(ms_session_get_info(NULL, &info));
    assert_true(progress.pulled == 7 && info.resolution == 7);
    NOTHING(ms_session_destroy(NULL));
    NOTHING(ms_session_destroy(&session));
}

static void null_run_stream(void) {
    ms_run_params p = run_params();
    ms_run_stream *stream = NULL;
    ms_run_frame frame = {0};
    bool got = false;
    p.output = NULL;
    REFUSED(ms_run_stream_open(NULL, 4, &stream, &err));
    REFUSED(ms_run_stream_open(&p, 4, NULL, &err));
    REFUSED(ms_run_stream_open(&p, 0, &stream, &err));
    REFUSED(ms_run_stream_pull(NULL, &frame, &got, &err));
    NOTHING(ms_run_stream_release(NULL, &frame));
    NOTHING(ms_run_stream_cancel(NULL));
    GIVES(ms_run_stream_close(NULL, NULL) == MS_OK);
    GIVES(ms_run_stream_close(&stream, NULL) == MS_OK);

    /* Before the first frame, and of a run that never has one. */
    assert_ms_ok(ms_run_stream_open(&p, 4, &stream, &err), &err);
    NOTHING(ms_run_stream_release(stream, &frame));
    NOTHING(ms_run_stream_release(stream, NULL));
    REFUSED(ms_run_stream_pull(stream, NULL, &got, &err));
    REFUSED(ms_run_stream_pull(stream, &frame, NULL, &err));
    ms_status ended = ms_run_stream_pull(stream, &frame, &got, &err);
    assert_true(ended == MS_IO || ended == MS_UNSUPPORTED); /* without FFmpeg */
    assert_int_equal(ms_run_stream_close(&stream, NULL), ended);
}

static void null_detect(void) {
    ms_detect_params p = detect_params();
    NOTHING(ms_detect_params_init(NULL));
    REFUSED(ms_detect(NULL, NULL, &err));
    REFUSED_QUIETLY(ms_detect(NULL, NULL, NULL));
    const char **const texts[] = {&p.video, &p.output, &p.model};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        p = detect_params();
        *texts[i] = NULL;
        REFUSED(ms_detect(&p, NULL, &err));
    }
}

static void null_finder(void) {
    ms_finder_params p;
    ms_finder *finder = NULL;
    ms_found_face face;
    bool got;
    NOTHING(ms_finder_params_init(NULL));
    ms_finder_params_init(&p);
    REFUSED(ms_finder_create(NULL, &finder, &err));
    REFUSED(ms_finder_create(&p, NULL, &err));
    REFUSED(ms_finder_create(&p, &finder, &err)); /* no model */
    p.model = "/nowhere";
    REFUSED(ms_finder_create(&p, &finder, &err)); /* no size */
    NOTHING(ms_finder_destroy(NULL));
    NOTHING(ms_finder_destroy(&finder));
    REFUSED(ms_finder_push(NULL, NULL, 0, &err));
    REFUSED(ms_finder_end(NULL, &err));
    REFUSED(ms_finder_take(NULL, &face, &got, &err));
}

static void null_plan(void) {
    ms_plan_params p;
    ms_plan_report *report = calloc(1, sizeof(*report));
    assert_non_null(report);
    char *svg = NULL;
    NOTHING(ms_plan_params_init(NULL));
    ms_plan_params_init(&p);
    REFUSED(ms_plan_run(NULL, report, NULL, &err));
    REFUSED(ms_plan_run(&p, NULL, NULL, &err));
    size_t budget = 0;
    REFUSED(ms_plan_budget(NULL, &budget, &err));
    REFUSED(ms_plan_budget(&p, NULL, &err));
    NOTHING(ms_plan_free_svg(NULL));
    NOTHING(ms_plan_free_svg(&svg));
    /* No device is the best that is here. */
    p.shape = "tiny";
    p.device = NULL;
    p.profile.environment = false;
    p.budget_bytes = (size_t)4 << 30;
    assert_ms_ok(ms_plan_run(&p, report, NULL, &err), &err);
    assert_true(report->host_bytes == 0 && report->total_s > 0);
    free(report);
}

static void null_score(void) {
    ms_score_params p;
    ms_score_report report;
    GIVES(strcmp(ms_region_name(MS_REGION_COUNT), "?") == 0);
    GIVES(strcmp(ms_region_name((ms_region_kind)-1), "?") == 0);
    NOTHING(ms_score_params_init(NULL));
    ms_score_params_init(&p);
    REFUSED(ms_score(NULL, &report, &err));
    REFUSED_QUIETLY(ms_score(NULL, NULL, NULL));
    REFUSED(ms_score(&p, &report, &err));
    p.video = "/nowhere/video.mp4";
    REFUSED(ms_score(&p, &report, &err));
    p.faces = "/nowhere";
    p.window = 1;
    REFUSED(ms_score(&p, &report, &err));
    p.window = 1001;
    REFUSED(ms_score(&p, &report, &err));
    p.window = 16;
    p.frames = -1;
    REFUSED(ms_score(&p, &report, &err));
    p.frames = 0;
    ms_status status = ms_score(&p, NULL, &err);
    assert_true(status == MS_IO || status == MS_UNSUPPORTED); /* without FFmpeg */
}

static void null_scorer(void) {
    ms_scorer_params p;
    ms_scorer *scorer = NULL;
    ms_score_report report;
    const ms_score_frame frame = {0};
    NOTHING(ms_scorer_params_init(NULL));
    ms_scorer_params_init(&p);
    REFUSED(ms_scorer_create(NULL, &scorer, &err));
    REFUSED(ms_scorer_create(&p, NULL, &err));
    REFUSED(ms_scorer_create(&p, &scorer, &err)); /* no model */
    p.model = "/nowhere";
    REFUSED(ms_scorer_create(&p, &scorer, &err)); /* no size */
    NOTHING(ms_scorer_destroy(NULL));
    NOTHING(ms_scorer_destroy(&scorer));
    REFUSED(ms_scorer_push(NULL, &frame, &err));
    REFUSED(ms_scorer_push(scorer, NULL, &err));
    REFUSED(ms_scorer_get_report(NULL, &report, &err));
}

static void null_models(void) {
    ms_model_check_params p;
    ms_model_synthesize_params make;
    GIVES(strcmp(ms_model_part_name(MS_MODEL_PART_COUNT), "?") == 0);
    GIVES(strcmp(ms_model_part_name((ms_model_part)-1), "?") == 0);
    NOTHING(ms_model_check_params_init(NULL));
    ms_model_check_params_init(&p);
    REFUSED(ms_model_check(NULL, &err));
    REFUSED(ms_model_check(&p, &err));
    REFUSED_QUIETLY(ms_model_check(&p, NULL));
    GIVES(!ms_model_is_synthetic(NULL));
    GIVES(!ms_model_is_synthetic(&p));
    GIVES(!ms_model_has_file(NULL, "/nowhere"));
    GIVES(!ms_model_has_file(&p, NULL));
    p.model = "/nowhere";
    GIVES(!ms_model_has_file(&p, "/nowhere/unet.yaml"));
    assert_int_equal(ms_model_check(&p, &err), MS_IO);
    NOTHING(ms_model_synthesize_params_init(NULL));
    ms_model_synthesize_params_init(&make);
    REFUSED(ms_model_synthesize(NULL, &err));
    REFUSED(ms_model_synthesize(&make, &err));
    make.folder = "/nowhere/model";
    REFUSED(ms_model_synthesize(&make, &err));
    make.shape = "small";
    REFUSED(ms_model_synthesize(&make, &err));
    make.shape = "tiny";
    make.precision = (ms_precision)99;
    REFUSED(ms_model_synthesize(&make, &err));
    make.precision = (ms_precision)-1;
    REFUSED(ms_model_synthesize(&make, &err));
}

static ms_status ignore_past_run(void *arg, const ms_past_run *run) {
    (void)arg, (void)run;
    return MS_OK;
}

static void null_history(void) {
    REFUSED(ms_history_read(NULL, 0, ignore_past_run, NULL, NULL, &err));
    REFUSED(ms_history_read("", 0, ignore_past_run, NULL, NULL, &err));
    REFUSED(ms_history_read("/nowhere/h.db", 0, NULL, NULL, NULL, &err));
    REFUSED(ms_history_read("/nowhere/h.db", -1, ignore_past_run, NULL, NULL, &err));
    REFUSED(ms_history_forget(NULL, NULL, &err));
    REFUSED_QUIETLY(ms_history_forget("", NULL, NULL));
}

static void null_profile(void) {
    const ms_profile_source source = {0}, nobody = {.tier = "huge"}, none = {.n_settings = 1};
    char *text = NULL;
    const size_t memory = (size_t)8 << 30;
    REFUSED(ms_profile_describe(NULL, memory, 0, MS_PROFILE_TEXT, &text, &err));
    REFUSED(ms_profile_describe(&source, memory, 0, MS_PROFILE_TEXT, NULL, &err));
    REFUSED(ms_profile_describe(&source, 0, 0, MS_PROFILE_TEXT, &text, &err));
    REFUSED(ms_profile_describe(&source, memory, 0, (ms_profile_form)9, &text, &err));
    REFUSED(ms_profile_describe(&nobody, memory, 0, MS_PROFILE_JSON, &text, &err));
    REFUSED(ms_profile_describe(&none, memory, 0, MS_PROFILE_JSON, &text, &err));
    REFUSED(ms_profile_fields(NULL, &err));
    REFUSED(ms_profile_of_optimizer(NULL, MS_PROFILE_TEXT, &text, &err));
    ms_optimizer_params params;
    ms_optimizer *optimizer = NULL;
    ms_optimizer_params_init(&params);
    params.environment = false;
    params.device_bytes = memory;
    assert_ms_ok(ms_optimizer_create(&params, &optimizer, &err), &err);
    REFUSED(ms_profile_of_optimizer(optimizer, MS_PROFILE_TEXT, NULL, &err));
    REFUSED(ms_profile_of_optimizer(optimizer, (ms_profile_form)9, &text, &err));
    ms_optimizer_destroy(&optimizer);
    assert_null(text);
}

static void null_batches(void) {
    ms_batches_params p;
    ms_batches_info info;
    ms_batches *batches = NULL;
    char text[MS_BATCHES_TEXT_BYTES];
    NOTHING(ms_batches_params_init(NULL));
    ms_batches_params_init(&p);
    p.profile.environment = false;
    REFUSED(ms_batches_create(NULL, &batches, &err));
    REFUSED(ms_batches_create(&p, NULL, &err));
    p.shape = "small";
    REFUSED(ms_batches_create(&p, &batches, &err));
    p.shape = "tiny";
    p.model = "/nowhere";
    REFUSED(ms_batches_create(&p, &batches, &err));
    p.model = NULL;
    p.threads = -1;
    REFUSED(ms_batches_create(&p, &batches, &err));
    p.threads = 0;
    p.device = "dummy"; /* of no size */
    REFUSED(ms_batches_create(&p, &batches, &err));
    assert_null(batches);
    NOTHING(ms_batches_get_info(NULL, NULL));
    NOTHING(ms_batches_get_info(NULL, &info));
    assert_true(strcmp(info.tier, "") == 0 && strcmp(info.precision, "") == 0 && info.weight_bytes == 0);
    GIVES(ms_batches_optimizer(NULL) == NULL);
    GIVES(ms_batches_in_a_run(NULL, MS_TASK_VAE_DECODE, 256, 0, 4) == 0);
    GIVES(strcmp(ms_batches_cap_origin(NULL, MS_TASK_VAE_DECODE, text), "") == 0);
    GIVES(strcmp(ms_batches_cap_origin(NULL, MS_TASK_VAE_DECODE, NULL), "") == 0);
    const ms_batch_request picture = {.height = 128, .width = 128}, none = {.height = 0, .width = 128};
    ms_batch_bytes bytes;
    REFUSED(ms_batches_cost(NULL, MS_TASK_VAE_DECODE, &picture, 1, &bytes, &err));
    p.device = NULL;
    assert_ms_ok(ms_batches_create(&p, &batches, &err), &err);
    REFUSED(ms_batches_cost(batches, MS_TASK_VAE_DECODE, NULL, 1, &bytes, &err));
    REFUSED(ms_batches_cost(batches, MS_TASK_VAE_DECODE, &picture, 1, NULL, &err));
    REFUSED(ms_batches_cost(batches, MS_TASK_VAE_DECODE, &picture, 0, &bytes, &err));
    REFUSED(ms_batches_cost(batches, MS_TASK_VAE_DECODE, &none, 1, &bytes, &err));
    REFUSED(ms_batches_cost(batches, MS_TASK_COUNT, &picture, 1, &bytes, &err));
    REFUSED(ms_batches_cost(batches, (ms_task)-1, &picture, 1, &bytes, &err));
    NOTHING(ms_batches_destroy(NULL));
    ms_batches_destroy(&batches);
    NOTHING(ms_batches_destroy(&batches));
}

static void null_latents(void) {
    const float rows[4] = {1, 2, 3, 4};
    float back[4];
    void *block = NULL;
    ms_latents_info info;
    ms_latents_report report;
    ms_latents_params p = {.frames = 2, .values = 2};
    REFUSED(ms_latents_compress(NULL, rows, &block, &report, &err));
    REFUSED(ms_latents_compress(&p, NULL, &block, &report, &err));
    REFUSED(ms_latents_compress(&p, rows, NULL, &report, &err));
    const ms_latents_params wrong[] = {
        {.frames = 0, .values = 2},  {.frames = MS_LATENTS_FRAMES + 1, .values = 2},
        {.frames = 2, .values = 0},  {.frames = 2, .values = MS_LATENTS_VALUES + 1},
        {.frames = 2, .values = -1}, {.frames = 2, .values = 2, .rank_percent = 101},
        {.frames = -1, .values = 2}, {.frames = 2, .values = 2, .rank_percent = -1},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        REFUSED(ms_latents_compress(&wrong[i], rows, &block, &report, &err));
    assert_null(block);
    assert_ms_ok(ms_latents_compress(&p, rows, &block, NULL, NULL), &err); /* without a report */
    REFUSED(ms_latents_read(NULL, 40, &info, &err));
    REFUSED(ms_latents_read(block, 40, NULL, &err));
    REFUSED(ms_latents_decompress(NULL, NULL, 40, back, 4, &err));
    REFUSED(ms_latents_decompress(NULL, block, 40, NULL, 4, &err));
    ms_mem_free(block);
}

static void null_probe(void) {
    ms_probe *probe = NULL;
    ms_probe_params params = {.device = "a:b"};
    ms_probe_host host;
    ms_probe_cgroup group;
    ms_probe_device device;
    ms_probe_card card;
    ms_probe_bandwidth bandwidth;
    ms_probe_rates rates;
    REFUSED(ms_probe_create(NULL, NULL, &err));
    REFUSED(ms_probe_create(&params, &probe, &err));
    assert_null(probe);
    NOTHING(ms_probe_get_host(NULL, NULL));
    NOTHING(ms_probe_get_host(NULL, &host));
    assert_true(strcmp(host.cpu_name, "") == 0 && host.total_bytes == 0);
    GIVES(!ms_probe_get_cgroup(NULL, 0, NULL));
    GIVES(!ms_probe_get_device(NULL, &device));
    GIVES(!ms_probe_get_card(NULL, 0, &card));
    REFUSED(ms_probe_disk(NULL, "x", &bandwidth, &err));
    REFUSED(ms_probe_upload(NULL, &bandwidth, &err));
    REFUSED(ms_probe_self_test(NULL, 1, NULL, NULL, &err));
    REFUSED(ms_probe_calibrate(NULL, "x", NULL, &rates, &err));
    assert_ms_ok(ms_probe_create(NULL, &probe, &err), &err);
    GIVES(!ms_probe_get_cgroup(probe, -1, &group));
    GIVES(!ms_probe_get_cgroup(probe, INT_MAX, &group));
    GIVES(!ms_probe_get_device(probe, &device)); /* none was named */
    GIVES(!ms_probe_get_card(probe, -1, &card));
    GIVES(!ms_probe_get_card(probe, INT_MAX, NULL));
    REFUSED(ms_probe_disk(probe, NULL, &bandwidth, &err));
    REFUSED(ms_probe_disk(probe, "x", NULL, &err));
    REFUSED(ms_probe_upload(probe, NULL, &err));
    REFUSED(ms_probe_upload(probe, &bandwidth, &err));
    REFUSED(ms_probe_self_test(probe, 1, NULL, NULL, &err)); /* no device was named */
    REFUSED(ms_probe_calibrate(probe, NULL, NULL, &rates, &err));
    REFUSED(ms_probe_calibrate(probe, "x", NULL, NULL, &err));
    REFUSED(ms_probe_calibrate(probe, "x", NULL, &rates, &err));
    NOTHING(ms_probe_destroy(NULL));
    ms_probe_destroy(&probe);
    NOTHING(ms_probe_destroy(&probe));
    GIVES(ms_probe_instruction_set(-1) == NULL);
    GIVES(ms_probe_instruction_set(INT_MAX) == NULL);
    GIVES(ms_probe_backend(-1) == NULL);
    GIVES(ms_probe_backend(INT_MAX) == NULL);
    GIVES(!ms_probe_has_encoder((ms_output_codec)-1));
    GIVES(!ms_probe_has_encoder((ms_output_codec)99));
    NOTHING(ms_plugin_list(NULL, NULL));
    char folder[4096];
    GIVES(!ms_plugin_folder(0, NULL, 4096));
    GIVES(!ms_plugin_folder(-1, folder, sizeof(folder)));
    GIVES(!ms_plugin_folder(INT_MAX, folder, sizeof(folder)));
    GIVES(!ms_plugin_folder(0, folder, 0));
}

/* Of a declaration: what stands before its bracket, without the "_sized" that callers do not write. */
static void check_called(const char *declaration, const char *header) {
    char function[64];
    const char *end = strchr(declaration, '('), *begin = end;
    assert_non_null(end);
    while (isalnum((unsigned char)begin[-1]) || begin[-1] == '_')
        begin--;
    if (strncmp(end - 6, "_sized", 6) == 0)
        end -= 6;
    snprintf(function, sizeof(function), "%.*s", (int)(end - begin), begin);
    if (!was_called(function))
        fail_msg("%s() of memsafe/%s is not called here", function, header);
}

static int check_header(const char *name) {
    char path[512], text[65536];
    snprintf(path, sizeof(path), "%s/include/memsafe/%s", MS_SOURCE_DIR, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = 0;
    fclose(f);
    int found = 0;
    for (char *at = text; (at = strstr(at, "\nMS_API ")) != NULL; at++, found++)
        check_called(at, name);
    return found;
}

static void null_is_refused_everywhere(void **state) {
    (void)state;
    n_called = 0;
    null_status();
    null_library();
    null_libav_log();
    null_log();
    null_memory();
    null_device();
    null_optimizer();
    null_pressure();
    null_adaptive();
    null_frame_stream();
    null_integrate();
    null_run();
    null_model();
    null_session();
    null_run_stream();
    null_detect();
    null_finder();
    null_plan();
    null_score();
    null_scorer();
    null_models();
    null_history();
    null_profile();
    null_batches();
    null_latents();
    null_probe();
    DIR *headers = opendir(MS_SOURCE_DIR "/include/memsafe");
    int found = 0;
    assert_non_null(headers);
    for (struct dirent *entry; (entry = readdir(headers)) != NULL;)
        if (strstr(entry->d_name, ".h"))
            found += check_header(entry->d_name);
    closedir(headers);
    assert_true(found > 60);
}

/* ---- numbers and enumerations ---- */

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_is_refused_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
