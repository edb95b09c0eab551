#include "job/journal.h"

#include "base/error.h"
#include "memsafe_have.h"

#if MS_HAVE_SQLITE

#include <stdio.h>
#include <string.h>

#include "base/crc32.h"
#include "files/trusted_db.h"

#define APPLICATION_ID 1836278122 /* "msaj" */
#define FORMAT 3
/* A place's row takes 4 KiB: a quarter of a million. */
#define MOST_BYTES ((int64_t)1 << 30)
/* Of frames: far more than there can be, and sums of them do not overflow. */
#define MOST_COUNT ((int64_t)1 << 53)
#define COUNTS 3

struct ms_journal {
    ms_mem *mem;
    ms_db *db;
    char *folder;
    ms_crc32_table crc;
};

static const char *const schema =
    "create table if not exists job (field text primary key, value text not null);"
    "create table if not exists joined (device integer, inode integer, frames integer);"
    "create table if not exists place (frame integer primary key, clip_frames integer not null, known "
    "integer not null, mark blob, state blob not null, sum integer not null);";

bool ms_journal_available(void) {
    return true;
}

static ms_status damaged(const ms_journal *j, const char *what, ms_error *err) {
    return ms_fail(err, MS_DAMAGED, "the journal %s/" MS_JOURNAL_NAME " is damaged: %s", j->folder, what);
}

static ms_status open_db(ms_journal *j, const ms_journal_params *p, bool *ret_begun, ms_error *err) {
    const ms_db_params params = {.mem = p->mem,
                                 .folder = p->folder->fd,
                                 .folder_path = j->folder,
                                 .name = MS_JOURNAL_NAME,
                                 .what = "the journal",
                                 .schema = schema,
                                 .application_id = APPLICATION_ID,
                                 .version = FORMAT,
                                 .most_bytes = MOST_BYTES,
                                 .cancelled = p->cancelled,
                                 .arg = p->arg};
    ms_db_finding finding;
    MS_TRY(ms_db_open(&params, &j->db, &finding, err));
    *ret_begun = finding == MS_DB_OURS;
    /* extra: the folder is synced too once a transaction's journal is gone from it. */
    return ms_db_execute(j->db, "pragma synchronous = extra", err);
}

ms_status ms_journal_open(const ms_journal_params *params, ms_journal **ret_journal, bool *ret_begun,
                          ms_error *err) {
    ms_journal *j = ms_mem_calloc(params->mem, MS_LEDGER_GENERAL, 1, sizeof(*j));
    if (!j)
        return ms_fail_alloc(err, params->mem, sizeof(*j), "the journal");
    j->mem = params->mem;
    ms_crc32_init(&j->crc);
    j->folder = ms_strdup(params->mem, params->folder->path);
    ms_status status = j->folder ? open_db(j, params, ret_begun, err)
                                 : ms_fail_alloc(err, params->mem, MS_JOB_PATH_BYTES, "a file name");
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
    ms_db_close(&j->db);
    ms_mem_free(j->folder);
    ms_mem_free(j);
    *journal = NULL;
}

/* ---- the key ---- */

static ms_status add_field(ms_journal *j, const char *name, const char *text, ms_error *err) {
    sqlite3_stmt *q;
    MS_TRY(ms_db_prepare(j->db, "insert into job values (?, ?)", &q, err));
    sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, text, -1, SQLITE_STATIC);
    return ms_db_finish(j->db, q, err);
}

ms_status ms_journal_begin(ms_journal *j, const ms_job_key *key, ms_error *err) {
    MS_TRY(ms_db_begin_tables(j->db, err));
    ms_status status = MS_OK;
    for (int i = 0; i < key->n && status == MS_OK; i++)
        status = add_field(j, key->field[i].name, key->field[i].text, err);
    if (status == MS_OK)
        status = ms_db_execute(j->db, "commit", err);
    if (status != MS_OK)
        ms_db_rollback(j->db);
    return status;
}

ms_status ms_journal_get_field(ms_journal *j, const char *name, char *ret_text, size_t bytes, ms_error *err) {
    sqlite3_stmt *q;
    MS_TRY(ms_db_prepare(j->db, "select value from job where field = ?", &q, err));
    sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
    int code = sqlite3_step(q);
    const char *text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(q, 0) : NULL;
    snprintf(ret_text, bytes, "%s", text ? text : "");
    ms_status status = code == SQLITE_ROW || code == SQLITE_DONE ? MS_OK : ms_db_fail(j->db, code, err);
    sqlite3_finalize(q);
    return status;
}

