#include "workers/worker_process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "console/console.h"

#define ORDER_WORDS 6 /* "run-worker" and five numbers and names */

/* ---- starting ---- */

static int set_files(posix_spawn_file_actions_t *files, int events) {
    int code = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);
    if (code == 0)
        code = posix_spawn_file_actions_addopen(files, 1, "/dev/null", O_WRONLY, 0);
    return code ? code : posix_spawn_file_actions_adddup2(files, events, 2);
}

static int spawn(cli_worker *w, int events, char **argv) {
    posix_spawn_file_actions_t files;
    int code = posix_spawn_file_actions_init(&files);
    if (code)
        return code;
    code = set_files(&files, events);
    if (code == 0)
        code = posix_spawn(&w->pid, "/proc/self/exe", &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    return code;
}

ms_status cli_worker_start(cli_worker *w, const cli_worker_order *o, ms_error *err) {
    char numbers[4][24];
    int n_words = 0, events[2];
    char *const *words = cli_typed_words(&n_words);
    char **argv = calloc((size_t)n_words + ORDER_WORDS + 2, sizeof(char *));
    *w = (cli_worker){.order = *o, .fd = -1};
    cli_events_begin(&w->heard);
    if (!argv)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for a worker");
    if (pipe2(events, O_CLOEXEC) != 0) {
        free(argv);
        return ms_fail(err, MS_IO, "no worker can be started: %s", strerror(errno));
    }
    snprintf(numbers[0], 24, "%ld", (long)getpid());
    snprintf(numbers[1], 24, "%" PRIu64, o->budget_bytes);
    snprintf(numbers[2], 24, "%" PRIu64, o->host_budget_bytes);
    snprintf(numbers[3], 24, "%d", o->threads);
    char program[] = "memsafe", command[] = "run-worker";
    char *first[] = {program, command, numbers[0], w->order.device, numbers[1], numbers[2], numbers[3]};
    memcpy(argv, first, sizeof(first));
    memcpy(argv + CLI_COUNT(first), words, (size_t)n_words * sizeof(char *));
    int code = spawn(w, events[1], argv);
    free(argv);
    close(events[1]);
    if (code != 0) {
        close(events[0]);
        w->pid = 0;
        return ms_fail(err, MS_IO, "no worker can be started: %s", strerror(code));
    }
    w->fd = events[0];
    fcntl(w->fd, F_SETFL, O_NONBLOCK);
    return MS_OK;
}

bool cli_worker_take_order(int argc, char **argv, cli_worker_order *o, int *ret_words) {
    if (argc < ORDER_WORDS)
        return false;
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || (long)getppid() != strtol(argv[1], NULL, 10))
        return false;
    snprintf(o->device, sizeof(o->device), "%s", argv[2]);
    o->budget_bytes = strtoull(argv[3], NULL, 10);
    o->host_budget_bytes = strtoull(argv[4], NULL, 10);
    o->threads = (int)strtol(argv[5], NULL, 10);
    *ret_words = ORDER_WORDS;
    return true;
}

void cli_worker_apply(const cli_worker_order *o, cli_run_state *s) {
    s->is_worker = true;
    s->part = s->part ? s->part : "auto";
    s->report = NULL;
    s->p.force = s->p.resume = false; /* it was decided before */
    s->p.device = o->device;
    s->p.threads = o->threads;
    s->p.budget_bytes = o->budget_bytes;
    s->p.host_budget_bytes = o->host_budget_bytes;
}

/* ---- listening ---- */

/* How it ended, where it said nothing of it itself. */
static void bury(cli_worker *w) {
    int status = 0;
    close(w->fd);
    w->fd = -1;
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
        ;
    w->pid = 0;
    if (WIFSIGNALED(status))
        ms_fail(&w->heard.err, MS_INTERNAL, "it was ended by signal %d (%s)", WTERMSIG(status),
                strsignal(WTERMSIG(status)));
    else if (!w->heard.done && w->heard.err.code == MS_OK)
        ms_fail(&w->heard.err, MS_INTERNAL, "it ended with code %d and said nothing", WEXITSTATUS(status));
    w->heard.done = w->heard.done && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void cli_worker_listen(cli_worker *w) {
    char text[4096];
    while (w->fd >= 0) {
        ssize_t n = read(w->fd, text, sizeof(text));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            bury(w);
            return;
        }
        cli_events_take(&w->heard, text, (size_t)n);
    }
}

void cli_worker_signal(const cli_worker *w, int number) {
    if (w->pid)
        kill(w->pid, number);
}

void cli_worker_kill(cli_worker *w) {
    if (!w->pid)
        return;
    kill(w->pid, SIGKILL);
    bury(w);
}
