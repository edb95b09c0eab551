#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <asm/sockios.h>

#include "worker/sandbox.h"

/* What a worker is kept from is tried from inside: each number is the try that got through. */

static void *add_one(void *arg) {
    ++*(int *)arg;
    return NULL;
}

static bool is_refused(long result) {
    return result == -1 && errno == EPERM;
}

static int refused_calls(void) {
    char *argv[] = {(char *)"true", NULL};
    pid_t pid;
    if (execv("/bin/true", argv) != -1 || errno != EPERM)
        return 1;
    if (fork() != -1 || errno != EPERM)
        return 2;
    if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, NULL) == 0)
        return 3;
    if (socket(AF_INET, SOCK_STREAM, 0) != -1 || errno != EPERM)
        return 4;
    if (socket(AF_UNIX, SOCK_STREAM, 0) != -1 || errno != EPERM)
        return 5;
    if (ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) != -1 || errno != EPERM)
        return 6;
    if (kill(getppid(), 0) != -1 || errno != EPERM)
        return 7;
    if (syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0) != -1 || errno != EPERM)
        return 8;
    if (syscall(SYS_unshare, 0x10000000) != -1 || errno != EPERM)
        return 9;
    if (syscall(SYS_bpf, 0, NULL, 0) != -1 || errno != EPERM)
        return 10;
#ifdef SYS_io_uring_setup
    if (syscall(SYS_io_uring_setup, 1, NULL) != -1 || errno != EPERM)
        return 11;
#endif
    if (syscall(SYS_mount, "a", "/tmp", "tmpfs", 0, NULL) != -1 || errno != EPERM)
        return 12;
    return 0;
}

/* The one socket that a card's driver has, and what might be made of it. */
static int refused_of_sockets(void) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "memsafe-test-uvmfd-%d", (int)getpid());
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), pair[2];
    if (fd < 0 || bind(fd, (const struct sockaddr *)&name, sizeof(name)) != 0 || listen(fd, 16) != 0)
        return 90;
    if (!is_refused(accept(fd, NULL, NULL)) || !is_refused(accept4(fd, NULL, NULL, 0)))
        return 91;
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM | SOCK_CLOEXEC,
                                SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (!is_refused(socket(AF_UNIX, types[i], 0)))
            return 92;
    if (!is_refused(socket(AF_INET, SOCK_SEQPACKET, 0)) || !is_refused(socket(AF_NETLINK, SOCK_RAW, 0)) ||
        !is_refused(syscall(SYS_socket, 1UL << 32 | AF_UNIX, SOCK_SEQPACKET, 0)))
        return 93;
    int other = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    if (other < 0 || !is_refused(connect(other, (const struct sockaddr *)&name, sizeof(name))))
        return 94;
    if (send(other, "x", 1, 0) != -1 ||
        sendto(other, "x", 1, 0, (const struct sockaddr *)&name, sizeof(name)) != -1)
        return 95;
    if (!is_refused(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair)))
        return 96;
    return 0;
}

/* What the kernel looks at are 32 bits of a request: those above change nothing. */
static int refused_arguments(void) {
    struct rlimit r = {1, 1};
    char path[64];
    if (syscall(SYS_prlimit64, getppid(), RLIMIT_NOFILE, NULL, &r) != -1 || errno != EPERM)
        return 50;
    if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &r) != 0)
        return 51;
    static const unsigned long requests[] = {TIOCSTI, TIOCLINUX, TIOCSCTTY, FIOSETOWN};
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        if (syscall(SYS_ioctl, 0, requests[i], "x") != -1 || errno != EPERM)
            return 52;
        if (syscall(SYS_ioctl, 0, requests[i] | 1UL << 32, "x") != -1 || errno != EPERM)
            return 53;
    }
    if (fcntl(0, F_SETOWN, getppid()) != -1 || errno != EPERM || fcntl(0, F_SETSIG, SIGKILL) != -1 ||
        errno != EPERM)
        return 54;
    if (fcntl(0, F_GETFD) < 0)
        return 55;
    if (setpriority(PRIO_PROCESS, (id_t)getppid(), 19) != -1 || errno != EPERM)
        return 56;
    if (syscall(SYS_sched_setaffinity, getppid(), 8, "\1\0\0\0\0\0\0\0") != -1 || errno != EPERM)
        return 57;
    snprintf(path, sizeof(path), "/proc/%d/mem", (int)getppid());
    if (open(path, O_RDWR) != -1 || open(path, O_RDONLY) != -1)
        return 58;
    if (prctl(PR_GET_DUMPABLE) != 0)
        return 59;
    if (chmod("/tmp", 0777) != -1 || errno != EPERM)
        return 60;
    return 0;
}

