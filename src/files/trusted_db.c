#include "files/trusted_db.h"
#include "memsafe_have.h"

#if MS_HAVE_SQLITE

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096
/* The most that a text or blob, and a statement, may have. Ours are below 5 KB. */
#define MOST_VALUE_BYTES (1 << 16)
#define MOST_SQL_BYTES (1 << 14)
/* Steps of SQLite's machine between two looks at the clock, and how many such looks
   a connection gets: minutes of work. */
#define STEPS_A_LOOK 4000
#define MOST_LOOKS 1000000
/* So many tables, indices and the like are looked at to name one that should not be
   there. None of our databases has half as many. */
#define MOST_OBJECTS 32

/* The file's header and the beginning of its first page, where the schema begins. */
#define HEAD_BYTES 105
#define HEAD_VERSION 60
#define HEAD_APPLICATION 68
#define HEAD_PAGE_KIND 100
#define HEAD_CELLS 103
#define LEAF_OF_TABLE 0x0d

struct ms_db {
    ms_db_params p; /* folder_path and name: copies */
    sqlite3 *db;
    sqlite3_vfs vfs, *below; /* vfs: this database's own, in front of the system's */
    bool registered, charged;
    bool asked_for_more; /* the file made SQLite ask for another than the two */
    char vfs_name[32];
    char path[PATH_BYTES], journal[PATH_BYTES + 16]; /* as SQLite knows them */
    int64_t looks;
};

/* ---- what SQLite may reach ---- */

static ms_db *owner(sqlite3_vfs *vfs) {
    return vfs->pAppData;
}

static bool may_reach(const ms_db *d, const char *name) {
    return name && (strcmp(name, d->path) == 0 || strcmp(name, d->journal) == 0);
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags) {
    ms_db *d = owner(vfs);
    file->pMethods = NULL;
    if (!may_reach(d, name) || !(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL))) {
        d->asked_for_more = true;
        return SQLITE_CANTOPEN;
    }
    return d->below->xOpen(d->below, name, file, flags | SQLITE_OPEN_NOFOLLOW, ret_flags);
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync) {
    ms_db *d = owner(vfs);
    return strcmp(name, d->journal) == 0 ? d->below->xDelete(d->below, name, sync) : SQLITE_IOERR_DELETE;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_there) {
    ms_db *d = owner(vfs);
    *ret_there = 0;
    return may_reach(d, name) ? d->below->xAccess(d->below, name, flags, ret_there) : SQLITE_OK;
}

