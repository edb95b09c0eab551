/* Windows that were finished before their segment was: a run that ends early keeps them, and the next one
   takes them over. */
#include "test.h"

#include <sys/mman.h>

#include "support/resume.h"

/* ---- windows of a segment that is not full yet */

#define WINDOW 16

static int *begun; /* windows, of the child's */
static int kill_at;

/* Dies while the kill_at-th window is in work. */
static void die_in_a_window(void *arg, const ms_run_progress *p) {
    static bool before;
    (void)arg;
    bool now = strcmp(p->stage, "denoise") == 0;
    *begun += now && !before;
    before = now;
    if (now && *begun == kill_at)
        kill(getpid(), SIGKILL);
}

static ms_run_params window_params(const char *output, int64_t segment) {
    ms_run_params p = test_job_params("in.avi", output, segment);
    p.frames = 60;
    return p;
}

/* Returns how many windows the run had finished when it died in the number-th that it computed. */
static int run_and_die(const ms_run_params *params, int number) {
    begun = mmap(NULL, sizeof(*begun), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(begun != MAP_FAILED);
    *begun = 0;
    kill_at = number;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        ms_run_params p = *params;
        p.progress = die_in_a_window;
        _exit(ms_run(&p, NULL, NULL) == MS_OK ? 0 : 1);
    }
    assert_int_equal(await_end(pid), -SIGKILL);
    int finished = *begun - 1;
    munmap(begun, sizeof(*begun));
    return finished;
}

/* Whatever the segment, and whenever it is killed: what is computed again is the window that was in work. */
static void a_kill_costs_one_window(void **state) {
    (void)state;
    enter_dir();
    static const int64_t segments[] = {1000, 40, 10};
    enum { TOTAL = (60 + WINDOW - 1) / WINDOW };
    static ms_run_report report;
    ms_error err;
    for (int i = 0; i < 3; i++) {
        ms_run_params p = window_params("whole.mkv", segments[i]);
        p.force = true;
        assert_ms_ok(ms_run(&p, &report, &err), &err);
        assert_int_equal(report.windows_computed, TOTAL);
        assert_int_equal(report.windows_kept, 0);
        p = window_params("pieces.mkv", segments[i]);
        for (int at = test_at_length() ? 1 : 1 + i % 2; at <= TOTAL; at += test_at_length() ? 1 : 2) {
            assert_int_equal(run_and_die(&p, at), at - 1);
            assert_ms_ok(ms_run(&p, &report, &err), &err);
            assert_int_equal(report.windows, TOTAL);
            assert_int_equal(report.windows_computed, TOTAL - (at - 1));
            assert_same_bytes("whole.mkv", "pieces.mkv");
            assert_false(test_exists("pieces.mkv.memsafe"));
            unlink("pieces.mkv");
        }
        if (i != 0 && !test_at_length())
            continue;
        /* Each run comes one window further. */
        for (int k = 0; k < TOTAL - 1; k++)
            assert_int_equal(run_and_die(&p, 2), 1);
        assert_ms_ok(ms_run(&p, &report, &err), &err);
        assert_int_equal(report.windows_computed, 1);
        assert_same_bytes("whole.mkv", "pieces.mkv");
        unlink("pieces.mkv");
    }
}

static bool at_once(void *arg) {
    (void)arg;
    return true;
}

/* A resumed run that ends before its first window, by Ctrl-C or a budget that was mistyped, loses nothing. */
static void an_early_end_keeps_windows(void **state) {
    (void)state;
    enter_dir();
    ms_run_params p = window_params("brief.mkv", 1000);
    ms_error err;
    static ms_run_report report;
    assert_int_equal(run_and_die(&p, 3), 2);
    p.cancelled = at_once;
    assert_int_equal(ms_run(&p, &report, &err), MS_CANCELLED);
    assert_true(test_exists("brief.mkv.memsafe/faces-000000"));
    p.cancelled = NULL;
    p.budget_bytes = (size_t)60 << 20;
    assert_int_equal(ms_run(&p, &report, &err), MS_BUDGET);
    assert_non_null(strstr(err.message, "frames are kept in brief.mkv.memsafe"));
    assert_true(report.frames_resumable >= 2 * WINDOW);
    assert_int_equal(report.frames_dropped, 0);
    assert_true(test_exists("brief.mkv.memsafe/faces-000000"));
    p.budget_bytes = 0;
    assert_ms_ok(ms_run(&p, &report, &err), &err);
    assert_int_equal(report.windows_kept, 2);
    assert_same_bytes("whole.mkv", "brief.mkv");
    unlink("brief.mkv");
}

