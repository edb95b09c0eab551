/* The history: what goes in comes out, later predictions learn from it, and no file can harm anything. */
#include "test.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "predict/history.h"
#include "support/cli.h"

static ms_error err;
static const ms_machine machine = {"a processor, avx2", 2};
static const ms_calibration rates = {1e9, 2e9, 3e9, 4e9, 5e9, 6e9, 7e9, 8e4};

static ms_history *open_quietly(const char *path) {
    char warning[MS_HISTORY_TEXT_BYTES];
    ms_history *h = NULL;
    assert_ms_ok(ms_history_open(path, &h, warning, &err), &err);
    assert_string_equal(warning, "");
    return h;
}

static const char *fresh(void) {
    static int n;
    char name[32];
    snprintf(name, sizeof(name), "deep/er/history%d.db", n++);
    return test_file(name);
}

/* Outside of the library: another program, or somebody's mischief. */
static void sql(const char *path, const char *text) {
    sqlite3 *db = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", text, message);
    sqlite3_close(db);
}

/* Each stage is computed to take 1, 2, 3 ... s and takes `ratio` times as long. */
static ms_history_run run_of(int64_t calibration, ms_rung rung, double ratio) {
    ms_history_run r = {.key = {.calibration = calibration,
                                .model = "UNet 8-16",
                                .precision = "float16",
                                .codec = "h264",
                                .resolution = 256},
                        .machine = machine,
                        .width = 1280,
                        .height = 720,
                        .steps = 20,
                        .frames = 250,
                        .rung = rung,
                        .layout = "VAE 4",
                        .budget_bytes = 3000000000u,
                        .planned_bytes = 2000000000u,
                        .peak_bytes = 1900000000u};
    for (int i = 0; i < MS_STAGE_COUNT; i++) {
        r.computed_s[i] = i + 1;
        r.predicted_s[i] = 2 * (i + 1);
        r.measured_s[i] = ratio * (i + 1);
    }
    return r;
}

static void add(ms_history *h, const ms_history_run *r) {
    assert_ms_ok(ms_history_add(h, r, &err), &err);
}

typedef struct seen {
    int count;
    ms_history_run run[8];
} seen;

static ms_status see(void *arg, const ms_history_run *r) {
    seen *s = arg;
    if (s->count < 8)
        s->run[s->count] = *r;
    s->count++;
    return MS_OK;
}

static seen list(ms_history *h, int limit) {
    seen s = {0};
    assert_ms_ok(ms_history_list(h, limit, see, &s, &err), &err);
    return s;
}

static void what_goes_in_comes_out(void **state) {
    (void)state;
    const char *path = fresh();
    ms_history *h = open_quietly(path);
    ms_history_run a = run_of(1, MS_RUNG_FULL, 1.5), b = run_of(1, MS_RUNG_SERIAL, 2);
    b.key.tracked = true;
    b.changes = 3;
    add(h, &a);
    add(h, &b);
    ms_history_close(&h);
    assert_null(h);
    h = open_quietly(path);
    seen s = list(h, 0);
    assert_int_equal(s.count, 2);
    const ms_history_run *r = &s.run[0]; /* newest first */
    assert_int_equal(r->rung, MS_RUNG_SERIAL);
    assert_true(r->key.tracked && r->changes == 3 && !s.run[1].key.tracked && s.run[1].changes == 0);
    r = &s.run[1];
    assert_int_equal(r->rung, MS_RUNG_FULL);
    assert_string_equal(r->key.model, a.key.model);
    assert_string_equal(r->key.precision, "float16");
    assert_string_equal(r->key.codec, "h264");
    assert_string_equal(r->machine.device, machine.device);
    assert_string_equal(r->layout, "VAE 4");
    assert_true(r->machine.threads == 2 && r->width == 1280 && r->height == 720 && r->steps == 20);
    assert_true(r->frames == 250 && r->key.resolution == 256 && r->time_s > 1600000000);
    assert_true(r->budget_bytes == a.budget_bytes && r->planned_bytes == a.planned_bytes &&
                r->peak_bytes == a.peak_bytes);
    assert_memory_equal(r->computed_s, a.computed_s, sizeof(a.computed_s));
    assert_memory_equal(r->predicted_s, a.predicted_s, sizeof(a.predicted_s));
    assert_memory_equal(r->measured_s, a.measured_s, sizeof(a.measured_s));
    assert_int_equal(list(h, 1).count, 1);
    assert_ms_ok(ms_history_clear(h, &err), &err);
    assert_int_equal(list(h, 0).count, 0);
    ms_history_close(&h);
}

