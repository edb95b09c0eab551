/* Bodies: a job that comes in as a form with files, or as JSON with names of files; what changes one. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "http/http_inside.h"
#include "jobs/job_folder.h"
#include "jobs/webhook.h"

#define POST_BYTES (64 << 10) /* of the buffer that parts of a form are found in */
#define VALUE_BYTES 4096
#define KEY_BYTES 64

/* Parts of a form that are files, and what they are called in the job's folder. */
static const char *const file_parts[] = {"video", "audio", "track", NULL};
#define VIDEO_OF "video_of" /* in place of a video: the id of a job that has it */

struct submission {
    request *r;
    job *j;
    bool has_folder, listed; /* listed: the job is the list's */
    struct MHD_PostProcessor *post;
    char key[KEY_BYTES], value[VALUE_BYTES];
    size_t value_bytes;
    bool in_part;
    int fd;               /* of the file that comes in; -1 = none */
    uint64_t bytes, room; /* room: taken of the list's, for what came */
    bool has_video;
    jobs_look look;
};

static int folder_of(const submission *s) {
    return jobs_folder(s->r->h->p.jobs);
}

/* What came in is of no use any more: the job is none. */
static void drop_files(submission *s) {
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    if (s->has_folder && !s->listed)
        job_folder_remove(folder_of(s), s->j->id);
    s->has_folder = false;
}

/* It is the job's now, or nothing. */
static void give_room(submission *s) {
    jobs_give_room(s->r->h->p.jobs, s->room);
    s->room = 0;
}

void submission_end(submission **ss) {
    submission *s = *ss;
    if (!s)
        return;
    if (s->post)
        MHD_destroy_post_processor(s->post);
    drop_files(s);
    give_room(s);
    if (!s->listed)
        job_destroy(&s->j);
    free(s->look.input);
    free(s->look.plan);
    free(s);
    *ss = NULL;
}

/* ---- a form ---- */

static void refuse_option(request *r, const char *name, const ms_error *err) {
    refuse_field(r, 422, "invalid-option", name, "%s", err->message);
}

static void need_folder(submission *s) {
    ms_error err;
    if (s->has_folder)
        return;
    if (job_folder_make(folder_of(s), s->j->id, &err) == MS_OK)
        s->has_folder = true;
    else
        refuse_error(s->r, &err, 0);
}

/* Shown to people, and nothing else: control characters go. */
static void take_name(job *j, const char *name) {
    size_t n = 0;
    const char *from = name;
    for (const char *c = name; *c; c++)
        if (*c == '/' || *c == '\\')
            from = c + 1;
    for (const char *c = from; *c && n < sizeof(j->name) - 1; c++)
        if ((unsigned char)*c >= 0x20 && *c != 0x7f)
            j->name[n++] = *c;
    if (n == sizeof(j->name) - 1) { /* not half a character, which may have four bytes */
        while (n > 0 && ((unsigned char)j->name[n - 1] & 0xc0) == 0x80)
            n--;
        n -= n > 0 && ((unsigned char)j->name[n - 1] & 0x80);
    }
    j->name[n] = 0;
}

static bool is_file_part(const char *key) {
    for (int i = 0; file_parts[i]; i++)
        if (strcmp(file_parts[i], key) == 0)
            return true;
    return false;
}

static void note_file(submission *s, const char *key) {
    s->has_video |= strcmp(key, "video") == 0;
    s->j->has_audio |= strcmp(key, "audio") == 0;
    s->j->has_track |= strcmp(key, "track") == 0;
}

/* What the other job's video is called; false: there is no such job. */
static bool name_as(submission *s, const char *id) {
    jobs *js = s->r->h->p.jobs;
    jobs_lock(js);
    const job *other = job_is_id(id) ? jobs_find(js, id) : NULL;
    if (other)
        memcpy(s->j->name, other->name, sizeof(s->j->name));
    jobs_unlock(js);
    return other != NULL;
}

/* The video of a job that is there need not come once more. It stays when that job goes. */
static void take_video_of(submission *s, const char *id) {
    char from[64], to[64];
    int error = 0;
    need_folder(s);
    if (s->r->problem.status)
        return;
    snprintf(from, sizeof(from), "%.32s/video", id);
    snprintf(to, sizeof(to), "%s/video", s->j->id);
    if (!name_as(s, id))
        error = ENOENT;
    else if (linkat(folder_of(s), from, folder_of(s), to, 0) != 0)
        error = errno;
    if (!error)
        note_file(s, "video");
    else if (error == ENOENT)
        refuse_field(s->r, 422, "no-such-job", VIDEO_OF, "there is no job \"%.32s\", or it has expired", id);
    else if (error == EEXIST)
        refuse_field(s->r, 422, "invalid-option", VIDEO_OF, "the video comes twice");
    else
        refuse_write(s->r, VIDEO_OF, error);
}

