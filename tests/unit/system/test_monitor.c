/* The monitor: scripted, and with its thread; and the traces that script it. */
#include "test.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "system/monitor.h"

static ms_error err;

static ms_pressure_trace *parse(const char *text) {
    ms_pressure_trace *trace = NULL;
    assert_ms_ok(ms_pressure_trace_parse(NULL, "t.jsonl", text, strlen(text), &trace, &err), &err);
    return trace;
}

/* ---- traces ---- */

static void a_trace_is_read(void **state) {
    (void)state;
    ms_pressure_trace *trace = parse(
        "{\"at\":0,\"total\":\"16G\",\"available\":17179869184}\n\n \t\r\n"
        "{\"at\":3,\"available\":\"1.5GiB\",\"cgroup_max\":\"max\",\"cgroup_high\":\"512m\","
        "\"cgroup_current\":\"64KB\",\"psi_some\":12.5,\"events_oom\":2}\r\n"
        "{\"at\":7,\"level\":\"critical\",\"psi_some\":null,\"device_total\":\"1T\",\"device_free\":0}\n"
        "{\"at\":9,\"level\":null}");
    assert_int_equal(ms_pressure_trace_count(trace), 4);
    assert_false(ms_pressure_trace_in_seconds(trace));
    const ms_pressure_trace_entry *e = ms_pressure_trace_get(trace, 1);
    assert_true(e->at == 3 && !e->forced && e->sample.host_total == (int64_t)16 << 30);
    assert_true(e->sample.host_available == (int64_t)3 << 29 && e->sample.psi_some == 12.5);
    assert_true(e->sample.cgroup_max == MS_PRESSURE_NO_LIMIT && e->sample.cgroup_high == 512 << 20);
    assert_true(e->sample.cgroup_current == 65536 && e->sample.events_oom == 2);
    assert_true(e->sample.events_max == MS_PRESSURE_UNKNOWN && e->sample.psi_full < 0);
    e = ms_pressure_trace_get(trace, 2); /* what a line does not name stays */
    assert_true(e->forced && e->level == MS_PRESSURE_CRITICAL && e->sample.psi_some < 0);
    assert_true(e->sample.host_available == (int64_t)3 << 29 && e->sample.device_total == (int64_t)1 << 40);
    assert_false(ms_pressure_trace_get(trace, 3)->forced);
    ms_pressure_trace_destroy(&trace);
    assert_null(trace);
    trace = parse("{\"t\":0.25,\"level\":\"low\"}");
    assert_true(ms_pressure_trace_in_seconds(trace) && ms_pressure_trace_get(trace, 0)->at == 0.25);
    ms_pressure_trace_destroy(&trace);
}