/* Cancelled as soon as the plan is there: `found` is what it said. */
static ms_run_report found;
static bool planned;

static void keep_plan(void *arg, const ms_run_report *r) {
    (void)arg;
    found = *r;
    planned = true;
}

static bool once_planned(void *arg) {
    (void)arg;
    return planned;
}

/* A resumed run says what it found, its estimate is of the rest, and one that ends at once names no less than
   was kept. */
static void a_resumed_run_says_what_it_found(void **state) {
    (void)state;
    enter_dir();
    static ms_run_report report;
    ms_error err;
    ms_run_params p = window_params("ledger.mkv", 1000);
    p.planned = keep_plan;
    p.cancelled = once_planned;
    planned = false;
    assert_int_equal(ms_run(&p, &report, &err), MS_CANCELLED);
    assert_int_equal(found.faces_resumed, 0);
    double whole_s = found.planned_left_s;
    p.planned = NULL;
    p.cancelled = NULL;
    assert_int_equal(run_and_die(&p, 4), 3);
    p.planned = keep_plan;
    p.cancelled = once_planned;
    planned = false;
    assert_int_equal(ms_run(&p, &report, &err), MS_CANCELLED);
    assert_int_equal(found.frames_resumed, 0);
    assert_int_equal(found.faces_resumed, 3 * WINDOW);
    assert_int_equal(report.frames_resumable, 3 * WINDOW);
    /* One of them is not as it was written: it is not counted, by whatever its head says. */
    shell("cp ledger.mkv.memsafe/faces-000000 intact.faces");
    shell(
        "printf '\\252' | dd of=ledger.mkv.memsafe/faces-000000 bs=1 seek=1000001 conv=notrunc 2>/dev/null");
    planned = false;
    assert_int_equal(ms_run(&p, &report, &err), MS_CANCELLED);
    assert_int_equal(found.faces_resumed, 2 * WINDOW);
    shell("cp intact.faces ledger.mkv.memsafe/faces-000000");
    print_message("    %.3f s predicted for all of it, %.3f s for the rest\n", whole_s, found.planned_left_s);
    assert_true(found.planned_left_s > 0 && found.planned_left_s < 0.8 * whole_s);
    assert_run_works(
        "run --audio in.wav --model model --steps 1 --guidance 1 --resolution 64 --track in.jsonl "
        "--video in.avi --frames 60 --codec ffv1 --segment 1000 -o ledger.mkv --resume");
    assert_non_null(strstr(test_output,
                           "kept from an earlier run: 48 of 60 frames (0 finished, 48 redrawn and "
                           "to be encoded); 12 are left\n  the rest will take about "));
    assert_non_null(strstr(test_output, "3 windows of up to 16 frames had been redrawn by an earlier run"));
    assert_same_bytes("whole.mkv", "ledger.mkv");
    unlink("ledger.mkv");
}

static int windows_begun;
static bool in_window;

static void count_windows(void *arg, const ms_run_progress *p) {
    (void)arg;
    bool now = strcmp(p->stage, "denoise") == 0;
    windows_begun += now && !in_window;
    in_window = now;
}

static bool in_the_second_window(void *arg) {
    (void)arg;
    return windows_begun == 2;
}