static void end_part(submission *s) {
    ms_error err;
    if (s->fd >= 0) {
        if (fsync(s->fd) != 0 && errno != EINVAL && errno != EROFS)
            refuse_write(s->r, s->key, errno);
        if (close(s->fd) != 0)
            refuse_write(s->r, s->key, errno);
        s->fd = -1;
    } else if (s->in_part && !is_file_part(s->key)) {
        s->value[s->value_bytes] = 0;
        if (strlen(s->value) != s->value_bytes)
            refuse_field(s->r, 422, "invalid-option", s->key, "%s has a zero byte", s->key);
        else if (strcmp(s->key, VIDEO_OF) == 0)
            take_video_of(s, s->value);
        else if (job_options_set_text(&s->j->options, s->key, s->value, &err) != MS_OK)
            refuse_option(s->r, s->key, &err);
    }
    s->in_part = false;
}

static void begin_part(submission *s, const char *key, const char *filename) {
    char path[64];
    end_part(s);
    s->in_part = true;
    s->value_bytes = 0;
    snprintf(s->key, sizeof(s->key), "%.63s", key);
    if (!is_file_part(key))
        return;
    need_folder(s);
    if (s->r->problem.status)
        return;
    if (strcmp(key, "video") == 0 && filename)
        take_name(s->j, filename);
    snprintf(path, sizeof(path), "%s/%s", s->j->id, key);
    s->fd = openat(folder_of(s), path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (s->fd < 0 && errno == EEXIST)
        refuse_field(s->r, 422, "invalid-option", key, "%s comes twice", key);
    else if (s->fd < 0)
        refuse_write(s->r, key, errno);
    else
        note_file(s, key);
}

static void write_file(submission *s, const char *data, size_t bytes) {
    while (bytes > 0 && !s->r->problem.status) {
        ssize_t n = write(s->fd, data, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            refuse_write(s->r, s->key, errno);
            return;
        }
        data += n;
        bytes -= (size_t)n;
    }
}

static http_result take_part(void *arg, enum MHD_ValueKind kind, const char *key, const char *filename,
                             const char *type, const char *encoding, const char *data, uint64_t offset,
                             size_t bytes) {
    submission *s = arg;
    (void)kind, (void)type, (void)encoding;
    if (s->r->problem.status || !key)
        return MHD_YES; /* what is left is read and dropped */
    if (offset == 0)
        begin_part(s, key, filename);
    if (s->fd >= 0) {
        write_file(s, data, bytes);
    } else if (s->value_bytes + bytes >= sizeof(s->value)) {
        refuse_field(s->r, MHD_HTTP_CONTENT_TOO_LARGE, "too-large", s->key,
                     "the field %s is longer than %d bytes", s->key, VALUE_BYTES - 1);
    } else if (bytes) {
        memcpy(s->value + s->value_bytes, data, bytes);
        s->value_bytes += bytes;
    }
    return MHD_YES;
}

bool submission_is_form(struct MHD_Connection *connection) {
    const char *type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type");
    return type && strncasecmp(type, "multipart/form-data", 19) == 0;
}

submission *submission_begin(request *r) {
    submission *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->r = r;
    s->fd = -1;
    s->j = job_create();
    if (s->j && submission_is_form(r->connection)) {
        s->post = MHD_create_post_processor(r->connection, POST_BYTES, take_part, s);
        if (!s->post)
            refuse(r, 400, "bad-request", "the form names no boundary");
    }
    if (!s->j)
        submission_end(&s);
    return s;
}

bool submission_take(request *r, const char *data, size_t bytes) {
    submission *s = r->submission;
    s->bytes += bytes;
    if (s->bytes > r->h->p.max_upload_bytes) {
        refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, "too-large", "more than %llu bytes are not taken",
               (unsigned long long)r->h->p.max_upload_bytes);
        return s->bytes < 2 * r->h->p.max_upload_bytes;
    }
    if (!r->problem.status && jobs_take_room(r->h->p.jobs, bytes))
        s->room += bytes;
    else
        refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "too many bytes wait already");
    if (!r->problem.status && MHD_post_process(s->post, data, bytes) != MHD_YES)
        refuse(r, 400, "bad-request", "the body is no form as its header says");
    return true;
}

