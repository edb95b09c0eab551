/*
 * `memsafe serve`: a server with a queue. http/ answers clients, jobs/ keeps what is to be done, worker/ has
 * the processes that open what was uploaded. It uses the library's public headers and what the command may
 * see of its inside (tools/command_sees.txt).
 */
#ifndef SERVE_H
#define SERVE_H

#include <stdbool.h>

#include "memsafe/run.h"

typedef struct serve_model {
    const char *name, *path;
} serve_model;

/* Borrowed while it serves. */
typedef struct serve_params {
    const char *listen; /* "127.0.0.1:8080"; port 0 = any that is free */
    const char *data;   /* the folder that all is kept in; made where it is not there */
    const serve_model *models;
    int n_models; /* at least one; the first is taken by jobs that name none */
    const char *device, *history;
    /* Of a run: of the device's memory, and of the host's where that is another. 0 = what is free when the
       server begins, less the margin. */
    size_t budget_bytes, host_budget_bytes;
    const char *token;        /* NULL = none */
    const char *const *allow; /* folders of this machine in which clients may name files */
    int n_allow;
    /* Addresses that may be told of a job's end, by how they begin (webhook.h has the rule), and
       what that is signed with. */
    const char *const *webhook_to;
    int n_webhook_to;
    const char *webhook_key;
    uint64_t max_upload_bytes, keep_bytes, most_waiting_bytes;
    int64_t keep_s;
    int most_waiting, keep_jobs;
    /* Called when it listens, with the address as people type it; asked five times a second whether to
       end. */
    void (*listening)(void *arg, const char *address);
    bool (*ended)(void *arg);
    void (*warned)(void *arg, const char *code, const char *text); /* of what is likely a mistake */
    void *arg;
} serve_params;

/* What this build lacks to serve, as names of libraries ("libmicrohttpd, SQLite"); NULL = nothing. */
const char *serve_lacks(void);

/* Serves until `ended` says so. MS_INVALID_ARGUMENT, MS_IO (the address or the folder; another server uses
   the folder), MS_DAMAGED (what is in the folder), MS_HOST_MEMORY, MS_UNSUPPORTED (serve_lacks()). */
ms_status serve(const serve_params *params, ms_error *err);

/* The worker that the server starts of the same program, which must call this for "serve-worker" as its
   first argument, and return the result. argv: from that argument on. write_report: as JSON. */
int serve_worker(int argc, char **argv,
                 ms_status (*write_report)(const char *path, const ms_run_params *params,
                                           const ms_run_report *report, ms_error *err));

#endif
