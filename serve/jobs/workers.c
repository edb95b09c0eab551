/* What workers are told, and how they are started. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "files/new_file.h"
#include "jobs/jobs_inside.h"

#define READY_S 60.0
#define SLICE_MS 200

static void write_paths(ms_buf *b, const char *name, const char *first, const char *second) {
    ms_buf_printf(b, ",\"%s\":[", name);
    if (first)
        ms_buf_json_string(b, first);
    if (second)
        ms_buf_printf(b, first ? "," : "");
    if (second)
        ms_buf_json_string(b, second);
    ms_buf_printf(b, "]");
}

static void write_bounds(const jobs *js, ms_buf *b, const char *id) {
    char folder[4200], history[4200];
    snprintf(folder, sizeof(folder), "%s%s%s", js->folder_path, id ? "/" : "", id ? id : "");
    ms_folder_of(js->p.history ? js->p.history : "", history, sizeof(history));
    ms_buf_printf(b, "{\"do\":\"confine\",\"read\":[");
    for (int i = 0; i < js->p.n_allow; i++) {
        ms_buf_printf(b, i ? "," : "");
        ms_buf_json_string(b, js->p.allow[i]);
    }
    ms_buf_printf(b, "],\"models\":[");
    for (int i = 0; i < js->p.n_models; i++) {
        ms_buf_printf(b, i ? "," : "");
        ms_buf_json_string(b, js->p.models[i].path);
    }
    ms_buf_printf(b, "]");
    write_paths(b, "write", id && !id[0] ? NULL : folder, js->p.history ? history : NULL);
    ms_buf_printf(b, "}");
}

void jobs_write_order(const jobs *js, ms_buf *b, const char *what, const char *id, const job_options *o,
                      bool has_audio, bool has_track) {
    const jobs_model *model = jobs_find_model(js, o->model);
    const jobs_place *where = &js->p.place;
    char folder[4200] = "";
    if (id[0])
        snprintf(folder, sizeof(folder), "%s/%s", js->folder_path, id);
    ms_buf_printf(b, "{\"do\":\"%s\",\"folder\":", what);
    ms_buf_json_string(b, folder);
    ms_buf_printf(b, ",\"model\":");
    ms_buf_json_string(b, model ? model->path : "");
    ms_buf_printf(b, ",\"model_name\":");
    ms_buf_json_string(b, model ? model->name : "");
    ms_buf_printf(b, ",\"device\":");
    ms_buf_json_string(b, where->device);
    ms_buf_printf(b, ",\"history\":");
    ms_buf_json_string(b, js->p.history ? js->p.history : "");
    ms_buf_printf(
        b,
        ",\"audio\":%s,\"track\":%s,\"budget\":%zu,\"host_budget\":%zu,\"host_own\":%zu,\"device_bytes\":%zu,"
        "\"arch\":%d,\"options\":",
        has_audio ? "true" : "false", has_track ? "true" : "false", where->budget_bytes,
        where->host_budget_bytes, where->host_own_bytes, where->device_bytes, where->arch);
    job_options_write(b, o);
}

ms_status jobs_start_worker(jobs *js, worker_process *p, const char *kind, const char *id,
                            bool (*ends)(jobs *js), ms_error *err) {
    ms_buf b;
    ms_json_doc *doc = NULL;
    char why[sizeof(err->message)];
    MS_TRY(worker_process_start(p, kind, err));
    ms_buf_init(&b, NULL);
    write_bounds(js, &b, id);
    ms_status status = worker_lines_write(p->fd, &b, err);
    ms_buf_free(&b);
    for (double until = ms_now_s() + READY_S; status == MS_OK && !doc;) {
        status = worker_lines_read(&p->lines, SLICE_MS, &doc, err);
        if (status == MS_OK && !doc && ends(js))
            status = ms_fail(err, MS_CANCELLED, "the server ends");
        else if (status == MS_OK && !doc && ms_now_s() > until)
            status = ms_fail(err, MS_UNSUPPORTED, "it said nothing for %.0f s", READY_S);
    }
    if (status == MS_OK && strcmp(ms_json_get_text(ms_json_root(doc), "event"), "ready") != 0)
        status = ms_fail(err, MS_UNSUPPORTED, "it did not say that it is ready");
    ms_json_doc_destroy(&doc);
    if (status == MS_OK)
        return MS_OK;
    snprintf(why, sizeof(why), "%s", err->message);
    worker_process_end(p, status == MS_IO ? why : NULL, sizeof(why));
    return status == MS_CANCELLED ? status : ms_fail(err, MS_IO, "no worker can be started: %s", why);
}