static ms_status compare_field(ms_journal *j, const ms_job_key *key, int field, ms_error *err) {
    sqlite3_stmt *q;
    MS_TRY(ms_db_prepare(j->db, "select value from job where field = ?", &q, err));
    sqlite3_bind_text(q, 1, key->field[field].name, -1, SQLITE_STATIC);
    int code = sqlite3_step(q);
    ms_status status = MS_OK;
    const char *was = code == SQLITE_ROW ? (const char *)sqlite3_column_text(q, 0) : NULL;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = ms_db_fail(j->db, code, err);
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

/* ---- places ---- */

/* The columns before the mark. */
static void get_counts(const ms_resume_point *r, int64_t ret[COUNTS]) {
    ret[0] = r->frame;
    ret[1] = r->clip_frames;
    ret[2] = r->known;
}

static uint32_t sum_of(const ms_journal *j, const int64_t counts[COUNTS], const ms_resume_point *r) {
    uint32_t crc = ms_crc32(&j->crc, 0, counts, COUNTS * sizeof(*counts));
    if (r->has_mark)
        crc = ms_crc32(&j->crc, crc, &r->mark, sizeof(r->mark));
    return ms_crc32(&j->crc, crc, r->state.bytes, r->state.length);
}

ms_status ms_journal_add(ms_journal *j, const ms_resume_point *r, ms_error *err) {
    sqlite3_stmt *q;
    int64_t counts[COUNTS];
    int code = SQLITE_OK;
    MS_TRY(ms_db_prepare(j->db, "insert or replace into place values (?, ?, ?, ?, ?, ?)", &q, err));
    get_counts(r, counts);
    for (int i = 0; i < COUNTS && code == SQLITE_OK; i++)
        code = sqlite3_bind_int64(q, i + 1, counts[i]);
    if (code == SQLITE_OK && r->has_mark)
        code = sqlite3_bind_blob(q, 4, &r->mark, sizeof(r->mark), SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_bind_blob(q, 5, r->state.bytes, (int)r->state.length, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(q, 6, sum_of(j, counts, r));
    if (code == SQLITE_OK)
        return ms_db_finish(j->db, q, err);
    sqlite3_finalize(q);
    return ms_db_fail(j->db, code, err);
}

static ms_status take_counts(ms_journal *j, sqlite3_stmt *q, ms_resume_point *r, int64_t counts[COUNTS],
                             ms_error *err) {
    for (int i = 0; i < COUNTS; i++) {
        counts[i] = sqlite3_column_int64(q, i);
        if (sqlite3_column_type(q, i) != SQLITE_INTEGER || counts[i] < 0 || counts[i] > MOST_COUNT)
            return damaged(j, "a count is out of range", err);
    }
    r->frame = counts[0];
    r->clip_frames = counts[1];
    r->known = counts[2] == 1;
    if (counts[2] > 1 || (r->frame > 0 && r->clip_frames == 0))
        return damaged(j, "a place makes no sense", err);
    return MS_OK;
}

/* What the rate conversion computes with does not overflow. */
static bool is_sane(const ms_video_mark *m) {
    bool sane = m->first_frame >= 0 && m->first_frame <= MOST_COUNT;
    for (int i = 0; i < 5; i++)
        sane = sane && m->rate_state[i] >= -MOST_COUNT && m->rate_state[i] <= MOST_COUNT;
    return sane;
}

static ms_status take_row(ms_journal *j, sqlite3_stmt *q, ms_resume_point *r, ms_error *err) {
    int64_t counts[COUNTS];
    MS_TRY(take_counts(j, q, r, counts, err));
    int mark_type = sqlite3_column_type(q, 3), bytes = sqlite3_column_bytes(q, 4);
    r->has_mark = mark_type == SQLITE_BLOB && sqlite3_column_bytes(q, 3) == (int)sizeof(r->mark);
    if (sqlite3_column_type(q, 4) != SQLITE_BLOB || bytes < 1 || bytes > MS_STATE_BYTES ||
        (mark_type != SQLITE_NULL && !r->has_mark))
        return damaged(j, "a place makes no sense", err);
    if (r->has_mark)
        memcpy(&r->mark, sqlite3_column_blob(q, 3), sizeof(r->mark));
    memcpy(r->state.bytes, sqlite3_column_blob(q, 4), (size_t)bytes);
    r->state.length = (size_t)bytes;
    if (sqlite3_column_type(q, 5) != SQLITE_INTEGER ||
        sqlite3_column_int64(q, 5) != (int64_t)sum_of(j, counts, r))
        return damaged(j, "a place's checksum is wrong", err);
    if (r->has_mark && !is_sane(&r->mark))
        return damaged(j, "a place in the video makes no sense", err);
    return MS_OK;
}

ms_status ms_journal_get(ms_journal *j, int64_t before, ms_resume_point *ret_place, bool *ret_got,
                         ms_error *err) {
    sqlite3_stmt *q;
    MS_TRY(ms_db_prepare(j->db, "select * from place where frame < ? order by frame desc limit 1", &q, err));
    sqlite3_bind_int64(q, 1, before);
    int code = sqlite3_step(q);
    ms_status status = MS_OK;
    *ret_got = code == SQLITE_ROW;
    if (code == SQLITE_ROW)
        status = take_row(j, q, ret_place, err);
    else if (code != SQLITE_DONE)
        status = ms_db_fail(j->db, code, err);
    sqlite3_finalize(q);
    return status;
}

ms_status ms_journal_forget_after(ms_journal *j, int64_t frame, ms_error *err) {
    sqlite3_stmt *q;
    MS_TRY(ms_db_prepare(j->db, "delete from place where frame > ?", &q, err));
    sqlite3_bind_int64(q, 1, frame);
    return ms_db_finish(j->db, q, err);
}

/* ---- the joined file ---- */

ms_status ms_journal_set_joined(ms_journal *j, const ms_journal_joined *joined, ms_error *err) {
    sqlite3_stmt *q;
    MS_TRY(ms_db_prepare(j->db, "insert into joined values (?, ?, ?)", &q, err));
    sqlite3_bind_int64(q, 1, (int64_t)joined->device);
    sqlite3_bind_int64(q, 2, (int64_t)joined->inode);
    sqlite3_bind_int64(q, 3, joined->frames);
    return ms_db_finish(j->db, q, err);
}

ms_status ms_journal_get_joined(ms_journal *j, ms_journal_joined *ret_joined, ms_error *err) {
    sqlite3_stmt *q;
    *ret_joined = (ms_journal_joined){0};
    MS_TRY(ms_db_prepare(j->db, "select device, inode, frames from joined order by rowid desc limit 1", &q,
                         err));
    int code = sqlite3_step(q);
    ms_status status = code == SQLITE_ROW || code == SQLITE_DONE ? MS_OK : ms_db_fail(j->db, code, err);
    if (code == SQLITE_ROW) {
        int64_t frames = sqlite3_column_int64(q, 2);
        *ret_joined = (ms_journal_joined){.device = (uint64_t)sqlite3_column_int64(q, 0),
                                          .inode = (uint64_t)sqlite3_column_int64(q, 1),
                                          .frames = frames};
        if (sqlite3_column_type(q, 2) != SQLITE_INTEGER || frames < 1 || frames > MOST_COUNT)
            status = damaged(j, "the output's length makes no sense", err);
    }
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

ms_status ms_journal_open(const ms_journal_params *params, ms_journal **ret_journal, bool *ret_begun,
                          ms_error *err) {
    (void)params, (void)ret_journal, (void)ret_begun;
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

ms_status ms_journal_get_field(ms_journal *journal, const char *name, char *ret_text, size_t bytes,
                               ms_error *err) {
    (void)journal, (void)name, (void)ret_text, (void)bytes;
    return left_out(err);
}

ms_status ms_journal_add(ms_journal *journal, const ms_resume_point *place, ms_error *err) {
    (void)journal, (void)place;
    return left_out(err);
}

ms_status ms_journal_get(ms_journal *journal, int64_t before, ms_resume_point *ret_place, bool *ret_got,
                         ms_error *err) {
    (void)journal, (void)before, (void)ret_place, (void)ret_got;
    return left_out(err);
}

ms_status ms_journal_forget_after(ms_journal *journal, int64_t frame, ms_error *err) {
    (void)journal, (void)frame;
    return left_out(err);
}

ms_status ms_journal_set_joined(ms_journal *journal, const ms_journal_joined *joined, ms_error *err) {
    (void)journal, (void)joined;
    return left_out(err);
}

ms_status ms_journal_get_joined(ms_journal *journal, ms_journal_joined *ret_joined, ms_error *err) {
    (void)journal, (void)ret_joined;
    return left_out(err);
}

#endif
