/* Leases of segments: one holder at a time among those who live, and nothing of the dead stays. */
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "job/segment_leases.h"
#include "support/cli.h"

static ms_error err;
static ms_job_folder folder;
static ms_leases *ours, *theirs;

static int prepare(void **state) {
    (void)state;
    bool there;
    assert_int_equal(chdir(test_dir()), 0);
    assert_ms_ok(ms_job_folder_find(&folder, test_file("out.mkv"), &there, &err), &err);
    assert_ms_ok(ms_job_folder_open(&folder, true, &err), &err);
    assert_ms_ok(ms_leases_open(NULL, &folder, &ours, &err), &err);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    ms_leases_close(&ours);
    ms_leases_close(&theirs);
    ms_job_folder_close(&folder);
    test_dir_remove();
    return 0;
}

static void write_file(const char *name, const char *text) {
    int fd = openat(folder.fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* A line of it. */
static void read_file(const char *name, char *text, size_t bytes) {
    int fd = openat(folder.fd, name, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, text, bytes - 1);
    close(fd);
    assert_true(n > 0);
    text[n] = 0;
    text[strcspn(text, "\n")] = 0;
}

static void set_age(const char *name, time_t seconds) {
    struct timespec times[2];
    clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= seconds;
    times[1] = times[0];
    assert_int_equal(utimensat(folder.fd, name, times, 0), 0);
}

static void one_has_it_at_a_time(void **state) {
    (void)state;
    assert_ms_ok(ms_leases_open(NULL, &folder, &theirs, &err), &err);
    assert_true(ms_leases_take(ours, 3));
    assert_false(ms_leases_take(ours, 3)); /* it is being made */
    assert_false(ms_leases_take(theirs, 3));
    assert_true(ms_leases_take(theirs, 4));
    assert_false(ms_leases_take(ours, 4));
    ms_leases_give_back(theirs, 3); /* it is not theirs */
    assert_false(ms_leases_take(theirs, 3));
    ms_leases_give_back(ours, 3);
    assert_true(ms_leases_take(theirs, 3));
    ms_leases_close(&theirs);
    assert_true(ms_leases_take(ours, 3) && ms_leases_take(ours, 4));
}

/* Without the thread that beats: a child may then start one of its own under every sanitizer. */
static pid_t fork_alone(void) {
    ms_leases_close(&ours);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0)
        assert_ms_ok(ms_leases_open(NULL, &folder, &ours, &err), &err);
    return child;
}

/* A process that is killed, on this machine. */
static void the_dead_hold_nothing(void **state) {
    (void)state;
    pid_t child = fork_alone();
    if (child == 0) {
        ms_leases *l = NULL;
        bool taken = ms_leases_open(NULL, &folder, &l, NULL) == MS_OK && ms_leases_take(l, 7);
        _exit(taken ? 0 : 1); /* gives nothing back */
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(ms_job_folder_has(&folder, "lease-000007"));
    assert_true(ms_leases_take(ours, 7));
}

/* One that is stopped (SIGSTOP, a frozen cgroup) holds its lock. When it goes on it has another name. */
static void a_stopped_worker_is_taken_over(void **state) {
    (void)state;
    char holder[100] = "";
    pid_t child = fork_alone();
    if (child == 0) {
        ms_leases *l = NULL;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (ms_leases_open(NULL, &folder, &l, NULL) != MS_OK || !ms_leases_take(l, 21))
            _exit(1);
        raise(SIGSTOP);
        bool back = ms_leases_take(l, 22) && !ms_leases_take(l, 21); /* which another has now */
        raise(SIGSTOP);
        _exit(back ? 0 : 2);
    }
    int status;
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    assert_false(ms_leases_take(ours, 21)); /* its last beat was just now */
    read_file("lease-000021", holder, sizeof(holder));
    set_age(holder, MS_LEASE_DEAD_S + 5);
    assert_true(ms_leases_take(ours, 21));
    assert_false(ms_job_folder_has(&folder, holder));
    kill(child, SIGCONT);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    assert_false(ms_leases_take(ours, 22));
    kill(child, SIGCONT);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(ms_leases_take(ours, 22));
}

/* What can be told of it is its clock. */
static void a_worker_elsewhere_lives_while_it_beats(void **state) {
    (void)state;
    write_file("worker-elsewhere", "another boot\n");
    write_file("lease-000008", "worker-elsewhere\n");
    set_age("worker-elsewhere", MS_LEASE_DEAD_S - 20);
    assert_false(ms_leases_take(ours, 8));
    set_age("worker-elsewhere", MS_LEASE_DEAD_S + 5);
    assert_true(ms_leases_take(ours, 8));
    assert_false(ms_job_folder_has(&folder, "worker-elsewhere"));
    write_file("lease-000009", "worker-gone\n");
    assert_true(ms_leases_take(ours, 9));
}

/* Its name is made first, and its line written then. */
static void an_empty_lease_is_a_new_one(void **state) {
    (void)state;
    write_file("lease-000010", "");
    set_age("lease-000010", -3); /* a little ahead, in case this process has to wait */
    assert_false(ms_leases_take(ours, 10));
    set_age("lease-000010", MS_LEASE_BEAT_S + 5);
    assert_true(ms_leases_take(ours, 10));
}

/* What memsafe does not make is nobody's lease, is not followed, and stops nobody. */
static void hostile_names_stop_nobody(void **state) {
    (void)state;
    write_file("target", "worker-elsewhere\n");
    assert_int_equal(symlinkat("target", folder.fd, "lease-000011"), 0);
    assert_true(ms_leases_take(ours, 11));
    struct stat st;
    assert_int_equal(fstatat(folder.fd, "target", &st, 0), 0);
    assert_int_equal(st.st_size, 17);
    write_file("lease-000012", "../../etc/passwd\n");
    assert_true(ms_leases_take(ours, 12));
    assert_int_equal(mkdirat(folder.fd, "lease-000013", 0700), 0);
    assert_true(ms_leases_take(ours, 13));
    write_file("worker-ahead", "another boot\n");
    write_file("lease-000014", "worker-ahead\n");
    set_age("worker-ahead", -3600);
    assert_true(ms_leases_take(ours, 14));
    unlinkat(folder.fd, "lease-000013", AT_REMOVEDIR);
    unlinkat(folder.fd, "target", 0);
}

/* As after a minute in which it was stopped: it has another name, and is no ghost. */
static void one_taken_for_dead_comes_back(void **state) {
    (void)state;
    assert_ms_ok(ms_leases_open(NULL, &folder, &ours, &err), &err);
    assert_true(ms_leases_take(ours, 16));
    assert_int_equal(system("rm out.mkv.memsafe/worker-*"), 0);
    assert_ms_ok(ms_leases_open(NULL, &folder, &theirs, &err), &err);
    assert_true(ms_leases_take(theirs, 16));
    assert_true(ms_leases_take(ours, 17));
    assert_false(ms_leases_take(theirs, 17));
    ms_leases_close(&theirs);
    ms_leases_close(&ours);
}

/* Another client of a network file system removed it: the file that is open may say that it has a name. */
static void one_whose_name_is_gone_comes_back(void **state) {
    (void)state;
    assert_ms_ok(ms_leases_open(NULL, &folder, &ours, &err), &err);
    assert_true(ms_leases_take(ours, 30));
    shell("cd out.mkv.memsafe && for f in worker-*; do mv $f kept-$f; done");
    assert_ms_ok(ms_leases_open(NULL, &folder, &theirs, &err), &err);
    assert_true(ms_leases_take(ours, 31));
    assert_false(ms_leases_take(theirs, 31));
    /* Another file has the name. */
    shell("cd out.mkv.memsafe && for f in worker-*; do mv $f kept-again-$f && echo another > $f; done");
    assert_true(ms_leases_take(ours, 32));
    assert_false(ms_leases_take(theirs, 32));
    ms_leases_close(&theirs);
    ms_leases_close(&ours);
    shell("rm out.mkv.memsafe/*");
}

static void count(void *arg, const char *name) {
    (void)name;
    (*(int *)arg)++;
}

static int workers(void) {
    int n = 0;
    ms_job_folder_named(&folder, MS_WORKER_FILES, count, &n);
    return n;
}

/* Names can be made, and nothing written: the file of a worker that could not begin would count for a minute
   as one who lives. */
static void a_full_disk_leaves_no_worker(void **state) {
    (void)state;
    struct rlimit before;
    const int there = workers();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){0, before.rlim_max}), 0);
    ms_status status = ms_leases_open(NULL, &folder, &theirs, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, MS_IO);
    assert_non_null(strstr(err.message, "cannot write"));
    assert_int_equal(workers(), there);
}

static void nothing_is_left(void **state) {
    (void)state;
    assert_true(ms_leases_take(ours, 20));
    ms_leases_close(&ours);
    assert_false(ms_job_folder_has_any(&folder, "lease-"));
    assert_false(ms_job_folder_has_any(&folder, "worker-"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_has_it_at_a_time),
        cmocka_unit_test(the_dead_hold_nothing),
        cmocka_unit_test(a_stopped_worker_is_taken_over),
        cmocka_unit_test(a_worker_elsewhere_lives_while_it_beats),
        cmocka_unit_test(an_empty_lease_is_a_new_one),
        cmocka_unit_test(hostile_names_stop_nobody),
        cmocka_unit_test(a_full_disk_leaves_no_worker),
        cmocka_unit_test(nothing_is_left),
        cmocka_unit_test(one_taken_for_dead_comes_back),
        cmocka_unit_test(one_whose_name_is_gone_comes_back),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