static void bad_traces_are_refused(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"", "t.jsonl: no line in it"},
        {"\n \n", "t.jsonl: no line in it"},
        {"{\"at\":1}\n\n[1]", "t.jsonl:3: a line must be a JSON object"},
        {"{\"at\":1}\n{\"at\":2,}", "t.jsonl:2: line 1: expected a member name"},
        {"{\"level\":\"low\"}", "t.jsonl:1: a line needs one of \"at\" (safe point) and \"t\" (seconds)"},
        {"{\"at\":1,\"t\":1}", "t.jsonl:1: a line needs one of"},
        {"{\"at\":1}\n{\"t\":2}", "t.jsonl:2: \"t\" in a file that began with \"at\""},
        {"{\"t\":1}\n{\"at\":2}", "t.jsonl:2: \"at\" in a file that began with \"t\""},
        {"{\"at\":1.5}", "t.jsonl:1: \"at\" must be a whole number from 0 to 1e+12"},
        {"{\"at\":-1}", "\"at\" must be"},
        {"{\"at\":\"1\"}", "\"at\" must be"},
        {"{\"t\":2e12}", "\"t\" must be a number from 0 to 1e+12"},
        {"{\"at\":5}\n{\"at\":3}", "t.jsonl:2: \"at\" 3 comes after 5: lines must be in order"},
        {"{\"at\":5}\n{\"at\":5}", "t.jsonl:2: \"at\" 5 comes after 5"},
        {"{\"at\":1,\"avail\":1}", "t.jsonl:1: unknown field \"avail\""},
        {"{\"at\":1,\"total\":\"8X\"}", "t.jsonl:1: \"total\" must be a number of bytes, a size like \"8G\""},
        {"{\"at\":1,\"total\":\"G\"}", "\"total\" must be"},
        {"{\"at\":1,\"total\":\"\"}", "\"total\" must be"},
        {"{\"at\":1,\"total\":\"-8G\"}", "\"total\" must be"},
        {"{\"at\":1,\"total\":\"8GBs\"}", "\"total\" must be"},
        {"{\"at\":1,\"total\":\"99999999999T\"}", "\"total\" must be"},
        {"{\"at\":1,\"total\":\"max\"}", "\"total\" must be"},
        {"{\"at\":1,\"total\":-8}", "\"total\" must be"},
        {"{\"at\":1,\"total\":1.5}", "\"total\" must be"},
        {"{\"at\":1,\"total\":true}", "\"total\" must be"},
        {"{\"at\":1,\"cgroup_max\":\"none\"}",
         "\"cgroup_max\" must be a number of bytes, a size like \"8G\", \"max\""},
        {"{\"at\":1,\"events_oom\":\"1\"}", "\"events_oom\" must be a whole number"},
        {"{\"at\":1,\"psi_some\":101}", "\"psi_some\" must be a percentage"},
        {"{\"at\":1,\"psi_full\":-1}", "\"psi_full\" must be a percentage"},
        {"{\"at\":1,\"level\":\"Low\"}", "\"level\" must be \"none\", \"low\""},
        {"{\"at\":1,\"level\":2}", "\"level\" must be"},
        {"{\"at\":1,\"available\":1}", "\"available\" needs \"total\", here or on an earlier line"},
        {"{\"at\":1,\"available\":2,\"total\":1}", "\"available\" is more than \"total\""},
        {"{\"at\":1,\"device_free\":1}", "\"device_free\" needs \"device_total\""},
        {"{\"at\":1,\"cgroup_max\":1}", "a cgroup limit needs \"cgroup_current\""},
        {"{\"at\":1,\"at\":2}", "a second member named \"at\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        ms_pressure_trace *trace = NULL;
        ms_status status =
            ms_pressure_trace_parse(NULL, "t.jsonl", rows[i][0], strlen(rows[i][0]), &trace, &err);
        if (status != MS_INVALID_ARGUMENT || trace || !strstr(err.message, rows[i][1]))
            fail_msg("%s: %s, not %s", rows[i][0], err.message, rows[i][1]);
    }
}

static void trace_files(void **state) {
    (void)state;
    char path[] = "/tmp/memsafe-trace-XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    for (int i = 0; i < 2000; i++)
        fprintf(f, "{\"at\":%d,\"level\":\"%s\"}\n", i, i % 2 ? "low" : "high");
    fclose(f);
    for (uint64_t n = 0;; n++) { /* whichever allocation fails */
        ms_mem *mem;
        ms_pressure_trace *trace = NULL;
        assert_int_equal(ms_mem_create(0, &mem), MS_OK);
        ms_mem_fail_after(n < 50 ? n + 1 : 0, false);
        ms_status status = ms_pressure_trace_load(mem, path, &trace, &err);
        ms_mem_fail_after(0, false);
        assert_int_equal(status, n < 50 ? MS_HOST_MEMORY : MS_OK);
        assert_true((trace != NULL) == (status == MS_OK));
        if (trace)
            assert_int_equal(ms_pressure_trace_count(trace), 2000);
        ms_pressure_trace_destroy(&trace);
        assert_int_equal(ms_mem_destroy(&mem), 0);
        if (status == MS_OK)
            break;
    }
    assert_int_equal(truncate(path, (off_t)MS_PRESSURE_TRACE_MAX_BYTES + 1), 0);
    ms_pressure_trace *trace = NULL;
    assert_int_equal(ms_pressure_trace_load(NULL, path, &trace, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "a trace of more than 1048576 bytes"));
    unlink(path);
    assert_int_equal(ms_pressure_trace_load(NULL, path, &trace, &err), MS_IO);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(ms_pressure_trace_load(NULL, "/tmp", &trace, &err), MS_IO);
    assert_null(trace);
}

