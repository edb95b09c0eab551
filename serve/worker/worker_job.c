#include "worker/worker_job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

static const char *text_or_null(const ms_json *line, const char *key) {
    const char *text = ms_json_get_text(line, key);
    return text[0] ? text : NULL;
}

ms_status worker_job_read(const ms_json *line, worker_job *j, ms_error *err) {
    *j = (worker_job){.folder = ms_json_get_text(line, "folder"),
                      .model = ms_json_get_text(line, "model"),
                      .model_name = ms_json_get_text(line, "model_name"),
                      .history = text_or_null(line, "history"),
                      .device = text_or_null(line, "device"),
                      .has_audio = ms_json_get_flag(line, "audio"),
                      .has_track = ms_json_get_flag(line, "track"),
                      .budget_bytes = ms_json_get_integer(line, "budget", 0),
                      .host_budget_bytes = ms_json_get_integer(line, "host_budget", 0),
                      .host_own_bytes = ms_json_get_integer(line, "host_own", 0),
                      .device_bytes = ms_json_get_integer(line, "device_bytes", 0),
                      .arch = (int)ms_json_get_integer(line, "arch", 0)};
    job_options_init(&j->options);
    const ms_json *options = ms_json_get(line, "options");
    for (const ms_json *m = options ? options->child : NULL; m; m = m->next)
        MS_TRY(job_options_set_json(&j->options, m, err));
    if (j->folder[0] && chdir(j->folder) != 0)
        return ms_fail(err, MS_IO, "the job's folder cannot be entered: %s", strerror(errno));
    return MS_OK;
}

void worker_job_params(const worker_job *j, ms_run_params *p) {
    ms_run_params_init(p);
    job_options_to_run(&j->options, p);
    p->video = "video";
    p->audio = j->has_audio ? "audio" : "video";
    p->track = j->has_track ? "track" : NULL;
    p->output = job_options_output(&j->options);
    p->history = j->history;
    p->sink_frames = WORKER_RUN_FRAMES;
}

void worker_tell(worker *w, ms_buf *line) {
    pthread_mutex_lock(&w->writing);
    if (worker_lines_write(w->lines.fd, line, NULL) != MS_OK)
        w->gone = true;
    pthread_mutex_unlock(&w->writing);
    ms_buf_free(line);
}

static void replace_all(char *text, size_t bytes, const char *what, const char *by) {
    size_t n = strlen(what), m = strlen(by);
    if (n < 2 || m > n)
        return;
    for (char *at = text; (at = strstr(at, what)) != NULL; at += m) {
        memcpy(at, by, m);
        memmove(at + m, at + n, strlen(at + n) + 1);
    }
    text[bytes - 1] = 0;
}

void worker_hide_paths(const worker_job *j, char *text, size_t bytes) {
    char folder[4096];
    replace_all(text, bytes, j->model, j->model_name);
    snprintf(folder, sizeof(folder), "%s/", j->folder);
    replace_all(text, bytes, folder, "");
}

void worker_tell_failure(worker *w, const worker_job *j, const ms_error *err, int64_t needs_bytes,
                         const char *field) {
    ms_buf b;
    ms_error told = *err;
    worker_hide_paths(j, told.message, sizeof(told.message));
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "{\"event\":\"failed\",\"status\":\"%s\",\"needs_bytes\":%" PRId64 ",\"detail\":",
                  ms_status_name(told.code), needs_bytes);
    ms_buf_json_string(&b, told.message);
    ms_buf_printf(&b, ",\"field\":");
    ms_buf_json_string(&b, field ? field : "");
    ms_buf_printf(&b, "}");
    worker_tell(w, &b);
}

void worker_notes(ms_buf *b, const ms_run_report *r) {
    ms_buf_printf(b, "[");
    for (int i = 0; i < r->n_notes; i++) {
        ms_buf_printf(b, "%s{\"code\":", i ? "," : "");
        ms_buf_json_string(b, r->note[i].code);
        ms_buf_printf(b, ",\"text\":");
        ms_buf_json_string(b, r->note[i].text);
        ms_buf_printf(b, "}");
    }
    ms_buf_printf(b, "]");
}
