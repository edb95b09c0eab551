#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/sandbox.h"

/* What a worker is kept from is tried from inside: each number is the try that got through. */

static void *add_one(void *arg) {
    ++*(int *)arg;
    return NULL;
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
        bad = allowed_calls();
    return bad ? bad : limits_hold();
}

static void keeps_a_worker_in(void **state) {
    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(inside());
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_a_worker_in)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