static void calibrations_belong_to_a_machine(void **state) {
    (void)state;
    const char *path = fresh();
    ms_history *h = open_quietly(path);
    ms_calibration c = {0}, faster = rates;
    int64_t id = -1, first, second;
    assert_ms_ok(ms_history_get_calibration(h, &machine, &c, &id, &err), &err);
    assert_true(id == 0 && c.conv_flops == 0);
    faster.conv_flops = 9e9;
    assert_ms_ok(ms_history_put_calibration(h, &machine, &rates, &first, &err), &err);
    assert_ms_ok(ms_history_put_calibration(h, &machine, &faster, &second, &err), &err);
    assert_true(first > 0 && second > first);
    assert_ms_ok(ms_history_get_calibration(h, &machine, &c, &id, &err), &err);
    assert_true(id == second);
    assert_memory_equal(&c, &faster, sizeof(c));
    ms_machine other = machine;
    other.threads = 1;
    assert_ms_ok(ms_history_get_calibration(h, &other, &c, &id, &err), &err);
    assert_true(id == 0);
    other = machine;
    other.device[0] = 'A';
    assert_ms_ok(ms_history_get_calibration(h, &other, &c, &id, &err), &err);
    assert_true(id == 0);
    sql(path, "UPDATE calibrations SET version='0.0'"); /* kernels of another version */
    assert_ms_ok(ms_history_get_calibration(h, &machine, &c, &id, &err), &err);
    assert_true(id == 0);
    ms_history_close(&h);
}

static double ratio_of(ms_history *h, const ms_history_key *key, ms_rung rung, ms_stage stage) {
    double ratio[MS_RUNG_COUNT][MS_STAGE_COUNT];
    int runs;
    assert_ms_ok(ms_history_get_ratios(h, key, ratio, &runs, &err), &err);
    return ratio[rung][stage];
}

static int runs_for(ms_history *h, const ms_history_key *key) {
    double ratio[MS_RUNG_COUNT][MS_STAGE_COUNT];
    int runs = -1;
    assert_ms_ok(ms_history_get_ratios(h, key, ratio, &runs, &err), &err);
    return runs;
}

static void predictions_learn_from_runs_alike(void **state) {
    (void)state;
    ms_history *h = open_quietly(fresh());
    ms_history_run r = run_of(1, MS_RUNG_FULL, 1);
    const ms_history_key key = r.key;
    assert_true(ratio_of(h, &key, MS_RUNG_FULL, MS_STAGE_DENOISE) == 1); /* nothing is known */
    assert_int_equal(runs_for(h, &key), 0);
    static const double ratios[] = {50, 1.25, 2, 8, 1.5, 1.75};
    for (int i = 0; i < 6; i++) {
        r = run_of(1, MS_RUNG_FULL, ratios[i]);
        add(h, &r);
    }
    assert_int_equal(runs_for(h, &key), 5);
    /* Of the last five, so that one that was disturbed does not matter. */
    assert_true(ratio_of(h, &key, MS_RUNG_FULL, MS_STAGE_DENOISE) == 1.75);
    assert_true(ratio_of(h, &key, MS_RUNG_AUTO, MS_STAGE_WRITE) == 1.75);
    r = run_of(1, MS_RUNG_SLICES, 4); /* its own rung first */
    add(h, &r);
    assert_true(ratio_of(h, &key, MS_RUNG_SLICES, MS_STAGE_DECODE) == 4);
    assert_true(ratio_of(h, &key, MS_RUNG_FULL, MS_STAGE_DECODE) == 1.75);
    assert_true(ratio_of(h, &key, MS_RUNG_SERIAL, MS_STAGE_DECODE) ==
                ratio_of(h, &key, MS_RUNG_AUTO, MS_STAGE_DECODE));
    ms_history_close(&h);
}

