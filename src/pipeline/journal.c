#include "pipeline/journal.h"

#include "base/error.h"

#if MS_HAVE_SQLITE

#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>

#define FORMAT 1
/* SQLite's own: its page cache of 64 pages, statements, buffers. */
#define SQLITE_BYTES ((size_t)1 << 20)

struct ms_journal {
    ms_mem *mem;
    sqlite3 *db;
    char *path;
    size_t charged;
};

bool ms_journal_available(void) {
    return true;
}

static ms_status fail_db(const ms_journal *j, int rc, ms_error *err) {
    ms_status code = rc == SQLITE_NOMEM ? MS_HOST_MEMORY : MS_IO;
    return ms_fail(err, code, "the journal %s: %s", j->path, j->db ? sqlite3_errmsg(j->db) : "cannot open");
}

static ms_status damaged(const ms_journal *j, const char *what, ms_error *err) {
    return ms_fail(err, MS_IO, "the journal %s is damaged: %s", j->path, what);
}

static ms_status run(ms_journal *j, const char *sql, ms_error *err) {
    int rc = sqlite3_exec(j->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? MS_OK : fail_db(j, rc, err);
}

static ms_status prepare(ms_journal *j, const char *sql, sqlite3_stmt **ret, ms_error *err) {
    int rc = sqlite3_prepare_v2(j->db, sql, -1, ret, NULL);
    return rc == SQLITE_OK ? MS_OK : fail_db(j, rc, err);
}

/* Ends a statement that gives no rows. */
static ms_status finish(ms_journal *j, sqlite3_stmt *statement, ms_error *err) {
    int rc = sqlite3_step(statement);
    ms_status status = rc == SQLITE_DONE ? MS_OK : fail_db(j, rc, err);
    sqlite3_finalize(statement);
    return status;
}

static ms_status get_format(ms_journal *j, int *ret_format, ms_error *err) {
    sqlite3_stmt *q;
    MS_TRY(prepare(j, "pragma user_version", &q, err));
    int rc = sqlite3_step(q);
    *ret_format = rc == SQLITE_ROW ? sqlite3_column_int(q, 0) : 0;
    sqlite3_finalize(q);
    return rc == SQLITE_ROW ? MS_OK : fail_db(j, rc, err);
}

static ms_status open_db(ms_journal *j, const char *path, bool *ret_begun, ms_error *err) {
    int format = 0;
    if (!ms_mem_charge(j->mem, MS_LEDGER_GENERAL, SQLITE_BYTES))
        return ms_fail_alloc(err, j->mem, SQLITE_BYTES, "the journal");
    j->charged = SQLITE_BYTES;
    j->path = ms_strdup(j->mem, path);
    if (!j->path)
        return ms_fail_alloc(err, j->mem, strlen(path) + 1, "a file name");
    int rc = sqlite3_open_v2(path, &j->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX,
                             NULL);
    if (rc != SQLITE_OK)
        return fail_db(j, rc, err);
    /* extra: the folder is synced too once a transaction's journal is gone from it. */
    MS_TRY(run(j, "pragma cache_size = 64; pragma synchronous = extra; pragma temp_store = memory", err));
    MS_TRY(get_format(j, &format, err));
    if (format != 0 && format != FORMAT)
        return ms_fail(err, MS_IO, "the journal %s is of another version of memsafe", path);
    *ret_begun = format == FORMAT;
    return MS_OK;
}

ms_status ms_journal_open(ms_mem *mem, const char *path, ms_journal **ret_journal, bool *ret_begun,
                          ms_error *err) {
    ms_journal *j = ms_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*j));
    if (!j)
        return ms_fail_alloc(err, mem, sizeof(*j), "the journal");
    j->mem = mem;
    ms_status status = open_db(j, path, ret_begun, err);
    if (status != MS_OK) {
        ms_journal_close(&j);
        return status;
    }
    *ret_journal = j;
    return MS_OK;
}

void ms_journal_close(ms_journal **journal) {
    if (!journal || !*journal)
        return;
    ms_journal *j = *journal;
    sqlite3_close(j->db);
    if (j->charged)
        ms_mem_release(j->mem, MS_LEDGER_GENERAL, j->charged);
    ms_free(j->path);
    ms_free(j);
    *journal = NULL;
}