/* ---- JSON ---- */

bool is_allowed_file(const http *h, const char *real) {
    bool allowed = false;
    for (int i = 0; i < h->p.n_allow; i++) {
        size_t n = strlen(h->p.allow[i]);
        allowed |= strncmp(real, h->p.allow[i], n) == 0 && (real[n] == '/' || h->p.allow[i][n - 1] == '/');
    }
    return allowed;
}

/* A file of this machine, below a folder that was allowed: it is not copied. */
static void name_file(submission *s, const char *key, const char *path) {
    request *r = s->r;
    char *real = realpath(path, NULL), link[64];
    if (path[0] != '/' || !real ||
        !is_allowed_file(r->h, real)) { /* whether it is there is not said of what is not allowed */
        refuse_field(r, MHD_HTTP_FORBIDDEN, "not-allowed", key,
                     "%s is not a file below a folder that this server allows", key);
    } else {
        need_folder(s);
        snprintf(link, sizeof(link), "%s/%s", s->j->id, key);
        if (!r->problem.status && symlinkat(real, folder_of(s), link) != 0)
            refuse_write(r, key, errno);
        note_file(s, key);
        if (strcmp(key, "video") == 0)
            take_name(s->j, real);
    }
    free(real);
}

/* NULL: refused. */
static const ms_json *parse_body(request *r, ms_json_doc **ret_doc) {
    ms_error err;
    if (ms_json_parse(NULL, r->body.data ? r->body.data : "", r->body.length, ret_doc, &err) != MS_OK) {
        refuse(r, 400, "bad-request", "the body is no JSON: %s", err.message);
        return NULL;
    }
    const ms_json *root = ms_json_root(*ret_doc);
    if (root->type == MS_JSON_OBJECT)
        return root;
    refuse(r, 400, "bad-request", "the body must be an object");
    return NULL;
}

static void take_option(request *r, job_options *o, const ms_json *m) {
    ms_error err;
    if (job_options_set_json(o, m, &err) != MS_OK)
        refuse_option(r, m->key, &err);
}

/* What a plan without files is of. */
static const struct measure {
    const char *name;
    double least, most;
    bool whole;
} measures[] = {{"width", JOB_LEAST_SIDE, JOB_MOST_SIDE, true},
                {"height", JOB_LEAST_SIDE, JOB_MOST_SIDE, true},
                {"frames", 1, 1e7, true},
                {"fps", 1, 1000, false}};

static const struct measure *measure_of(const char *name) {
    for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++)
        if (strcmp(measures[i].name, name) == 0)
            return &measures[i];
    return NULL;
}

static void check_measure(request *r, const struct measure *t, const ms_json *m) {
    const bool number = m->type == MS_JSON_NUMBER;
    char given[32] = "";
    if (number && m->number >= t->least && m->number <= t->most && (!t->whole || m->is_integer))
        return;
    if (number)
        snprintf(given, sizeof(given), ", not %.16g", m->number);
    refuse_field(r, 422, "invalid-option", t->name, "%s must be a %snumber from %.0f to %.0f%s", t->name,
                 t->whole ? "whole " : "", t->least, t->most, given);
}

/* Only the rate has a usual value: what a run makes. */
static void take_measures(request *r, const ms_json *root, jobs_look *l) {
    for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++)
        if (measures[i].whole && !ms_json_get(root, measures[i].name))
            refuse_field(r, 422, "invalid-option", measures[i].name,
                         "%s is missing: a plan without files is of width, height and frames",
                         measures[i].name);
    l->width = (int)ms_json_get_integer(root, "width", 0);
    l->height = (int)ms_json_get_integer(root, "height", 0);
    l->fps = ms_json_get_number(root, "fps", 25);
    l->frames = ms_json_get_integer(root, "frames", 0);
}

