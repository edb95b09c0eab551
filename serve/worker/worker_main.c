#include "worker/worker_main.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "memsafe/libav_log.h"
#include "worker/sandbox.h"
#include "worker/worker_job.h"
#include "worker/worker_process.h"

/* Sanitizers reserve addresses by the terabyte. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LOOK_ADDRESS_BYTES 0
#else
#define LOOK_ADDRESS_BYTES ((size_t)2 << 30)
#endif

#define FIRST_LINE_MS (60 * 1000)

/* A look at an upload takes a second or two. */
static const sandbox_limits look_limits = {
    .cpu_s = 30, .address_bytes = LOOK_ADDRESS_BYTES, .file_bytes = (size_t)256 << 20};
static const sandbox_limits run_limits = {.file_bytes = (size_t)64 << 30};
static const sandbox_limits device_limits = {.file_bytes = (size_t)64 << 30, .driver = true};

static const sandbox_limits *limits_of(const char *kind) {
    return strcmp(kind, WORKER_LOOK) == 0     ? &look_limits
           : strcmp(kind, WORKER_DEVICE) == 0 ? &device_limits
                                              : &run_limits;
}

static worker the_worker;

/* What libav says of an upload is for nobody. */
static void say_nothing(void *avcl, int level, const char *format, va_list arguments) {
    (void)avcl, (void)level, (void)format, (void)arguments;
}

static bool is_ours(int argc, char **argv) {
    int kind = 0;
    socklen_t bytes = sizeof(kind);
    return argc == 3 && getsockopt(WORKER_FD, SOL_SOCKET, SO_TYPE, &kind, &bytes) == 0 &&
           kind == SOCK_STREAM && getppid() == (pid_t)strtol(argv[2], NULL, 10);
}

#define MOST_PATHS 128

static int take_paths(const ms_json *line, const char *key, const char *ret[MOST_PATHS]) {
    const ms_json *list = ms_json_get(line, key);
    int n = 0;
    for (const ms_json *m = list ? list->child : NULL; m && n < MOST_PATHS; m = m->next)
        if (m->type == MS_JSON_STRING)
            ret[n++] = m->string;
    return n;
}

/* The first line says which files are needed; nothing that somebody uploaded is opened before. False: the
   server has ended. */
static bool confine(worker *w, const char *kind) {
    const char *read[MOST_PATHS], *write[MOST_PATHS], *models[MOST_PATHS];
    ms_json_doc *doc = NULL;
    if (worker_lines_read(&w->lines, FIRST_LINE_MS, &doc, NULL) != MS_OK || !doc)
        return false;
    const ms_json *line = ms_json_root(doc);
    bool told = strcmp(ms_json_get_text(line, "do"), "confine") == 0;
    if (told) {
        const sandbox_paths paths = {.read = read,
                                     .n_read = take_paths(line, "read", read),
                                     .write = write,
                                     .n_write = take_paths(line, "write", write),
                                     .models = models,
                                     .n_models = take_paths(line, "models", models),
                                     .driver = strcmp(kind, WORKER_DEVICE) == 0};
        sandbox_files(&paths); /* where the kernel has it: docs/serve.md says what holds without */
    }
    ms_json_doc_destroy(&doc);
    if (told) {
        ms_buf b;
        ms_buf_init(&b, NULL);
        ms_buf_printf(&b, "{\"event\":\"ready\"}");
        worker_tell(w, &b);
    }
    return told;
}

static void close_the_rest(void) {
#ifdef SYS_close_range
    if (syscall(SYS_close_range, WORKER_FD + 1, ~0U, 0) == 0)
        return;
#endif
    struct rlimit r;
    int most = getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < 65536 ? (int)r.rlim_cur : 65536;
    for (int fd = WORKER_FD + 1; fd < most; fd++)
        close(fd);
}

static void work(worker *w, const ms_json *line) {
    worker_job job;
    ms_error err;
    ms_error_clear(&err);
    const char *what = ms_json_get_text(line, "do");
    if (strcmp(what, "cancel") == 0) /* of what has ended by itself meanwhile */
        return;
    if (worker_job_read(line, &job, &err) != MS_OK)
        worker_tell_failure(w, &job, &err, 0, NULL);
    else if (strcmp(what, "run") == 0)
        worker_run(w, &job);
    else if (strcmp(what, "look") == 0)
        worker_look(w, &job);
    else if (strcmp(what, "plan") == 0)
        worker_plan(w, &job, line);
}

int worker_main(int argc, char **argv, worker_report_fn write_report) {
    worker *w = &the_worker;
    ms_error err;
    ms_error_clear(&err);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* before the parent is looked for: it may end at any time */
    if (!is_ours(argc, argv)) {
        fprintf(stderr, "memsafe: serve-worker is started by `memsafe serve`, not by hand\n");
        return ms_status_exit_code(MS_INVALID_ARGUMENT);
    }
    signal(SIGINT, SIG_IGN); /* of a terminal's group: the server says when to end */
    close_the_rest();
    if (sandbox_enter(limits_of(argv[1]), &err) != MS_OK) {
        fprintf(stderr, "memsafe: %s\n", err.message);
        return ms_status_exit_code(err.code);
    }
    ms_libav_log_take(say_nothing);
    pthread_mutex_init(&w->writing, NULL);
    w->write_report = write_report;
    worker_lines_init(&w->lines, WORKER_FD);
    w->gone = !confine(w, argv[1]);
    while (!w->gone) {
        ms_json_doc *doc = NULL;
        if (worker_lines_read(&w->lines, 3600 * 1000, &doc, &err) != MS_OK)
            break;
        if (doc)
            work(w, ms_json_root(doc));
        ms_json_doc_destroy(&doc);
    }
    worker_run_end();
    return 0;
}
