#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/jobs_inside.h"
#include "jobs/webhook.h"

/* A list without its threads, of one job, with room for another. */
typedef struct listed {
    char folder[64];
    jobs js;
    job *list[2], *queued[2];
} listed;

static int begin(void **state) {
    listed *l = calloc(1, sizeof(*l));
    snprintf(l->folder, sizeof(l->folder), "/tmp/memsafe-test.jobs.XXXXXX");
    if (!mkdtemp(l->folder))
        return -1;
    l->js.folder = open(l->folder, O_RDONLY | O_DIRECTORY);
    l->js.list = l->list;
    l->js.queued = l->queued;
    l->js.room = 2;
    l->js.p = (jobs_params){.keep_ms = 1000, .keep_bytes = UINT64_MAX, .keep_jobs = 10, .most_waiting = 10};
    l->list[0] = job_create();
    l->js.count = 1;
    pthread_cond_init(&l->js.woken, NULL);
    *state = l;
    return job_store_open(l->js.folder, l->folder, &l->js.store, NULL) == MS_OK ? 0 : -1;
}

static int end(void **state) {
    listed *l = *state;
    char path[128];
    job_store_close(&l->js.store);
    for (size_t i = 0; i < l->js.count; i++)
        job_destroy(&l->list[i]);
    free(l->js.unremoved);
    snprintf(path, sizeof(path), "%s/jobs.db", l->folder);
    unlink(path);
    close(l->js.folder);
    rmdir(l->folder);
    pthread_cond_destroy(&l->js.woken);
    free(l);
    return 0;
}

static bool take_line(listed *l, const char *text) {
    ms_json_doc *doc = NULL;
    assert_int_equal(ms_json_parse(NULL, text, strlen(text), &doc, NULL), MS_OK);
    bool ended = jobs_take_line(&l->js, l->list[0], ms_json_root(doc));
    ms_json_doc_destroy(&doc);
    return ended;
}

/* A worker that fails while it is to stop has not made a cancelled job a failed one. */
static void cancelled_stays(void **state) {
    static const char *const lines[] = {
        "{\"event\":\"failed\",\"status\":\"CANCELLED\",\"detail\":\"x\"}",
        "{\"event\":\"failed\",\"status\":\"IO\",\"detail\":\"the disk is full\"}",
        "{\"event\":\"failed\",\"status\":\"BUDGET\",\"detail\":\"x\"}"};
    listed *l = *state;
    job *j = l->list[0];
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        j->state = JOB_RUNNING;
        j->cancelling = l->js.worker_has_run = true;
        assert_true(take_line(l, lines[i]));
        assert_int_equal(j->state, JOB_CANCELLED);
        assert_false(l->js.worker_is_full);
    }
    j->state = JOB_RUNNING;
    j->cancelling = false;
    assert_true(take_line(l, lines[1]));
    assert_int_equal(j->state, JOB_FAILED);
    j->state = JOB_RUNNING;
    j->cancelling = true; /* its result is whole */
    assert_true(take_line(l, "{\"event\":\"done\",\"frames\":3}"));
    assert_int_equal(j->state, JOB_DONE);
}

#define DAY_MS (INT64_C(24) * 3600 * 1000)

/* A machine without a clock of its own learns the time. */
static void times_follow_the_clock(void **state) {
    listed *l = *state;
    job *j = l->list[0];
    j->state = JOB_DONE;
    j->created_ms = 1000;
    j->started_ms = 2000;
    j->ended_ms = 3000;
    j->hook = (job_hook){.state = JOB_HOOK_PENDING, .next_ms = 9000};
    job_note_memory(j, 2500, 7);
    jobs_follow_clock(&l->js, 4000, 500);
    jobs_follow_clock(&l->js, 5000, 1500);
    jobs_follow_clock(&l->js, 5000 + 60000, 2500); /* a minute is no matter */
    assert_int_equal(j->ended_ms, 3000);
    assert_false(j->unsaved);
    jobs_follow_clock(&l->js, 66000 + 20000 * DAY_MS, 3500);
    assert_int_equal(j->created_ms, 1000 + 20000 * DAY_MS);
    assert_int_equal(j->started_ms, 2000 + 20000 * DAY_MS);
    assert_int_equal(j->ended_ms, 3000 + 20000 * DAY_MS);
    assert_int_equal(j->hook.next_ms, 9000 + 20000 * DAY_MS);
    assert_int_equal(j->progress.sample[0].time_ms, 2500 + 20000 * DAY_MS);
    assert_true(j->unsaved);
    /* Back: what is of an earlier server, by a better clock, stays. */
    j->created_ms = 30000 * DAY_MS;
    jobs_follow_clock(&l->js, 67000, 4500);
    assert_int_equal(j->created_ms, 30000 * DAY_MS);
    assert_int_equal(j->ended_ms, 3000);
}

