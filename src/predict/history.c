#include "predict/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "files/new_file.h"
#include "files/trusted_db.h"
#include "memsafe_have.h"
#include "memsafe/version.h"

#if MS_HAVE_SQLITE

#define APPLICATION_ID 1836278118 /* "msaf" */
#define SCHEMA_VERSION 1
#define BUSY_MS 5000
#define MOST_BYTES ((int64_t)16 << 20) /* of MS_HISTORY_MOST_RUNS runs: 2 MiB */
#define MEDIAN_OF 5
/* Shorter stages say more about the clock and the disk than about the kernels. */
#define LEAST_SECONDS "0.002"

struct ms_history {
    ms_db *db;
    int folder;
};

bool ms_history_supported(void) {
    return true;
}

static const char *const schema =
    "CREATE TABLE IF NOT EXISTS calibrations(id INTEGER PRIMARY KEY AUTOINCREMENT, version TEXT, device TEXT,"
    " threads INTEGER, conv_flops REAL, linear_flops REAL, attention_flops REAL, moved_bytes REAL,"
    " weight_bytes REAL, pack_bytes REAL, disk_bytes REAL, passes REAL);"
    "CREATE TABLE IF NOT EXISTS runs(id INTEGER PRIMARY KEY, time_s INTEGER, calibration INTEGER,"
    " device TEXT, threads INTEGER, model TEXT, precision TEXT, codec TEXT, resolution INTEGER,"
    " tracked INTEGER, width INTEGER, height INTEGER, steps INTEGER, frames INTEGER, rung TEXT, layout TEXT,"
    " changes INTEGER, budget_bytes INTEGER, planned_bytes INTEGER, peak_bytes INTEGER);"
    "CREATE TABLE IF NOT EXISTS stages(run INTEGER, stage TEXT, computed_s REAL, predicted_s REAL,"
    " measured_s REAL, PRIMARY KEY(run, stage)) WITHOUT ROWID;";

/* ---- statements ---- */

static ms_status failed(ms_history *h, ms_error *err) {
    return ms_db_fail(h->db, sqlite3_errcode(ms_db_handle(h->db)), err);
}

