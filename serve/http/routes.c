/* What can be asked for, and the short answers. Uploads are in submit.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/http_inside.h"
#include "memsafe/library.h"

/* ---- one job ---- */

job *lock_job(request *r) {
    jobs_lock(r->h->p.jobs);
    job *j = jobs_find(r->h->p.jobs, r->id);
    if (j)
        return j;
    jobs_unlock(r->h->p.jobs);
    refuse_no_job(r);
    return NULL;
}

static http_result get_job(request *r) {
    job *j = lock_job(r);
    return j ? answer_locked_job(r, j, MHD_HTTP_OK) : answer_problem(r);
}

static http_result delete_job(request *r) {
    job *j = lock_job(r);
    if (!j)
        return answer_problem(r);
    jobs_delete(r->h->p.jobs, j);
    jobs_unlock(r->h->p.jobs);
    return answer_empty(r, MHD_HTTP_NO_CONTENT);
}

static http_result act(request *r, ms_status (*action)(jobs *js, job *j, ms_error *err)) {
    ms_error err;
    job *j = lock_job(r);
    if (!j)
        return answer_problem(r);
    ms_status status = action(r->h->p.jobs, j, &err);
    if (status == MS_OK)
        return answer_locked_job(r, j, MHD_HTTP_OK);
    jobs_unlock(r->h->p.jobs);
    if (status == MS_INVALID_ARGUMENT)
        refuse(r, MHD_HTTP_CONFLICT, "wrong-state", "%s", err.message);
    else
        refuse_error(r, &err, 0);
    return answer_problem(r);
}

static http_result start_job(request *r) {
    return act(r, jobs_start);
}

static http_result cancel_job(request *r) {
    return act(r, jobs_cancel);
}

static http_result retry_job(request *r) {
    return act(r, jobs_retry);
}

/* ---- its files ---- */

static bool has_job(request *r) {
    job *j = lock_job(r);
    if (j)
        jobs_unlock(r->h->p.jobs);
    return j != NULL;
}

static http_result answer_picture(request *r, const char *file) {
    return has_job(r) ? answer_file(r, file, "image/jpeg", NULL) : answer_problem(r);
}

static http_result get_preview(request *r) {
    return answer_picture(r, "preview.jpg");
}

static http_result get_input_preview(request *r) {
    return answer_picture(r, "input.jpg");
}

static http_result get_thumb(request *r) {
    char file[32];
    snprintf(file, sizeof(file), "thumb-%d.jpg", r->n);
    return answer_picture(r, file);
}

static http_result get_report(request *r) {
    return has_job(r) ? answer_file(r, "report.json", "application/json", NULL) : answer_problem(r);
}

static http_result get_result(request *r) {
    job *j = lock_job(r);
    if (!j)
        return answer_problem(r);
    bool done = j->state == JOB_DONE;
    const char *file = job_options_output(&j->options);
    char name[JOB_NAME_BYTES];
    snprintf(name, sizeof(name), "%s", j->name);
    if (!done)
        refuse(r, MHD_HTTP_CONFLICT, "wrong-state", "the job is %s", job_state_text(j->state));
    jobs_unlock(r->h->p.jobs);
    return done ? answer_file(r, file, strstr(file, ".mkv") ? "video/x-matroska" : "video/mp4", name)
                : answer_problem(r);
}

/* By its first bytes: browsers play no video whose type is not said. */
static const char *type_of_upload(request *r) {
    unsigned char head[12] = {0};
    int fd = open_file(r, "video");
    ssize_t n = fd >= 0 ? pread(fd, head, sizeof(head), 0) : 0;
    if (fd >= 0)
        close(fd);
    if (n == (ssize_t)sizeof(head) && memcmp(head + 4, "ftyp", 4) == 0)
        return "video/mp4";
    if (n == (ssize_t)sizeof(head) && memcmp(head, "\x1a\x45\xdf\xa3", 4) == 0)
        return "video/webm";
    return "application/octet-stream";
}

static http_result get_input(request *r) {
    const char *type = has_job(r) ? type_of_upload(r) : NULL;
    return r->problem.status ? answer_problem(r) : answer_file(r, "video", type, NULL);
}

/* ---- all jobs ---- */

