/* What the files of http.h share: a server, a request, answers. */
#ifndef SERVE_HTTP_INSIDE_H
#define SERVE_HTTP_INSIDE_H

#include <pthread.h>

#include <microhttpd.h>

#include "http/http.h"
#include "jobs/sha256.h"

#define HTTP_JSON_BYTES ((size_t)64 << 10) /* most of a body that is no upload */
#define HTTP_BUCKETS 1024
#define HTTP_PREFIX_BYTES 1024

typedef enum MHD_Result http_result;

typedef struct http_bucket {
    double tokens, at_s; /* at_s 0 = nobody has asked yet */
} http_bucket;

typedef struct subscriber subscriber;
typedef struct peer peer;
typedef struct submission submission;

struct http {
    http_params p;
    struct MHD_Daemon *daemon;
    char address[128];
    char host[80]; /* that it listens on */
    bool loopback;
    char policy[1024];    /* content security policy of the page */
    char machine[200];    /* the processor, for /v1/server */
    size_t machine_bytes; /* its memory */
    double began_s;

    pthread_mutex_t rate_lock;
    uint64_t hash_key[2]; /* of addresses: nobody can choose those that meet in a bucket */
    http_bucket bucket[HTTP_BUCKETS];
    uint64_t requests, refused, upload_bytes; /* under rate_lock */

    pthread_mutex_t peers_lock;
    peer *peers; /* all connections */
    int n_peers;
    uint64_t slow_readers; /* that were let go */

    pthread_mutex_t events_lock;
    pthread_t pump;
    bool has_pump, ending;
    subscriber *subscribers;
    int n_subscribers;
};

typedef struct request request;

typedef enum http_body {
    BODY_NONE,
    BODY_JSON,
    BODY_SUBMISSION, /* a form with files, or JSON */
} http_body;

typedef struct route {
    const char *method, *path; /* "{id}" and "{n}" stand for themselves */
    http_result (*answer)(request *r);
    http_body body;
    bool open; /* without a token */
} route;

typedef struct problem {
    int status; /* 0 = none */
    const char *code;
    char detail[512], field[64];
    int64_t needs_bytes;
    const char *allow;      /* of 405 */
    char content_range[48]; /* of 416 */
} problem;

struct request {
    http *h;
    struct MHD_Connection *connection;
    const route *route;
    char id[JOB_ID_BYTES];
    int n;
    problem problem;
    ms_buf body;
    submission *submission;
    bool head, answered_early, waited;
    uint64_t drained, body_bytes;
    double began_s;
};

/* ---- answers (answers.c): each queues one, with the headers that all have ---- */

http_result answer_json(request *r, int status, ms_buf *text /* freed */, const char *location);
/* A job, with its place where it was accepted. The list's lock is held, and given back. */
http_result answer_locked_job(request *r, const job *j, int status);
http_result answer_empty(request *r, int status);
http_result answer_text(request *r, const char *type, const char *text, size_t bytes, const char *policy);
http_result answer_problem(request *r);
/* A file of the request's job, with ranges; 404 where it is not there. name: for Content-Disposition, NULL =
   none. */
http_result answer_file(request *r, const char *file, const char *type, const char *name);
/* The same file; -1: refused. */
int open_file(request *r, const char *file);
http_result answer_response(request *r, int status, struct MHD_Response *response, const char *policy);

/* Notes what is wrong, unless something was wrong before. */
void refuse(request *r, int status, const char *code, const char *fmt, ...) MS_PRINTF(4, 5);
/* The same of a field of the body or the query. */
void refuse_field(request *r, int status, const char *code, const char *field, const char *fmt, ...)
    MS_PRINTF(5, 6);
/* There is no job of the request's id. */
void refuse_no_job(request *r);
/* A file that could not be written: 507 where there is no room, 500 otherwise. */
void refuse_write(request *r, const char *what, int error);
/* By a status of the library's. */
void refuse_error(request *r, const ms_error *err, int64_t needs_bytes);

/* ---- who may ask (guard.c) ---- */

bool is_loopback(const struct sockaddr *address);
/* The same for addresses of one client, and none that a client could choose. */
uint64_t address_hash(const http *h, const struct sockaddr *address);
/* Refuses what must not be answered. `changes`: the method changes something. */
void guard(request *r, bool changes);
http_result guard_login(request *r);
http_result guard_logout(request *r);

/* ---- how long (peers.c) ---- */

#define HTTP_CONNECTIONS 512

/* For libmicrohttpd: whether an address may have one more connection. */
http_result peer_may_connect(void *http, const struct sockaddr *address, socklen_t bytes);
/* Likewise: a connection comes or goes. */
void peer_notify(void *http, struct MHD_Connection *connection, void **context,
                 enum MHD_ConnectionNotificationCode code);
/* Its headers are there; it has its answer. */
void peer_asks(http *h, struct MHD_Connection *connection, bool asks);
/* How long a client may take for what it has not sent yet: less where few places are left. */
double peer_patience_s(http *h);
/* Whether the last places are left for short answers: no file and no events now. */
bool peers_are_full(http *h);
/* Once a second: who takes longer for headers is let go, and where it is crowded who reads too little. */
void peers_look(http *h);
/* How many were let go because they read too little. */
uint64_t peers_slow_readers(http *h);

/* ---- routes (routes.c) ---- */

/* The request's job, with the list's lock held; NULL: refused, and the lock is not held. */
job *lock_job(request *r);

/* NULL: refused, with 404 or 405. */
const route *route_find(request *r, const char *method, const char *path);

/* ---- bodies (submit.c) ---- */

submission *submission_begin(request *r);
/* False: the connection is of no more use. */
bool submission_take(request *r, const char *data, size_t bytes);
http_result submit_job(request *r);
http_result submit_plan(request *r);
http_result submit_change(request *r);
void submission_end(submission **s);
/* Whether a file of this machine, by its real path, is below a folder that is allowed. */
bool is_allowed_file(const http *h, const char *real);
bool submission_is_form(struct MHD_Connection *connection);

/* ---- events.c, metrics.c, page.c ---- */

http_result answer_events(request *r);
bool events_begin(http *h);
void events_end(http *h);
http_result answer_metrics(request *r);
http_result answer_page(request *r);
http_result answer_openapi(request *r);
void page_init(http *h);

const char *header_of(const request *r, const char *name);

#endif