/* What an interruption names is what the next run finds, wherever the gaps are. */
static void what_is_named_as_kept_is_found(void **state) {
    (void)state;
    enter_dir();
    static ms_run_report report;
    ms_error err;
    for (int at = 4; at >= 3; at--) { /* all faces are known, and not */
        ms_run_params p = window_params("gaps.mkv", 10);
        assert_int_equal(run_and_die(&p, at), at - 1);
        shell("cd gaps.mkv.memsafe && test -e segment-000001 && rm segment-000000");
        p.progress = count_windows;
        p.cancelled = in_the_second_window;
        windows_begun = 0;
        in_window = false;
        assert_int_equal(ms_run(&p, &report, &err), MS_CANCELLED);
        const int64_t named = report.frames_resumable;
        p.planned = keep_plan;
        p.progress = NULL;
        p.cancelled = once_planned;
        planned = false;
        assert_int_equal(ms_run(&p, &report, &err), MS_CANCELLED);
        print_message("    %lld frames named, %lld finished and %lld redrawn found\n", (long long)named,
                      (long long)found.frames_resumed, (long long)found.faces_resumed);
        assert_true(named > 0 && named < 60);
        assert_int_equal(named, found.frames_resumed + found.faces_resumed);
        assert_int_equal(report.frames_resumable, named);
        p = window_params("gaps.mkv", 10);
        assert_ms_ok(ms_run(&p, &report, &err), &err);
        assert_int_equal(report.frames_resumed + report.faces_resumed, named);
        if (at == 4)
            shell("cp gaps.mkv want-gaps.mkv");
        assert_same_bytes("want-gaps.mkv", "gaps.mkv");
        unlink("gaps.mkv");
    }
}

static bool pictures_came;

static void watch_pictures(void *arg, const ms_run_progress *p) {
    count_windows(arg, p);
    pictures_came |= windows_begun == 2 && strcmp(p->stage, "decode") == 0 && p->part >= 3;
}

static bool amid_the_pictures(void *arg) {
    (void)arg;
    return pictures_came;
}

/* A window that was interrupted while its pictures were made is redrawn: none of them counts as kept. */
static void a_part_of_a_window_is_not_kept(void **state) {
    (void)state;
    enter_dir();
    static ms_run_report report;
    static const char *const one_by_one[] = {"vae_decode_batch=1"};
    ms_error err;
    for (int i = 0; i < 2; i++) { /* a window within its segment, and across an end */
        ms_run_params p = window_params("amid.mkv", i ? 20 : 1000);
        p.profile.settings = one_by_one;
        p.profile.n_settings = 1;
        p.progress = watch_pictures;
        p.cancelled = amid_the_pictures;
        pictures_came = in_window = false;
        windows_begun = 0;
        assert_int_equal(ms_run(&p, &report, &err), MS_CANCELLED);
        const int64_t named = report.frames_resumable;
        assert_int_equal(named, WINDOW);
        p.progress = NULL;
        p.planned = keep_plan;
        p.cancelled = once_planned;
        planned = false;
        assert_int_equal(ms_run(&p, &report, &err), MS_CANCELLED);
        assert_int_equal(found.frames_resumed + found.faces_resumed, named);
        assert_int_equal(report.frames_resumable, named);
        p.cancelled = NULL;
        assert_ms_ok(ms_run(&p, &report, &err), &err);
        assert_int_equal(report.windows_kept, 1);
        assert_same_bytes("whole.mkv", "amid.mkv");
        unlink("amid.mkv");
    }
}

/* Once, however often the run that finds the faces again is interrupted. */
static void damaged_poses_are_told_once(void **state) {
    (void)state;
    enter_dir();
    static ms_run_report report;
    ms_error err;
    ms_run_params p = window_params("told.mkv", 10);
    assert_int_equal(run_and_die(&p, 4), 3);
    shell("truncate -s 300 told.mkv.memsafe/poses");
    p.planned = keep_plan;
    p.cancelled = once_planned;
    for (int time = 0; time < 2; time++) {
        planned = false;
        assert_int_equal(ms_run(&p, &report, &err), MS_CANCELLED);
        assert_true((strstr(found.job_note, "(poses) are damaged: found again") != NULL) == (time == 0));
    }
    p = window_params("told.mkv", 10);
    assert_ms_ok(ms_run(&p, &report, &err), &err);
    assert_string_equal(report.job_note, "");
    assert_same_bytes("want-gaps.mkv", "told.mkv");
    unlink("told.mkv");
}

/* Finished windows are work like finished segments: they are not thrown away unasked, and an interruption
   tells of them. */
