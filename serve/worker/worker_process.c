#include "worker/worker_process.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "worker/worker_main.h"

/* Its standard input and output are nothing, its errors are the server's. */
static int set_files(posix_spawn_file_actions_t *files, int fd) {
    int code = posix_spawn_file_actions_addopen(files, 0, "/dev/null", 0 /* O_RDONLY */, 0);
    if (code == 0)
        code = posix_spawn_file_actions_addopen(files, 1, "/dev/null", 1 /* O_WRONLY */, 0);
    return code ? code : posix_spawn_file_actions_adddup2(files, fd, WORKER_FD);
}

ms_status worker_process_start(worker_process *p, const char *kind, ms_error *err) {
    int pair[2];
    char parent[24], name[] = "memsafe", what[] = "serve-worker", kind_text[8];
    char *argv[] = {name, what, kind_text, parent, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    snprintf(parent, sizeof(parent), "%ld", (long)getpid());
    snprintf(kind_text, sizeof(kind_text), "%s", kind);
    *p = (worker_process){.fd = -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return ms_fail(err, MS_IO, "no worker can be started: %s", strerror(errno));
    sigemptyset(&none);
    int code = posix_spawn_file_actions_init(&files);
    if (code == 0) {
        posix_spawnattr_init(&attributes);
        posix_spawnattr_setsigmask(&attributes, &none);
        /* Of a session of its own: no terminal is its own, which it could type into. */
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
        code = set_files(&files, pair[1]);
        if (code == 0)
            code = posix_spawn(&p->pid, "/proc/self/exe", &files, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&files);
    }
    close(pair[1]);
    if (code != 0) {
        close(pair[0]);
        p->pid = 0;
        return ms_fail(err, MS_IO, "no worker can be started: %s", strerror(code));
    }
    p->fd = pair[0];
    worker_lines_init(&p->lines, p->fd);
    return MS_OK;
}

static void describe(int status, char *ret_how, size_t bytes) {
    if (WIFSIGNALED(status))
        snprintf(ret_how, bytes, "%s",
                 WTERMSIG(status) == SIGXCPU   ? "it took too much time of the processor"
                 : WTERMSIG(status) == SIGKILL ? "it was killed, perhaps because memory ran out"
                                               : strsignal(WTERMSIG(status)));
    else
        snprintf(ret_how, bytes, "it ended with code %d", WEXITSTATUS(status));
}

int worker_process_end(worker_process *p, char *ret_how, size_t how_bytes) {
    int status = 0;
    if (!p->pid)
        return 0;
    /* One that has died by itself says how; it may be still on its way. */
    pid_t gone = 0;
    if (ret_how)
        for (double until = ms_now_s() + 1; gone == 0 && ms_now_s() < until; usleep(10000))
            gone = waitpid(p->pid, &status, WNOHANG);
    if (gone == 0) {
        kill(p->pid, SIGKILL);
        while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    if (ret_how)
        describe(status, ret_how, how_bytes);
    close(p->fd);
    *p = (worker_process){.fd = -1};
    return status;
}