/* Others of the user, though they are not named: 0 is all of a group or a user. */
static int refused_of_all(void) {
    if (!is_refused(setpriority(PRIO_USER, 0, 15)) || !is_refused(setpriority(PRIO_PGRP, 0, 15)))
        return 70;
    if (!is_refused(syscall(SYS_ioprio_set, 3, 0, 3 << 13)) ||
        !is_refused(syscall(SYS_ioprio_set, 2, 0, 3 << 13)))
        return 71;
    if (setpriority(PRIO_PROCESS, 0, 19) != 0 || syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 7) != 0)
        return 72;
    if (!is_refused(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600)) ||
        !is_refused(msgget(IPC_PRIVATE, IPC_CREAT | 0600)) ||
        !is_refused(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600)))
        return 73;
    if (!is_refused(syscall(SYS_mq_open, "memsafe-test", O_CREAT | O_RDWR, 0600, NULL)))
        return 74;
    if (!is_refused(prctl(PR_SET_PDEATHSIG, 0)) ||
        !is_refused(syscall(SYS_prctl, 1UL << 32 | PR_SET_PDEATHSIG, 0)))
        return 75;
    return 0;
}

/* By name; of an open file they are allowed. The file is none that Landlock would keep. */
static int refused_of_files(void) {
    char path[] = "/tmp/memsafe-test.named.XXXXXX";
    int fd = mkstemp(path), bad = 0;
    if (fd < 0 || write(fd, "x", 1) != 1)
        return 76;
    if (!is_refused(truncate(path, 0)))
        bad = 77;
    else if (!is_refused(utimensat(AT_FDCWD, path, NULL, 0)))
        bad = 78;
    else if (ftruncate(fd, 0) != 0 || futimens(fd, NULL) != 0)
        bad = 79;
#ifdef SYS_utimes
    else if (!is_refused(syscall(SYS_utimes, path, NULL)) || !is_refused(syscall(SYS_utime, path, NULL)) ||
             !is_refused(syscall(SYS_futimesat, AT_FDCWD, path, NULL)))
        bad = 80;
#endif
    unlink(path);
    close(fd);
    return bad;
}

/* Numbers that libseccomp may not know: 452 fchmodat2, 463 setxattrat, 469 file_setattr, and all to come. */
static int refused_numbers(void) {
    static const long numbers[] = {451, 452, 463, 467, 469, 600, 0x3fffffff};
    const long base = SYS_pidfd_send_signal - 424;
    struct {
        uint64_t value;
        uint32_t bytes, flags;
    } attribute = {(uintptr_t) "x", 1, 0};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (syscall(base + numbers[i], AT_FDCWD, "/tmp", 0, "user.memsafe", &attribute, sizeof(attribute)) !=
                -1 ||
            errno != ENOSYS)
            return 81;
    if (!is_refused(syscall(base + 442, -1, "", 0, NULL, 0)) ||
        !is_refused(syscall(base + 443, 0, 0, 0, 0)) || !is_refused(syscall(base + 448, -1, 0)))
        return 82;
    return 0;
}

static int allowed_calls(void) {
    pthread_t thread;
    int count = 0;
    if (pthread_create(&thread, NULL, add_one, &count) != 0 || pthread_join(thread, NULL) != 0 || count != 1)
        return 20;
    int fd = open("/dev/null", O_RDWR);
    if (fd < 0 || write(fd, "x", 1) != 1)
        return 21;
    if (kill(getpid(), 0) != 0 || raise(0) != 0)
        return 22;
    return 0;
}

