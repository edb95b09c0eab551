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
#include "text/json.h"

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
    *w = (cli_worker){.order = *o, .fd = -1, .first_fraction = -1, .fraction = -1, .eta_s = -1};
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

static void take_progress(cli_worker *w, const ms_json *line) {
    snprintf(w->stage, sizeof(w->stage), "%s", ms_json_get_text(line, "stage"));
    int64_t frames = (int64_t)ms_json_get_number(line, "frames_done", 0) - w->frames_before;
    if (w->planned) /* before, what was there counts as done */
        w->frames_done = frames > 0 ? frames : 0;
    w->fraction = ms_json_get_number(line, "fraction", -1);
    w->eta_s = ms_json_get_number(line, "eta_s", -1);
    if (w->first_fraction < 0)
        w->first_fraction = w->fraction;
}

static void take_error(cli_worker *w, const ms_json *line) {
    ms_fail(&w->err, ms_failure_named(ms_json_get_text(line, "name")), "%s",
            ms_json_get_text(line, "message"));
}

static void take_line(cli_worker *w, const char *text, size_t length) {
    ms_json_doc *doc = NULL;
    if (ms_json_parse(NULL, text, length, &doc, NULL) != MS_OK)
        return;
    const ms_json *line = ms_json_root(doc);
    const char *event = ms_json_get_text(line, "event");
    if (strcmp(event, "plan") == 0) {
        w->planned = true;
        w->frames_before = (int64_t)ms_json_get_number(line, "frames_resumed", 0);
    } else if (strcmp(event, "progress") == 0) {
        take_progress(w, line);
    } else if (strcmp(event, "done") == 0) {
        w->done = true;
        w->seconds = ms_json_get_number(line, "seconds", 0);
        w->peak_bytes = (int64_t)ms_json_get_number(line, "peak_resident_bytes", 0);
    } else if (strcmp(event, "error") == 0) {
        take_error(w, line);
    }
    ms_json_doc_destroy(&doc);
}

static void take_lines(cli_worker *w) {
    size_t from = 0;
    for (char *end; (end = memchr(w->line + from, '\n', w->length - from)) != NULL;) {
        take_line(w, w->line + from, (size_t)(end - w->line) - from);
        from = (size_t)(end - w->line) + 1;
    }
    memmove(w->line, w->line + from, w->length - from);
    w->length -= from;
    if (w->length == sizeof(w->line)) /* too long to be an event */
        w->length = 0;
}

/* How it ended, where it said nothing of it itself. */
static void bury(cli_worker *w) {
    int status = 0;
    close(w->fd);
    w->fd = -1;
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
        ;
    w->pid = 0;
    if (WIFSIGNALED(status))
        ms_fail(&w->err, MS_INTERNAL, "it was ended by signal %d (%s)", WTERMSIG(status),
                strsignal(WTERMSIG(status)));
    else if (!w->done && w->err.code == MS_OK)
        ms_fail(&w->err, MS_INTERNAL, "it ended with code %d and said nothing", WEXITSTATUS(status));
    w->done = w->done && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void cli_worker_listen(cli_worker *w) {
    while (w->fd >= 0) {
        ssize_t n = read(w->fd, w->line + w->length, sizeof(w->line) - w->length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            bury(w);
            return;
        }
        w->length += (size_t)n;
        take_lines(w);
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
