#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/jobs_inside.h"

/* A list without its threads, of one job. */
typedef struct listed {
    char folder[64];
    jobs js;
    job *list[1], *queued[1];
} listed;

static int begin(void **state) {
    listed *l = calloc(1, sizeof(*l));
    snprintf(l->folder, sizeof(l->folder), "/tmp/memsafe-test.jobs.XXXXXX");
    if (!mkdtemp(l->folder))
        return -1;
    l->js.folder = open(l->folder, O_RDONLY | O_DIRECTORY);
    l->js.list = l->list;
    l->js.queued = l->queued;
    l->js.p = (jobs_params){.keep_ms = 1000, .keep_bytes = UINT64_MAX, .keep_jobs = 10};
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
    if (l->js.count)
        job_destroy(&l->list[0]);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cancelled_stays, begin, end),
        cmocka_unit_test_setup_teardown(times_follow_the_clock, begin, end),
        cmocka_unit_test_setup_teardown(nothing_expires_with_the_clock, begin, end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
