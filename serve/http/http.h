/* The HTTP side of a server: routes, uploads, events, who may ask. docs/serve.md has what clients see. */
#ifndef SERVE_HTTP_H
#define SERVE_HTTP_H

#include "jobs/jobs.h"

/* Borrowed. */
typedef struct http_params {
    const char *listen;       /* "127.0.0.1:8080", "[::1]:0" */
    const char *token;        /* NULL = none; elsewhere than on loopback there must be one */
    const char *const *allow; /* folders below which a client may name files; absolute, links followed */
    int n_allow;
    uint64_t max_upload_bytes;
    jobs *jobs;
} http_params;

typedef struct http http;

/* Listens and answers from now on. MS_INVALID_ARGUMENT, MS_IO, MS_HOST_MEMORY. */
ms_status http_start(const http_params *params, http **ret_http, ms_error *err);

/* The address as people type it: "http://127.0.0.1:8080/". */
const char *http_address(const http *h);

/* Two steps: what waits for the jobs' threads is answered in between by their end (jobs_stop). */
void http_quiet(http *h);
void http_stop(http **h);

#endif
