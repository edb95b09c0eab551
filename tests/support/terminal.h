/* Running the command on a terminal. */
#ifndef MS_TESTS_SUPPORT_TERMINAL_H
#define MS_TESTS_SUPPORT_TERMINAL_H

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

/* Runs a line of shell on a terminal of so many columns; it has to work. ret: what came there. */
static inline void test_on_terminal(int columns, const char *term, const char *line, char *ret,
                                    size_t bytes) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    char name[128];
    snprintf(name, sizeof(name), "%s", ptsname(master));
    int slave = open(name, O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = 24};
    assert_int_equal(ioctl(slave, TIOCSWINSZ, &size), 0);
    pid_t pid = fork();
    if (pid == 0) {
        setenv("TERM", term, 1);
        dup2(slave, STDERR_FILENO);
        dup2(slave, STDOUT_FILENO);
        close(master);
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    close(slave);
    size_t got = 0;
    for (ssize_t n; got < bytes - 1 && (n = read(master, ret + got, bytes - 1 - got)) > 0;)
        got += (size_t)n;
    ret[got] = 0;
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
    close(master);
}

#endif
