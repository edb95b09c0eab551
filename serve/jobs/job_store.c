#include "jobs/job_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "files/trusted_db.h"

#define APPLICATION_ID 1836278131 /* "msas" */
#define FORMAT 3
#define MOST_BYTES ((int64_t)1 << 30)
#define MOST_TIME ((int64_t)1 << 53)
#define NAME "jobs.db"

struct job_store {
    ms_db *db;
};

static const char *const schema =
    "create table if not exists job (id text primary key, seq integer not null, state integer not null, "
    "created integer not null, started integer not null, ended integer not null, audio integer not null, "
    "track integer not null, frames_done integer not null, frames_total integer not null, peak integer not "
    "null, hook integer not null, hook_tries integer not null, hook_next integer not null, ends integer not "
    "null, name text not null, options text not "
    "null, input text, plan text, warnings text, error text);";

enum { ID, SEQ, STATE, CREATED, STARTED, ENDED, AUDIO, TRACK, DONE, TOTAL, PEAK };
enum { HOOK = PEAK + 1, HOOK_TRIES, HOOK_NEXT, ENDS, NAME_TEXT, OPTIONS, INPUT, PLAN, WARNINGS, ERROR };

ms_status job_store_open(int folder, const char *folder_path, job_store **ret_store, ms_error *err) {
    const ms_db_params params = {.folder = folder,
                                 .folder_path = folder_path,
                                 .name = NAME,
                                 .what = "the list of jobs",
                                 .schema = schema,
                                 .application_id = APPLICATION_ID,
                                 .version = FORMAT,
                                 .most_bytes = MOST_BYTES,
                                 .busy_ms = 5000};
    ms_db_finding finding;
    job_store *s = calloc(1, sizeof(*s));
    if (!s)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for the list of jobs");
    ms_error why;
    ms_error_clear(&why);
    ms_status status = ms_db_open(&params, &s->db, &finding, &why);
    if (status == MS_DAMAGED)
        ms_fail(err, status, "%s (without %s/" NAME " and %s/jobs the server begins with an empty list)",
                why.message, folder_path, folder_path);
    else if (status != MS_OK)
        ms_fail(err, status, "%s", why.message);
    if (status == MS_OK && finding == MS_DB_NEW) {
        status = ms_db_begin_tables(s->db, err);
        if (status == MS_OK)
            status = ms_db_execute(s->db, "commit", err);
    }
    /* full: a job that was told to be there is there after the power failed. */
    if (status == MS_OK)
        status = ms_db_execute(s->db, "pragma synchronous = full", err);
    if (status != MS_OK)
        job_store_close(&s);
    else
        *ret_store = s;
    return status;
}

void job_store_close(job_store **store) {
    if (!*store)
        return;
    ms_db_close(&(*store)->db);
    free(*store);
    *store = NULL;
}

/* ---- rows ---- */

static ms_status damaged(const char *what, ms_error *err) {
    return ms_fail(err, MS_DAMAGED, "the list of jobs " NAME " is damaged: %s", what);
}

static const char *text_of(sqlite3_stmt *q, int column) {
    return sqlite3_column_type(q, column) == SQLITE_TEXT ? (const char *)sqlite3_column_text(q, column)
                                                         : NULL;
}

static ms_status take_options(job *j, const char *text, ms_error *err) {
    ms_json_doc *doc = NULL;
    ms_status status = ms_json_parse(NULL, text, strlen(text), &doc, err);
    const ms_json *root = status == MS_OK ? ms_json_root(doc) : NULL;
    if (root && root->type != MS_JSON_OBJECT)
        status = MS_INVALID_ARGUMENT;
    for (const ms_json *m = root ? root->child : NULL; m && status == MS_OK; m = m->next)
        status = job_options_set_json(&j->options, m, err);
    ms_json_doc_destroy(&doc);
    return status == MS_OK || status == MS_HOST_MEMORY ? status : damaged("a job's options", err);
}

/* One of the job's texts, which is given to clients as it is: whole JSON. */
static ms_status take_json(char **dst, sqlite3_stmt *q, int column, ms_error *err) {
    const char *text = text_of(q, column);
    ms_json_doc *doc = NULL;
    if (!text)
        return sqlite3_column_type(q, column) == SQLITE_NULL ? MS_OK : damaged("a job's text", err);
    ms_status status = ms_json_parse(NULL, text, strlen(text), &doc, err);
    ms_json_doc_destroy(&doc);
    if (status == MS_OK && !job_set(dst, text))
        status = ms_fail(err, MS_HOST_MEMORY, "out of memory for the list of jobs");
    return status == MS_OK || status == MS_HOST_MEMORY ? status : damaged("a job's text", err);
}

