/* Two runs at the same time in one process: a budget is the process's, so the second counts the first. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "memsafe/detect.h"
#include "memsafe/model.h"
#include "memsafe/run_stream.h"
#include "planner/run_share.h"
#include "memsafe/score.h"
#include "support/run_inputs.h"

#define FIRST ((size_t)1 << 30)
#define MIB ((size_t)1 << 20)
#define NETS MS_SOURCE_DIR "/models/demo/auxiliary/models/buffalo_l"

static int setup(void **state) {
    (void)state;
    char line[2048];
    snprintf(line, sizeof(line), "%s --seed 3 --frames 4 --size 1920x1080 -o %s --track %s >/dev/null",
             MS_DRAW_CLIP_PATH, test_file("large.mkv"), test_file("large.jsonl"));
    assert_int_equal(system(line), 0);
    test_make_run_inputs(4, "240x208");
    return 0;
}

static int teardown(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static void the_second_gets_what_the_first_leaves(void **state) {
    (void)state;
    ms_error err;
    ms_run_params p;
    ms_run_frame frame;
    ms_run_stream *first = NULL;
    bool got = false;
    ms_run_report *report = calloc(1, sizeof(*report));
    assert_non_null(report);
    test_run_params(4, &p);
    p.steps = 1;
    p.threads = 1;
    p.budget_bytes = FIRST;
    assert_ms_ok(ms_run_stream_open(&p, 1, &first, &err), &err);
    assert_ms_ok(ms_run_stream_pull(first, &frame, &got, &err), &err);
    assert_true(got); /* and held: the first goes on only when it is released */

    ms_run_params second = p;
    second.output = test_file("second.mkv");
    assert_int_equal(ms_run(&second, report, &err), MS_BUDGET);
    assert_non_null(
        strstr(err.message, "another run in this process may come to hold its budget of 1.00 GiB"));
    second.budget_bytes = FIRST + ((size_t)1 << 20);
    assert_int_equal(ms_run(&second, report, &err), MS_BUDGET);
    assert_non_null(strstr(err.message, "needs at least"));
    assert_non_null(strstr(err.message,
                           "MiB, with 1.00 GiB that another run in this process may come to hold: a budget"));
    assert_non_null(
        strstr(err.message, "name a budget for each, the larger one for the run that begins later"));
    second.budget_bytes = 2 * FIRST;
    assert_ms_ok(ms_run(&second, report, &err), &err);
    assert_true(report->planned_bytes > FIRST && report->planned_bytes <= 2 * FIRST);

    ms_run_stream_close(&first, NULL);
    second.budget_bytes = FIRST; /* the first has ended, and no longer counts */
    assert_ms_ok(ms_run(&second, report, &err), &err);
    assert_true(report->planned_bytes < FIRST);
    free(report);
}

/* A run that lets a second one begin while it looks at its model, and holds that
   until the first has ended. */
typedef struct meeting {
    ms_run_params second;
    ms_run_stream *stream;
} meeting;

static bool let_second_begin(void *arg) {
    meeting *m = arg;
    ms_error err;
    ms_run_frame frame;
    bool got = false;
    if (m->stream)
        return false;
    assert_ms_ok(ms_run_stream_open(&m->second, 1, &m->stream, &err), &err);
    assert_ms_ok(ms_run_stream_pull(m->stream, &frame, &got, &err), &err);
    assert_true(got);
    return false;
}

/* What the second holds is not the first's, though it came before the first had measured anything. */
static void the_first_does_not_count_the_second(void **state) {
    (void)state;
    ms_error err;
    static ms_run_report alone, beside;
    meeting m = {0};
    ms_run_params p;
    test_run_params(4, &p);
    p.steps = 1;
    p.threads = 1;
    p.budget_bytes = FIRST;
    p.output = test_file("first.mkv");
    for (int i = 0; i < 2; i++) /* the first in the process leaves pages behind */
        assert_ms_ok(ms_run(&p, &alone, &err), &err);
    m.second = p;
    m.second.output = NULL;
    m.second.budget_bytes = 2 * FIRST;
    m.second.video = test_file("large.mkv");
    m.second.track = test_file("large.jsonl");
    p.cancelled = let_second_begin;
    p.arg = &m;
    assert_ms_ok(ms_run(&p, &beside, &err), &err);
    assert_non_null(m.stream);
    ms_run_stream_close(&m.stream, NULL);
    print_message("    %.1f MiB planned alone, %.1f beside a second one\n",
                  (double)alone.planned_bytes / (double)MIB, (double)beside.planned_bytes / (double)MIB);
#ifndef SANITIZED                                                       /* whose memory is not planned */
    assert_true(beside.planned_bytes < alone.planned_bytes + 64 * MIB); /* a bound in place of a measure */
#endif
}

