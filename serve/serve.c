#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "files/new_file.h"
#include "http/http.h"
#include "memsafe/plan.h"
#include "text/json.h"
#include "text/size.h"
#include "worker/worker_main.h"

#define MOST_FILES 65536
#define LOOK_NS 200000000

const char *serve_lacks(void) {
    return NULL;
}

typedef struct folder {
    int fd, lock;
    char path[PATH_MAX];
} folder;

/* All folders on the way, the last for the user alone where it was not there. */
static ms_status make_folders(const char *path, ms_error *err) {
    char part[PATH_MAX];
    if ((size_t)snprintf(part, sizeof(part), "%s", path) >= sizeof(part))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the data folder's name is too long");
    for (char *c = part + 1; *c; c++)
        if (*c == '/') {
            *c = 0;
            if (mkdir(part, 0755) != 0 && errno != EEXIST)
                return ms_fail(err, MS_IO, "%s cannot be made: %s", part, strerror(errno));
            *c = '/';
        }
    if (mkdir(part, 0700) != 0 && errno != EEXIST)
        return ms_fail(err, MS_IO, "%s cannot be made: %s", part, strerror(errno));
    return MS_OK;
}

/* One server for a folder: the lock goes with the process, however it ends. */
static ms_status take_lock(folder *f, ms_error *err) {
    char text[32] = "";
    f->lock = openat(f->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->lock < 0)
        return ms_fail(err, MS_IO, "%s/lock cannot be opened: %s", f->path, strerror(errno));
    if (flock(f->lock, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = pread(f->lock, text, sizeof(text) - 1, 0);
        text[n > 0 ? n : 0] = 0;
        text[strspn(text, "0123456789")] = 0;
        return ms_fail(err, MS_IO, "another server uses %s: process %s", f->path, text[0] ? text : "unknown");
    }
    int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(f->lock, 0) != 0 || pwrite(f->lock, text, (size_t)n, 0) != n)
        return ms_fail(err, MS_IO, "%s/lock cannot be written: %s", f->path, strerror(errno));
    return MS_OK;
}

/* What the server makes in it is for its user alone; who may write the folder could put other things there. A
   folder that somebody else made stays as it is. */
static ms_status check_folder(const folder *f, ms_error *err) {
    struct stat s;
    if (fstat(f->fd, &s) != 0)
        return ms_fail(err, MS_IO, "%s: %s", f->path, strerror(errno));
    if (s.st_uid != geteuid() && geteuid() != 0)
        return ms_fail(err, MS_IO, "%s is not this user's", f->path);
    if (s.st_mode & (S_IWGRP | S_IWOTH))
        return ms_fail(err, MS_IO, "%s can be written by others (mode %03o): chmod go-w", f->path,
                       (unsigned)(s.st_mode & 0777));
    return MS_OK;
}

static ms_status open_folder(const char *path, folder *f, ms_error *err) {
    f->fd = f->lock = -1;
    MS_TRY(make_folders(path, err));
    if (!realpath(path, f->path))
        return ms_fail(err, MS_IO, "%s: %s", path, strerror(errno));
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->fd < 0)
        return ms_fail(err, MS_IO, "%s cannot be opened: %s", f->path, strerror(errno));
    MS_TRY(check_folder(f, err));
    return take_lock(f, err);
}

static void close_folder(folder *f) {
    if (f->lock >= 0)
        close(f->lock);
    if (f->fd >= 0)
        close(f->fd);
}

/* Workers may write the folder of the history: one that the data folder is in would give them the list of
   jobs, so there is no history then. It is made here, for workers cannot. */
static const char *history_for(const serve_params *p, const folder *f) {
    static char absolute[2 * PATH_MAX]; /* workers are elsewhere */
    char path[PATH_MAX], real[PATH_MAX];
    if (!p->history)
        return NULL;
    ms_folder_of(p->history, path, sizeof(path));
    if (make_folders(path, NULL) != MS_OK || !realpath(path, real))
        return NULL;
    size_t n = strlen(real);
    bool around = strncmp(real, f->path, n) == 0 && (f->path[n] == 0 || f->path[n] == '/' || n == 1);
    snprintf(absolute, sizeof(absolute), "%s/%s", n > 1 ? real : "", ms_name_in(p->history));
    return around ? NULL : absolute;
}

/* ---- a budget that takes nothing ---- */

/* The plan of a job as small as there is. */
typedef struct smallest {
    jobs_look look;
    atomic_bool answered;
    bool told;
} smallest;

static void take_smallest(void *arg) {
    atomic_store(&((smallest *)arg)->answered, true);
}

static void ask_smallest(smallest *s, jobs *js) {
    s->look = (jobs_look){.width = JOB_LEAST_SIDE,
                          .height = JOB_LEAST_SIDE,
                          .fps = 25,
                          .frames = 1,
                          .done = take_smallest,
                          .arg = s};
    job_options_init(&s->look.options);
    s->look.options.resolution = 64; /* the least */
    jobs_ask(js, &s->look);
}