/* Another program may have had the processor: one run says little, three agree. */
static void one_disturbed_run_corrects_within_bounds(void **state) {
    (void)state;
    ms_history *h = open_quietly(fresh());
    ms_history_run r = run_of(1, MS_RUNG_FULL, 5);
    const ms_history_key key = r.key;
    for (int runs = 1; runs <= 3; runs++) {
        add(h, &r);
        const double want = runs < MS_HISTORY_SURE_RUNS ? MS_HISTORY_UNSURE_FACTOR : 5;
        assert_true(ratio_of(h, &key, MS_RUNG_AUTO, MS_STAGE_DENOISE) == want);
        assert_true(ratio_of(h, &key, MS_RUNG_FULL, MS_STAGE_DENOISE) == want);
        assert_true(ratio_of(h, &key, MS_RUNG_SERIAL, MS_STAGE_DENOISE) == want);
    }
    r = run_of(1, MS_RUNG_SLICES, 0.1); /* the first of its rung, far from what all others took */
    add(h, &r);
    assert_true(ratio_of(h, &key, MS_RUNG_SLICES, MS_STAGE_DENOISE) == 5 / MS_HISTORY_UNSURE_FACTOR);
    ms_history_close(&h);
    h = open_quietly(fresh());
    r = run_of(1, MS_RUNG_FULL, 0.2);
    add(h, &r);
    assert_true(ratio_of(h, &key, MS_RUNG_FULL, MS_STAGE_DENOISE) == 1 / MS_HISTORY_UNSURE_FACTOR);
    for (int i = 0; i < 3; i++) {
        r = run_of(1, MS_RUNG_FULL, 1e9);
        add(h, &r);
    }
    assert_true(ratio_of(h, &key, MS_RUNG_FULL, MS_STAGE_DENOISE) == 1 / MS_HISTORY_LEAST_RATIO);
    ms_history_close(&h);
}

static void runs_that_differ_teach_nothing(void **state) {
    (void)state;
    ms_history *h = open_quietly(fresh());
    const ms_history_key key = run_of(1, MS_RUNG_FULL, 1).key;
    ms_history_run r = run_of(2, MS_RUNG_FULL, 2); /* of another calibration */
    add(h, &r);
    r = run_of(1, MS_RUNG_FULL, 2); /* the layout changed under way */
    r.changes = 1;
    add(h, &r);
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        assert_true(ratio_of(h, &key, MS_RUNG_FULL, (ms_stage)i) == 1);
    r = run_of(1, MS_RUNG_FULL, 2);
    r.key.resolution = 512; /* the networks differ, pictures do not */
    add(h, &r);
    assert_true(ratio_of(h, &key, MS_RUNG_FULL, MS_STAGE_DENOISE) == 1);
    assert_true(ratio_of(h, &key, MS_RUNG_FULL, MS_STAGE_LOAD) == 1);
    assert_true(ratio_of(h, &key, MS_RUNG_FULL, MS_STAGE_FACES) == 2);
    assert_true(ratio_of(h, &key, MS_RUNG_FULL, MS_STAGE_WRITE) == 2);
    ms_history_key other = key;
    other.tracked = true;
    snprintf(other.codec, sizeof(other.codec), "ffv1");
    assert_true(ratio_of(h, &other, MS_RUNG_FULL, MS_STAGE_FACES) == 1);
    assert_true(ratio_of(h, &other, MS_RUNG_FULL, MS_STAGE_WRITE) == 1);
    ms_history_close(&h);
}

