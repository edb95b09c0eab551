/* What a process of its own ends with, for mistakes that end one. */
#ifndef MS_TESTS_SUPPORT_FORKED_H
#define MS_TESTS_SUPPORT_FORKED_H

#include "test.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* The signal that the child ended with, 0 = none. */
static inline int test_signal_of(void (*child)(void *arg), void *arg) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        (void)!freopen("/dev/null", "w", stderr);
        child(arg);
        _exit(0);
    }
    int state = 0;
    assert_int_equal(waitpid(pid, &state, 0), pid);
    if (WIFSIGNALED(state))
        return WTERMSIG(state);
    assert_true(WIFEXITED(state));
    return WEXITSTATUS(state) == 0 ? 0 : SIGSEGV; /* a sanitizer's end */
}

#endif