static void tell_too_small(const serve_params *p, const jobs_place *place, const ms_json *plan) {
    char budget[MS_SIZE_TEXT_BYTES], text[320];
    const size_t host_bytes = (size_t)ms_json_get_integer(plan, "host_peak_bytes", 0);
    const bool of_host = host_bytes > place->host_budget_bytes;
    const size_t needs_bytes = of_host ? host_bytes : (size_t)ms_json_get_integer(plan, "least_bytes", 0);
    snprintf(text, sizeof(text),
             "a budget of %s%s is too small for any job: with the model %.60s a picture with a face of 64 px "
             "needs %s%llu MiB",
             ms_size_format_budget(budget, of_host ? place->host_budget_bytes : place->budget_bytes),
             of_host ? " of the host's memory" : "", p->models[0].name, of_host ? "" : "at least ",
             (unsigned long long)ms_size_whole_mib(needs_bytes));
    p->warned(p->arg, "budget-too-small", text);
}

/* Of a model that cannot be planned the first job will tell. */
static void tell_smallest(const serve_params *p, const jobs_place *place, smallest *s) {
    ms_json_doc *doc = NULL;
    if (s->told || !atomic_load(&s->answered))
        return;
    s->told = true;
    if (s->look.err.code != MS_OK ||
        ms_json_parse(NULL, s->look.plan, strlen(s->look.plan), &doc, NULL) != MS_OK)
        return;
    if (!ms_json_get_flag(ms_json_root(doc), "fits"))
        tell_too_small(p, place, ms_json_root(doc));
    ms_json_doc_destroy(&doc);
}

static ms_status serve_in(const serve_params *p, const folder *f, ms_error *err) {
    jobs_place place;
    smallest small = {.told = !p->budget_bytes && !p->host_budget_bytes};
    const jobs_place_params where = {.device = p->device,
                                     .budget_bytes = p->budget_bytes,
                                     .host_budget_bytes = p->host_budget_bytes,
                                     .ended = p->ended,
                                     .arg = p->arg,
                                     .lock = f->lock};
    ms_status status = jobs_place_find(&where, &place, err);
    if (status != MS_OK)
        return status == MS_CANCELLED ? MS_OK : status; /* it ends as it was told to */
    /* /proc/PID/mem and environ are closed to the user's other programs */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    const jobs_params about_jobs = {.folder = f->fd,
                                    .folder_path = f->path,
                                    .models = (const jobs_model *)p->models,
                                    .n_models = p->n_models,
                                    .place = place,
                                    .allow = p->allow,
                                    .n_allow = p->n_allow,
                                    .history = history_for(p, f),
                                    .keep_ms = p->keep_s * 1000,
                                    .keep_bytes = p->keep_bytes,
                                    .keep_jobs = p->keep_jobs,
                                    .most_waiting = p->most_waiting,
                                    .most_waiting_bytes = p->most_waiting_bytes,
                                    .webhook_to = p->webhook_to,
                                    .n_webhook_to = p->n_webhook_to,
                                    .webhook_key = p->webhook_key};
    jobs *js = NULL;
    http *h = NULL;
    MS_TRY(jobs_open(&about_jobs, &js, err));
    const http_params about_http = {.listen = p->listen,
                                    .token = p->token,
                                    .allow = p->allow,
                                    .n_allow = p->n_allow,
                                    .max_upload_bytes = p->max_upload_bytes,
                                    .jobs = js};
    status = http_start(&about_http, &h, err);
    if (status == MS_OK) {
        const struct timespec look = {.tv_nsec = LOOK_NS};
        p->listening(p->arg, http_address(h));
        if (!small.told)
            ask_smallest(&small, js);
        while (!p->ended(p->arg)) {
            nanosleep(&look, NULL);
            tell_smallest(p, &place, &small);
        }
        http_quiet(h);
    }
    jobs_stop(js);
    http_stop(&h);
    jobs_close(&js);
    free(small.look.input);
    free(small.look.plan);
    return status;
}

/* 512 connections, each with a file, are more than the usual 1024. */
static void raise_files(void) {
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max && r.rlim_cur < MOST_FILES) {
        r.rlim_cur = r.rlim_max < MOST_FILES ? r.rlim_max : MOST_FILES;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

ms_status serve(const serve_params *p, ms_error *err) {
    folder f;
    umask(077);
    raise_files();
    ms_status status = open_folder(p->data, &f, err);
    if (status == MS_OK)
        status = serve_in(p, &f, err);
    close_folder(&f);
    return status;
}

int serve_worker(int argc, char **argv,
                 ms_status (*write_report)(const char *path, const ms_run_params *params,
                                           const ms_run_report *report, ms_error *err)) {
    return worker_main(argc, argv, write_report);
}