static void numbers_that_cannot_be_do_not_matter(void **state) {
    (void)state;
    const char *path = fresh();
    ms_history *h = open_quietly(path);
    const ms_history_key key = run_of(1, MS_RUNG_FULL, 1).key;
    ms_calibration c;
    int64_t id;
    assert_ms_ok(ms_history_put_calibration(h, &machine, &rates, &id, &err), &err);
    ms_history_run r = run_of(1, MS_RUNG_FULL, 1e9);
    add(h, &r);
    assert_true(ratio_of(h, &key, MS_RUNG_FULL, MS_STAGE_DENOISE) == MS_HISTORY_UNSURE_FACTOR);
    static const char *const mischief[] = {
        "UPDATE stages SET measured_s=9e999, computed_s=9e999",
        "UPDATE stages SET measured_s='long', computed_s=x'00ff'",
        "UPDATE stages SET measured_s=NULL",
        "UPDATE stages SET measured_s=-5, computed_s=-5",
        "UPDATE stages SET stage=stage || 'x'",
        "UPDATE runs SET rung=zeroblob(300), model=NULL, frames='many', layout=hex(zeroblob(900))",
        "UPDATE runs SET budget_bytes=-1, time_s=9223372036854775807",
    };
    for (size_t i = 0; i < sizeof(mischief) / sizeof(mischief[0]); i++) {
        sql(path, mischief[i]);
        double ratio = ratio_of(h, &key, MS_RUNG_FULL, MS_STAGE_DENOISE);
        assert_true(ratio >= MS_HISTORY_LEAST_RATIO && ratio <= 1 / MS_HISTORY_LEAST_RATIO);
        assert_int_equal(list(h, 0).count, 1);
    }
    static const char *const rate[] = {"-1", "0", "9e999", "NULL", "'fast'", "x'41'"};
    for (size_t i = 0; i < sizeof(rate) / sizeof(rate[0]); i++) {
        char text[100];
        snprintf(text, sizeof(text), "UPDATE calibrations SET pack_bytes=%s", rate[i]);
        sql(path, text);
        assert_ms_ok(ms_history_get_calibration(h, &machine, &c, &id, &err), &err);
        assert_true(id == 0);
    }
    ms_history_close(&h);
}

static void write_file(const char *path, const void *data, size_t bytes) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    fclose(f);
}

static void a_damaged_file_is_set_aside(void **state) {
    (void)state;
    static char garbage[9000];
    for (int kind = 0; kind < 2; kind++) {
        const char *path = fresh();
        char warning[MS_HISTORY_TEXT_BYTES], aside[600], companion[620];
        ms_history *h = open_quietly(path);
        for (int i = 0; i < 40; i++) {
            ms_history_run r = run_of(1, MS_RUNG_FULL, 2);
            add(h, &r);
        }
        ms_history_close(&h);
        memset(garbage, 'x', sizeof(garbage));
        /* Of a writer that was killed: it belongs to the damaged file and would spoil the next. */
        snprintf(companion, sizeof(companion), "%s-shm", path);
        write_file(companion, garbage, 100);
        if (kind == 0) {
            assert_int_equal(truncate(path, 5000), 0);
        } else { /* a page in the middle */
            FILE *f = fopen(path, "r+b");
            assert_non_null(f);
            fseek(f, 4096, SEEK_SET);
            fwrite(garbage, 1, 3000, f);
            fclose(f);
        }
        assert_ms_ok(ms_history_open(path, &h, warning, &err), &err);
        assert_non_null(strstr(warning, "damaged"));
        assert_int_equal(list(h, 0).count, 0);
        ms_history_run r = run_of(1, MS_RUNG_FULL, 2);
        add(h, &r);
        ms_history_close(&h);
        snprintf(aside, sizeof(aside), "%s.damaged", path);
        assert_true(test_exists(aside));
        assert_false(test_exists(companion));
        snprintf(companion, sizeof(companion), "%s-shm", aside);
        assert_true(test_exists(companion));
        unlink(companion);
        h = open_quietly(path); /* said once */
        assert_int_equal(list(h, 0).count, 1);
        ms_history_close(&h);
    }
}

