/* A disk that fails while an unfinished job is read: the run ends with an
   input/output error and the job is as it was, even where -y says that an unreadable
   one may go. This program's read() and its like fail for one file of the job. */
#define _GNU_SOURCE 1 /* pread64 */
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "support/run_inputs.h"
#include "text/duration.h"

static const char *failing = ""; /* the end of the name of the file that cannot be read; "" = all can */
static int failures;

/* No standard I/O here: it reads. */
static bool fails(int fd) {
    char link[64], path[4096];
    if (!*failing)
        return false;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    size_t length = strlen(failing);
    if (n < (ssize_t)length || memcmp(path + n - length, failing, length) != 0)
        return false;
    failures++;
    errno = EIO;
    return true;
}

/* In place of the C library's, for memsafe and for SQLite. */
#define FOR_ALL __attribute__((visibility("default")))

FOR_ALL ssize_t read(int fd, void *to, size_t bytes) {
    return fails(fd) ? -1 : syscall(SYS_read, fd, to, bytes);
}

FOR_ALL ssize_t pread(int fd, void *to, size_t bytes, off_t at) {
    return fails(fd) ? -1 : syscall(SYS_pread64, fd, to, bytes, at);
}

#ifdef __GLIBC__
FOR_ALL ssize_t pread64(int fd, void *to, size_t bytes, off64_t at) {
    return fails(fd) ? -1 : syscall(SYS_pread64, fd, to, bytes, at);
}
#endif

static int prepare(void **state) {
    (void)state;
    test_make_job_inputs(40, 60);
    assert_int_equal(chdir(test_dir()), 0);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static ms_run_params run_params(const char *output) {
    ms_run_params p = test_job_params("in.avi", output, 10);
    p.frames = 40;
    return p;
}

static bool once_two_are_there(void *arg) {
    (void)arg;
    return access("out.mkv.memsafe/segment-000001", F_OK) == 0 &&
           access("out.mkv.memsafe/segment-000002", F_OK) == 0;
}

/* A job with two finished segments, in "saved", and what the whole one gives, in "want.mkv". */
static void make_job(void) {
    ms_error err;
    ms_run_params p = run_params("want.mkv");
    assert_ms_ok(ms_run(&p, NULL, &err), &err);
    p = run_params("out.mkv");
    p.cancelled = once_two_are_there;
    assert_int_equal(ms_run(&p, NULL, &err), MS_CANCELLED);
    assert_int_equal(system("cp -a out.mkv.memsafe saved"), 0);
}

static void assert_untouched(const char *what) {
    if (system("diff -r -x '.memsafe-*' saved out.mkv.memsafe") != 0)
        fail_msg("%s: the job was changed", what);
}

/* Then the job is gone on with as if nothing had been. */
static void assert_goes_on(const char *what) {
    static ms_run_report report;
    ms_error err;
    ms_run_params p = run_params("out.mkv");
    assert_ms_ok(ms_run(&p, &report, &err), &err);
    if (report.frames_resumed < 20 || report.job_note[0])
        fail_msg("%s: %lld frames taken over, \"%s\"", what, (long long)report.frames_resumed,
                 report.job_note);
    assert_int_equal(system("cmp want.mkv out.mkv && rm out.mkv && cp -a saved out.mkv.memsafe"), 0);
}

static void a_failed_read_keeps_the_job(void **state) {
    (void)state;
    static const char *const names[] = {"/journal.db", "/segment-000000", "/segment-000001", "/poses"};
    ms_error err;
    make_job();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (int force = 0; force < 2; force++) {
            ms_run_params p = run_params("out.mkv");
            p.force = force;
            failing = names[i];
            failures = 0;
            ms_status status = ms_run(&p, NULL, &err);
            failing = "";
            if (status != MS_IO || failures == 0 ||
                !strstr(err.message, "the job in out.mkv.memsafe stays as it is"))
                fail_msg("%s, force %d: %d reads failed, %s: %s", names[i], force, failures,
                         ms_status_name(status), err.message);
            assert_untouched(names[i]);
        }
        assert_goes_on(names[i]);
    }
}

/* No file can be opened at any of the numbers of descriptors at which the run may come to the job's files. */
static void no_descriptors_left_keep_the_job(void **state) {
    (void)state;
    struct rlimit before, few;
    ms_error err;
    int refused = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (rlim_t most = 4; most < 24; most++) {
        ms_run_params p = run_params("out.mkv");
        p.force = true;
        few = (struct rlimit){most, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        ms_status status = ms_run(&p, NULL, &err);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (status == MS_OK)
            break;
        if (status == MS_DAMAGED)
            fail_msg("with %d descriptors: %s", (int)most, err.message);
        if (access("out.mkv.memsafe/journal.db", F_OK) != 0 ||
            access("out.mkv.memsafe/segment-000001", F_OK) != 0)
            fail_msg("with %d descriptors: the job is gone: %s", (int)most, err.message);
        refused++;
    }
    assert_true(refused > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_read_keeps_the_job),
        cmocka_unit_test(no_descriptors_left_keep_the_job),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