static ms_status take_numbers(job *j, sqlite3_stmt *q, ms_error *err) {
    for (int i = SEQ; i <= ENDS; i++) {
        int64_t value = sqlite3_column_int64(q, i);
        if (sqlite3_column_type(q, i) != SQLITE_INTEGER || value > MOST_TIME || value < 0)
            return damaged("a number is out of range", err);
    }
    if (sqlite3_column_int64(q, STATE) >= JOB_STATES)
        return damaged("a job's state", err);
    if (sqlite3_column_int64(q, HOOK) >= JOB_HOOK_STATES)
        return damaged("a webhook's state", err);
    j->seq = sqlite3_column_int64(q, SEQ);
    j->state = (job_state)sqlite3_column_int64(q, STATE);
    j->created_ms = sqlite3_column_int64(q, CREATED);
    j->started_ms = sqlite3_column_int64(q, STARTED);
    j->ended_ms = sqlite3_column_int64(q, ENDED);
    j->has_audio = sqlite3_column_int64(q, AUDIO) != 0;
    j->has_track = sqlite3_column_int64(q, TRACK) != 0;
    j->progress.frames_done = sqlite3_column_int64(q, DONE);
    j->progress.frames_total = sqlite3_column_int64(q, TOTAL);
    j->progress.peak_bytes = sqlite3_column_int64(q, PEAK);
    j->hook = (job_hook){.state = (job_hook_state)sqlite3_column_int64(q, HOOK),
                         .tries = sqlite3_column_int64(q, HOOK_TRIES),
                         .next_ms = sqlite3_column_int64(q, HOOK_NEXT)};
    j->ends = sqlite3_column_int64(q, ENDS);
    if (j->state == JOB_DONE)
        j->progress.fraction = 1;
    return MS_OK;
}

static ms_status take_row(job *j, sqlite3_stmt *q, ms_error *err) {
    const char *id = text_of(q, ID), *name = text_of(q, NAME_TEXT), *options = text_of(q, OPTIONS);
    if (!id || !job_is_id(id) || !name || !options)
        return damaged("a job's name", err);
    snprintf(j->id, sizeof(j->id), "%s", id);
    snprintf(j->name, sizeof(j->name), "%s", name);
    MS_TRY(take_numbers(j, q, err));
    MS_TRY(take_options(j, options, err));
    MS_TRY(take_json(&j->input, q, INPUT, err));
    MS_TRY(take_json(&j->plan, q, PLAN, err));
    MS_TRY(take_json(&j->warnings, q, WARNINGS, err));
    return take_json(&j->error, q, ERROR, err);
}

ms_status job_store_load(job_store *s, ms_status (*take)(void *arg, job *j, ms_error *err), void *arg,
                         ms_error *err) {
    sqlite3_stmt *q;
    int code = SQLITE_DONE;
    MS_TRY(ms_db_prepare(s->db, "select * from job order by seq", &q, err));
    ms_status status = MS_OK;
    while (status == MS_OK && (code = sqlite3_step(q)) == SQLITE_ROW) {
        job *j = job_create();
        status = j ? take_row(j, q, err) : ms_fail(err, MS_HOST_MEMORY, "out of memory for the list of jobs");
        if (status == MS_OK)
            status = take(arg, j, err);
        else
            job_destroy(&j);
    }
    if (status == MS_OK && code != SQLITE_DONE)
        status = ms_db_fail(s->db, code, err);
    sqlite3_finalize(q);
    return status;
}

static void bind(sqlite3_stmt *q, const job *j, const char *options) {
    /* A cancellation that was told is one after a crash, too. */
    const bool ends = j->cancelling && !job_has_ended(j), tells = ends && j->options.webhook[0];
    const int64_t now = job_now_ms();
    const int64_t numbers[] = {j->seq,
                               ends ? JOB_CANCELLED : j->state,
                               j->created_ms,
                               j->started_ms,
                               ends ? now : j->ended_ms,
                               j->has_audio,
                               j->has_track,
                               j->progress.frames_done,
                               j->progress.frames_total,
                               j->progress.peak_bytes,
                               tells ? JOB_HOOK_PENDING : j->hook.state,
                               j->hook.tries,
                               tells ? now : j->hook.next_ms,
                               j->ends + ends};
    const char *texts[] = {j->name, options, j->input, j->plan, j->warnings, j->error};
    sqlite3_bind_text(q, ID + 1, j->id, -1, SQLITE_STATIC);
    for (int i = SEQ; i <= ENDS; i++)
        sqlite3_bind_int64(q, i + 1, numbers[i - SEQ]);
    for (int i = NAME_TEXT; i <= ERROR; i++)
        sqlite3_bind_text(q, i + 1, texts[i - NAME_TEXT], -1, SQLITE_STATIC); /* NULL = null */
}

ms_status job_store_put(job_store *s, const job *j, ms_error *err) {
    sqlite3_stmt *q = NULL;
    ms_buf options;
    ms_buf_init(&options, NULL);
    job_options_write(&options, &j->options);
    ms_status status = options.failed
                           ? ms_fail(err, MS_HOST_MEMORY, "out of memory for the list of jobs")
                           : ms_db_prepare(s->db,
                                           "insert or replace into job values "
                                           "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                                           &q, err);
    if (status == MS_OK) {
        bind(q, j, options.data);
        status = ms_db_finish(s->db, q, err);
    }
    ms_buf_free(&options);
    return status;
}

ms_status job_store_remove(job_store *s, const char *id, ms_error *err) {
    sqlite3_stmt *q;
    MS_TRY(ms_db_prepare(s->db, "delete from job where id = ?", &q, err));
    sqlite3_bind_text(q, 1, id, -1, SQLITE_STATIC);
    return ms_db_finish(s->db, q, err);
}

ms_status job_store_begin(job_store *s, ms_error *err) {
    return ms_db_execute(s->db, "begin", err);
}

ms_status job_store_end(job_store *s, bool keep, ms_error *err) {
    ms_status status = keep ? ms_db_execute(s->db, "commit", err) : MS_OK;
    ms_db_rollback(s->db); /* where there is something to roll back */
    return status;
}