static void finished_windows_are_a_job(void **state) {
    (void)state;
    enter_dir();
    ms_run_params p = window_params("early.mkv", 1000);
    ms_error err;
    static ms_run_report report;
    assert_int_equal(run_and_die(&p, 3), 2);
    shell("test $(du -k early.mkv.memsafe/faces-000000 | cut -f1) -gt 1000 && cp -r early.mkv.memsafe early");
    p.resume = false;
    assert_int_equal(ms_run(&p, NULL, &err), MS_IO);
    assert_non_null(strstr(err.message, "an unfinished job is there"));
    assert_true(err.hints == (MS_HINT_BIT(MS_HINT_RESUME) | MS_HINT_BIT(MS_HINT_BEGIN_ANEW)));
    /* A changed byte costs its window. */
    shell("printf '\\377\\376' | dd of=early.mkv.memsafe/faces-000000 bs=1 seek=900000 conv=notrunc "
          "2>/dev/null");
    p.resume = true;
    assert_ms_ok(ms_run(&p, &report, &err), &err);
    assert_int_equal(report.windows_computed, 3);
    assert_int_equal(report.windows_kept, 1);
    assert_same_bytes("whole.mkv", "early.mkv");
    unlink("early.mkv");
    /* Links and pipes in its place are not read and not written. */
    shell("cp in.wav intact; cp in.wav precious");
    for (int kind = 0; kind < 2; kind++) {
        shell("cp -r early early.mkv.memsafe && rm early.mkv.memsafe/faces-000000");
        shell(kind ? "mkfifo early.mkv.memsafe/faces-000000"
                   : "ln -s $PWD/precious early.mkv.memsafe/faces-000000");
        assert_ms_ok(ms_run(&p, &report, &err), &err);
        assert_int_equal(report.windows_computed, 4);
        assert_same_bytes("whole.mkv", "early.mkv");
        assert_same_bytes("intact", "precious");
        unlink("early.mkv");
    }
    /* With steps enough for the interruption to come before the last window is done. */
    pid_t pid =
        start("run --audio in.wav --model model --steps 60 --resolution 64 --track in.jsonl --video in.avi "
              "--frames 60 --codec ffv1 -o early.mkv",
              "log");
    await_size(pid, "early.mkv.memsafe/faces-000000", WINDOW * 3 * 64 * 64 * (long long)sizeof(float));
    kill(pid, SIGINT);
    assert_int_equal(await_end(pid), ms_status_exit_code(MS_CANCELLED));
    read_log("log");
    if (!strstr(test_output, "16 of 60 frames are kept") &&
        !strstr(test_output, "32 of 60 frames are kept") && !strstr(test_output, "48 of 60 frames are kept"))
        fail_msg("nothing is said of what is kept: %s", test_output);
    shell("rm -rf early early.mkv early.mkv.memsafe");
}

/* The output comes first: what has no room is not kept, and that is said. */
static void a_full_disk_keeps_no_windows(void **state) {
    (void)state;
    enter_dir();
    assert_run_works(SHORT "--codec h264 -o room.mp4");
    assert_null(strstr(test_output, "are not kept"));
    char line[512];
    snprintf(line, sizeof(line), "ulimit -f 600; exec %s " SHORT "--codec h264 -o noroom.mp4 >log 2>&1",
             MS_CLI_PATH);
    assert_int_equal(system(line), 0);
    assert_log_says("log", "finished windows are not kept (File too large): a kill costs up to 10 frames");
    assert_same_bytes("room.mp4", "noroom.mp4");
    assert_false(test_exists("noroom.mp4.memsafe"));
}

/* With a pattern, only tests of such names. */
int main(int argc, char **argv) {
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kill_costs_one_window),          cmocka_unit_test(an_early_end_keeps_windows),
        cmocka_unit_test(a_resumed_run_says_what_it_found), cmocka_unit_test(finished_windows_are_a_job),
        cmocka_unit_test(what_is_named_as_kept_is_found),   cmocka_unit_test(damaged_poses_are_told_once),
        cmocka_unit_test(a_part_of_a_window_is_not_kept),   cmocka_unit_test(a_full_disk_keeps_no_windows),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