/* ---- scripted ---- */

static ms_monitor *scripted(const ms_pressure_trace *trace, double safe_point_s) {
    ms_monitor_params params;
    ms_monitor *m = NULL;
    ms_monitor_params_init(&params);
    params.trace = trace;
    params.safe_point_s = safe_point_s;
    assert_ms_ok(ms_monitor_create(&params, &m, &err), &err);
    return m;
}

static const char tight_then_free[] = "{\"at\":2,\"total\":\"10G\",\"available\":\"9G\"}\n"
                                      "{\"at\":4,\"available\":\"400M\"}\n"
                                      "{\"at\":7,\"available\":\"200M\"}\n"
                                      "{\"at\":9,\"available\":\"6G\"}\n"
                                      "{\"at\":30,\"level\":\"high\"}\n"
                                      "{\"at\":33,\"level\":\"none\"}\n";

static void a_trace_is_followed(void **state) {
    (void)state;
    ms_pressure_trace *trace = parse(tight_then_free);
    ms_monitor *m = scripted(trace, 1);
    static const char wanted[] = "----HHHCCCCCCCHHHHHLLLLL------HHH--"; /* the level at each safe point */
    for (int i = 0; wanted[i]; i++) {
        assert_ms_ok(ms_monitor_step(m, i, &err), &err);
        if ("-LHC"[ms_monitor_level(m)] != wanted[i])
            fail_msg("safe point %d: %s", i, ms_pressure_name(ms_monitor_level(m)));
    }
    static const int64_t at[] = {4, 7, 14, 19, 24, 30, 33};
    ms_pressure_change change, last;
    for (int i = 0; i < 7; i++) {
        assert_true(ms_monitor_poll(m, &change));
        assert_int_equal(change.safe_point, at[i]);
        assert_true(change.sample.time_s == (double)at[i]);
    }
    assert_false(ms_monitor_poll(m, &change));
    assert_true(ms_monitor_last_change(m, &last) && last.safe_point == 33 && last.to == MS_PRESSURE_NONE);
    assert_int_equal(ms_monitor_dropped(m), 0);
    assert_ms_ok(ms_monitor_step(m, 34, &err), &err); /* where it is: nothing happens */
    assert_int_equal(ms_monitor_step(m, 33, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "safe point 33 comes after 34"));
    ms_monitor_destroy(&m);
    assert_null(m);
    ms_pressure_trace_destroy(&trace);
}

/* The same changes at the same places, whichever safe points are asked for. */
static void skipped_safe_points_change_nothing(void **state) {
    (void)state;
    ms_pressure_trace *trace = parse(tight_then_free);
    ms_monitor *all = scripted(trace, 1), *some = scripted(trace, 1);
    for (int i = 0; i <= 40; i++) {
        assert_ms_ok(ms_monitor_step(all, i, &err), &err);
        if (i % 8 == 0) {
            assert_ms_ok(ms_monitor_step(some, i, &err), &err);
            assert_int_equal(ms_monitor_level(all), ms_monitor_level(some));
        }
    }
    ms_pressure_change a, b;
    while (ms_monitor_poll(all, &a)) {
        assert_true(ms_monitor_poll(some, &b));
        assert_true(a.from == b.from && a.to == b.to && a.number == b.number &&
                    a.safe_point == b.safe_point && strcmp(a.reason, b.reason) == 0);
    }
    assert_false(ms_monitor_poll(some, &b));
    ms_monitor_destroy(&all);
    ms_monitor_destroy(&some);
    ms_pressure_trace_destroy(&trace);
}

