/* The threads that have uploads looked at: each look is a worker of its own. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/error.h"
#include "jobs/jobs_inside.h"

#define SILENT_S 60.0
#define SLICE_MS 200 /* how soon a look is given up when the server ends */

void jobs_ask(jobs *js, jobs_look *look) {
    look->next = NULL;
    ms_error_clear(&look->err);
    pthread_mutex_lock(&js->look_lock);
    if (js->look_ending) {
        pthread_mutex_unlock(&js->look_lock);
        ms_fail(&look->err, MS_CANCELLED, "the server ends");
        look->done(look->arg);
        return;
    }
    if (js->last)
        js->last->next = look;
    else
        js->first = look;
    js->last = look;
    pthread_cond_signal(&js->look_woken);
    pthread_mutex_unlock(&js->look_lock);
}

static void write_line(jobs *js, ms_buf *b, const jobs_look *l) {
    jobs_write_order(js, b, l->id[0] ? "look" : "plan", l->id, &l->options, l->has_audio, l->has_track);
    if (!l->id[0]) {
        ms_buf_printf(b, ",\"width\":%d,\"height\":%d,\"frames\":%lld,\"fps\":", l->width, l->height,
                      (long long)l->frames);
        ms_buf_json_number(b, l->fps);
    }
    ms_buf_printf(b, "}");
}

static ms_status take_answer(jobs_look *l, const ms_json *line) {
    if (strcmp(ms_json_get_text(line, "event"), "looked") == 0) {
        l->input = worker_json_text(ms_json_get(line, "input"));
        l->plan = worker_json_text(ms_json_get(line, "plan"));
        return l->plan && (l->input || !l->id[0]) ? MS_OK : ms_fail(&l->err, MS_HOST_MEMORY, "out of memory");
    }
    int64_t needs = ms_json_get_integer(line, "needs_bytes", 0);
    l->needs_bytes = needs > 0 ? needs : 0;
    snprintf(l->field, sizeof(l->field), "%s", ms_json_get_text(line, "field"));
    return ms_fail(&l->err, ms_failure_named(ms_json_get_text(line, "status")), "%s",
                   ms_json_get_text(line, "detail"));
}

static bool ends(jobs *js) {
    pthread_mutex_lock(&js->look_lock);
    bool ending = js->look_ending;
    pthread_mutex_unlock(&js->look_lock);
    return ending;
}

/* A worker that dies over a file says that the file is bad, for nothing else was asked of it; but one that
   was killed from outside says nothing of the file. */
static void look_at(jobs *js, jobs_look *l) {
    worker_process w;
    ms_buf b;
    ms_json_doc *doc = NULL;
    char how[128] = "";
    if (jobs_start_worker(js, &w, WORKER_LOOK, l->id, ends, &l->err) != MS_OK)
        return;
    ms_buf_init(&b, NULL);
    write_line(js, &b, l);
    ms_status status = worker_lines_write(w.fd, &b, &l->err);
    ms_buf_free(&b);
    for (double until = ms_now_s() + SILENT_S; status == MS_OK && !doc && ms_now_s() < until;) {
        status = worker_lines_read(&w.lines, SLICE_MS, &doc, &l->err);
        if (status == MS_OK && !doc && ends(js))
            status = ms_fail(&l->err, MS_CANCELLED, "the server ends");
    }
    bool answered = doc != NULL, died = !answered && status == MS_IO;
    if (answered)
        take_answer(l, ms_json_root(doc));
    ms_json_doc_destroy(&doc);
    int end = worker_process_end(&w, died ? how : NULL, sizeof(how));
    if (died && WIFSIGNALED(end) && WTERMSIG(end) == SIGKILL)
        ms_fail(&l->err, MS_HOST_MEMORY, "looking at it was given up: %s", how);
    else if (!answered && status != MS_CANCELLED) {
        if (l->id[0] && !l->has_audio && !l->has_track) /* a plan by numbers has no files */
            snprintf(l->field, sizeof(l->field), "video");
        ms_fail(&l->err, MS_BAD_MEDIA, "looking at it was given up: %s",
                died ? how : "it took longer than a minute");
    }
}

void *jobs_look_loop(void *arg) {
    jobs *js = arg;
    for (;;) {
        pthread_mutex_lock(&js->look_lock);
        while (!js->first && !js->look_ending)
            pthread_cond_wait(&js->look_woken, &js->look_lock);
        jobs_look *l = js->first;
        bool ending = js->look_ending;
        if (l)
            js->first = l->next;
        if (!js->first)
            js->last = NULL;
        pthread_mutex_unlock(&js->look_lock);
        if (!l)
            return NULL;
        if (ending)
            ms_fail(&l->err, MS_CANCELLED, "the server ends");
        else
            look_at(js, l);
        jobs_lock(js);
        js->counts.looks++;
        js->counts.looks_failed += l->err.code != MS_OK;
        jobs_unlock(js);
        l->done(l->arg); /* l may be gone afterwards */
    }
}