static int limits_hold(void) {
    struct rlimit r;
    if (getrlimit(RLIMIT_CORE, &r) != 0 || r.rlim_max != 0)
        return 30;
#ifndef SANITIZED
    if (mmap(NULL, (size_t)1 << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        return 31;
#endif
    char path[] = "/tmp/memsafe-test.limit.XXXXXX", block[4096] = {0};
    int fd = mkstemp(path);
    unlink(path);
    if (fd < 0 || pwrite(fd, block, sizeof(block), 0) != (ssize_t)sizeof(block) ||
        pwrite(fd, block, sizeof(block), 1 << 20) != -1 || errno != EFBIG)
        return 32;
    return 0;
}

static int inside(void) {
#ifdef SANITIZED /* it has more addresses than that */
    const sandbox_limits limits = {.file_bytes = 1 << 20};
#else
    const sandbox_limits limits = {.address_bytes = (size_t)512 << 20, .file_bytes = 1 << 20};
#endif
    if (sandbox_enter(&limits, NULL) != MS_OK)
        return 40;
    int bad = refused_calls();
    if (!bad)
        bad = refused_arguments();
    if (!bad)
        bad = refused_of_all();
    if (!bad)
        bad = refused_of_files();
    if (!bad)
        bad = refused_numbers();
    if (!bad)
        bad = allowed_calls();
    return bad ? bad : limits_hold();
}

static int inside_for_a_driver(void) {
    const sandbox_limits limits = {.driver = true};
    return sandbox_enter(&limits, NULL) == MS_OK ? refused_of_sockets() : 40;
}

static int status_of(int (*child)(void)) {
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(child());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void keeps_a_worker_in(void **state) {
    (void)state;
    prctl(PR_SET_DUMPABLE, 0); /* as the server */
    int status = status_of(inside);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void gives_a_driver_its_socket(void **state) {
    (void)state;
    assert_int_equal(status_of(inside_for_a_driver), 0);
}

#ifdef __x86_64__
/* The same calls by the numbers of x32. */
static int call_x32(void) {
    const sandbox_limits limits = {0};
    if (sandbox_enter(&limits, NULL) != MS_OK)
        return 1;
    long result = syscall(0x40000000L | SYS_truncate, "/tmp/memsafe-test.none", 0);
    return result == -1 && errno == ENOSYS ? 0 : 2;
}

static void refuses_x32(void **state) {
    (void)state;
    int status = status_of(call_x32);
    assert_true((WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) ||
                (WIFEXITED(status) && WEXITSTATUS(status) == 0));
}
#endif

/* ---- files ---- */

static char folder[] = "/tmp/memsafe-test.files.XXXXXX";

static bool can_read(const char *name) {
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_RDONLY);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool can_make(const char *name) {
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void put(const char *name) {
    if (!can_make(name))
        fail_msg("%s cannot be made", name);
}

static int with_files(void) {
    const sandbox_limits limits = {0};
    char model[64], work[64], elsewhere[128], moved[128];
    snprintf(model, sizeof(model), "%s/model", folder);
    snprintf(work, sizeof(work), "%s/work", folder);
    const char *models[] = {model}, *write[] = {work};
    const sandbox_paths paths = {.models = models, .n_models = 1, .write = write, .n_write = 1};
    if (sandbox_enter(&limits, NULL) != MS_OK)
        return 1;
    if (!sandbox_files(&paths))
        return 77; /* as the kernel is */
    if (can_read("secret") || can_make("secret") || can_make("new") || can_read("."))
        return 2;
    if (!can_read("model/weights") || can_make("model/weights") || can_make("model/new"))
        return 3;
    if (!can_read("model/link")) /* what it leads to is part of the model */
        return 4;
    if (!can_make("work/new") || !can_read("work/new"))
        return 5;
    snprintf(elsewhere, sizeof(elsewhere), "%s/work/sub", folder);
    if (mkdir(elsewhere, 0700) != 0)
        return 6;
    snprintf(elsewhere, sizeof(elsewhere), "%s/work/new", folder);
    snprintf(moved, sizeof(moved), "%s/work/sub/new", folder);
    if (rename(elsewhere, moved) != 0 || unlink(moved) != 0)
        return 7;
    snprintf(moved, sizeof(moved), "%s/secret", folder);
    if (unlink(moved) == 0 || symlink("/etc/passwd", elsewhere) == 0)
        return 8;
    if (open("/proc/self/status", O_RDONLY) < 0 || open("/dev/null", O_RDWR) < 0)
        return 9;
    if (open("/etc/passwd", O_RDONLY) >= 0 || open("/tmp", O_RDONLY) >= 0)
        return 10;
    return 0;
}

static bool names_thread(const char *file) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/task/%d/%s", (int)getpid(), file);
    int fd = open(path, O_WRONLY);
    return fd >= 0 && write(fd, "cuda", 4) == 4 && close(fd) == 0;
}

/* What NVIDIA's driver does where it opens a card, and it does no more for that. */
#define NOBODY 65534

static int with_driver(bool driver) {
    const sandbox_limits limits = {.driver = driver};
    const sandbox_paths paths = {.driver = driver};
    if (getuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)) /* who may not write what is root's */
        return 1;
    if (sandbox_enter(&limits, NULL) != MS_OK)
        return 1;
    if (!sandbox_files(&paths))
        return 77;
    if (names_thread("comm") != driver)
        return 2;
    if (open("/proc/self/oom_score_adj", O_WRONLY) >= 0 || open("/proc/self/mem", O_RDWR) >= 0)
        return 3;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof(name.sun_path), "%s/socket", folder);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    if (driver && (fd < 0 || bind(fd, (const struct sockaddr *)&name, sizeof(name)) == 0))
        return 4;
    return 0;
}

static int for_a_driver(void) {
    return with_driver(true);
}

static int for_no_driver(void) {
    return with_driver(false);
}

static void gives_a_driver_its_files(void **state) {
    char command[160];
    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0777), 0);
    const int with = status_of(for_a_driver), without = status_of(for_no_driver);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    assert_true(WIFEXITED(with) && WIFEXITED(without));
    if (WEXITSTATUS(with) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(with), 0);
    assert_int_equal(WEXITSTATUS(without), 0);
}