static const char *argument(const request *r, const char *name) {
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

static int state_of(const char *text) {
    for (int i = 0; i < JOB_STATES; i++)
        if (strcmp(text, job_state_text((job_state)i)) == 0)
            return i;
    return -1;
}

#define MOST_LISTED 100

static http_result list_jobs(request *r) {
    jobs *js = r->h->p.jobs;
    const char *after = argument(r, "after"), *state = argument(r, "state"), *limit = argument(r, "limit");
    long most = limit ? strtol(limit, NULL, 10) : MOST_LISTED;
    int wanted = state ? state_of(state) : -1;
    const job *next = NULL;
    if (state && wanted < 0)
        refuse_field(r, 400, "invalid-parameter", "state",
                     "state must be held, queued, running, done, failed or cancelled");
    else if ((limit && strspn(limit, "0123456789") != strlen(limit)) || most < 1 || most > MOST_LISTED)
        refuse_field(r, 400, "invalid-parameter", "limit", "limit must be a number from 1 to %d",
                     MOST_LISTED);
    else if (after && !job_is_id(after))
        refuse_field(r, 400, "invalid-parameter", "after", "after must be the id of a job");
    if (r->problem.status)
        return answer_problem(r);
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "{\"jobs\":[");
    jobs_lock(js);
    if (after && !jobs_find(js, after)) {
        jobs_unlock(js);
        ms_buf_free(&b);
        refuse_field(r, 400, "invalid-parameter", "after", "the job that after names has gone: begin anew");
        return answer_problem(r);
    }
    bool skipping = after != NULL;
    long n = 0;
    const job *last = NULL;
    for (size_t i = 0; jobs_at(js, i); i++) {
        const job *j = jobs_at(js, i);
        if (skipping || j->deleting || (wanted >= 0 && (int)j->state != wanted)) {
            skipping = skipping && strcmp(j->id, after) != 0;
            continue;
        }
        if (n == most) {
            next = last;
            break;
        }
        ms_buf_printf(&b, n++ ? "," : "");
        jobs_write(&b, js, j);
        last = j;
    }
    if (next)
        ms_buf_printf(&b, "],\"next\":\"%s\"}", next->id);
    else
        ms_buf_printf(&b, "],\"next\":null}");
    jobs_unlock(js);
    return answer_json(r, MHD_HTTP_OK, &b, NULL);
}

/* ---- the server ---- */

static http_result list_models(request *r) {
    const jobs_params *p = jobs_get_params(r->h->p.jobs);
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "{\"models\":[");
    for (int i = 0; i < p->n_models; i++) {
        ms_buf_printf(&b, "%s{\"name\":", i ? "," : "");
        ms_buf_json_string(&b, p->models[i].name);
        ms_buf_printf(&b, ",\"default\":%s}", i ? "false" : "true");
    }
    ms_buf_printf(&b, "]}");
    return answer_json(r, MHD_HTTP_OK, &b, NULL);
}

static http_result get_server(request *r) {
    const http *h = r->h;
    const jobs_params *p = jobs_get_params(h->p.jobs);
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "{\"version\":\"%s\",\"budget_bytes\":%zu,", ms_version(), p->place.budget_bytes);
    if (p->place.device_bytes)
        ms_buf_printf(&b, "\"host_budget_bytes\":%zu,", p->place.host_budget_bytes);
    ms_buf_printf(&b, "\"machine\":{\"cpu\":");
    ms_buf_json_string(&b, h->machine);
    ms_buf_printf(&b,
                  ",\"memory_bytes\":%zu},\"limits\":{\"upload_bytes\":%" PRIu64
                  ",\"waiting_jobs\":%d,\"waiting_bytes\":%" PRIu64 ",\"keep_s\":%" PRId64
                  ",\"keep_bytes\":%" PRIu64 ",\"keep_jobs\":%d},\"needs_token\":%s,\"uptime_s\":%.0f}",
                  h->machine_bytes, h->p.max_upload_bytes, p->most_waiting, p->most_waiting_bytes,
                  p->keep_ms / 1000, p->keep_bytes, p->keep_jobs, h->p.token ? "true" : "false",
                  ms_now_s() - h->began_s);
    return answer_json(r, MHD_HTTP_OK, &b, NULL);
}