/* Not all at once when the clock is set while the server looks. */
static void nothing_expires_with_the_clock(void **state) {
    listed *l = *state;
    job *j = l->list[0];
    j->state = JOB_DONE;
    j->ended_ms = 500;
    l->js.p.keep_ms = DAY_MS;
    jobs_follow_clock(&l->js, 1000, job_steady_ms());
    jobs_tidy(&l->js);
    assert_int_equal(l->js.count, 1);
    assert_true(j->ended_ms > job_now_ms() - 60000);
    assert_false(j->unsaved);
    l->js.p.keep_jobs = 0;
    jobs_tidy(&l->js);
    assert_int_equal(l->js.count, 0);
    assert_int_equal(l->js.n_unremoved, 0);
}

static bool is_now(int64_t time_ms) {
    const int64_t now_ms = job_now_ms();
    return time_ms > now_ms - 60000 && time_ms <= now_ms;
}

/* As if the clock had been a day ahead until now. */
static void set_back(listed *l) {
    l->js.p.keep_ms = 10 * DAY_MS;
    jobs_follow_clock(&l->js, job_now_ms() + DAY_MS, job_steady_ms());
}

/* Whatever takes the time first finds that the clock was set: what it took by the new one is not set, too. */
static void times_are_set_once(void **state) {
    listed *l = *state;
    job *j = l->list[0];
    set_back(l);
    j->state = JOB_RUNNING;
    j->started_ms = job_now_ms() + DAY_MS - 1000;
    jobs_end(&l->js, j, JOB_DONE);
    jobs_tidy(&l->js);
    assert_true(is_now(j->started_ms));
    assert_true(is_now(j->ended_ms));
    set_back(l);
    j->state = JOB_RUNNING;
    j->progress.n_samples = 0;
    assert_false(take_line(l, "{\"event\":\"progress\",\"memory_bytes\":1}"));
    jobs_tidy(&l->js);
    assert_true(is_now(j->progress.sample[0].time_ms));
    set_back(l);
    assert_int_equal(jobs_add(&l->js, job_create(), NULL), MS_OK);
    jobs_tidy(&l->js);
    assert_true(is_now(l->list[1]->created_ms));
}

/* A time that is none would make the list one that the next server cannot read. */
static void next_try_stays_a_time(void **state) {
    listed *l = *state;
    job *j = l->list[0];
    j->state = JOB_DONE;
    j->ended_ms = 3000;
    j->hook = (job_hook){.state = JOB_HOOK_PENDING, .next_ms = 5000};
    jobs_follow_clock(&l->js, DAY_MS, 1000);
    jobs_follow_clock(&l->js, 1000, 2000);
    assert_int_equal(j->hook.next_ms, 1);
}

/* While it came in the clock was set: it has not waited for a day. */
static void coming_in_is_no_waiting(void **state) {
    listed *l = *state;
    job *j = job_create();
    j->options.hold = true;
    j->created_ms = 1000;
    assert_int_equal(jobs_add(&l->js, j, NULL), MS_OK);
    jobs_tidy(&l->js);
    assert_int_equal(l->js.count, 2);
    assert_true(is_now(j->created_ms));
}

/* Whoever was told of an end and is told once more knows it by its id. */
static void an_end_has_an_id(void **state) {
    char first[WEBHOOK_ID_BYTES], second[WEBHOOK_ID_BYTES];
    listed *l = *state;
    job *j = l->list[0];
    jobs_end(&l->js, j, JOB_CANCELLED);
    set_back(l);
    webhook_id(j, first);
    const int64_t ended_ms = j->ended_ms;
    jobs_tidy(&l->js);
    assert_int_not_equal(j->ended_ms, ended_ms);
    webhook_id(j, second);
    assert_string_equal(first, second);
    assert_int_equal(jobs_retry(&l->js, j, NULL), MS_OK);
    jobs_end(&l->js, j, JOB_CANCELLED);
    webhook_id(j, second);
    assert_string_not_equal(first, second);
}

/* All that ever ended would be told to each who listens. */
static void ended_ones_are_no_news(void **state) {
    listed *l = *state;
    job *j = l->list[0];
    j->state = JOB_DONE;
    j->ended_ms = 3000;
    jobs_follow_clock(&l->js, 4000, 500);
    const uint64_t version = jobs_version(&l->js);
    jobs_follow_clock(&l->js, DAY_MS, 1500);
    assert_int_not_equal(j->ended_ms, 3000);
    assert_true(j->unsaved);
    assert_null(jobs_changed_after(&l->js, version));
    j->state = JOB_HELD;
    jobs_follow_clock(&l->js, 3 * DAY_MS, 2500);
    assert_ptr_equal(jobs_changed_after(&l->js, version), j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cancelled_stays, begin, end),
        cmocka_unit_test_setup_teardown(times_follow_the_clock, begin, end),
        cmocka_unit_test_setup_teardown(nothing_expires_with_the_clock, begin, end),
        cmocka_unit_test_setup_teardown(times_are_set_once, begin, end),
        cmocka_unit_test_setup_teardown(next_try_stays_a_time, begin, end),
        cmocka_unit_test_setup_teardown(coming_in_is_no_waiting, begin, end),
        cmocka_unit_test_setup_teardown(an_end_has_an_id, begin, end),
        cmocka_unit_test_setup_teardown(ended_ones_are_no_news, begin, end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