static void gives_the_files_that_it_needs(void **state) {
    char path[128], command[160];
    (void)state;
    assert_non_null(mkdtemp(folder));
    static const char *const folders[] = {"model", "work", "store"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, folders[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    put("secret");
    put("model/weights");
    put("store/blob");
    snprintf(path, sizeof(path), "%s/model/link", folder);
    assert_int_equal(symlink("../store/blob", path), 0);
    int status = status_of(with_files);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("this kernel has no Landlock\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- stacks ---- */

static size_t stack_bytes(void) {
    pthread_attr_t attributes;
    size_t bytes = 0;
    if (pthread_getattr_default_np(&attributes) == 0) {
        pthread_attr_getstacksize(&attributes, &bytes);
        pthread_attr_destroy(&attributes);
    }
    return bytes;
}

static int with_stacks(size_t before, size_t after) {
    const sandbox_limits limits = {0};
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (pthread_attr_setstacksize(&attributes, before) != 0 || pthread_setattr_default_np(&attributes) != 0)
        return 1;
    if (stack_bytes() != before)
        return 2;
    if (sandbox_enter(&limits, NULL) != MS_OK)
        return 3;
    return stack_bytes() == after ? 0 : 4;
}

static int large_stacks(void) {
    return with_stacks((size_t)256 << 20, SANDBOX_STACK_BYTES);
}

static int small_stacks(void) {
    return with_stacks((size_t)1 << 20, (size_t)1 << 20);
}

/* Those that `ulimit -s` gives; smaller ones stay. */
static void keeps_stacks_small(void **state) {
    (void)state;
    assert_int_equal(status_of(large_stacks), 0);
    assert_int_equal(status_of(small_stacks), 0);
}

/* ---- time ---- */

static int burn(void) {
    const sandbox_limits limits = {.cpu_s = 1};
    if (sandbox_enter(&limits, NULL) != MS_OK)
        return 1;
    for (;;)
        ;
}

static void says_that_time_was_up(void **state) {
    (void)state;
    int status = status_of(burn);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGXCPU);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_a_worker_in),
                                       cmocka_unit_test(gives_a_driver_its_socket),
#ifdef __x86_64__
                                       cmocka_unit_test(refuses_x32),
#endif
                                       cmocka_unit_test(gives_a_driver_its_files),
                                       cmocka_unit_test(gives_the_files_that_it_needs),
                                       cmocka_unit_test(keeps_stacks_small),
                                       cmocka_unit_test(says_that_time_was_up)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
