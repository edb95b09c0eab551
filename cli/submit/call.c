#include "submit/call.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "console/console.h"
#include "console/signals.h"

#define LOOK_NS 5000000L

/* Its streams are files without a name: whatever their lengths, nobody waits for anybody. */
typedef struct streams {
    int fd[3];
} streams;

static void close_all(streams *s) {
    for (int i = 0; i < 3; i++)
        if (s->fd[i] >= 0)
            close(s->fd[i]);
}

static bool open_all(streams *s, const char *input) {
    size_t bytes = input ? strlen(input) : 0;
    bool good = true;
    for (int i = 0; i < 3; i++) {
        s->fd[i] = memfd_create("memsafe-call", MFD_CLOEXEC);
        good = good && s->fd[i] >= 0;
    }
    for (size_t at = 0; good && at < bytes;) {
        ssize_t n = write(s->fd[0], input + at, bytes - at);
        good = n > 0;
        at += good ? (size_t)n : 0;
    }
    if (good && lseek(s->fd[0], 0, SEEK_SET) == 0)
        return true;
    close_all(s);
    return false;
}

/* In a process group of its own: Ctrl-C is for us, and what sbatch has begun it says to the end. One that
   comes before it has that group is for nobody, and so are others that end us. */
static int spawn(const streams *s, const char *const *words, pid_t *ret_pid) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t signals, blocked;
    sigemptyset(&signals);
    sigaddset(&signals, SIGPIPE);
    sigaddset(&signals, SIGXFSZ);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGHUP);
    int code = posix_spawn_file_actions_init(&files);
    if (code)
        return code;
    code = posix_spawnattr_init(&how);
    if (code) {
        posix_spawn_file_actions_destroy(&files);
        return code;
    }
    for (int i = 0; code == 0 && i < 3; i++)
        code = posix_spawn_file_actions_adddup2(&files, s->fd[i], i);
    if (code == 0)
        code = posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                                  POSIX_SPAWN_SETSIGMASK);
    if (code == 0)
        code = posix_spawnattr_setsigmask(&how, &blocked);
    if (code == 0)
        code = posix_spawnattr_setsigdefault(&how, &signals);
    if (code == 0)
        code = posix_spawnp(ret_pid, words[0], &files, &how, (char *const *)(uintptr_t)words, environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    return code;
}

static int await(pid_t pid, const cli_call *call) {
    const double began_s = ms_now_s();
    int status = 0;
    bool killed = false, told = !call->told_interrupt || cli_interrupted(NULL);
    for (;;) {
        pid_t got = waitpid(pid, &status, killed ? 0 : WNOHANG);
        if (got == pid || (got < 0 && errno != EINTR))
            break;
        if (!told && cli_interrupted(NULL)) {
            cli_tell("  %s\n", call->told_interrupt);
            told = true;
        }
        if (!killed && ms_now_s() - began_s > call->limit_s) {
            kill(-pid, SIGKILL);
            killed = true;
        }
        if (!killed)
            nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    return !killed && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void read_all(int fd, ms_buf *b) {
    char text[4096];
    ssize_t n;
    for (off_t at = 0; (n = pread(fd, text, sizeof(text), at)) > 0; at += n)
        ms_buf_append(b, text, (size_t)n);
    ms_buf_append(b, "", 0);
}

ms_status cli_call_program(const cli_call *call, cli_called *ret, ms_error *err) {
    streams s;
    pid_t pid;
    *ret = (cli_called){.code = -1};
    ms_buf_init(&ret->output, NULL);
    ms_buf_init(&ret->errors, NULL);
    if (!open_all(&s, call->input))
        return ms_fail(err, MS_IO, "cannot start %s: %s", call->words[0], strerror(errno));
    int code = spawn(&s, call->words, &pid);
    ms_status status = MS_OK;
    if (code) {
        ret->missing = code == ENOENT;
        status = ms_fail(err, MS_IO, "cannot start %s: %s", call->words[0], strerror(code));
    } else {
        ret->code = await(pid, call);
        read_all(s.fd[1], &ret->output);
        read_all(s.fd[2], &ret->errors);
        if (ret->output.failed || ret->errors.failed)
            status = ms_fail(err, MS_HOST_MEMORY, "out of memory for what %s says", call->words[0]);
    }
    close_all(&s);
    return status;
}

void cli_called_free(cli_called *c) {
    ms_buf_free(&c->output);
    ms_buf_free(&c->errors);
}
