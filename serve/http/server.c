#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "http/http_inside.h"
#include "memsafe/probe.h"

#define THREADS 4
#define TIMEOUT_S 30
/* A body may take peer_patience_s(), and longer where it comes at least so fast. */
#define BODY_BYTES_A_SECOND 8192.0
#define CONNECTION_BYTES (32 << 10) /* of headers, and what is sent */
#define DRAIN_BYTES (256 << 10)     /* of a body that nobody wants, so that the answer arrives */

/* ---- a request ---- */

static bool has_body(const request *r) {
    const char *length = header_of(r, "Content-Length");
    return header_of(r, "Transfer-Encoding") || (length && strcmp(length, "0") != 0);
}

static unsigned long long body_bytes(const request *r) {
    const char *length = header_of(r, "Content-Length");
    return length ? strtoull(length, NULL, 10) : header_of(r, "Transfer-Encoding") ? ~0ULL : 0;
}

static bool is_json(const request *r) {
    const char *type = header_of(r, "Content-Type");
    return type && strncasecmp(type, "application/json", 16) == 0;
}

static void begin_body(request *r) {
    bool form = r->route->body == BODY_SUBMISSION && submission_is_form(r->connection);
    if (r->route->body == BODY_NONE)
        return;
    if (!form && !is_json(r))
        refuse(r, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "wrong-type", "the body must be application/json%s",
               r->route->body == BODY_SUBMISSION ? " or multipart/form-data" : "");
    unsigned long long most = form ? r->h->p.max_upload_bytes : HTTP_JSON_BYTES;
    if (header_of(r, "Content-Length") && body_bytes(r) > most)
        refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, "too-large", "the body has %llu bytes; %llu are the most",
               body_bytes(r), most);
    if (r->problem.status || r->route->body != BODY_SUBMISSION)
        return;
    jobs_lock(r->h->p.jobs);
    bool full = jobs_waiting(r->h->p.jobs) >= jobs_get_params(r->h->p.jobs)->most_waiting;
    jobs_unlock(r->h->p.jobs);
    if (full)
        refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "too many jobs wait already");
    else if (form && header_of(r, "Content-Length") && !jobs_has_room(r->h->p.jobs, body_bytes(r)))
        refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "too many bytes wait already");
    else if (!(r->submission = submission_begin(r)))
        refuse(r, 500, "out-of-memory", "out of memory");
}

/* The headers are there. Whether the request can be refused already is told by its problem. */
static http_result begin(http *h, struct MHD_Connection *connection, const char *path, const char *method,
                         void **ret) {
    request *r = calloc(1, sizeof(*r));
    if (!r)
        return MHD_NO;
    *ret = r;
    peer_asks(h, connection, true);
    r->h = h;
    r->connection = connection;
    r->began_s = ms_now_s();
    r->head = strcmp(method, "HEAD") == 0;
    ms_buf_init(&r->body, NULL);
    r->route = route_find(r, method, path);
    problem none = {0}, found = r->problem;
    r->problem = none;
    guard(r, strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0);
    if (!r->problem.status)
        r->problem = found; /* who may not ask does not learn what there is */
    if (r->route && !r->problem.status)
        begin_body(r);
    if (r->problem.status && (!has_body(r) || body_bytes(r) > DRAIN_BYTES)) {
        r->answered_early = true;
        return answer_problem(r);
    }
    return MHD_YES;
}

/* A client that sends a byte now and then would hold its connection as long as it likes. */
static bool is_too_slow(request *r, size_t bytes) {
    r->body_bytes += bytes;
    return ms_now_s() - r->began_s > peer_patience_s(r->h) + (double)r->body_bytes / BODY_BYTES_A_SECOND;
}

/* False: the connection is closed. */
static bool take_body(request *r, const char *data, size_t bytes) {
    if (is_too_slow(r, bytes))
        return false;
    if (r->submission && submission_is_form(r->connection)) {
        pthread_mutex_lock(&r->h->rate_lock);
        r->h->upload_bytes += bytes;
        pthread_mutex_unlock(&r->h->rate_lock);
        return submission_take(r, data, bytes);
    }
    r->drained += bytes;
    if (r->problem.status || r->route->body == BODY_NONE)
        return r->drained <= DRAIN_BYTES;
    if (r->drained > HTTP_JSON_BYTES) {
        refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, "too-large", "the body has more than %zu bytes",
               HTTP_JSON_BYTES);
        return true;
    }
    ms_buf_append(&r->body, data, bytes);
    if (r->body.failed)
        refuse(r, 500, "out-of-memory", "out of memory");
    return true;
}

static http_result handle(void *arg, struct MHD_Connection *connection, const char *path, const char *method,
                          const char *version, const char *data, size_t *bytes, void **state) {
    request *r = *state;
    (void)version;
    if (!r)
        return begin(arg, connection, path, method, state);
    if (r->answered_early)
        return MHD_YES;
    if (*bytes) {
        bool goes_on = take_body(r, data, *bytes);
        *bytes = 0;
        return goes_on ? MHD_YES : MHD_NO;
    }
    return r->problem.status ? answer_problem(r) : r->route->answer(r);
}

static void completed(void *arg, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode why) {
    request *r = *state;
    (void)why;
    peer_asks(arg, connection, false);
    if (!r)
        return;
    submission_end(&r->submission);
    ms_buf_free(&r->body);
    free(r);
    *state = NULL;
}

