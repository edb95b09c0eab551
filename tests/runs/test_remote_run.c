/* Whole runs on a device whose memory is apart and whose queues run late: the cpu's
   frames on every rung and within every budget, with any allocation of device
   memory failing; a device that is lost ends the run with what it made kept. */
#include "test.h"

#include "base/error.h"
#include "base/mem.h"
#include "support/media/drawn.h"
#include "support/run_inputs.h"

#define FRAMES 20 /* a window and a short one */

static ms_run_params params;
static ms_run_report report;
static ms_error err;
static uint64_t expected;

typedef struct sink {
    uint64_t hash;
    int64_t frames;
    bool disordered;
} sink;

static ms_status take_frame(void *arg, int64_t frame, const uint8_t *rgb, int width, int height) {
    sink *s = arg;
    s->disordered |=
        frame !=
        s->frames++; /* an assertion would jump, and in a child it would go on with the other tests */
    s->hash = s->hash * 31 + test_fnv1a(rgb, (size_t)width * (size_t)height * 3);
    return MS_OK;
}

static uint64_t frames_of(const ms_run_params *asked, ms_status *ret_status) {
    ms_run_params p = *asked;
    sink s = {0};
    p.frame_sink = take_frame;
    p.sink_arg = &s;
    *ret_status = ms_run(&p, &report, &err);
    return s.disordered ? 0 : s.hash;
}