static void traces_in_seconds(void **state) {
    (void)state;
    ms_pressure_trace *trace = parse("{\"t\":0.6,\"level\":\"high\"}\n{\"t\":0.9,\"level\":\"low\"}\n"
                                     "{\"t\":1.0,\"level\":\"critical\"}\n{\"t\":1.1,\"level\":\"none\"}\n");
    ms_monitor *m = scripted(trace, 0.5);
    const ms_pressure_level wanted[] = {MS_PRESSURE_NONE, MS_PRESSURE_NONE, MS_PRESSURE_CRITICAL,
                                        MS_PRESSURE_NONE};
    for (int i = 0; i < 4; i++) {
        assert_ms_ok(ms_monitor_step(m, i, &err), &err);
        assert_int_equal(ms_monitor_level(m), wanted[i]);
    }
    const int64_t at[] = {2, 2, 2, 3}; /* the ones in between are seen too */
    ms_pressure_change change;
    for (int i = 0; i < 4; i++)
        assert_true(ms_monitor_poll(m, &change) && change.safe_point == at[i]);
    ms_monitor_destroy(&m);
    ms_pressure_trace_destroy(&trace);
}

static void the_oldest_changes_are_dropped(void **state) {
    (void)state;
    char text[64 * 50] = "";
    for (int i = 0; i < 50; i++)
        sprintf(text + strlen(text), "{\"at\":%d,\"level\":\"%s\"}\n", i, i % 2 ? "low" : "high");
    ms_pressure_trace *trace = parse(text);
    ms_monitor *m = scripted(trace, 1);
    ms_pressure_change change;
    assert_false(ms_monitor_last_change(m, &change));
    assert_ms_ok(ms_monitor_step(m, 49, &err), &err);
    assert_int_equal(ms_monitor_dropped(m), 50 - MS_MONITOR_MAX_CHANGES);
    for (int i = 50 - MS_MONITOR_MAX_CHANGES; i < 50; i++)
        assert_true(ms_monitor_poll(m, &change) && change.safe_point == i);
    assert_false(ms_monitor_poll(m, &change));
    ms_monitor_destroy(&m);
    ms_pressure_trace_destroy(&trace);
}

static void wrong_parameters_are_refused(void **state) {
    (void)state;
    ms_pressure_trace *trace = parse("{\"at\":0}");
    for (int i = 0; i < 7; i++) {
        ms_monitor_params params;
        ms_monitor *m = NULL;
        ms_monitor_params_init(&params);
        params.samples_per_s = i == 0 ? 0 : i == 1 ? NAN : i == 2 ? 1001 : 4;
        params.trace = i == 3 || i == 4 ? trace : NULL;
        params.safe_point_s = i == 3 ? 0 : i == 4 ? INFINITY : 1;
        params.thresholds.hold_s = i == 5 ? -1 : 5;
        char *path = calloc(1, MS_PRESSURE_MAX_PATH + 1);
        memset(path, 'x', MS_PRESSURE_MAX_PATH);
        params.roots.proc = i == 6 ? path : NULL;
        assert_int_equal(ms_monitor_create(&params, &m, &err), MS_INVALID_ARGUMENT);
        assert_null(m);
        free(path);
    }
    ms_pressure_trace_destroy(&trace);
    assert_int_equal(ms_monitor_level(NULL), MS_PRESSURE_NONE);
}

/* ---- live ---- */

static char proc_dir[64];

static int make_proc(void **state) {
    (void)state;
    strcpy(proc_dir, "/tmp/memsafe-monitor-XXXXXX");
    return mkdtemp(proc_dir) ? 0 : -1;
}

static void proc_file(const char *name, char ret_path[128]) {
    snprintf(ret_path, 128, "%s/%s", proc_dir, name);
}

static int remove_proc(void **state) {
    (void)state;
    char path[128];
    proc_file("meminfo", path);
    unlink(path);
    return rmdir(proc_dir);
}

/* Under another name first: the thread must never see half a file. */
static void set_available(int percent) {
    char path[128], part[128];
    proc_file("meminfo", path);
    proc_file("part", part);
    FILE *f = fopen(part, "w");
    assert_non_null(f);
    fprintf(f, "MemTotal: 10000000 kB\nMemAvailable: %d kB\n", percent * 100000);
    fclose(f);
    assert_int_equal(rename(part, path), 0);
}

static ms_monitor *live(double samples_per_s, double hold_s) {
    ms_monitor_params params;
    ms_monitor *m = NULL;
    ms_monitor_params_init(&params);
    params.roots = (ms_pressure_roots){proc_dir, proc_dir};
    params.samples_per_s = samples_per_s;
    params.thresholds.hold_s = hold_s;
    assert_ms_ok(ms_monitor_create(&params, &m, &err), &err);
    return m;
}