static void take_json(submission *s, bool is_plan) {
    request *r = s->r;
    ms_json_doc *doc = NULL;
    const ms_json *root = parse_body(r, &doc);
    for (const ms_json *m = root ? root->child : NULL; m && !r->problem.status; m = m->next) {
        const struct measure *measure = is_plan ? measure_of(m->key) : NULL;
        if (measure) {
            check_measure(r, measure, m);
        } else if (!is_plan && is_file_part(m->key)) {
            if (m->type == MS_JSON_STRING)
                name_file(s, m->key, m->string);
            else
                refuse_field(r, 422, "invalid-option", m->key, "%s must be a path", m->key);
        } else if (!is_plan && strcmp(m->key, VIDEO_OF) == 0) {
            if (m->type == MS_JSON_STRING)
                take_video_of(s, m->string);
            else
                refuse_field(r, 422, "invalid-option", VIDEO_OF, "%s must be the id of a job", VIDEO_OF);
        } else {
            take_option(r, &s->j->options, m);
        }
    }
    if (is_plan && root)
        take_measures(r, root, &s->look);
    ms_json_doc_destroy(&doc);
}

/* ---- looking, and the answer ---- */

static void resume(void *arg) {
    submission *s = arg;
    MHD_resume_connection(s->r->connection);
}

/* Asks a look worker; the request goes on when it has answered. */
static http_result ask(submission *s, const job_options *options, const char *id) {
    jobs_look *l = &s->look;
    l->options = *options;
    snprintf(l->id, sizeof(l->id), "%s", id);
    l->done = resume;
    l->arg = s;
    s->r->waited = true;
    MHD_suspend_connection(s->r->connection);
    jobs_ask(s->r->h->p.jobs, l);
    return MHD_YES;
}

/* Clients are shown which model it is. */
static void name_model(request *r, job_options *o) {
    if (!o->model[0])
        snprintf(o->model, sizeof(o->model), "%s", jobs_find_model(r->h->p.jobs, "")->name);
}

static void check_model(request *r, const job_options *o) {
    if (!jobs_find_model(r->h->p.jobs, o->model))
        refuse_field(r, 422, "no-such-model", "model", "there is no model \"%.60s\"; /v1/models names them",
                     o->model);
}

static void check_webhook(request *r, const job_options *o) {
    if (o->webhook[0] && !jobs_get_params(r->h->p.jobs)->n_webhook_to)
        refuse_field(r, 422, "no-webhooks", "webhook",
                     "this server tells nobody of a job's end (--webhook-to)");
    else if (o->webhook[0] && !webhook_is_allowed(jobs_get_params(r->h->p.jobs), o->webhook))
        refuse_field(r, MHD_HTTP_FORBIDDEN, "not-allowed", "webhook",
                     "webhook is not an address that this server may tell of a job's end");
}

/* All came in: what it is, is looked at. True: refused. */
static bool finish_body(submission *s, bool is_plan) {
    request *r = s->r;
    if (s->post) {
        bool whole = MHD_destroy_post_processor(s->post) == MHD_YES;
        s->post = NULL;
        end_part(s);
        if (!whole)
            refuse(r, 400, "bad-request", "the form is cut off");
    } else if (!r->problem.status) {
        take_json(s, is_plan);
    }
    if (!s->has_video && (!is_plan || submission_is_form(r->connection)))
        refuse_field(r, 422, "no-video", "video", "the video is missing");
    check_model(r, &s->j->options);
    check_webhook(r, &s->j->options);
    name_model(r, &s->j->options);
    s->look.has_audio = s->j->has_audio;
    s->look.has_track = s->j->has_track;
    return r->problem.status != 0;
}

static void refuse_look(request *r, const jobs_look *l) {
    refuse_error(r, &l->err, l->needs_bytes);
    snprintf(r->problem.field, sizeof(r->problem.field), "%s", l->field);
}

/* Nothing is left of it when the client has the answer. */
static http_result answer_refused(submission *s) {
    drop_files(s);
    return answer_problem(s->r);
}