/* Whatever the order in which two come and join. */
static void a_base_is_the_others_budget_or_was_measured_before_them(void **state) {
    (void)state;
    ms_error err;
    ms_run_share a = {0}, b = {0};
    size_t held = 0, before = 0;
    ms_run_share_enter(&a);
    assert_true(ms_run_share_measure(&a, &before) && before > 0);
    ms_run_share_enter(&b);
    assert_false(ms_run_share_measure(&a, &held));
    assert_ms_ok(ms_run_share_join(&b, 100 * FIRST, &err), &err);
    assert_true(b.others_bytes == 0 && b.base_bytes < before + 8 * MIB);
    /* it entered before, but joined later */
    assert_int_equal(ms_run_share_join(&a, 100 * FIRST, &err), MS_BUDGET);
    assert_ms_ok(ms_run_share_join(&a, 100 * FIRST + 1, &err), &err);
    assert_true(a.base_bytes == 100 * FIRST);
    ms_run_share_leave(&b);
    assert_false(ms_run_share_measure(&a, &held)); /* what it left behind may still be held */
    assert_int_equal(held, 0);
    ms_run_share_leave(&a);
    ms_run_share_enter(&b);
    assert_true(ms_run_share_measure(&b, &held) && held > 0);
    ms_run_share_leave(&b);
    ms_run_share_leave(&b);
}

/* Another thread of the parent goes in and out, so that a fork may come while it has the lock. */
static void *come_and_go(void *arg) {
    ms_run_share share = {0};
    ms_error err;
    while (!atomic_load((atomic_bool *)arg)) {
        ms_run_share_enter(&share);
        (void)ms_run_share_join(&share, 4 * FIRST, &err);
        ms_run_share_leave(&share);
    }
    return NULL;
}

static bool child_is_alone(ms_run_share *inherited) {
    ms_error err;
    ms_run_share own = {0};
    size_t held = 0;
    alarm(60);                     /* who waits for a lock that nobody here has ends by it */
    ms_run_share_leave(inherited); /* one that is dropped there takes nothing out */
    ms_run_share_enter(&own);
    const bool joined = ms_run_share_join(&own, FIRST, &err) == MS_OK && own.others_bytes == 0;
    const bool alone = ms_run_share_measure(&own, &held) && held > 0;
    ms_run_share_enter(inherited); /* and one that is used there counts */
    const bool counted = ms_run_share_join(inherited, FIRST, &err) == MS_BUDGET;
    ms_run_share_leave(inherited);
    ms_run_share_leave(&own);
    return joined && alone && counted;
}

