/*
 * The one way in which memsafe opens SQLite files. Whoever can write the folder may
 * have made them, so they are trusted with nothing:
 *
 * - The file and its rollback journal are reached from the folder's descriptor, never over a symbolic
 *   link, and SQLite can open, ask for and delete these two names alone, whatever a file says.
 * - Sizes are bounded before SQLite reads anything; lengths, work and its page cache while it does.
 * - Tables and indices must be exactly those that memsafe makes. A view, a trigger
 *   or anything else is refused by name.
 * - Opening, which reads all of it, asks whether the run was cancelled.
 *
 * In a build without SQLite there is nothing here.
 */
#ifndef MS_FILES_TRUSTED_DB_H
#define MS_FILES_TRUSTED_DB_H

#include "base/error.h"
#include "base/mem.h"
#include "memsafe_have.h"

#if MS_HAVE_SQLITE

#include <sqlite3.h>

/* What a database takes at most: page cache, schema, statements, buffers. Charged to the ledger `general`. */
#define MS_DB_BYTES ((size_t)1 << 20)

typedef struct ms_db_params {
    ms_mem *mem;
    int folder;              /* borrowed, as long as the database is open */
    const char *folder_path; /* what messages call it; the way to the file on machines without /proc */
    const char *name;        /* of the file in the folder */
    const char *what;        /* static; "the journal" */
    const char *schema; /* static; statements that make the tables, none fails where they are there already */
    int application_id, version;
    int64_t most_bytes;           /* of the file, and of its rollback journal */
    int busy_ms;                  /* how long to wait for another process */
    bool (*cancelled)(void *arg); /* asked while it is opened; NULL = never */
    void *arg;
} ms_db_params;

typedef enum ms_db_finding {
    MS_DB_NEW,     /* there was none, or an empty one: ms_db_begin() makes the tables */
    MS_DB_OURS,    /* and it is whole */
    MS_DB_DAMAGED, /* refused: no SQLite file, or a broken one */
    MS_DB_REFUSED, /* for another reason */
} ms_db_finding;

typedef struct ms_db ms_db;

/* The file is made where there is none. *ret_db only with MS_OK; *ret_finding always. MS_DAMAGED names
   the file and says what is wrong with it; MS_IO: it could not be read or made. MS_CANCELLED. */
ms_status ms_db_open(const ms_db_params *params, ms_db **ret_db, ms_db_finding *ret_finding, ms_error *err);
void ms_db_close(ms_db **db);

sqlite3 *ms_db_handle(const ms_db *db);

/* Begins a transaction and makes the tables in it. */
ms_status ms_db_begin_tables(ms_db *db, ms_error *err);

/* Statements without rows. */
ms_status ms_db_execute(ms_db *db, const char *sql, ms_error *err);
ms_status ms_db_prepare(ms_db *db, const char *sql, sqlite3_stmt **ret_statement, ms_error *err);

/* Runs a statement that gives no rows, and ends it. */
ms_status ms_db_finish(ms_db *db, sqlite3_stmt *statement, ms_error *err);

/* If a transaction is open, nothing of it stays. */
void ms_db_rollback(ms_db *db);

/* What a result of SQLite's means, with its own words: MS_HOST_MEMORY,
   MS_CANCELLED, MS_DAMAGED (by what the file holds), MS_IO. */
ms_status ms_db_fail(const ms_db *db, int code, ms_error *err);

#endif
#endif