static void what_is_not_ours_stays(void **state) {
    (void)state;
    char warning[MS_HISTORY_TEXT_BYTES], aside[600];
    ms_history *h = NULL;
    const char *path = test_file("addresses.db");
    sql(path, "CREATE TABLE addresses(name TEXT); INSERT INTO addresses VALUES('me')");
    assert_int_equal(ms_history_open(path, &h, warning, &err), MS_DAMAGED);
    assert_non_null(strstr(err.message, "another program"));
    snprintf(aside, sizeof(aside), "%s.damaged", path);
    assert_false(test_exists(aside));
    sql(path, "UPDATE addresses SET name='you'"); /* still there, still whole */
    const char *letter = test_file("letter.txt");
    write_file(
        letter,
        "Dear reader, this is no database, and it is longer than a header of one hundred bytes, by a word "
        "or two.",
        100);
    assert_int_equal(ms_history_open(letter, &h, warning, &err), MS_DAMAGED);
    assert_non_null(strstr(err.message, "is no history and is left as it is"));
    assert_true(test_exists(letter));
    path = fresh();
    h = open_quietly(path);
    ms_history_close(&h);
    sql(path, "PRAGMA user_version=2");
    assert_int_equal(ms_history_open(path, &h, warning, &err), MS_DAMAGED);
    assert_non_null(strstr(err.message, "newer version"));
    assert_int_equal(ms_history_open("/proc/no/history.db", &h, warning, &err), MS_IO);
    assert_int_equal(ms_history_open(test_dir(), &h, warning, &err), MS_DAMAGED);
    assert_null(h);
}

/* What memsafe does not make is not run, not read and not repaired. */
static void what_was_added_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *sql, *said;
    } added[] = {
        {"CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM runs; END", "holds a trigger \"t\""},
        {"CREATE VIEW v AS SELECT * FROM runs", "holds a view \"v\""},
        {"CREATE INDEX i ON runs(frames)", "holds a index \"i\""},
        {"CREATE TABLE more(x)", "holds a table \"more\""},
        {"DROP TABLE runs; CREATE VIEW runs AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM "
         "n)"
         " SELECT i AS id FROM n",
         "holds a view \"runs\""},
        {"DROP TABLE stages", "lacks the "},
        {"DROP TABLE stages; CREATE TABLE stages(run, stage, computed_s, predicted_s, measured_s)",
         "holds a table \"stages\""},
        {"PRAGMA application_id=5", "another program's"},
    };
    char warning[MS_HISTORY_TEXT_BYTES], aside[600];
    for (size_t i = 0; i < sizeof(added) / sizeof(added[0]); i++) {
        const char *path = fresh();
        ms_history *h = open_quietly(path);
        ms_history_close(&h);
        sql(path, added[i].sql);
        assert_int_equal(ms_history_open(path, &h, warning, &err), MS_DAMAGED);
        if (!strstr(err.message, added[i].said))
            fail_msg("wanted \"%s\" in: %s", added[i].said, err.message);
        assert_null(h);
        snprintf(aside, sizeof(aside), "%s.damaged", path);
        assert_true(test_exists(path) && !test_exists(aside));
    }
}