static void a_fork_begins_with_no_runs(void **state) {
    (void)state;
    ms_error err;
    pthread_t thread;
    atomic_bool over = false;
    ms_run_share share = {0};
    ms_run_share_enter(&share);
    assert_ms_ok(ms_run_share_join(&share, 2 * FIRST, &err), &err);
    assert_int_equal(pthread_create(&thread, NULL, come_and_go, &over), 0);
    for (int i = 0; i < 8; i++) {
        int status = 0;
        const pid_t child = fork();
        if (!child)
            _exit(child_is_alone(&share) ? 0 : 1);
        assert_true(child > 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    atomic_store(&over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    ms_run_share second = {0};
    ms_run_share_enter(&second);
    assert_int_equal(ms_run_share_join(&second, FIRST, &err), MS_BUDGET); /* the parent's goes on */
    ms_run_share_leave(&second);
    ms_run_share_leave(&share);
}

typedef struct opening {
    const char *model;
    atomic_bool over;
    int opened;
} opening;

static void *open_models(void *arg) {
    opening *o = arg;
    while (!atomic_load(&o->over)) {
        ms_model *model = NULL;
        ms_model_params p;
        ms_model_params_init(&p);
        p.model = o->model;
        p.threads = 1;
        p.budget_bytes = 2 * FIRST;
        if (ms_model_open(&p, &model, NULL) == MS_OK)
            o->opened++;
        ms_model_close(&model);
    }
    return NULL;
}

/* It takes its budget when it is used. */
static void a_model_that_is_opened_refuses_no_run(void **state) {
    (void)state;
    ms_error err;
    ms_run_params p;
    pthread_t thread;
    ms_run_share share = {0};
    int refused = 0;
    test_run_params(4, &p);
    opening o = {.model = p.model};
    assert_int_equal(pthread_create(&thread, NULL, open_models, &o), 0);
    for (double end = ms_now_s() + 1; ms_now_s() < end;) {
        ms_run_share_enter(&share);
        refused += ms_run_share_join(&share, FIRST, &err) != MS_OK;
        ms_run_share_leave(&share);
    }
    atomic_store(&o.over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(o.opened > 0);
    assert_int_equal(refused, 0);
}

static void detect_params(size_t budget_bytes, ms_detect_params *ret) {
    ms_detect_params_init(ret);
    ret->video = test_file("in.mkv");
    ret->output = test_file("faces.jsonl");
    ret->faces = NETS;
    ret->force = true;
    ret->threads = 1;
    ret->budget_bytes = budget_bytes;
}

static void score_params(size_t budget_bytes, ms_score_params *ret) {
    ms_score_params_init(ret);
    ret->video = test_file("in.mkv");
    ret->audio = test_file("in.wav");
    ret->faces = NETS;
    ret->threads = 1;
    ret->budget_bytes = budget_bytes;
}

static void detecting_and_judging_count_a_run(void **state) {
    (void)state;
    static const char refusal[] = "another run in this process may come to hold its budget of 1.00 GiB";
    ms_error err;
    ms_run_params p;
    ms_run_frame frame;
    ms_run_stream *run = NULL;
    ms_detect_params detect;
    ms_score_params score;
    ms_score_report judged;
    bool got = false;
    test_run_params(4, &p);
    p.steps = 1;
    p.threads = 1;
    p.budget_bytes = FIRST;
    assert_ms_ok(ms_run_stream_open(&p, 1, &run, &err), &err);
    assert_ms_ok(ms_run_stream_pull(run, &frame, &got, &err), &err);
    detect_params(FIRST, &detect);
    assert_int_equal(ms_detect(&detect, NULL, &err), MS_BUDGET);
    assert_non_null(strstr(err.message, refusal));
    score_params(FIRST, &score);
    assert_int_equal(ms_score(&score, &judged, &err), MS_BUDGET);
    assert_non_null(strstr(err.message, refusal));
    detect.budget_bytes = FIRST + MIB / 2;
    assert_int_equal(ms_detect(&detect, NULL, &err), MS_BUDGET); /* joins, and finds too little left */
    assert_non_null(strstr(err.message, "is too small"));
    assert_non_null(strstr(err.message, ", with 1.00 GiB that another run in this process may come to hold"));
    detect.budget_bytes = score.budget_bytes = 2 * FIRST;
    assert_ms_ok(ms_detect(&detect, NULL, &err), &err);
    assert_ms_ok(ms_score(&score, &judged, &err), &err);
    ms_run_stream_close(&run, NULL);
    detect.budget_bytes = score.budget_bytes = FIRST;
    assert_ms_ok(ms_detect(&detect, NULL, &err), &err);
    assert_ms_ok(ms_score(&score, &judged, &err), &err);
}

typedef struct attempt {
    ms_run_params run;
    ms_status status;
    ms_error err;
    int times;
} attempt;

static void try_to_run(void *arg, int64_t done, int64_t total) {
    attempt *a = arg;
    (void)done;
    (void)total;
    if (a->times++ == 0)
        a->status = ms_run(&a->run, NULL, &a->err);
}

static void a_run_counts_detecting_and_judging(void **state) {
    (void)state;
    ms_error err;
    ms_detect_params detect;
    ms_score_params score;
    ms_score_report judged;
    attempt a = {0};
    test_run_params(4, &a.run);
    a.run.output = test_file("beside.mkv");
    a.run.budget_bytes = FIRST;
    a.run.steps = 1;
    detect_params(FIRST, &detect);
    detect.progress = try_to_run;
    detect.arg = &a;
    assert_ms_ok(ms_detect(&detect, NULL, &err), &err);
    assert_int_equal(a.status, MS_BUDGET);
    assert_non_null(strstr(a.err.message, "its budget of 1.00 GiB"));
    score_params(FIRST, &score);
    score.progress = try_to_run;
    score.arg = &a;
    a.times = 0;
    a.status = MS_OK;
    assert_ms_ok(ms_score(&score, &judged, &err), &err);
    assert_int_equal(a.status, MS_BUDGET);
    assert_non_null(strstr(a.err.message, "its budget of 1.00 GiB"));
    assert_ms_ok(ms_run(&a.run, NULL, &err), &err); /* both have left */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_does_not_count_the_second),
        cmocka_unit_test(a_base_is_the_others_budget_or_was_measured_before_them),
        cmocka_unit_test(a_fork_begins_with_no_runs),
        cmocka_unit_test(a_model_that_is_opened_refuses_no_run),
        cmocka_unit_test(detecting_and_judging_count_a_run),
        cmocka_unit_test(a_run_counts_detecting_and_judging),
        cmocka_unit_test(the_second_gets_what_the_first_leaves),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