/* A client that has left does not learn the id. What it wanted to see first, nobody will start. */
static bool is_left(const submission *s) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(s->r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    char byte;
    return s->j->options.hold && info && recv(info->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static http_result answer_looked(submission *s) {
    request *r = s->r;
    jobs *js = r->h->p.jobs;
    job *j = s->j;
    ms_error err;
    if (s->look.err.code != MS_OK) {
        refuse_look(r, &s->look);
        return answer_refused(s);
    }
    if (is_left(s))
        return MHD_NO; /* its files go with the request */
    if (!job_set(&j->input, s->look.input) || !job_set(&j->plan, s->look.plan))
        return MHD_NO;
    j->bytes = job_folder_bytes(folder_of(s), j->id);
    ms_status status = job_folder_sync(folder_of(s), j->id, &err);
    jobs_lock(js);
    if (status == MS_OK)
        status = jobs_add(js, j, &err);
    if (status != MS_OK) {
        jobs_unlock(js);
        refuse_error(r, &err, 0);
        return answer_refused(s);
    }
    s->listed = true;
    give_room(s);
    return answer_locked_job(r, j, MHD_HTTP_ACCEPTED);
}

http_result submit_job(request *r) {
    submission *s = r->submission;
    if (r->waited)
        return answer_looked(s);
    if (finish_body(s, false))
        return answer_refused(s);
    return ask(s, &s->j->options, s->j->id);
}

http_result submit_plan(request *r) {
    submission *s = r->submission;
    if (!r->waited && finish_body(s, true))
        return answer_refused(s);
    if (!r->waited)
        return ask(s, &s->j->options, s->has_video ? s->j->id : "");
    if (s->look.err.code != MS_OK) {
        refuse_look(r, &s->look);
        return answer_refused(s);
    }
    drop_files(s);
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "%s", s->look.plan);
    return answer_json(r, MHD_HTTP_OK, &b, NULL);
}

/* ---- changes ---- */

/* The members that were sent, on top of the job's options as they are now. What was changed is checked, what
   stays was when it came. Lock held. *ret_replan: more than priority and webhook is named. */
static void take_changes(request *r, const job *j, const ms_json *root, job_options *ret_wanted,
                         bool *ret_replan) {
    *ret_wanted = j->options;
    *ret_replan = false;
    for (const ms_json *m = root->child; m && !r->problem.status; m = m->next) {
        if (strcmp(m->key, "hold") == 0)
            refuse_field(r, 422, "invalid-option", "hold", "hold cannot be changed: start the job");
        take_option(r, ret_wanted, m);
        if (r->problem.status)
            return;
        if (strcmp(m->key, "webhook") == 0)
            check_webhook(r, ret_wanted);
        else if (strcmp(m->key, "priority") != 0)
            *ret_replan = true;
        if (strcmp(m->key, "model") == 0)
            check_model(r, ret_wanted);
    }
    name_model(r, ret_wanted);
    if (job_has_ended(j) || (*ret_replan && j->state != JOB_HELD))
        refuse(r, MHD_HTTP_CONFLICT, "wrong-state", "of a job that is %s %s can be changed",
               job_state_text(j->state), job_has_ended(j) ? "nothing" : "priority and webhook alone");
}

/* Asks for the plan of what is wanted; a plan that came before is of no use any more. Lock held, and given
   back. */
static http_result plan_anew(request *r, const job *j, const job_options *wanted) {
    submission *s = r->submission ? r->submission : (r->submission = submission_begin(r));
    if (s) {
        free(s->look.input);
        free(s->look.plan);
        s->look = (jobs_look){.has_audio = j->has_audio, .has_track = j->has_track};
    }
    jobs_unlock(r->h->p.jobs);
    return s ? ask(s, wanted, r->id) : MHD_NO;
}

/* What the look says is the job's plan only where nothing that it depends on was changed meanwhile. */
static void take_plan(request *r, job *j) {
    const jobs_look *l = &r->submission->look;
    if (l->err.code != MS_OK)
        refuse_look(r, l);
    else if (!job_set(&j->input, l->input) || !job_set(&j->plan, l->plan))
        refuse(r, 500, "out-of-memory", "out of memory");
}

/* Priority and webhook at any time before the end; what changes the plan while the job is held, and it is
   planned anew before it is changed. */
static http_result change(request *r, const ms_json *root) {
    jobs *js = r->h->p.jobs;
    job_options wanted;
    bool replan;
    job *j = lock_job(r);
    if (!j)
        return answer_problem(r);
    take_changes(r, j, root, &wanted, &replan);
    if (!r->problem.status && replan &&
        !(r->waited && job_options_same(&wanted, &r->submission->look.options)))
        return plan_anew(r, j, &wanted);
    if (!r->problem.status && replan)
        take_plan(r, j);
    if (r->problem.status) {
        jobs_unlock(js);
        return answer_problem(r);
    }
    j->options = wanted;
    jobs_changed(js, j);
    return answer_locked_job(r, j, MHD_HTTP_OK);
}

http_result submit_change(request *r) {
    ms_json_doc *doc = NULL;
    const ms_json *root = parse_body(r, &doc);
    http_result result = root ? change(r, root) : answer_problem(r);
    ms_json_doc_destroy(&doc);
    return result;
}