static ms_status execute(ms_history *h, const char *sql, ms_error *err) {
    ms_status status = ms_db_execute(h->db, sql, err);
    if (status != MS_OK)
        ms_db_rollback(h->db);
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

static ms_status open_once(ms_history *h, const char *folder_path, const char *name,
                           ms_db_finding *ret_finding, ms_error *err) {
    const ms_db_params params = {.folder = h->folder,
                                 .folder_path = folder_path,
                                 .name = name,
                                 .what = "the history",
                                 .schema = schema,
                                 .application_id = APPLICATION_ID,
                                 .version = SCHEMA_VERSION,
                                 .most_bytes = MOST_BYTES,
                                 .busy_ms = BUSY_MS};
    MS_TRY(ms_db_open(&params, &h->db, ret_finding, err));
    if (*ret_finding == MS_DB_NEW) {
        MS_TRY(ms_db_begin_tables(h->db, err));
        MS_TRY(execute(h, "COMMIT", err));
    }
    return execute(h, "PRAGMA synchronous=NORMAL", err);
}

/* Anything else under that name is somebody's file, whatever MEMSAFE_HISTORY says. */
static bool begins_as_database(const ms_history *h, const char *name) {
    static const char header[] = "SQLite format 3"; /* with its 0 */
    char text[sizeof(header)] = "";
    int fd = openat(h->folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool is = fd >= 0 && pread(fd, text, sizeof(text), 0) == (ssize_t)sizeof(text) &&
              memcmp(text, header, sizeof(text)) == 0;
    if (fd >= 0)
        close(fd);
    return is;
}

/* What a process that was killed left beside the database: SQLite would apply it to the next file of that
   name. */
static void move_companions(const ms_history *h, const char *name, const char *aside) {
    static const char *const endings[] = {"-journal", "-wal", "-shm"};
    char from[300], to[300];
    for (int i = 0; i < 3; i++) {
        if (snprintf(from, sizeof(from), "%s%s", name, endings[i]) >= (int)sizeof(from) ||
            snprintf(to, sizeof(to), "%s%s", aside, endings[i]) >= (int)sizeof(to))
            return;
        if (renameat(h->folder, from, h->folder, to) != 0)
            unlinkat(h->folder, to, 0); /* of a damaged file before: not this one's */
    }
}

/* Only the file that was found damaged: another process may have replaced it since. */
static bool set_aside(const ms_history *h, const char *path, const struct stat *damaged, char *warning) {
    char aside[256];
    struct stat now;
    const char *name = ms_name_in(path);
    if (snprintf(aside, sizeof(aside), "%s.damaged", name) >= (int)sizeof(aside))
        return false;
    if (fstatat(h->folder, name, &now, AT_SYMLINK_NOFOLLOW) != 0 || now.st_dev != damaged->st_dev ||
        now.st_ino != damaged->st_ino)
        return true;
    if (!S_ISREG(now.st_mode) || faccessat(h->folder, name, W_OK, 0) != 0)
        return false;
    move_companions(h, name, aside);
    if (renameat(h->folder, name, h->folder, aside) != 0)
        return false;
    snprintf(warning, MS_HISTORY_TEXT_BYTES, "the history was damaged and is now %.190s.damaged", path);
    return true;
}

static ms_status open_file(ms_history *h, const char *path, char *warning, ms_error *err) {
    char folder_path[4096];
    const char *name = ms_name_in(path);
    struct stat before = {0};
    ms_db_finding finding = MS_DB_REFUSED;
    ms_folder_of(path, folder_path, sizeof(folder_path));
    h->folder = open(folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (h->folder < 0)
        return ms_fail(err, MS_IO, "the history %s: folder %s: %s", path, folder_path, strerror(errno));
    bool existed = fstatat(h->folder, name, &before, AT_SYMLINK_NOFOLLOW) == 0;
    ms_status status = open_once(h, folder_path, name, &finding, err);
    if (status == MS_OK || finding != MS_DB_DAMAGED || !existed)
        return status;
    if (!begins_as_database(h, name))
        return ms_fail(err, MS_DAMAGED, "%s: is no history and is left as it is (MEMSAFE_HISTORY)", path);
    if (!set_aside(h, path, &before, warning))
        return status;
    return open_once(h, folder_path, name, &finding, err);
}

ms_status ms_history_open(const char *path, ms_history **ret_history, char ret_warning[MS_HISTORY_TEXT_BYTES],
                          ms_error *err) {
    ret_warning[0] = 0;
    ms_history *h = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, 1, sizeof(*h));
    if (!h)
        return ms_fail_alloc(err, NULL, sizeof(*h), "the history");
    make_folders(path);
    ms_status status = open_file(h, path, ret_warning, err);
    if (status != MS_OK) {
        ms_history_close(&h);
        return status;
    }
    *ret_history = h;
    return MS_OK;
}

void ms_history_close(ms_history **history) {
    if (!history || !*history)
        return;
    ms_db_close(&(*history)->db);
    if ((*history)->folder >= 0)
        close((*history)->folder);
    ms_mem_free(*history);
    *history = NULL;
}

/* ---- calibrations ---- */

#define RATES                                                                                                \
    "id, conv_flops, linear_flops, attention_flops, moved_bytes, weight_bytes, pack_bytes, disk_bytes, "     \
    "passes"

/* The row that a statement over RATES is at; nothing where its numbers cannot be. */
static void read_calibration(sqlite3_stmt *s, ms_calibration *ret_calibration, int64_t *ret_id) {
    ms_calibration c;
    int column = 1;
#define X(rate) c.rate = sqlite3_column_double(s, column++);
    MS_RATE_MAP(X)
#undef X
    if (ms_calibration_is_sane(&c) && sqlite3_column_int64(s, 0) > 0) {
        *ret_calibration = c;
        *ret_id = sqlite3_column_int64(s, 0);
    }
}

ms_status ms_history_get_calibration(ms_history *h, const ms_machine *machine,
                                     ms_calibration *ret_calibration, int64_t *ret_id, ms_error *err) {
    sqlite3_stmt *s = NULL;
    MS_TRY(ms_db_prepare(h->db,
                         "SELECT " RATES " FROM calibrations WHERE version=:version"
                         " AND device=:device AND threads=:threads ORDER BY id DESC LIMIT 1",
                         &s, err));
    bind_text(s, ":version", MS_VERSION_TEXT);
    bind_text(s, ":device", machine->device);
    bind_int(s, ":threads", machine->threads);
    int code = sqlite3_step(s);
    ms_status status = code == SQLITE_ROW || code == SQLITE_DONE ? MS_OK : failed(h, err);
    *ret_id = 0;
    if (code == SQLITE_ROW)
        read_calibration(s, ret_calibration, ret_id);
    sqlite3_finalize(s);
    return status;
}

ms_status ms_history_find_calibration(ms_history *h, bool (*is)(const void *arg, const char *device),
                                      const void *arg, ms_calibration *ret_calibration, int64_t *ret_id,
                                      ms_error *err) {
    sqlite3_stmt *s = NULL;
    int code = SQLITE_DONE;
    MS_TRY(ms_db_prepare(h->db,
                         "SELECT " RATES ", device FROM calibrations WHERE version=:version ORDER BY id DESC",
                         &s, err));
    bind_text(s, ":version", MS_VERSION_TEXT);
    *ret_id = 0;
    while (*ret_id == 0 && (code = sqlite3_step(s)) == SQLITE_ROW) {
        char device[MS_HISTORY_TEXT_BYTES];
        column_text(s, 9, device, sizeof(device));
        if (is(arg, device))
            read_calibration(s, ret_calibration, ret_id);
    }
    ms_status status = code == SQLITE_ROW || code == SQLITE_DONE ? MS_OK : failed(h, err);
    sqlite3_finalize(s);
    return status;
}

ms_status ms_history_put_calibration(ms_history *h, const ms_machine *machine, const ms_calibration *c,
                                     int64_t *ret_id, ms_error *err) {
    sqlite3_stmt *s = NULL;
    MS_TRY(ms_db_prepare(h->db,
                         "INSERT INTO calibrations(version, device, threads, conv_flops, linear_flops,"
                         " attention_flops, moved_bytes, weight_bytes, pack_bytes, disk_bytes, passes)"
                         " VALUES(:version, :device, :threads, :conv_flops, :linear_flops, :attention_flops,"
                         " :moved_bytes, :weight_bytes, :pack_bytes, :disk_bytes, :passes)",
                         &s, err));
    bind_text(s, ":version", MS_VERSION_TEXT);
    bind_text(s, ":device", machine->device);
    bind_int(s, ":threads", machine->threads);
#define X(rate) bind_real(s, ":" #rate, c->rate);
    MS_RATE_MAP(X)
#undef X
    MS_TRY(ms_db_finish(h->db, s, err));
    *ret_id = sqlite3_last_insert_rowid(ms_db_handle(h->db));
    return MS_OK;
}

/* ---- runs ---- */

static ms_status insert_run(ms_history *h, const ms_history_run *r, ms_error *err) {
    sqlite3_stmt *s = NULL;
    MS_TRY(ms_db_prepare(
        h->db,
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
    return ms_db_finish(h->db, s, err);
}

static ms_status insert_stages(ms_history *h, int64_t run, const ms_history_run *r, ms_error *err) {
    for (int i = 0; i < MS_STAGE_COUNT; i++) {
        sqlite3_stmt *s = NULL;
        MS_TRY(ms_db_prepare(
            h->db, "INSERT OR REPLACE INTO stages VALUES(:run, :stage, :computed, :predicted, :measured)", &s,
            err));
        bind_int(s, ":run", run);
        bind_text(s, ":stage", ms_stage_name((ms_stage)i));
        bind_real(s, ":computed", r->computed_s[i]);
        bind_real(s, ":predicted", r->predicted_s[i]);
        bind_real(s, ":measured", r->measured_s[i]);
        MS_TRY(ms_db_finish(h->db, s, err));
    }
    return MS_OK;
}

static ms_status drop_oldest(ms_history *h, ms_error *err) {
    sqlite3_stmt *s = NULL;
    MS_TRY(ms_db_prepare(
        h->db, "DELETE FROM runs WHERE id NOT IN (SELECT id FROM runs ORDER BY id DESC LIMIT :most)", &s,
        err));
    bind_int(s, ":most", MS_HISTORY_MOST_RUNS);
    MS_TRY(ms_db_finish(h->db, s, err));
    return execute(h, "DELETE FROM stages WHERE run NOT IN (SELECT id FROM runs)", err);
}

ms_status ms_history_add(ms_history *h, const ms_history_run *run, ms_error *err) {
    MS_TRY(execute(h, "BEGIN IMMEDIATE", err));
    ms_status status = insert_run(h, run, err);
    if (status == MS_OK)
        status = insert_stages(h, sqlite3_last_insert_rowid(ms_db_handle(h->db)), run, err);
    if (status == MS_OK)
        status = drop_oldest(h, err);
    if (status == MS_OK)
        status = execute(h, "COMMIT", err);
    if (status != MS_OK)
        ms_db_rollback(h->db);
    return status;
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
    r->rung = ms_rung_named(rung);
    column_text(s, c++, r->layout, sizeof(r->layout));
    r->changes = sqlite3_column_int(s, c++);
    r->budget_bytes = (size_t)sqlite3_column_int64(s, c++);
    r->planned_bytes = (size_t)sqlite3_column_int64(s, c++);
    r->peak_bytes = (size_t)sqlite3_column_int64(s, c++);
}

static ms_status read_stages(ms_history *h, int64_t run, ms_history_run *r, ms_error *err) {
    sqlite3_stmt *s = NULL;
    MS_TRY(ms_db_prepare(
        h->db, "SELECT stage, computed_s, predicted_s, measured_s FROM stages WHERE run=:run", &s, err));
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
    MS_TRY(
        ms_db_prepare(h->db,
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

/* Of *ret_runs runs; 0 = there are none. rung NULL: any. */
static ms_status median_ratio(ms_history *h, const ms_history_key *key, ms_stage stage, const char *rung,
                              double *ret_ratio, int *ret_runs, ms_error *err) {
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
    MS_TRY(ms_db_prepare(h->db, sql, &s, err));
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
    *ret_runs = n;
    *ret_ratio = n ? n % 2 ? ratio[n / 2] : (ratio[n / 2 - 1] + ratio[n / 2]) / 2 : 0;
    return status;
}

static double within_bounds(double ratio) {
    return !(ratio > MS_HISTORY_LEAST_RATIO)    ? MS_HISTORY_LEAST_RATIO
           : ratio > 1 / MS_HISTORY_LEAST_RATIO ? 1 / MS_HISTORY_LEAST_RATIO
                                                : ratio;
}

/* The median of fewer runs than three is what one of them says, and that one may have been disturbed: it
   moves what was believed without it by a bounded factor. */
static double believed(double ratio, int runs, double without) {
    if (runs == 0)
        return without;
    if (runs < MS_HISTORY_SURE_RUNS && !(ratio > without / MS_HISTORY_UNSURE_FACTOR))
        ratio = without / MS_HISTORY_UNSURE_FACTOR;
    else if (runs < MS_HISTORY_SURE_RUNS && ratio > without * MS_HISTORY_UNSURE_FACTOR)
        ratio = without * MS_HISTORY_UNSURE_FACTOR;
    return within_bounds(ratio);
}

ms_status ms_history_get_ratios(ms_history *h, const ms_history_key *key,
                                double ret_ratio[MS_RUNG_COUNT][MS_STAGE_COUNT], int *ret_runs,
                                ms_error *err) {
    double ratio[MS_RUNG_COUNT][MS_STAGE_COUNT];
    int denoised = 0;
    for (int stage = 0; stage < MS_STAGE_COUNT; stage++) {
        double any, own;
        int runs, own_runs;
        MS_TRY(median_ratio(h, key, (ms_stage)stage, NULL, &any, &runs, err));
        any = believed(any, runs, 1);
        if (stage == MS_STAGE_DENOISE)
            denoised = runs;
        /* A disturbed run is not believed twice, among any and as its rung's own. */
        const double sure = runs < MS_HISTORY_SURE_RUNS ? 1 : any;
        ratio[MS_RUNG_AUTO][stage] = any;
        for (int rung = MS_RUNG_AUTO + 1; rung < MS_RUNG_COUNT; rung++) {
            MS_TRY(median_ratio(h, key, (ms_stage)stage, ms_rung_name((ms_rung)rung), &own, &own_runs, err));
            ratio[rung][stage] = own_runs ? believed(own, own_runs, sure) : any;
        }
    }
    memcpy(ret_ratio, ratio, sizeof(ratio));
    *ret_runs = denoised;
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

ms_status ms_history_find_calibration(ms_history *h, bool (*is)(const void *arg, const char *device),
                                      const void *arg, ms_calibration *ret_calibration, int64_t *ret_id,
                                      ms_error *err) {
    (void)h, (void)is, (void)arg, (void)ret_calibration, (void)ret_id;
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
                                double ret_ratio[MS_RUNG_COUNT][MS_STAGE_COUNT], int *ret_runs,
                                ms_error *err) {
    (void)h, (void)key, (void)ret_ratio, (void)ret_runs;
    return unsupported(err);
}
#endif