/* A name that leads elsewhere is not followed: what it leads to is as it was. */
static void links_are_refused(void **state) {
    (void)state;
    static const char *const endings[] = {"", "-journal", "-wal", "-shm"};
    char warning[MS_HISTORY_TEXT_BYTES], link[600];
    const char *target = test_file("precious");
    for (int hard = 0; hard < 2; hard++) {
        for (int i = 0; i < 4; i++) {
            const char *path = fresh();
            ms_history *h = open_quietly(path);
            ms_history_close(&h);
            write_file(target, "precious", 8);
            snprintf(link, sizeof(link), "%s%s", path, endings[i]);
            unlink(link);
            assert_int_equal(hard ? linkat(AT_FDCWD, target, AT_FDCWD, link, 0) : symlink(target, link), 0);
            assert_int_equal(ms_history_open(path, &h, warning, &err), MS_DAMAGED);
            if (!strstr(err.message, hard ? "hard links" : "symbolic link") || !strstr(err.message, link))
                fail_msg("%s", err.message);
            unlink(link);
            char text[9] = "";
            FILE *f = fopen(target, "rb");
            assert_int_equal(fread(text, 1, 9, f), 8);
            fclose(f);
            assert_memory_equal(text, "precious", 8);
        }
    }
    ms_history *h = NULL;
    const char *device = fresh();
    assert_int_equal(mkfifo(device, 0600), 0);
    assert_int_equal(ms_history_open(device, &h, warning, &err), MS_DAMAGED);
    assert_non_null(strstr(err.message, "not a regular file"));
    assert_int_equal(ms_history_open("/dev/null", &h, warning, &err), MS_DAMAGED);
    assert_non_null(strstr(err.message, "not a regular file"));
}

static void it_does_not_grow_for_ever(void **state) {
    (void)state;
    const char *path = fresh();
    ms_history *h = open_quietly(path);
    sql(path, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)"
              " INSERT INTO runs(id, changes) SELECT i, 0 FROM n; INSERT INTO stages SELECT id, 'load', 1, "
              "1, 1 FROM runs");
    ms_history_run r = run_of(1, MS_RUNG_FULL, 2);
    add(h, &r);
    seen s = list(h, 0);
    assert_int_equal(s.count, MS_HISTORY_MOST_RUNS);
    assert_int_equal(s.run[0].frames, 250); /* the newest is among them */
    ms_history_close(&h);
    sql(path, "CREATE TEMP TABLE t(x CHECK (x)); INSERT INTO t SELECT count(*) = 999 + 7 FROM stages");
}

static void processes_share_it(void **state) {
    (void)state;
    enum { PROCESSES = 4, RUNS = 12 };
    const char *path = fresh(); /* made by whoever comes first */
    for (int p = 0; p < PROCESSES; p++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child > 0)
            continue;
        int failures = 0;
        for (int i = 0; i < RUNS; i++) {
            char warning[MS_HISTORY_TEXT_BYTES];
            ms_history *h = NULL;
            ms_history_run r = run_of(1, MS_RUNG_FULL, 2);
            failures += ms_history_open(path, &h, warning, NULL) != MS_OK || warning[0];
            failures += h && ms_history_add(h, &r, NULL) != MS_OK;
            ms_history_close(&h);
        }
        _exit(failures);
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    ms_history *h = open_quietly(path);
    assert_int_equal(list(h, 0).count, PROCESSES * RUNS);
    ms_history_close(&h);
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(calibrations_belong_to_a_machine),
        cmocka_unit_test(predictions_learn_from_runs_alike),
        cmocka_unit_test(one_disturbed_run_corrects_within_bounds),
        cmocka_unit_test(runs_that_differ_teach_nothing),
        cmocka_unit_test(numbers_that_cannot_be_do_not_matter),
        cmocka_unit_test(a_damaged_file_is_set_aside),
        cmocka_unit_test(what_is_not_ours_stays),
        cmocka_unit_test(what_was_added_is_refused),
        cmocka_unit_test(links_are_refused),
        cmocka_unit_test(it_does_not_grow_for_ever),
        cmocka_unit_test(processes_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