/* ---- the key ---- */

static ms_status add_field(ms_journal *j, const char *name, const char *text, ms_error *err) {
    sqlite3_stmt *q;
    MS_TRY(prepare(j, "insert into job values (?, ?)", &q, err));
    sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, text, -1, SQLITE_STATIC);
    return finish(j, q, err);
}

ms_status ms_journal_begin(ms_journal *j, const ms_job_key *key, ms_error *err) {
    ms_status status;
    MS_TRY(run(j, "begin immediate", err));
    MS_GOTO(
        run(j,
            "create table job (field text primary key, value text not null);"
            "create table joined (device integer, inode integer);"
            "create table segment (number integer primary key, frames integer not null, bytes integer not "
            "null, last integer not null, frame integer not null, without_face integer not null, "
            "interpolated integer not null, windows integer not null, clip_frames integer not null, "
            "mark blob, state blob not null);"
            "pragma user_version = 1",
            err));
    for (int i = 0; i < key->n; i++)
        MS_GOTO(add_field(j, key->field[i].name, key->field[i].text, err));
    MS_GOTO(run(j, "commit", err));
    return MS_OK;
fail:
    sqlite3_exec(j->db, "rollback", NULL, NULL, NULL);
    return status;
}

static ms_status compare_field(ms_journal *j, const ms_job_key *key, int field, ms_error *err) {
    sqlite3_stmt *q;
    MS_TRY(prepare(j, "select value from job where field = ?", &q, err));
    sqlite3_bind_text(q, 1, key->field[field].name, -1, SQLITE_STATIC);
    int rc = sqlite3_step(q);
    ms_status status = MS_OK;
    const char *was = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(q, 0) : NULL;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        status = fail_db(j, rc, err);
    else if (!was || strcmp(was, key->field[field].text) != 0)
        status = ms_job_key_explain(key, field, was, err);
    sqlite3_finalize(q);
    return status;
}

ms_status ms_journal_compare(ms_journal *j, const ms_job_key *key, ms_error *err) {
    for (int i = 0; i < key->n; i++)
        MS_TRY(compare_field(j, key, i, err));
    return MS_OK;
}

/* ---- segments ---- */

