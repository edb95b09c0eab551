/* A job in parts whose folder is on a network file system: locks on a folder do not reach from one machine to
   another, and a renaming may be asked for twice. Nobody destroys what another is making. */
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "support/run_inputs.h"

#define FRAMES 40
#define SPEECH_FRAMES 52
#define SEGMENT 9

static ms_error err;
static ms_run_report report;

/* ---- the file system ---- */

/* Whoever locks a folder has it alone, as on a machine of its own. */
int flock(int fd, int operation) {
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    return (int)syscall(SYS_flock, fd, operation);
}

static bool asks_twice;

int renameat(int old_fd, const char *old_name, int new_fd, const char *new_name) {
    int rc = (int)syscall(SYS_renameat2, old_fd, old_name, new_fd, new_name, 0);
    if (rc != 0 || !asks_twice)
        return rc;
    errno = ENOENT;
    return -1;
}

/* ---- a job ---- */

static int prepare(void **state) {
    (void)state;
    test_make_job_inputs(FRAMES, SPEECH_FRAMES);
    assert_int_equal(chdir(test_dir()), 0);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static ms_run_params job(ms_run_work work) {
    ms_run_params p = test_job_params("in.avi", "out.mkv", SEGMENT);
    p.track = "in.jsonl";
    p.history = "history.db"; /* so that the machine is measured once */
    p.resume = false;
    p.work = work;
    return p;
}

static void run(ms_run_params p) {
    assert_ms_ok(ms_run(&p, &report, &err), &err);
}

static void assert_refused(ms_run_params p, ms_status status, const char *said) {
    ms_status got = ms_run(&p, &report, &err);
    if (got != status || !strstr(err.message, said))
        fail_msg("wanted %s \"%s\", got %s: %s", ms_status_name(status), said, ms_status_name(got),
                 err.message);
}

static bool has(const char *start) {
    DIR *dir = opendir("out.mkv.memsafe");
    bool found = false;
    for (struct dirent *e; dir && (e = readdir(dir));)
        found |= strncmp(e->d_name, start, strlen(start)) == 0;
    if (dir)
        closedir(dir);
    return found;
}

/* Stops this process whenever a file is there whose name begins so. */
static bool stop_at(void *arg) {
    if (has(arg))
        raise(SIGSTOP);
    return false;
}

static pid_t begin(ms_run_params p, const char *stop) {
    p.cancelled = stop_at;
    p.arg = (void *)(uintptr_t)stop;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also one that is stopped */
        ms_status status = ms_run(&p, &report, &err);
        if (status != MS_OK)
            fprintf(stderr, "%s\n", err.message);
        _exit(status != MS_OK ? 1 : report.already_finished ? 3 : 0);
    }
    return pid;
}

/* Goes on until it is stopped while the file is there (another of its threads may have named it anew). */
static void await_stop(pid_t pid, const char *stop) {
    int status = 0;
    do {
        kill(pid, SIGCONT);
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        assert_true(WIFSTOPPED(status));
    } while (!has(stop));
}

