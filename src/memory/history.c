#include "memory/history.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "memsafe/version.h"

#if MS_HAVE_SQLITE

#include <sqlite3.h>

#define APPLICATION_ID 1836278118 /* "msaf" */
#define SCHEMA_VERSION 1
#define BUSY_MS 2000
#define TEXT_OF(macro) TEXT_OF_VALUE(macro)
#define TEXT_OF_VALUE(value) #value
#define MEDIAN_OF 5
/* Shorter stages say more about the clock and the disk than about the kernels. */
#define LEAST_SECONDS "0.002"

struct ms_history {
    sqlite3 *db;
};

bool ms_history_supported(void) {
    return true;
}

static const char *const schema =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS calibrations(id INTEGER PRIMARY KEY AUTOINCREMENT, version TEXT, device TEXT,"
    " threads INTEGER, conv_flops REAL, linear_flops REAL, attention_flops REAL, moved_bytes REAL,"
    " weight_bytes REAL, pack_bytes REAL, disk_bytes REAL, passes REAL);"
    "CREATE TABLE IF NOT EXISTS runs(id INTEGER PRIMARY KEY, time_s INTEGER, calibration INTEGER,"
    " device TEXT, threads INTEGER, model TEXT, precision TEXT, codec TEXT, resolution INTEGER,"
    " tracked INTEGER, width INTEGER, height INTEGER, steps INTEGER, frames INTEGER, rung TEXT, layout TEXT,"
    " changes INTEGER, budget_bytes INTEGER, planned_bytes INTEGER, peak_bytes INTEGER);"
    "CREATE TABLE IF NOT EXISTS stages(run INTEGER, stage TEXT, computed_s REAL, predicted_s REAL,"
    " measured_s REAL, PRIMARY KEY(run, stage)) WITHOUT ROWID;"
    "PRAGMA application_id=" TEXT_OF(APPLICATION_ID) ";"
                                                     "PRAGMA user_version=" TEXT_OF(SCHEMA_VERSION) ";"
                                                                                                    "COMMIT;";

/* ---- statements ---- */

static ms_status failed(ms_history *h, ms_error *err) {
    return ms_fail(err, sqlite3_errcode(h->db) == SQLITE_NOMEM ? MS_HOST_MEMORY : MS_IO, "the history: %s",
                   sqlite3_errmsg(h->db));
}

static ms_status prepare(ms_history *h, const char *sql, sqlite3_stmt **ret_statement, ms_error *err) {
    if (sqlite3_prepare_v2(h->db, sql, -1, ret_statement, NULL) != SQLITE_OK)
        return failed(h, err);
    return MS_OK;
}

static ms_status execute(ms_history *h, const char *sql, ms_error *err) {
    if (sqlite3_exec(h->db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return MS_OK;
    ms_status status = failed(h, err);
    if (!sqlite3_get_autocommit(h->db))
        sqlite3_exec(h->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* Runs a statement that gives no rows, and ends it. */
static ms_status finish(ms_history *h, sqlite3_stmt *s, ms_error *err) {
    ms_status status = sqlite3_step(s) == SQLITE_DONE ? MS_OK : failed(h, err);
    sqlite3_finalize(s);
    return status;
}

/* A statement need not use every parameter that its caller knows. */
static void bind_text(sqlite3_stmt *s, const char *name, const char *text) {
    int index = sqlite3_bind_parameter_index(s, name);
    if (index)
        sqlite3_bind_text(s, index, text, -1, SQLITE_STATIC);
}

static void bind_int(sqlite3_stmt *s, const char *name, int64_t value) {
    int index = sqlite3_bind_parameter_index(s, name);
    if (index)
        sqlite3_bind_int64(s, index, value);
}

static void bind_real(sqlite3_stmt *s, const char *name, double value) {
    int index = sqlite3_bind_parameter_index(s, name);
    if (index)
        sqlite3_bind_double(s, index, value);
}

static void column_text(sqlite3_stmt *s, int column, char *dst, size_t size) {
    const unsigned char *text = sqlite3_column_text(s, column);
    snprintf(dst, size, "%s", text ? (const char *)text : "");
}

/* ---- opening ---- */

static void make_folders(const char *path) {
    char dir[4096];
    if (snprintf(dir, sizeof(dir), "%s", path) >= (int)sizeof(dir))
        return;
    for (char *slash = strchr(dir + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(dir, 0700); /* what does not work out shows when the file is opened */
        *slash = '/';
    }
}

/* A file may define triggers and views; none of ours does. */
static void distrust(sqlite3 *db) {
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 1 << 16);
}

static int query_number(sqlite3 *db, const char *sql, int64_t *ret_value) {
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        *ret_value = sqlite3_column_int64(s, 0);
        code = SQLITE_OK;
    }
    sqlite3_finalize(s);
    return code;
}

static int check_whole(sqlite3 *db) {
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &s, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(s, 0);
        code = text && strcmp(text, "ok") == 0 ? SQLITE_OK : SQLITE_CORRUPT;
    }
    sqlite3_finalize(s);
    return code;
}

/* *ret_code: SQLite's, SQLITE_OK when all is well; the error's text is filled in otherwise. */
static ms_status open_once(const char *path, sqlite3 **ret_db, int *ret_code, ms_error *err) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    ms_history h = {NULL};
    int64_t id = 0, version = 0, tables = 0;
    int code = sqlite3_open_v2(path, &h.db, flags, NULL);
    ms_status status = MS_OK;
    if (code == SQLITE_OK) {
        sqlite3_busy_timeout(h.db, BUSY_MS);
        distrust(h.db);
        code = check_whole(h.db);
    }
    if (code == SQLITE_OK)
        code = query_number(h.db, "PRAGMA application_id", &id);
    if (code == SQLITE_OK)
        code = query_number(h.db, "PRAGMA user_version", &version);
    if (code == SQLITE_OK)
        code = query_number(h.db, "SELECT count(*) FROM sqlite_master", &tables);
    if (code != SQLITE_OK)
        status = ms_fail(err, MS_IO, "%s: %s", path, h.db ? sqlite3_errmsg(h.db) : "out of memory");
    else if (id != APPLICATION_ID && (id != 0 || tables != 0))
        status = ms_fail(err, MS_IO, "%s: is another program's database", path);
    else if (version > SCHEMA_VERSION)
        status = ms_fail(err, MS_IO, "%s: was made by a newer version of memsafe", path);
    else if (id == 0)
        status = execute(&h, schema, err);
    if (status == MS_OK)
        status = execute(&h, "PRAGMA synchronous=NORMAL; PRAGMA cache_size=-256" /* KiB */, err);
    *ret_code = code;
    if (status == MS_OK)
        *ret_db = h.db;
    else
        sqlite3_close(h.db);
    return status;
}

/* Anything else under that name is somebody's file, whatever MEMSAFE_HISTORY says. */
static bool begins_as_database(const char *path) {
    static const char header[] = "SQLite format 3"; /* with its 0 */
    char text[sizeof(header)] = "";
    FILE *f = fopen(path, "rb");
    bool is = f && fread(text, 1, sizeof(text), f) == sizeof(text) && memcmp(text, header, sizeof(text)) == 0;
    if (f)
        fclose(f);
    return is;
}

/* What a process that was killed left beside the database: SQLite would apply it to the next file of that name. */
static void move_companions(const char *path, const char *aside) {
    static const char *const endings[] = {"-journal", "-wal", "-shm"};
    char from[4096], to[4096];
    for (int i = 0; i < 3; i++) {
        if (snprintf(from, sizeof(from), "%s%s", path, endings[i]) >= (int)sizeof(from) ||
            snprintf(to, sizeof(to), "%s%s", aside, endings[i]) >= (int)sizeof(to))
            return;
        if (rename(from, to) != 0)
            unlink(to); /* of a damaged file before: not this one's */
    }
}

/* Only the file that was found damaged: another process may have replaced it since. */
static bool set_aside(const char *path, const struct stat *damaged, char *warning) {
    char aside[4096 - 16];
    struct stat now;
    if (snprintf(aside, sizeof(aside), "%s.damaged", path) >= (int)sizeof(aside))
        return false;
    if (stat(path, &now) != 0 || now.st_dev != damaged->st_dev || now.st_ino != damaged->st_ino)
        return true;
    if (!S_ISREG(now.st_mode) || access(path, W_OK) != 0)
        return false;
    move_companions(path, aside);
    if (rename(path, aside) != 0)
        return false;
    snprintf(warning, MS_HISTORY_TEXT_BYTES, "the history was damaged and is now %.200s", aside);
    return true;
}

ms_status ms_history_open(const char *path, ms_history **ret_history, char ret_warning[MS_HISTORY_TEXT_BYTES],
                          ms_error *err) {
    ret_warning[0] = 0;
    ms_history *h = ms_calloc(NULL, MS_LEDGER_GENERAL, 1, sizeof(*h));
    if (!h)
        return ms_fail_alloc(err, NULL, sizeof(*h), "the history");
    make_folders(path);
    struct stat before = {0};
    bool existed = stat(path, &before) == 0;
    int code = SQLITE_OK;
    ms_status status = open_once(path, &h->db, &code, err);
    if ((code == SQLITE_CORRUPT || code == SQLITE_NOTADB) && existed && !begins_as_database(path))
        status = ms_fail(err, MS_IO, "%s: is no history and is left as it is (MEMSAFE_HISTORY)", path);
    else if ((code == SQLITE_CORRUPT || code == SQLITE_NOTADB) && existed &&
             set_aside(path, &before, ret_warning))
        status = open_once(path, &h->db, &code, err);
    if (status != MS_OK) {
        ms_free(h);
        return status;
    }
    *ret_history = h;
    return MS_OK;
}

void ms_history_close(ms_history **history) {
    if (!history || !*history)
        return;
    sqlite3_close((*history)->db);
    ms_free(*history);
    *history = NULL;
}

/* ---- calibrations ---- */

ms_status ms_history_get_calibration(ms_history *h, const ms_machine *machine,
                                     ms_calibration *ret_calibration, int64_t *ret_id, ms_error *err) {
    sqlite3_stmt *s = NULL;
    MS_TRY(prepare(h,
                   "SELECT id, conv_flops, linear_flops, attention_flops, moved_bytes, weight_bytes,"
                   " pack_bytes, disk_bytes, passes FROM calibrations WHERE version=:version"
                   " AND device=:device AND threads=:threads ORDER BY id DESC LIMIT 1",
                   &s, err));
    bind_text(s, ":version", MS_VERSION_TEXT);
    bind_text(s, ":device", machine->device);
    bind_int(s, ":threads", machine->threads);
    int code = sqlite3_step(s), column = 1;
    ms_status status = code == SQLITE_ROW || code == SQLITE_DONE ? MS_OK : failed(h, err);
    *ret_id = 0;
    if (code == SQLITE_ROW) {
        ms_calibration c;
#define X(rate) c.rate = sqlite3_column_double(s, column++);
        MS_CALIBRATION_MAP(X)
#undef X
        if (ms_calibration_is_sane(&c) && sqlite3_column_int64(s, 0) > 0) {
            *ret_calibration = c;
            *ret_id = sqlite3_column_int64(s, 0);
        }
    }
    sqlite3_finalize(s);
    return status;
}

ms_status ms_history_put_calibration(ms_history *h, const ms_machine *machine, const ms_calibration *c,
                                     int64_t *ret_id, ms_error *err) {
    sqlite3_stmt *s = NULL;
    MS_TRY(prepare(h,
                   "INSERT INTO calibrations(version, device, threads, conv_flops, linear_flops,"
                   " attention_flops, moved_bytes, weight_bytes, pack_bytes, disk_bytes, passes)"
                   " VALUES(:version, :device, :threads, :conv_flops, :linear_flops, :attention_flops,"
                   " :moved_bytes, :weight_bytes, :pack_bytes, :disk_bytes, :passes)",
                   &s, err));
    bind_text(s, ":version", MS_VERSION_TEXT);
    bind_text(s, ":device", machine->device);
    bind_int(s, ":threads", machine->threads);
#define X(rate) bind_real(s, ":" #rate, c->rate);
    MS_CALIBRATION_MAP(X)
#undef X
    MS_TRY(finish(h, s, err));
    *ret_id = sqlite3_last_insert_rowid(h->db);
    return MS_OK;
}

/* ---- runs ---- */

static ms_status insert_run(ms_history *h, const ms_history_run *r, ms_error *err) {
    sqlite3_stmt *s = NULL;
    MS_TRY(prepare(h,
                   "INSERT INTO runs(time_s, calibration, device, threads, model, precision, codec,"
                   " resolution, tracked, width, height, steps, frames, rung, layout, changes, budget_bytes,"
                   " planned_bytes, peak_bytes) VALUES(:time, :calibration, :device, :threads, :model,"
                   " :precision, :codec, :resolution, :tracked, :width, :height, :steps, :frames, :rung,"
                   " :layout, :changes, :budget, :planned, :peak)",
                   &s, err));
    bind_int(s, ":time", (int64_t)time(NULL));
    bind_int(s, ":calibration", r->key.calibration);
    bind_text(s, ":device", r->machine.device);
    bind_int(s, ":threads", r->machine.threads);
    bind_text(s, ":model", r->key.model);
    bind_text(s, ":precision", r->key.precision);
    bind_text(s, ":codec", r->key.codec);
    bind_int(s, ":resolution", r->key.resolution);
    bind_int(s, ":tracked", r->key.tracked);
    bind_int(s, ":width", r->width);
    bind_int(s, ":height", r->height);
    bind_int(s, ":steps", r->steps);
    bind_int(s, ":frames", r->frames);
    bind_text(s, ":rung", ms_rung_name(r->rung));
    bind_text(s, ":layout", r->layout);
    bind_int(s, ":changes", r->changes);
    bind_int(s, ":budget", (int64_t)r->budget_bytes);
    bind_int(s, ":planned", (int64_t)r->planned_bytes);
    bind_int(s, ":peak", (int64_t)r->peak_bytes);
    return finish(h, s, err);
}

static ms_status insert_stages(ms_history *h, int64_t run, const ms_history_run *r, ms_error *err) {
    for (int i = 0; i < MS_STAGE_COUNT; i++) {
        sqlite3_stmt *s = NULL;
        MS_TRY(prepare(h,
                       "INSERT OR REPLACE INTO stages VALUES(:run, :stage, :computed, :predicted, :measured)",
                       &s, err));
        bind_int(s, ":run", run);
        bind_text(s, ":stage", ms_stage_name((ms_stage)i));
        bind_real(s, ":computed", r->computed_s[i]);
        bind_real(s, ":predicted", r->predicted_s[i]);
        bind_real(s, ":measured", r->measured_s[i]);
        MS_TRY(finish(h, s, err));
    }
    return MS_OK;
}

static ms_status drop_oldest(ms_history *h, ms_error *err) {
    sqlite3_stmt *s = NULL;
    MS_TRY(prepare(h, "DELETE FROM runs WHERE id NOT IN (SELECT id FROM runs ORDER BY id DESC LIMIT :most)",
                   &s, err));
    bind_int(s, ":most", MS_HISTORY_MOST_RUNS);
    MS_TRY(finish(h, s, err));
    return execute(h, "DELETE FROM stages WHERE run NOT IN (SELECT id FROM runs)", err);
}

ms_status ms_history_add(ms_history *h, const ms_history_run *run, ms_error *err) {
    MS_TRY(execute(h, "BEGIN IMMEDIATE", err));
    ms_status status = insert_run(h, run, err);
    if (status == MS_OK)
        status = insert_stages(h, sqlite3_last_insert_rowid(h->db), run, err);
    if (status == MS_OK)
        status = drop_oldest(h, err);
    if (status == MS_OK)
        status = execute(h, "COMMIT", err);
    if (status != MS_OK && !sqlite3_get_autocommit(h->db))
        sqlite3_exec(h->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

static ms_rung rung_of(const char *name) {
    for (int i = 0; i < MS_RUNG_COUNT; i++)
        if (strcmp(name, ms_rung_name((ms_rung)i)) == 0)
            return (ms_rung)i;
    return MS_RUNG_AUTO;
}

static void read_run(sqlite3_stmt *s, ms_history_run *r) {
    char rung[32];
    int c = 1;
    r->time_s = sqlite3_column_int64(s, c++);
    r->key.calibration = sqlite3_column_int64(s, c++);
    column_text(s, c++, r->machine.device, sizeof(r->machine.device));
    r->machine.threads = sqlite3_column_int(s, c++);
    column_text(s, c++, r->key.model, sizeof(r->key.model));
    column_text(s, c++, r->key.precision, sizeof(r->key.precision));
    column_text(s, c++, r->key.codec, sizeof(r->key.codec));
    r->key.resolution = sqlite3_column_int(s, c++);
    r->key.tracked = sqlite3_column_int(s, c++) != 0;
    r->width = sqlite3_column_int(s, c++);
    r->height = sqlite3_column_int(s, c++);
    r->steps = sqlite3_column_int(s, c++);
    r->frames = sqlite3_column_int64(s, c++);
    column_text(s, c++, rung, sizeof(rung));
    r->rung = rung_of(rung);
    column_text(s, c++, r->layout, sizeof(r->layout));
    r->changes = sqlite3_column_int(s, c++);
    r->budget_bytes = (size_t)sqlite3_column_int64(s, c++);
    r->planned_bytes = (size_t)sqlite3_column_int64(s, c++);
    r->peak_bytes = (size_t)sqlite3_column_int64(s, c++);
}

static ms_status read_stages(ms_history *h, int64_t run, ms_history_run *r, ms_error *err) {
    sqlite3_stmt *s = NULL;
    MS_TRY(
        prepare(h, "SELECT stage, computed_s, predicted_s, measured_s FROM stages WHERE run=:run", &s, err));
    bind_int(s, ":run", run);
    int code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        char name[32];
        column_text(s, 0, name, sizeof(name));
        for (int i = 0; i < MS_STAGE_COUNT; i++) {
            if (strcmp(name, ms_stage_name((ms_stage)i)) != 0)
                continue;
            r->computed_s[i] = sqlite3_column_double(s, 1);
            r->predicted_s[i] = sqlite3_column_double(s, 2);
            r->measured_s[i] = sqlite3_column_double(s, 3);
        }
    }
    ms_status status = code == SQLITE_DONE ? MS_OK : failed(h, err);
    sqlite3_finalize(s);
    return status;
}

ms_status ms_history_list(ms_history *h, int limit, ms_history_run_fn each, void *arg, ms_error *err) {
    sqlite3_stmt *s = NULL;
    MS_TRY(prepare(h,
                   "SELECT id, time_s, calibration, device, threads, model, precision, codec, resolution,"
                   " tracked, width, height, steps, frames, rung, layout, changes, budget_bytes,"
                   " planned_bytes, peak_bytes FROM runs ORDER BY id DESC LIMIT :limit",
                   &s, err));
    bind_int(s, ":limit", limit > 0 ? limit : -1);
    ms_status status = MS_OK;
    int code = SQLITE_DONE;
    while (status == MS_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
        ms_history_run run = {0};
        read_run(s, &run);
        status = read_stages(h, sqlite3_column_int64(s, 0), &run, err);
        if (status == MS_OK)
            status = each(arg, &run);
    }
    if (status == MS_OK && code != SQLITE_DONE)
        status = failed(h, err);
    sqlite3_finalize(s);
    return status;
}

ms_status ms_history_clear(ms_history *h, ms_error *err) {
    return execute(h, "BEGIN IMMEDIATE; DELETE FROM runs; DELETE FROM stages; COMMIT; VACUUM;", err);
}

/* ---- correction ---- */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* 0 = there are none. rung NULL: any. */
static ms_status median_ratio(ms_history *h, const ms_history_key *key, ms_stage stage, const char *rung,
                              double *ret_ratio, ms_error *err) {
    static const char *const like[MS_STAGE_COUNT] = {
        [MS_STAGE_FACES] = " AND tracked=:tracked", [MS_STAGE_WRITE] = " AND codec=:codec"};
    char sql[512];
    sqlite3_stmt *s = NULL;
    double ratio[MEDIAN_OF];
    int n = 0, code;
    snprintf(sql, sizeof(sql),
             "SELECT measured_s / computed_s FROM runs JOIN stages ON run = id WHERE calibration=:calibration"
             " AND stage=:stage AND changes=0 AND computed_s > " LEAST_SECONDS
             " AND measured_s > " LEAST_SECONDS "%s%s ORDER BY id DESC LIMIT :most",
             like[stage] ? like[stage]
                         : " AND model=:model AND resolution=:resolution AND precision=:precision",
             rung ? " AND rung=:rung" : "");
    MS_TRY(prepare(h, sql, &s, err));
    bind_int(s, ":calibration", key->calibration);
    bind_text(s, ":stage", ms_stage_name(stage));
    bind_int(s, ":tracked", key->tracked);
    bind_text(s, ":codec", key->codec);
    bind_text(s, ":model", key->model);
    bind_int(s, ":resolution", key->resolution);
    bind_text(s, ":precision", key->precision);
    bind_text(s, ":rung", rung);
    bind_int(s, ":most", MEDIAN_OF);
    while ((code = sqlite3_step(s)) == SQLITE_ROW && n < MEDIAN_OF)
        ratio[n++] = sqlite3_column_double(s, 0);
    ms_status status = code == SQLITE_DONE ? MS_OK : failed(h, err);
    sqlite3_finalize(s);
    qsort(ratio, (size_t)n, sizeof(*ratio), by_value);
    *ret_ratio = n ? n % 2 ? ratio[n / 2] : (ratio[n / 2 - 1] + ratio[n / 2]) / 2 : 0;
    return status;
}

static double within_bounds(double ratio) {
    return !(ratio > MS_HISTORY_LEAST_RATIO)    ? MS_HISTORY_LEAST_RATIO
           : ratio > 1 / MS_HISTORY_LEAST_RATIO ? 1 / MS_HISTORY_LEAST_RATIO
                                                : ratio;
}

ms_status ms_history_get_ratios(ms_history *h, const ms_history_key *key,
                                double ret_ratio[MS_RUNG_COUNT][MS_STAGE_COUNT], ms_error *err) {
    double ratio[MS_RUNG_COUNT][MS_STAGE_COUNT];
    for (int stage = 0; stage < MS_STAGE_COUNT; stage++) {
        double any, own;
        MS_TRY(median_ratio(h, key, (ms_stage)stage, NULL, &any, err));
        any = any == 0 ? 1 : within_bounds(any);
        ratio[MS_RUNG_AUTO][stage] = any;
        for (int rung = MS_RUNG_AUTO + 1; rung < MS_RUNG_COUNT; rung++) {
            MS_TRY(median_ratio(h, key, (ms_stage)stage, ms_rung_name((ms_rung)rung), &own, err));
            ratio[rung][stage] = own == 0 ? any : within_bounds(own);
        }
    }
    memcpy(ret_ratio, ratio, sizeof(ratio));
    return MS_OK;
}

#else

/* There is never one open. */
bool ms_history_supported(void) {
    return false;
}

static ms_status unsupported(ms_error *err) {
    return ms_fail(err, MS_UNSUPPORTED, "this build keeps no history: it was made without SQLite");
}

ms_status ms_history_open(const char *path, ms_history **ret_history, char ret_warning[MS_HISTORY_TEXT_BYTES],
                          ms_error *err) {
    (void)path, (void)ret_history;
    ret_warning[0] = 0;
    return unsupported(err);
}

void ms_history_close(ms_history **history) {
    *history = NULL;
}

ms_status ms_history_get_calibration(ms_history *h, const ms_machine *machine,
                                     ms_calibration *ret_calibration, int64_t *ret_id, ms_error *err) {
    (void)h, (void)machine, (void)ret_calibration, (void)ret_id;
    return unsupported(err);
}

ms_status ms_history_put_calibration(ms_history *h, const ms_machine *machine, const ms_calibration *c,
                                     int64_t *ret_id, ms_error *err) {
    (void)h, (void)machine, (void)c, (void)ret_id;
    return unsupported(err);
}

ms_status ms_history_add(ms_history *h, const ms_history_run *run, ms_error *err) {
    (void)h, (void)run;
    return unsupported(err);
}

ms_status ms_history_list(ms_history *h, int limit, ms_history_run_fn each, void *arg, ms_error *err) {
    (void)h, (void)limit, (void)each, (void)arg;
    return unsupported(err);
}

ms_status ms_history_clear(ms_history *h, ms_error *err) {
    (void)h;
    return unsupported(err);
}

ms_status ms_history_get_ratios(ms_history *h, const ms_history_key *key,
                                double ret_ratio[MS_RUNG_COUNT][MS_STAGE_COUNT], ms_error *err) {
    (void)h, (void)key, (void)ret_ratio;
    return unsupported(err);
}
#endif