ms_status ms_journal_add(ms_journal *j, const ms_journal_segment *s, ms_error *err) {
    sqlite3_stmt *q;
    const ms_resume_point *r = &s->resume;
    MS_TRY(prepare(j, "insert into segment values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", &q, err));
    const int64_t values[] = {s->number,       s->frames,       s->bytes,   s->last,       r->frame,
                              r->without_face, r->interpolated, r->windows, r->clip_frames};
    int rc = SQLITE_OK;
    for (int i = 0; i < 9 && rc == SQLITE_OK; i++)
        rc = sqlite3_bind_int64(q, i + 1, values[i]);
    if (rc == SQLITE_OK && r->has_mark)
        rc = sqlite3_bind_blob(q, 10, &r->mark, sizeof(r->mark), SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(q, 11, r->state.bytes, (int)r->state.length, SQLITE_STATIC);
    if (rc != SQLITE_OK) {
        sqlite3_finalize(q);
        return fail_db(j, rc, err);
    }
    return finish(j, q, err);
}

static ms_status take_row(ms_journal *j, sqlite3_stmt *q, ms_journal_segment *s, ms_error *err) {
    ms_resume_point *r = &s->resume;
    int64_t *const values[] = {&s->frames,       &s->bytes,   &r->frame,      &r->without_face,
                               &r->interpolated, &r->windows, &r->clip_frames};
    static const int columns[] = {1, 2, 4, 5, 6, 7, 8};
    for (int i = 0; i < 7; i++) {
        *values[i] = sqlite3_column_int64(q, columns[i]);
        if (*values[i] < 0)
            return damaged(j, "a count is negative", err);
    }
    s->last = sqlite3_column_int(q, 3) != 0;
    const void *mark = sqlite3_column_blob(q, 9), *state = sqlite3_column_blob(q, 10);
    int bytes = sqlite3_column_bytes(q, 10);
    r->has_mark = mark && sqlite3_column_bytes(q, 9) == (int)sizeof(r->mark);
    if (r->has_mark)
        memcpy(&r->mark, mark, sizeof(r->mark));
    if (!state || bytes < 1 || bytes > MS_STATE_BYTES || s->frames < 1)
        return damaged(j, "a segment makes no sense", err);
    memcpy(r->state.bytes, state, (size_t)bytes);
    r->state.length = (size_t)bytes;
    return MS_OK;
}

ms_status ms_journal_get(ms_journal *j, int64_t number, ms_journal_segment *ret_segment, bool *ret_got,
                         ms_error *err) {
    sqlite3_stmt *q;
    MS_TRY(prepare(j, "select * from segment where number = ?", &q, err));
    sqlite3_bind_int64(q, 1, number);
    int rc = sqlite3_step(q);
    ms_status status = MS_OK;
    *ret_got = rc == SQLITE_ROW;
    ret_segment->number = number;
    if (rc == SQLITE_ROW)
        status = take_row(j, q, ret_segment, err);
    else if (rc != SQLITE_DONE)
        status = fail_db(j, rc, err);
    sqlite3_finalize(q);
    return status;
}

/* ---- the joined file ---- */

ms_status ms_journal_set_joined(ms_journal *j, uint64_t device, uint64_t inode, ms_error *err) {
    sqlite3_stmt *q;
    MS_TRY(prepare(j, "insert into joined values (?, ?)", &q, err));
    sqlite3_bind_int64(q, 1, (int64_t)device);
    sqlite3_bind_int64(q, 2, (int64_t)inode);
    return finish(j, q, err);
}

ms_status ms_journal_get_joined(ms_journal *j, uint64_t *ret_device, uint64_t *ret_inode, ms_error *err) {
    sqlite3_stmt *q;
    MS_TRY(prepare(j, "select device, inode from joined order by rowid desc limit 1", &q, err));
    int rc = sqlite3_step(q);
    *ret_device = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(q, 0) : 0;
    *ret_inode = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(q, 1) : 0;
    ms_status status = rc == SQLITE_ROW || rc == SQLITE_DONE ? MS_OK : fail_db(j, rc, err);
    sqlite3_finalize(q);
    return status;
}

#else

static ms_status left_out(ms_error *err) {
    return ms_fail(err, MS_UNSUPPORTED, "this build keeps no journal: it was made without SQLite");
}

bool ms_journal_available(void) {
    return false;
}

ms_status ms_journal_open(ms_mem *mem, const char *path, ms_journal **ret_journal, bool *ret_begun,
                          ms_error *err) {
    (void)mem, (void)path, (void)ret_journal, (void)ret_begun;
    return left_out(err);
}

void ms_journal_close(ms_journal **journal) {
    (void)journal;
}

ms_status ms_journal_begin(ms_journal *journal, const ms_job_key *key, ms_error *err) {
    (void)journal, (void)key;
    return left_out(err);
}

ms_status ms_journal_compare(ms_journal *journal, const ms_job_key *key, ms_error *err) {
    (void)journal, (void)key;
    return left_out(err);
}

ms_status ms_journal_add(ms_journal *journal, const ms_journal_segment *segment, ms_error *err) {
    (void)journal, (void)segment;
    return left_out(err);
}

ms_status ms_journal_get(ms_journal *journal, int64_t number, ms_journal_segment *ret_segment, bool *ret_got,
                         ms_error *err) {
    (void)journal, (void)number, (void)ret_segment, (void)ret_got;
    return left_out(err);
}

ms_status ms_journal_set_joined(ms_journal *journal, uint64_t device, uint64_t inode, ms_error *err) {
    (void)journal, (void)device, (void)inode;
    return left_out(err);
}

ms_status ms_journal_get_joined(ms_journal *journal, uint64_t *ret_device, uint64_t *ret_inode,
                                ms_error *err) {
    (void)journal, (void)ret_device, (void)ret_inode;
    return left_out(err);
}

#endif