static int prepare(void **state) {
    (void)state;
    ms_status status;
    test_make_run_inputs(FRAMES, "160x160");
    test_run_params(FRAMES, &params);
    params.steps = 1;
    params.threads = 2;
    params.device = "cpu";
    expected = frames_of(&params, &status);
    params.device = "remote";
    return status == MS_OK && expected ? 0 : -1;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static void seed(int number) {
    char text[16];
    snprintf(text, sizeof(text), "%d", number);
    setenv("MEMSAFE_REMOTE_SEED", text, 1);
}

/* The run's frames are the cpu's. */
static void same(const ms_run_params *p, const char *what) {
    ms_status status;
    uint64_t hash = frames_of(p, &status);
    if (status != MS_OK)
        fail_msg("%s: %s", what, err.message);
    if (hash != expected)
        fail_msg("%s: other frames than on the cpu", what);
}

static void every_rung_has_the_same_frames(void **state) {
    (void)state;
    for (int rung = MS_RUNG_AUTO; rung < MS_RUNG_COUNT; rung++) {
        ms_run_params p = params;
        p.rung = (ms_rung)rung;
        p.deepcache = false;
        seed(rung);
        same(&p, ms_rung_name(p.rung));
        if (rung != MS_RUNG_AUTO)
            assert_int_equal(report.rung, rung);
        assert_true(strstr(report.device, "remote"));
        assert_true(report.host_budget_bytes > 0 && report.host_planned_bytes > 0);
        /* Its own 3 MiB are in both (REMOTE_OWN_BYTES). */
        assert_true(report.device_peak_bytes > (size_t)3 << 20 &&
                    report.device_peak_bytes <= report.planned_bytes);
    }
}

static void deepcache_has_the_same_frames(void **state) {
    (void)state;
    ms_status status;
    ms_run_params p = params;
    p.deepcache = true;
    p.steps = 4;
    p.device = "cpu";
    uint64_t cpu = frames_of(&p, &status);
    assert_ms_ok(status, &err);
    p.device = "remote";
    assert_true(frames_of(&p, &status) == cpu);
    assert_ms_ok(status, &err);
}

/* By the tier a small device captures nothing: here it does, in a run of several
   windows and of a short one. */
static void captured_networks_have_the_same_frames(void **state) {
    (void)state;
    static const char *const settings[] = {"device_graphs=on", "preallocated_outputs=on"};
    for (int rung = MS_RUNG_FULL; rung <= MS_RUNG_STREAM_PART; rung++) {
        ms_run_params p = params;
        p.rung = (ms_rung)rung;
        p.profile.settings = settings;
        p.profile.n_settings = 1 + rung % 2; /* by the tier outputs are not kept either */
        seed(rung);
        same(&p, ms_rung_name(p.rung));
    }
}

/* From the least that a run says it needs: it keeps to it. */
static void budgets_of_the_device_are_kept(void **state) {
    (void)state;
    ms_run_params p = params;
    ms_status status;
    p.budget_bytes = (size_t)1 << 20;
    frames_of(&p, &status);
    assert_int_equal(status, MS_BUDGET);
    const char *least = strstr(err.message, "needs at least ");
    assert_non_null(least);
    size_t mib = (size_t)strtoul(least + strlen("needs at least "), NULL, 10);
    assert_true(mib > 1 && mib < 100);
    for (int i = 0; i < (test_at_length() ? 4 : 2); i++, mib += 1 + mib / 8) {
        p.budget_bytes = mib << 20;
        seed(i);
        same(&p, "a small budget");
        assert_true(report.device_peak_bytes <= p.budget_bytes);
        assert_int_equal(report.budget_bytes, p.budget_bytes);
        assert_int_equal(report.recoveries, 0);
    }
    p = params;
    p.host_budget_bytes = (size_t)8 << 20;
    frames_of(&p, &status);
    assert_int_equal(status, MS_BUDGET);
    assert_non_null(strstr(err.message, "host budget of 8.00 MiB"));
}

/* Of the host's memory: with what a resolution is refused, well below the last with which it works. */
static size_t refused_host_budget(int resolution) {
    ms_run_params p = params;
    ms_status status = MS_OK;
    p.resolution = resolution;
    for (p.host_budget_bytes = (size_t)72 << 20; status == MS_OK; p.host_budget_bytes -= (size_t)6 << 20) {
        frames_of(&p, &status);
        assert_true(status == MS_OK || status == MS_BUDGET);
    }
    assert_non_null(strstr(err.message, "host budget of"));
    return p.host_budget_bytes;
}

/* What was refused at one resolution does not raise the host's budget for a lower one. */
static void a_lower_resolution_keeps_the_hosts_budget(void **state) {
    (void)state;
    ms_run_params p = params;
    ms_status status;
    p.resolution = 320;
    p.allow_downscale = true;
    p.host_budget_bytes = refused_host_budget(128); /* the lowest there is */
    frames_of(&p, &status);
    assert_int_equal(status, MS_BUDGET);
    assert_non_null(strstr(err.message, "host budget of"));
}

static void write_trace(const char *lines) {
    FILE *f = fopen(test_file("pressure"), "w");
    assert_non_null(f);
    fputs(lines, f);
    fclose(f);
    params.pressure_trace = test_file("pressure");
}

/* What others take of the device makes the layout smaller, what they give back
   larger; what they take of the host does not. */
static void the_devices_budget_follows_the_device(void **state) {
    (void)state;
    static const char *const host = "{\"at\":0,\"total\":\"16G\",\"available\":\"12G\"}\n"
                                    "{\"at\":1,\"available\":\"100M\"}\n";
    static const char *const device = "{\"at\":0,\"device_total\":\"8G\",\"device_free\":\"8G\"}\n"
                                      "{\"at\":1,\"device_free\":\"0\"}\n"
                                      "{\"at\":2,\"device_free\":\"8G\"}\n";
    const ms_run_params before = params;
    ms_status status;
    ms_run_params p = params;
    char line[2048], speech[512];
    snprintf(speech, sizeof(speech), "%s", test_file("long.wav"));
    snprintf(line, sizeof(line), "%s --seed 5 --frames 80 --size 64x64 -o %s --speech %s >/dev/null",
             MS_DRAW_CLIP_PATH, test_file("voice.avi"), speech);
    assert_int_equal(system(line), 0);
    p.audio = speech;
    p.frames = 4 * FRAMES; /* of a clip of FRAMES: five windows */
    p.loop = MS_LOOP_MODE_PINGPONG;
    p.device = "cpu";
    uint64_t cpu = frames_of(&p, &status);
    assert_ms_ok(status, &err);
    write_trace(host);
    p.pressure_trace = params.pressure_trace;
    p.device = "remote";
    assert_true(frames_of(&p, &status) == cpu);
    assert_ms_ok(status, &err);
    assert_true(report.n_changes >= 1 && strstr(report.change[0].reason, "host memory"));
    for (int i = 0; i < report.n_changes; i++)
        assert_int_equal(report.change[i].rung, report.rung);
    write_trace(device);
    assert_true(frames_of(&p, &status) == cpu);
    assert_ms_ok(status, &err);
    assert_int_equal(report.n_changes, 2);
    assert_true(strstr(report.change[0].reason, "device memory: 0 MiB free") != NULL);
    assert_true(report.change[0].rung != report.rung && report.change[1].rung == report.rung);
    assert_string_equal(report.change[0].level, "none"); /* the host has none */
    params = before;
}

/* Counted over the process: each run's allocations begin where those of the one before it ended. */
static void any_allocation_may_fail(void **state) {
    (void)state;
    int recovered = 0, refused = 0;
    for (int n = 1; n < 2000; n += n < 4 ? 1 : test_at_length() ? n / 2 : 2 * n) {
        pid_t pid = fork(); /* a count from 0 */
        assert_true(pid >= 0);
        if (pid == 0) {
            char text[16];
            ms_status status;
            snprintf(text, sizeof(text), "%d", n);
            setenv("MEMSAFE_REMOTE_FAIL_ALLOC", text, 1);
            uint64_t hash = frames_of(&params, &status);
            if (status == MS_OK)
                _exit(hash != expected ? 3 : report.recoveries > 0 ? 1 : 0);
            _exit(status == MS_DEVICE_MEMORY ? 2 : 4);
        }
        int ended = 0;
        assert_int_equal(waitpid(pid, &ended, 0), pid);
        assert_true(WIFEXITED(ended) && WEXITSTATUS(ended) < 3);
        recovered += WEXITSTATUS(ended) == 1;
        refused += WEXITSTATUS(ended) == 2;
    }
    assert_true(recovered > 3);
    /* one run may not get over it: at its end or beginning nothing can be given up */
    assert_true(refused <= 1);
}

/* From the plan on: before it the machine is measured, with more commands the faster it is. */
static void begin_to_count(void *arg, const ms_run_report *planned) {
    (void)planned;
    setenv("MEMSAFE_REMOTE_LOSE_AFTER", arg, 1);
}

/* The job goes on with another device of the same arithmetic, and the file is that of one run. */
static void a_lost_device_leaves_a_job(void **state) {
    (void)state;
    char output[512];
    snprintf(output, sizeof(output), "%s", test_file("out.mkv"));
    ms_run_params p = params;
    p.output = output;
    p.segment_frames = 8;
    p.steps = 2;
    p.device = "cpu";
    assert_ms_ok(ms_run(&p, &report, &err), &err);
    uint64_t whole = test_hash_file(output);
    p.device = "remote";
    int lost = 0, resumed = 0;
    for (int after = 100; after < 50000; after += test_at_length() ? after / 2 : after) {
        unlink(output);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            char text[16];
            ms_run_params once = p;
            snprintf(text, sizeof(text), "%d", after);
            once.planned = begin_to_count;
            once.arg = text;
            ms_status status = ms_run(&once, &report, &err);
            _exit(status == MS_OK ? 0 : status == MS_DEVICE_LOST ? 1 : 2);
        }
        int ended = 0;
        assert_int_equal(waitpid(pid, &ended, 0), pid);
        assert_true(WIFEXITED(ended) && WEXITSTATUS(ended) < 2);
        if (WEXITSTATUS(ended) == 0)
            break;
        lost++;
        ms_run_params again = p;
        again.device = "cpu";
        again.resume = true;
        assert_ms_ok(ms_run(&again, &report, &err), &err);
        resumed += report.frames_resumed > 0 || report.windows_kept > 0;
        assert_true(test_hash_file(output) == whole);
    }
    assert_true(lost > 1 && resumed > 0);
}

static void what_is_no_device_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *device, *says;
        ms_status status;
    } cases[] = {{"abacus", "abacus", MS_UNSUPPORTED},
                 {"remote:7", "remote:7", MS_INVALID_ARGUMENT},
                 {"remote:", "remote:", MS_INVALID_ARGUMENT},
                 {"", "no device", MS_INVALID_ARGUMENT},
                 {"dummy", "computes nothing", MS_UNSUPPORTED}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ms_run_params p = params;
        p.device = cases[i].device;
        ms_status status;
        frames_of(&p, &status);
        assert_int_equal(status, cases[i].status);
        assert_non_null(strstr(err.message, cases[i].says));
    }
}

int main(int argc, char **argv) {
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rung_has_the_same_frames),
        cmocka_unit_test(deepcache_has_the_same_frames),
        cmocka_unit_test(captured_networks_have_the_same_frames),
        cmocka_unit_test(budgets_of_the_device_are_kept),
        cmocka_unit_test(a_lower_resolution_keeps_the_hosts_budget),
        cmocka_unit_test(the_devices_budget_follows_the_device),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(a_lost_device_leaves_a_job),
        cmocka_unit_test(what_is_no_device_is_refused),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
