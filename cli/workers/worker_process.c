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

#define ORDER_WORDS 6 /* what it is called, and five numbers and names */

/* ---- starting ---- */

/* told: what it reads, -1 = nothing. */
static int set_files(posix_spawn_file_actions_t *files, int told, int events) {
    int code = told < 0 ? posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0)
                        : posix_spawn_file_actions_adddup2(files, told, 0);
    if (code == 0)
        code = posix_spawn_file_actions_addopen(files, 1, "/dev/null", O_WRONLY, 0);
    return code ? code : posix_spawn_file_actions_adddup2(files, events, 2);
}

static int spawn(cli_worker *w, int told, int events, char **argv) {
    posix_spawn_file_actions_t files;
    int code = posix_spawn_file_actions_init(&files);
    if (code)
        return code;
    code = set_files(&files, told, events);
    if (code == 0)
        code = posix_spawn(&w->pid, "/proc/self/exe", &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    return code;
}

static void close_pipe(int ends[2]) {
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
    ends[0] = ends[1] = -1;
}

/* Its words are those of this process; argv has room for all. */
static int spawn_with(cli_worker *w, int told, int events, char **argv, char *const *words, int n_words) {
    const cli_worker_order *o = &w->order;
    char numbers[4][24];
    snprintf(numbers[0], 24, "%ld", (long)getpid());
    snprintf(numbers[1], 24, "%" PRIu64, o->budget_bytes);
    snprintf(numbers[2], 24, "%" PRIu64, o->host_budget_bytes);
    snprintf(numbers[3], 24, "%d", o->threads);
    char program[] = "memsafe", run[] = "run-worker", batch[] = "batch-worker";
    char *first[] = {
        program,   o->takes_clips ? batch : run, numbers[0], w->order.device, numbers[1], numbers[2],
        numbers[3]};
    memcpy(argv, first, sizeof(first));
    memcpy(argv + CLI_COUNT(first), words, (size_t)n_words * sizeof(char *));
    return spawn(w, told, events, argv);
}

ms_status cli_worker_start(cli_worker *w, const cli_worker_order *o, ms_error *err) {
    int n_words = 0, events[2] = {-1, -1}, told[2] = {-1, -1}, code = 0;
    char *const *words = cli_typed_words(&n_words);
    char **argv = calloc((size_t)n_words + ORDER_WORDS + 2, sizeof(char *));
    *w = (cli_worker){.order = *o, .fd = -1, .to = -1};
    cli_events_begin(&w->heard);
    if (!argv)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for a worker");
    if (pipe2(events, O_CLOEXEC) != 0 || (o->takes_clips && pipe2(told, O_CLOEXEC) != 0))
        code = errno;
    else
        code = spawn_with(w, told[0], events[1], argv, words, n_words);
    free(argv);
    if (code != 0) {
        close_pipe(events);
        close_pipe(told);
        w->pid = 0;
        return ms_fail(err, MS_IO, "no worker can be started: %s", strerror(code));
    }
    close(events[1]);
    if (told[0] >= 0)
        close(told[0]);
    w->to = told[1];
    w->fd = events[0];
    fcntl(w->fd, F_SETFL, O_NONBLOCK);
    return MS_OK;
}

static bool take_order(int argc, char **argv, cli_worker_order *o) {
    if (argc < ORDER_WORDS)
        return false;
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || (long)getppid() != strtol(argv[1], NULL, 10))
        return false;
    snprintf(o->device, sizeof(o->device), "%s", argv[2]);
    o->budget_bytes = strtoull(argv[3], NULL, 10);
    o->host_budget_bytes = strtoull(argv[4], NULL, 10);
    o->threads = (int)strtol(argv[5], NULL, 10);
    return true;
}

ms_status cli_worker_read(const cli_command *command, int argc, char **argv, cli_worker_order *o,
                          cli_run_state *s, char ***ret_words, int *ret_count, ms_error *err) {
    if (!take_order(argc, argv, o))
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s-worker is started by a %s, not by hand", command->name,
                       command->name);
    *ret_words = argv + ORDER_WORDS;
    cli_keep_typed_words(argc - ORDER_WORDS, *ret_words);
    command->defaults(s);
    MS_TRY(cli_parse(command, argc - ORDER_WORDS, *ret_words, s, ret_count, err));
    s->console = (cli_console_options){.progress = CLI_PROGRESS_JSON};
    return MS_OK;
}

void cli_worker_apply(const cli_worker_order *o, cli_run_state *s) {
    s->is_worker = true;
    s->p.device = o->device;
    s->p.threads = o->threads;
    s->p.budget_bytes = o->budget_bytes;
    s->p.host_budget_bytes = o->host_budget_bytes;
}

void cli_worker_close(cli_worker *w) {
    if (w->to >= 0)
        close(w->to);
    w->to = -1;
}

/* ---- listening ---- */

/* How it ended, where it said nothing of it itself. */
static void bury(cli_worker *w) {
    int status = 0;
    close(w->fd);
    w->fd = -1;
    cli_worker_close(w);
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