/* The system's function would resolve links on the way, and refuse those in the user's own folders. */
static int vfs_full_path(sqlite3_vfs *vfs, const char *name, int room, char *ret_path) {
    (void)vfs;
    return snprintf(ret_path, (size_t)room, "%s", name) < room ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int make_vfs(ms_db *d) {
    d->below = sqlite3_vfs_find(NULL);
    if (!d->below)
        return SQLITE_ERROR;
    snprintf(d->vfs_name, sizeof(d->vfs_name), "memsafe-%p", (void *)d);
    d->vfs = *d->below;
    d->vfs.pNext = NULL;
    d->vfs.zName = d->vfs_name;
    d->vfs.pAppData = d;
    d->vfs.xOpen = vfs_open;
    d->vfs.xDelete = vfs_delete;
    d->vfs.xAccess = vfs_access;
    d->vfs.xFullPathname = vfs_full_path;
    int code = sqlite3_vfs_register(&d->vfs, 0);
    d->registered = code == SQLITE_OK;
    return code;
}

/* Paths go through the descriptor, so that they mean this folder whatever is done to its name. */
static ms_status make_paths(ms_db *d, ms_error *err) {
    struct stat a, b;
    char folder[32];
    snprintf(folder, sizeof(folder), "/proc/self/fd/%d", d->p.folder);
    bool through =
        fstat(d->p.folder, &a) == 0 && stat(folder, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    int n = through ? snprintf(d->path, sizeof(d->path), "%s/%s", folder, d->p.name)
                    : snprintf(d->path, sizeof(d->path), "%s%s/%s", d->p.folder_path[0] == '/' ? "" : "./",
                               d->p.folder_path, d->p.name);
    if (n < 0 || (size_t)n >= sizeof(d->path))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the name of %s is too long", d->p.what);
    snprintf(d->journal, sizeof(d->journal), "%s-journal", d->path);
    return MS_OK;
}

/* ---- before SQLite reads anything ---- */

static ms_status refuse(const ms_db *d, const char *ending, const char *why, ms_error *err) {
    return ms_fail(err, MS_DAMAGED, "%s: %s/%s%s %s", d->p.what, d->p.folder_path, d->p.name, ending, why);
}

static ms_status check_file(const ms_db *d, const char *ending, bool *ret_there, ms_error *err) {
    struct stat st;
    char name[300];
    if (snprintf(name, sizeof(name), "%s%s", d->p.name, ending) >= (int)sizeof(name))
        return refuse(d, ending, "has too long a name", err);
    *ret_there = fstatat(d->p.folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!*ret_there)
        return errno == ENOENT ? MS_OK
                               : ms_fail(err, MS_IO, "%s: cannot look at %s/%s: %s", d->p.what,
                                         d->p.folder_path, name, strerror(errno));
    if (S_ISLNK(st.st_mode))
        return refuse(d, ending, "is a symbolic link, which memsafe does not make and does not follow", err);
    if (!S_ISREG(st.st_mode))
        return refuse(d, ending, "is not a regular file", err);
    if (st.st_nlink > 1)
        return refuse(d, ending, "has other names too (hard links): it may be somebody else's file", err);
    if (st.st_size <= d->p.most_bytes)
        return MS_OK;
    return ms_fail(err, MS_DAMAGED, "%s: %s/%s has %lld bytes, more than the %lld that it may have",
                   d->p.what, d->p.folder_path, name, (long long)st.st_size, (long long)d->p.most_bytes);
}

static ms_status check_files(const ms_db *d, ms_error *err) {
    static const char *const beside[] = {"-journal", "-wal", "-shm"};
    bool there;
    for (int i = 0; i < 3; i++)
        MS_TRY(check_file(d, beside[i], &there, err));
    MS_TRY(check_file(d, "", &there, err));
    if (there)
        return MS_OK;
    int fd = openat(d->p.folder, d->p.name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST) /* another process that began just now has made it */
        return check_file(d, "", &there, err);
    if (fd < 0)
        return ms_fail(err, MS_IO, "%s: cannot make %s/%s: %s", d->p.what, d->p.folder_path, d->p.name,
                       strerror(errno));
    close(fd);
    return MS_OK;
}

/* ---- statements ---- */

static bool is_cancelled(const ms_db *d) {
    return d->p.cancelled && d->p.cancelled(d->p.arg);
}

static int look(void *arg) {
    ms_db *d = arg;
    return ++d->looks > MOST_LOOKS || is_cancelled(d);
}

/* Whether the file's contents are to blame, and not the reading of it.
   SQLITE_ERROR: a format or schema that is not ours. */
static bool is_content(const ms_db *d, int code) {
    int primary = code & 0xff;
    return d->asked_for_more || primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB ||
           primary == SQLITE_ERROR || primary == SQLITE_TOOBIG || primary == SQLITE_INTERRUPT;
}

ms_status ms_db_fail(const ms_db *d, int code, ms_error *err) {
    if (code == SQLITE_NOMEM)
        return ms_fail(err, MS_HOST_MEMORY, "%s: out of memory", d->p.what);
    if (code == SQLITE_INTERRUPT && is_cancelled(d))
        return ms_fail(err, MS_CANCELLED, "cancelled while %s was read", d->p.what);
    return ms_fail(err, is_content(d, code) ? MS_DAMAGED : MS_IO, "%s %s/%s: %s", d->p.what, d->p.folder_path,
                   d->p.name,
                   code == SQLITE_INTERRUPT ? "takes too long to read"
                   : d->db                  ? sqlite3_errmsg(d->db)
                                            : "cannot be opened");
}

sqlite3 *ms_db_handle(const ms_db *d) {
    return d->db;
}

ms_status ms_db_execute(ms_db *d, const char *sql, ms_error *err) {
    int code = sqlite3_exec(d->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? MS_OK : ms_db_fail(d, code, err);
}

ms_status ms_db_prepare(ms_db *d, const char *sql, sqlite3_stmt **ret_statement, ms_error *err) {
    int code = sqlite3_prepare_v2(d->db, sql, -1, ret_statement, NULL);
    return code == SQLITE_OK ? MS_OK : ms_db_fail(d, code, err);
}

ms_status ms_db_finish(ms_db *d, sqlite3_stmt *statement, ms_error *err) {
    int code = sqlite3_step(statement);
    ms_status status = code == SQLITE_DONE ? MS_OK : ms_db_fail(d, code, err);
    sqlite3_finalize(statement);
    return status;
}

void ms_db_rollback(ms_db *d) {
    if (!sqlite3_get_autocommit(d->db))
        sqlite3_exec(d->db, "rollback", NULL, NULL, NULL);
}

ms_status ms_db_begin_tables(ms_db *d, ms_error *err) {
    char numbers[100];
    snprintf(numbers, sizeof(numbers), "pragma application_id=%d; pragma user_version=%d",
             d->p.application_id, d->p.version);
    ms_status status = ms_db_execute(d, "begin immediate", err);
    if (status == MS_OK)
        status = ms_db_execute(d, d->p.schema, err);
    if (status == MS_OK)
        status = ms_db_execute(d, numbers, err);
    if (status != MS_OK)
        ms_db_rollback(d);
    return status;
}

/* ---- what the file holds ---- */

static uint32_t big_endian(const uint8_t *p, int bytes) {
    uint32_t x = 0;
    for (int i = 0; i < bytes; i++)
        x = x << 8 | p[i];
    return x;
}

/* Beginning to read rolls back a transaction that was broken off. The schema must not be read yet. */
static int read_head(ms_db *d, uint8_t head[HEAD_BYTES], bool *ret_empty) {
    sqlite3_file *file = NULL;
    sqlite3_int64 bytes = 0;
    int code = sqlite3_exec(d->db, "begin; pragma user_version", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_file_control(d->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (code == SQLITE_OK)
        code = file->pMethods->xFileSize(file, &bytes);
    *ret_empty = code == SQLITE_OK && bytes == 0;
    if (code != SQLITE_OK || bytes == 0)
        return code;
    if (bytes < 512)
        return SQLITE_NOTADB;
    return bytes > d->p.most_bytes ? SQLITE_TOOBIG : file->pMethods->xRead(file, head, HEAD_BYTES, 0);
}

/* Refuses what is of another program or version, or has more in it than memsafe makes. */
static ms_status check_head(const ms_db *d, const uint8_t head[HEAD_BYTES], bool *ret_empty, ms_error *err) {
    uint32_t id = big_endian(head + HEAD_APPLICATION, 4), version = big_endian(head + HEAD_VERSION, 4);
    uint32_t objects = big_endian(head + HEAD_CELLS, 2);
    *ret_empty = id == 0 && version == 0 && head[HEAD_PAGE_KIND] == LEAF_OF_TABLE && objects == 0;
    if (*ret_empty)
        return MS_OK;
    if (id != (uint32_t)d->p.application_id)
        return refuse(d, "", "is another program's database, or of another version of memsafe", err);
    if (version > (uint32_t)d->p.version)
        return refuse(d, "", "was made by a newer version of memsafe", err);
    if (version < (uint32_t)d->p.version)
        return refuse(d, "", "was made by an older version of memsafe", err);
    if (head[HEAD_PAGE_KIND] != LEAF_OF_TABLE || objects > MOST_OBJECTS)
        return refuse(d, "", "holds more tables, views or triggers than memsafe makes", err);
    return MS_OK;
}

static int compare_object(sqlite3_stmt *want, sqlite3_stmt *got) {
    for (int i = 0; i < 4; i++) {
        const char *a = (const char *)sqlite3_column_text(want, i);
        const char *b = (const char *)sqlite3_column_text(got, i);
        if ((a == NULL) != (b == NULL) || (a && strcmp(a, b) != 0))
            return 1;
    }
    return 0;
}

static const char *text_of(sqlite3_stmt *s, int column) {
    const char *text = (const char *)sqlite3_column_text(s, column);
    return text ? text : "";
}

static ms_status refuse_object(const ms_db *d, sqlite3_stmt *got, ms_error *err) {
    return ms_fail(err, MS_DAMAGED, "%s: %s/%s holds a %.20s \"%.60s\" that memsafe does not make", d->p.what,
                   d->p.folder_path, d->p.name, text_of(got, 0), text_of(got, 1));
}

static ms_status miss_object(const ms_db *d, sqlite3_stmt *want, ms_error *err) {
    return ms_fail(err, MS_DAMAGED, "%s: %s/%s lacks the %s \"%s\"", d->p.what, d->p.folder_path, d->p.name,
                   text_of(want, 0), text_of(want, 1));
}

/* Both come in the order of their names. */
static ms_status compare_objects(const ms_db *d, sqlite3_stmt *want, sqlite3_stmt *got, int *ret_code,
                                 ms_error *err) {
    for (;;) {
        int wanted = sqlite3_step(want);
        *ret_code = sqlite3_step(got);
        if (*ret_code != SQLITE_ROW && *ret_code != SQLITE_DONE)
            return ms_db_fail(d, *ret_code, err);
        if (wanted != SQLITE_ROW && wanted != SQLITE_DONE)
            return ms_fail(err, MS_HOST_MEMORY, "%s: out of memory", d->p.what);
        if (wanted == SQLITE_DONE)
            return *ret_code == SQLITE_DONE ? MS_OK : refuse_object(d, got, err);
        if (*ret_code == SQLITE_DONE || strcmp(text_of(want, 1), text_of(got, 1)) < 0)
            return miss_object(d, want, err);
        if (compare_object(want, got) != 0)
            return refuse_object(d, got, err);
    }
}

/* Compares tables and indices with those that the same statements make in memory. */
static ms_status check_schema(const ms_db *d, int *ret_code, ms_error *err) {
    static const char all[] = "select type, name, tbl_name, sql from sqlite_master order by name";
    sqlite3 *model = NULL;
    sqlite3_stmt *want = NULL, *got = NULL;
    ms_status status = MS_OK;
    int code = sqlite3_open_v2(":memory:", &model,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(model, d->p.schema, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(model, all, -1, &want, NULL);
    if (code != SQLITE_OK)
        status = ms_fail(err, code == SQLITE_NOMEM ? MS_HOST_MEMORY : MS_INTERNAL, "%s: %s", d->p.what,
                         model ? sqlite3_errmsg(model) : "out of memory");
    *ret_code = SQLITE_OK;
    if (status == MS_OK)
        *ret_code = sqlite3_prepare_v2(d->db, all, -1, &got, NULL);
    if (status == MS_OK)
        status = *ret_code == SQLITE_OK ? compare_objects(d, want, got, ret_code, err)
                                        : ms_db_fail(d, *ret_code, err);
    sqlite3_finalize(want);
    sqlite3_finalize(got);
    sqlite3_close(model);
    return status;
}

/* SQLite's check reports a page that could not be read in the same way as one that is wrong. */
static bool is_failed_read(const char *text) {
    const char *number = text ? strstr(text, "error code=") : NULL;
    return number && (strtol(number + strlen("error code="), NULL, 10) & 0xff) == SQLITE_IOERR;
}

/* Pages that are used twice could keep a statement busy for ever. */
static int check_whole(const ms_db *d) {
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(d->db, "pragma quick_check(1)", -1, &s, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(s, 0);
        code = text && strcmp(text, "ok") == 0 ? SQLITE_OK
               : is_failed_read(text)          ? SQLITE_IOERR
                                               : SQLITE_CORRUPT;
    }
    sqlite3_finalize(s);
    return code;
}

static bool is_damage(int code) {
    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
}

static ms_status check_content(ms_db *d, ms_db_finding *ret_finding, ms_error *err) {
    uint8_t head[HEAD_BYTES] = {0};
    bool empty = false;
    int code = read_head(d, head, &empty);
    ms_status status = code == SQLITE_OK       ? MS_OK
                       : code == SQLITE_TOOBIG ? refuse(d, "", "is larger than it may be", err)
                                               : ms_db_fail(d, code, err);
    /* others may write meanwhile: what is checked is not who writes now, but what was there */
    ms_db_rollback(d);
    if (status == MS_OK && !empty)
        status = check_head(d, head, &empty, err);
    if (status == MS_OK && !empty)
        status = check_schema(d, &code, err);
    if (status == MS_OK && !empty) {
        code = check_whole(d);
        status = code == SQLITE_CORRUPT ? refuse(d, "", "is damaged", err)
                 : code == SQLITE_OK    ? MS_OK
                                        : ms_db_fail(d, code, err);
    }
    *ret_finding = status == MS_OK   ? empty ? MS_DB_NEW : MS_DB_OURS
                   : is_damage(code) ? MS_DB_DAMAGED
                                     : MS_DB_REFUSED;
    return status;
}

/* ---- opening ---- */

static void distrust(sqlite3 *db) {
    static const int off[] = {SQLITE_DBCONFIG_ENABLE_TRIGGER, SQLITE_DBCONFIG_ENABLE_VIEW,
                              SQLITE_DBCONFIG_TRUSTED_SCHEMA, SQLITE_DBCONFIG_DQS_DDL,
                              SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION};
    static const struct {
        int limit, value;
    } limits[] = {{SQLITE_LIMIT_LENGTH, MOST_VALUE_BYTES},
                  {SQLITE_LIMIT_SQL_LENGTH, MOST_SQL_BYTES},
                  {SQLITE_LIMIT_COLUMN, 64},
                  {SQLITE_LIMIT_EXPR_DEPTH, 32},
                  {SQLITE_LIMIT_COMPOUND_SELECT, 4},
                  {SQLITE_LIMIT_ATTACHED, 1 /* vacuum */},
                  {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
                  {SQLITE_LIMIT_WORKER_THREADS, 0}};
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
        sqlite3_db_config(db, off[i], 0, NULL);
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        sqlite3_limit(db, limits[i].limit, limits[i].value);
}

static ms_status open_db(ms_db *d, ms_db_finding *ret_finding, ms_error *err) {
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_NOFOLLOW;
    if (!ms_mem_charge(d->p.mem, MS_LEDGER_GENERAL, MS_DB_BYTES))
        return ms_fail_alloc(err, d->p.mem, MS_DB_BYTES, d->p.what);
    d->charged = true;
    MS_TRY(make_paths(d, err));
    MS_TRY(check_files(d, err));
    int code = make_vfs(d);
    if (code == SQLITE_OK)
        code = sqlite3_open_v2(d->path, &d->db, flags, d->vfs_name);
    if (code != SQLITE_OK)
        return ms_db_fail(d, code, err);
    sqlite3_busy_timeout(d->db, d->p.busy_ms);
    sqlite3_progress_handler(d->db, STEPS_A_LOOK, look, d);
    distrust(d->db);
    MS_TRY(check_content(d, ret_finding, err));
    return ms_db_execute(
        d, "pragma cache_size = -256 /* KiB */; pragma temp_store = memory; pragma mmap_size = 0", err);
}

ms_status ms_db_open(const ms_db_params *params, ms_db **ret_db, ms_db_finding *ret_finding, ms_error *err) {
    *ret_finding = MS_DB_REFUSED;
    ms_db *d = ms_mem_calloc(params->mem, MS_LEDGER_GENERAL, 1, sizeof(*d));
    if (!d)
        return ms_fail_alloc(err, params->mem, sizeof(*d), params->what);
    d->p = *params;
    d->p.folder_path = ms_strdup(params->mem, params->folder_path);
    d->p.name = ms_strdup(params->mem, params->name);
    ms_status status = d->p.folder_path && d->p.name
                           ? open_db(d, ret_finding, err)
                           : ms_fail_alloc(err, params->mem, strlen(params->folder_path), "a file name");
    if (status != MS_OK) {
        ms_db_close(&d);
        return status;
    }
    /* from here on work is short, and what has to be noted is noted even after a cancellation */
    d->p.cancelled = NULL;
    d->looks = 0;
    *ret_db = d;
    return MS_OK;
}

void ms_db_close(ms_db **db) {
    if (!db || !*db)
        return;
    ms_db *d = *db;
    sqlite3_close(d->db);
    if (d->registered)
        sqlite3_vfs_unregister(&d->vfs);
    if (d->charged)
        ms_mem_release(d->p.mem, MS_LEDGER_GENERAL, MS_DB_BYTES);
    ms_mem_free((void *)d->p.folder_path);
    ms_mem_free((void *)d->p.name);
    ms_mem_free(d);
    *db = NULL;
}

#endif