static int await_end(pid_t pid) {
    int status = 0;
    do {
        kill(pid, SIGCONT);
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    } while (WIFSTOPPED(status));
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void assert_joined(void) {
    run(job(MS_RUN_WORK_JOIN));
    shell("cmp want.mkv out.mkv && rm out.mkv && test ! -e out.mkv.memsafe");
}

/* Where the file system keeps no such attribute nobody knows whose the output is. */
static bool is_marked(const char *output) {
    return getxattr(output, "user.memsafe.job", NULL, 0) > 0;
}

/* ---- tests ---- */

static void a_join_that_comes_early_destroys_nothing(void **state) {
    (void)state;
    ms_run_params whole = job(MS_RUN_WORK_ALL), again = job(MS_RUN_WORK_SPLIT);
    whole.output = "want.mkv";
    again.resume = true;
    run(whole);
    for (int shared = 0; shared < 2; shared++) { /* a part of i/n, and one that shares */
        ms_run_params part = job(MS_RUN_WORK_PART);
        part.share = shared;
        part.part = part.parts = !shared;
        run(job(MS_RUN_WORK_SPLIT));
        pid_t pid = begin(part, "making-");
        await_stop(pid, "making-");
        assert_refused(job(MS_RUN_WORK_JOIN), MS_IO, " is missing");
        assert_true(has("making-"));
        run(again);
        assert_true(has("making-"));
        assert_int_equal(await_end(pid), 0);
        assert_joined();
    }
}

/* For more than a minute: it counts as dead. */
static void stop_for_long(pid_t pid, const char *stop) {
    await_stop(pid, stop);
    shell("touch -d '2 minutes ago' out.mkv.memsafe/worker-*");
}

/* It goes on while segments are missing, which others will make, or make again; so nothing of its may go. */
static void a_join_that_comes_early_leaves_one_that_is_stopped(void **state) {
    (void)state;
    run(job(MS_RUN_WORK_SPLIT));
    pid_t pid = begin(job(MS_RUN_WORK_PART), "making-");
    stop_for_long(pid, "making-");
    assert_refused(job(MS_RUN_WORK_JOIN), MS_IO, " is missing");
    assert_true(has("making-"));
    assert_int_equal(await_end(pid), 0);
    assert_joined();
}

/* By a split that is repeated, or by hand: its part makes the segment again. */
static void what_was_removed_while_it_was_made_is_made_again(void **state) {
    (void)state;
    ms_run_params again = job(MS_RUN_WORK_SPLIT);
    again.resume = true;
    for (int k = 0; k < 4; k++) {
        ms_run_params part = job(MS_RUN_WORK_PART);
        part.share = k % 2; /* else all of them by number */
        run(job(MS_RUN_WORK_SPLIT));
        pid_t pid = begin(part, "making-");
        stop_for_long(pid, "making-");
        if (k < 2)
            run(again);
        else
            shell("rm out.mkv.memsafe/making-*");
        assert_false(has("making-"));
        assert_int_equal(await_end(pid), 0);
        assert_joined();
    }
}

/* Those of the dead go, and so does what they were making. */
static void what_the_dead_left_goes(void **state) {
    (void)state;
    ms_run_params again = job(MS_RUN_WORK_SPLIT);
    again.resume = true;
    run(job(MS_RUN_WORK_SPLIT));
    pid_t pid = begin(job(MS_RUN_WORK_PART), "making-");
    await_stop(pid, "making-");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_true(has("making-") && has("worker-"));
    run(again);
    assert_false(has("making-") || has("worker-"));
    run(job(MS_RUN_WORK_PART));
    assert_joined();
}

static void a_join_leaves_a_split_alone(void **state) {
    (void)state;
    pid_t pid = begin(job(MS_RUN_WORK_SPLIT), "journal.db");
    await_stop(pid, "journal.db");
    assert_refused(job(MS_RUN_WORK_JOIN), MS_IO, "it must be split first");
    assert_true(has("journal.db"));
    assert_int_equal(await_end(pid), 0);
    run(job(MS_RUN_WORK_PART));
    assert_joined();
}

/* Whoever comes second finds its segments gone, or the name taken; and what it was making is gone, too. */
static void of_two_joins_both_are_finished(void **state) {
    (void)state;
    if (!is_marked("want.mkv"))
        skip();
    run(job(MS_RUN_WORK_SPLIT));
    run(job(MS_RUN_WORK_PART));
    pid_t pid = begin(job(MS_RUN_WORK_JOIN), ".memsafe-");
    await_stop(pid, ".memsafe-");
    run(job(MS_RUN_WORK_JOIN));
    assert_false(report.already_finished);
    assert_int_equal(await_end(pid), 3);
    shell("cmp want.mkv out.mkv && test ! -e out.mkv.memsafe");
    /* Who comes later still, with the options of the job. */
    ms_run_params late = job(MS_RUN_WORK_PART), other = job(MS_RUN_WORK_PART);
    late.share = other.share = true;
    other.seed = 5;
    run(late);
    assert_true(report.already_finished);
    assert_int_equal(report.segments_finished, report.segments);
    assert_refused(other, MS_IO, "it must be split first");
    run(job(MS_RUN_WORK_JOIN));
    assert_true(report.already_finished);
    shell("cmp want.mkv out.mkv && rm out.mkv && test ! -e out.mkv.memsafe");
}

/* A part that was stopped while others made its segments and joined them. */
static void a_part_that_comes_back_late_has_nothing_to_do(void **state) {
    (void)state;
    if (!is_marked("want.mkv"))
        skip();
    run(job(MS_RUN_WORK_SPLIT));
    pid_t pid = begin(job(MS_RUN_WORK_PART), "making-");
    await_stop(pid, "making-");
    run(job(MS_RUN_WORK_PART));
    run(job(MS_RUN_WORK_JOIN));
    assert_int_equal(await_end(pid), 3);
    shell("cmp want.mkv out.mkv && rm out.mkv && test ! -e out.mkv.memsafe");
}

static void a_renaming_that_is_asked_for_twice_is_one(void **state) {
    (void)state;
    run(job(MS_RUN_WORK_SPLIT));
    asks_twice = true;
    run(job(MS_RUN_WORK_PART));
    asks_twice = false;
    assert_joined();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_join_that_comes_early_destroys_nothing),
        cmocka_unit_test(a_join_that_comes_early_leaves_one_that_is_stopped),
        cmocka_unit_test(what_was_removed_while_it_was_made_is_made_again),
        cmocka_unit_test(what_the_dead_left_goes),
        cmocka_unit_test(a_join_leaves_a_split_alone),
        cmocka_unit_test(of_two_joins_both_are_finished),
        cmocka_unit_test(a_part_that_comes_back_late_has_nothing_to_do),
        cmocka_unit_test(a_renaming_that_is_asked_for_twice_is_one),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