/* ---- listening ---- */

/* "127.0.0.1:8080", "[::1]:8080" in two. */
static ms_status split(const char *listen, char *host, size_t host_bytes, const char **ret_port,
                       ms_error *err) {
    const char *colon = strrchr(listen, ':');
    size_t n = colon ? (size_t)(colon - listen) : 0;
    if (n == 0 || n >= host_bytes || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return ms_fail(err, MS_INVALID_ARGUMENT, "\"%.80s\" is no address like 127.0.0.1:8080 or [::1]:8080",
                       listen);
    if (strlen(colon + 1) > 5 || strtol(colon + 1, NULL, 10) > 65535)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "--listen %.80s: the port must be a number from 0 to 65535, not %.20s", listen,
                       colon + 1);
    memcpy(host, listen, n);
    host[n] = 0;
    *ret_port = colon + 1;
    return MS_OK;
}

static ms_status look_up(const char *listen, const char *host, const char *port, struct addrinfo **ret,
                         ms_error *err) {
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    char bare[80];
    size_t n = strlen(host);
    bool bracketed = host[0] == '[' && host[n - 1] == ']';
    snprintf(bare, sizeof(bare), "%.*s", (int)(bracketed ? n - 2 : n), host + bracketed);
    int code = getaddrinfo(bare, port, &hints, ret);
    return code == 0 ? MS_OK : ms_fail(err, MS_INVALID_ARGUMENT, "%s: %s", listen, gai_strerror(code));
}

static ms_status open_socket(http *h, int *ret_fd, ms_error *err) {
    const char *port = NULL;
    struct addrinfo *found = NULL;
    struct sockaddr_storage bound;
    char port_text[8] = "";
    socklen_t bytes = sizeof(bound);
    MS_TRY(split(h->p.listen, h->host, sizeof(h->host), &port, err));
    MS_TRY(look_up(h->p.listen, h->host, port, &found, err));
    h->loopback = is_loopback(found->ai_addr);
    int on = 1, fd = -1;
    ms_status status = MS_OK;
    if (!h->loopback && !h->p.token)
        status =
            ms_fail(err, MS_INVALID_ARGUMENT,
                    "%s can be reached from elsewhere, so a token is needed (--token-file)", h->p.listen);
    else if ((fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0 ||
             setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
             bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, HTTP_CONNECTIONS) != 0 ||
             getsockname(fd, (struct sockaddr *)&bound, &bytes) != 0 ||
             getnameinfo((struct sockaddr *)&bound, bytes, NULL, 0, port_text, sizeof(port_text),
                         NI_NUMERICSERV) != 0)
        status = ms_fail(err, MS_IO, "cannot listen on %s: %s", h->p.listen, strerror(errno));
    else
        snprintf(h->address, sizeof(h->address), "http://%s:%s/", h->host, port_text);
    freeaddrinfo(found);
    if (status != MS_OK && fd >= 0)
        close(fd);
    else
        *ret_fd = fd;
    return status;
}

static void look_at_machine(http *h) {
    ms_probe *probe = NULL;
    ms_probe_host host;
    ms_probe_create(NULL, &probe, NULL);
    ms_probe_get_host(probe, &host);
    snprintf(h->machine, sizeof(h->machine), "%s", host.cpu_name);
    h->machine_bytes = host.nominal_bytes;
    ms_probe_destroy(&probe);
}

ms_status http_start(const http_params *params, http **ret_http, ms_error *err) {
    int fd = -1;
    http *h = calloc(1, sizeof(*h));
    if (!h)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for the server");
    h->p = *params;
    h->began_s = ms_now_s();
    pthread_mutex_init(&h->rate_lock, NULL);
    pthread_mutex_init(&h->events_lock, NULL);
    pthread_mutex_init(&h->peers_lock, NULL);
    ms_siphash_random_key(h->hash_key);
    page_init(h);
    look_at_machine(h);
    ms_status status = open_socket(h, &fd, err);
    if (status == MS_OK && !events_begin(h))
        status = ms_fail(err, MS_HOST_MEMORY, "a thread cannot be started");
    if (status == MS_OK) {
        h->daemon = MHD_start_daemon(
            MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0,
            peer_may_connect, h, handle, h, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE,
            (unsigned)THREADS, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS,
            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
            (size_t)CONNECTION_BYTES, MHD_OPTION_NOTIFY_COMPLETED, completed, h, MHD_OPTION_NOTIFY_CONNECTION,
            peer_notify, h, MHD_OPTION_END);
        if (!h->daemon)
            status = ms_fail(err, MS_IO, "the server cannot be started on %s", h->p.listen);
    }
    if (status != MS_OK) {
        if (fd >= 0)
            close(fd);
        http_stop(&h);
        return status;
    }
    *ret_http = h;
    return MS_OK;
}

const char *http_address(const http *h) {
    return h->address;
}

void http_quiet(http *h) {
    events_end(h);
}

void http_stop(http **hh) {
    http *h = *hh;
    if (!h)
        return;
    events_end(h);
    if (h->daemon)
        MHD_stop_daemon(h->daemon); /* and its socket */
    pthread_mutex_destroy(&h->rate_lock);
    pthread_mutex_destroy(&h->events_lock);
    pthread_mutex_destroy(&h->peers_lock);
    free(h);
    *hh = NULL;
}