static http_result get_health(request *r) {
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "{\"status\":\"ok\"}");
    return answer_json(r, MHD_HTTP_OK, &b, NULL);
}

/* ---- the table ---- */

static const route routes[] = {
    {"GET", "/", answer_page, BODY_NONE, true},
    {"GET", "/openapi.json", answer_openapi, BODY_NONE, true},
    {"GET", "/healthz", get_health, BODY_NONE, true},
    {"GET", "/metrics", answer_metrics, BODY_NONE, false},
    {"POST", "/v1/login", guard_login, BODY_JSON, true},
    {"POST", "/v1/logout", guard_logout, BODY_NONE, true},
    {"GET", "/v1/server", get_server, BODY_NONE, false},
    {"GET", "/v1/models", list_models, BODY_NONE, false},
    {"GET", "/v1/events", answer_events, BODY_NONE, false},
    {"POST", "/v1/plan", submit_plan, BODY_SUBMISSION, false},
    {"GET", "/v1/jobs", list_jobs, BODY_NONE, false},
    {"POST", "/v1/jobs", submit_job, BODY_SUBMISSION, false},
    {"GET", "/v1/jobs/{id}", get_job, BODY_NONE, false},
    {"PATCH", "/v1/jobs/{id}", submit_change, BODY_JSON, false},
    {"DELETE", "/v1/jobs/{id}", delete_job, BODY_NONE, false},
    {"POST", "/v1/jobs/{id}/start", start_job, BODY_NONE, false},
    {"POST", "/v1/jobs/{id}/cancel", cancel_job, BODY_NONE, false},
    {"POST", "/v1/jobs/{id}/retry", retry_job, BODY_NONE, false},
    {"GET", "/v1/jobs/{id}/events", answer_events, BODY_NONE, false},
    {"GET", "/v1/jobs/{id}/preview", get_preview, BODY_NONE, false},
    {"GET", "/v1/jobs/{id}/input-preview", get_input_preview, BODY_NONE, false},
    {"GET", "/v1/jobs/{id}/thumbs/{n}", get_thumb, BODY_NONE, false},
    {"GET", "/v1/jobs/{id}/input", get_input, BODY_NONE, false},
    {"GET", "/v1/jobs/{id}/result", get_result, BODY_NONE, false},
    {"GET", "/v1/jobs/{id}/report", get_report, BODY_NONE, false},
};
#define N_ROUTES (sizeof(routes) / sizeof(routes[0]))

static bool matches(request *r, const char *pattern, const char *path) {
    while (*pattern) {
        if (strncmp(pattern, "{id}", 4) == 0) {
            size_t n = strcspn(path, "/");
            if (n != JOB_ID_CHARS)
                return false;
            memcpy(r->id, path, n);
            r->id[n] = 0;
            if (!job_is_id(r->id))
                return false;
            pattern += 4;
            path += n;
        } else if (strncmp(pattern, "{n}", 3) == 0) {
            if (*path < '0' || *path > '9')
                return false;
            r->n = *path++ - '0';
            pattern += 3;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *path == 0;
}

static const char *allowed(const char *path) {
    return strcmp(path, "/v1/jobs") == 0        ? "GET, HEAD, POST"
           : strcmp(path, "/v1/jobs/{id}") == 0 ? "GET, HEAD, PATCH, DELETE"
                                                : NULL;
}

const route *route_find(request *r, const char *method, const char *path) {
    bool head = strcmp(method, "HEAD") == 0;
    const route *other = NULL;
    for (size_t i = 0; i < N_ROUTES; i++) {
        if (!matches(r, routes[i].path, path))
            continue;
        if (strcmp(routes[i].method, head ? "GET" : method) == 0)
            return &routes[i];
        other = &routes[i];
    }
    if (other) {
        refuse(r, MHD_HTTP_METHOD_NOT_ALLOWED, "wrong-method", "%s is not done with this", method);
        r->problem.allow = allowed(other->path);
        if (!r->problem.allow)
            r->problem.allow = strcmp(other->method, "GET") == 0 ? "GET, HEAD" : "POST";
    } else {
        refuse(r, MHD_HTTP_NOT_FOUND, "not-found", "there is nothing of this name");
    }
    return NULL;
}
