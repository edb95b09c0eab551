#include "test.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "jobs/job_store.h"

typedef struct loaded {
    int n;
    job *last;
} loaded;

static ms_status take(void *arg, job *j, ms_error *err) {
    loaded *l = arg;
    (void)err;
    job_destroy(&l->last);
    l->last = j;
    l->n++;
    return MS_OK;
}

static char folder[] = "/tmp/memsafe-test.store.XXXXXX";
static int folder_fd;

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY);
    return folder_fd < 0;
}

static int remove_folder(void **state) {
    char path[128];
    (void)state;
    snprintf(path, sizeof(path), "%s/jobs.db", folder);
    unlink(path);
    close(folder_fd);
    return rmdir(folder);
}

static job_store *open_store(void) {
    job_store *s = NULL;
    assert_int_equal(job_store_open(folder_fd, folder, &s, NULL), MS_OK);
    return s;
}

static void keeps_a_job(void **state) {
    (void)state;
    job_store *s = open_store();
    job *j = job_create();
    snprintf(j->name, sizeof(j->name), "talk \"1\" \xc3\xa4.mp4");
    j->seq = 7;
    j->state = JOB_RUNNING;
    j->started_ms = j->created_ms + 5;
    j->ends = 2;
    j->has_track = true;
    j->options.steps = 3;
    j->options.start_s = 1.25;
    j->options.codec = MS_OUTPUT_FFV1;
    snprintf(j->options.model, sizeof(j->options.model), "demo");
    job_set(&j->plan, "{\"fits\":true}");
    assert_int_equal(job_store_put(s, j, NULL), MS_OK);
    assert_int_equal(job_store_put(s, j, NULL), MS_OK); /* in its own place */
    job_store_close(&s);
    s = open_store();
    loaded l = {0};
    assert_int_equal(job_store_load(s, take, &l, NULL), MS_OK);
    assert_int_equal(l.n, 1);
    assert_string_equal(l.last->id, j->id);
    assert_string_equal(l.last->name, j->name);
    assert_string_equal(l.last->options.model, "demo");
    assert_string_equal(l.last->plan, "{\"fits\":true}");
    assert_null(l.last->error);
    assert_int_equal(l.last->state, JOB_RUNNING);
    assert_int_equal(l.last->started_ms, j->started_ms);
    assert_int_equal(l.last->ends, 2);
    assert_int_equal(l.last->options.steps, 3);
    assert_int_equal(l.last->options.codec, MS_OUTPUT_FFV1);
    assert_true(l.last->options.start_s == 1.25);
    assert_true(l.last->has_track && !l.last->has_audio);
    assert_int_equal(job_store_remove(s, j->id, NULL), MS_OK);
    l.n = 0;
    assert_int_equal(job_store_load(s, take, &l, NULL), MS_OK);
    assert_int_equal(l.n, 0);
    job_store_close(&s);
    job_destroy(&l.last);
    job_destroy(&j);
}

/* Whoever can write the folder may have made the rows. */
static void refuses_rows(void **state) {
    (void)state;
    static const char *const changes[] = {
        "update job set id = '../../../../../../../../etc/passwd'",
        "update job set id = 'ABCDEF0123456789ABCDEF0123456789'",
        "update job set state = 6",
        "update job set state = -1",
        "update job set seq = 'x'",
        "update job set created = 9223372036854775807",
        "update job set options = '{\"steps\": 1000}'",
        "update job set options = '{\"odd\": 1}'",
        "update job set options = '['",
        "update job set plan = '{'",
        "update job set error = x'00'",
    };
    char path[128];
    snprintf(path, sizeof(path), "%s/jobs.db", folder);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        job_store *s = open_store();
        job *j = job_create();
        assert_int_equal(job_store_put(s, j, NULL), MS_OK);
        job_store_close(&s);
        sqlite3 *db;
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, changes[i], NULL, NULL, NULL), SQLITE_OK);
        s = open_store();
        loaded l = {0};
        ms_error err;
        if (job_store_load(s, take, &l, &err) != MS_DAMAGED)
            fail_msg("taken: %s", changes[i]);
        assert_non_null(strstr(err.message, "jobs.db"));
        job_store_close(&s);
        assert_int_equal(sqlite3_exec(db, "delete from job", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        job_destroy(&l.last);
        job_destroy(&j);
    }
}

/* Whoever meets it is told what to do. */
static void refuses_another_version(void **state) {
    char path[128];
    sqlite3 *db;
    ms_error err;
    (void)state;
    job_store *s = open_store();
    job_store_close(&s);
    snprintf(path, sizeof(path), "%s/jobs.db", folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "pragma user_version = 1", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(job_store_open(folder_fd, folder, &s, &err), MS_DAMAGED);
    assert_non_null(strstr(err.message, "jobs.db and "));
    assert_non_null(strstr(err.message, "begins with an empty list"));
    assert_int_equal(unlink(path), 0);
}

/* A cancellation that was told while it ran is there after a crash, and whoever is to be told is. */
static void keeps_a_cancellation(void **state) {
    (void)state;
    job_store *s = open_store();
    job *j = job_create();
    j->state = JOB_RUNNING;
    j->cancelling = true;
    snprintf(j->options.webhook, sizeof(j->options.webhook), "http://127.0.0.1/");
    assert_int_equal(job_store_put(s, j, NULL), MS_OK);
    loaded l = {0};
    assert_int_equal(job_store_load(s, take, &l, NULL), MS_OK);
    assert_int_equal(l.last->state, JOB_CANCELLED);
    assert_true(l.last->ended_ms >= j->created_ms);
    assert_int_equal(l.last->hook.state, JOB_HOOK_PENDING);
    assert_int_equal(l.last->ends, 1);
    assert_int_equal(job_store_remove(s, j->id, NULL), MS_OK);
    job_store_close(&s);
    job_destroy(&l.last);
    job_destroy(&j);
}

static void refuses_options(void **state) {
    (void)state;
    static const char *const wrong[][2] = {{"steps", "0"},          {"steps", "1000"},
                                           {"steps", "1.5"},        {"steps", ""},
                                           {"steps", " 1"},         {"steps", "1 "},
                                           {"guidance", "-1"},      {"guidance", "nan"},
                                           {"seed", "-1"},          {"seed", "9007199254740993"},
                                           {"paste", "nose"},       {"hold", "yes"},
                                           {"crf", "52"},           {"priority", "11"},
                                           {"resolution", "100"},   {"resolution", "56"},
                                           {"resolution", "1e300"}, {"none", "1"},
                                           {"model", "a\nb"}};
    static const char *const right[][2] = {{"steps", "999"},    {"guidance", "1.5e0"}, {"seed", "0"},
                                           {"paste", "mouth"},  {"hold", "true"},      {"priority", "-10"},
                                           {"start_s", "0.04"}, {"resolution", "0"},   {"resolution", "64"}};
    job_options o;
    ms_error err;
    job_options_init(&o);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(job_options_set_text(&o, wrong[i][0], wrong[i][1], &err), MS_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, wrong[i][0]));
    }
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
        assert_int_equal(job_options_set_text(&o, right[i][0], right[i][1], &err), MS_OK);
    assert_int_equal(o.steps, 999);
    assert_int_equal(o.paste, MS_PASTE_MOUTH);
    assert_int_equal(o.priority, -10);
    assert_true(o.hold);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_a_job), cmocka_unit_test(refuses_rows), cmocka_unit_test(keeps_a_cancellation),
        cmocka_unit_test(refuses_another_version), cmocka_unit_test(refuses_options)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