/* The wait is for a lost machine only: a level that never comes fails the test. */
static void await_level(const ms_monitor *m, ms_pressure_level level) {
    for (int i = 0; i < 60000 && ms_monitor_level(m) != level; i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    assert_int_equal(ms_monitor_level(m), level);
}

static void the_thread_follows_the_files(void **state) {
    (void)state;
    set_available(4);
    ms_monitor *m = live(200, 0.02);
    assert_int_equal(ms_monitor_level(m), MS_PRESSURE_HIGH); /* the first sample is there at once */
    ms_pressure_change change;
    assert_true(ms_monitor_poll(m, &change) && change.number == 0 && change.safe_point == -1);
    uint64_t allocations = ms_mem_allocation_count();
    set_available(1);
    await_level(m, MS_PRESSURE_CRITICAL);
    set_available(60);
    await_level(m, MS_PRESSURE_NONE);
    assert_true(ms_mem_allocation_count() == allocations);
    const ms_pressure_level wanted[] = {MS_PRESSURE_HIGH, MS_PRESSURE_CRITICAL, MS_PRESSURE_HIGH,
                                        MS_PRESSURE_LOW, MS_PRESSURE_NONE};
    double before = 0;
    for (int i = 1; i < 5; i++) {
        assert_true(ms_monitor_poll(m, &change) && change.from == wanted[i - 1] && change.to == wanted[i]);
        assert_true(change.sample.time_s > before);
        before = change.sample.time_s;
    }
    assert_false(ms_monitor_poll(m, &change));
    assert_ms_ok(ms_monitor_step(m, 5, &err), &err); /* means nothing here */
    ms_pressure_sample sample;
    ms_monitor_sample(m, &sample);
    assert_int_equal(sample.host_available, (int64_t)6000000 * 1024);
    ms_monitor_destroy(&m);
}

/* A sample every 100 s: a destroy that waited for the next one would never end. */
static void starts_and_stops_a_thousand_times(void **state) {
    (void)state;
    set_available(50);
    for (int i = 0; i < 1000; i++) {
        ms_monitor *m = live(i % 2 ? 0.01 : 1000, 5);
        assert_int_equal(ms_monitor_level(m), MS_PRESSURE_NONE);
        ms_monitor_destroy(&m);
    }
    ms_monitor *none = NULL;
    ms_monitor_destroy(&none);
    ms_monitor_destroy(NULL);
}

static void allocations_fail(void **state) {
    (void)state;
    set_available(50);
    ms_pressure_trace *trace = parse("{\"at\":0}");
    for (int i = 0; i < 2; i++) {
        ms_mem *mem;
        ms_monitor *m = NULL;
        ms_monitor_params params;
        assert_int_equal(ms_mem_create(0, &mem), MS_OK);
        ms_monitor_params_init(&params);
        params.mem = mem;
        params.trace = i ? trace : NULL;
        ms_mem_fail_after(1, false);
        assert_int_equal(ms_monitor_create(&params, &m, &err), MS_HOST_MEMORY);
        ms_mem_fail_after(0, false);
        assert_null(m);
        assert_ms_ok(ms_monitor_create(&params, &m, &err), &err);
        ms_monitor_destroy(&m);
        assert_int_equal(ms_mem_destroy(&mem), 0);
    }
    ms_pressure_trace_destroy(&trace);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trace_is_read),
        cmocka_unit_test(bad_traces_are_refused),
        cmocka_unit_test(trace_files),
        cmocka_unit_test(a_trace_is_followed),
        cmocka_unit_test(skipped_safe_points_change_nothing),
        cmocka_unit_test(traces_in_seconds),
        cmocka_unit_test(the_oldest_changes_are_dropped),
        cmocka_unit_test(wrong_parameters_are_refused),
        cmocka_unit_test_setup_teardown(the_thread_follows_the_files, make_proc, remove_proc),
        cmocka_unit_test_setup_teardown(starts_and_stops_a_thousand_times, make_proc, remove_proc),
        cmocka_unit_test_setup_teardown(allocations_fail, make_proc, remove_proc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
