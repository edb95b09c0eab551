#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/http_inside.h"
#include "http/range.h"
#include "jobs/job_folder.h"
#include "text/text.h"

#define TYPE "https://memsafe.invalid/problems/"
#define SHORT_BYTES (64 << 10) /* of a file, that a place is found for when nearly all are taken */
#define API_POLICY "default-src 'none'; frame-ancestors 'none'"

const char *header_of(const request *r, const char *name) {
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

http_result answer_response(request *r, int status, struct MHD_Response *response, const char *policy) {
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "X-Frame-Options", "DENY");
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(response, "Cross-Origin-Opener-Policy", "same-origin");
    MHD_add_response_header(response, "Content-Security-Policy", policy ? policy : API_POLICY);
    http_result result = MHD_queue_response(r->connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return result;
}

static http_result answer_buffer(request *r, int status, const char *type, const char *text, size_t bytes,
                                 const char *location) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(bytes, (void *)text, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    if (location)
        MHD_add_response_header(response, "Location", location);
    if (status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"memsafe\"");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED && r->problem.allow)
        MHD_add_response_header(response, "Allow", r->problem.allow);
    if (status == MHD_HTTP_RANGE_NOT_SATISFIABLE)
        MHD_add_response_header(response, "Content-Range", r->problem.content_range);
    if (status == 429 || status == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(response, "Retry-After", "2");
    return answer_response(r, status, response, NULL);
}

http_result answer_json(request *r, int status, ms_buf *text, const char *location) {
    http_result result =
        text->failed ? MHD_NO
                     : answer_buffer(r, status, "application/json", text->data, text->length, location);
    ms_buf_free(text);
    return result;
}

http_result answer_locked_job(request *r, const job *j, int status) {
    char location[sizeof("/v1/jobs/") + JOB_ID_BYTES];
    ms_buf b;
    ms_buf_init(&b, NULL);
    jobs_write(&b, r->h->p.jobs, j);
    snprintf(location, sizeof(location), "/v1/jobs/%s", j->id);
    jobs_unlock(r->h->p.jobs);
    return answer_json(r, status, &b, status == MHD_HTTP_ACCEPTED ? location : NULL);
}

http_result answer_text(request *r, const char *type, const char *text, size_t bytes, const char *policy) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(bytes, (void *)text, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Cache-Control", "no-cache");
    return answer_response(r, MHD_HTTP_OK, response, policy);
}

http_result answer_empty(request *r, int status) {
    return answer_response(r, status, MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT),
                           NULL);
}

/* ---- problems ---- */

static void note(request *r, int status, const char *code, const char *field, const char *fmt, va_list ap) {
    problem *p = &r->problem;
    if (p->status)
        return;
    p->status = status;
    p->code = code;
    snprintf(p->field, sizeof(p->field), "%.63s", field);
    vsnprintf(p->detail, sizeof(p->detail), fmt, ap);
}

void refuse(request *r, int status, const char *code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    note(r, status, code, "", fmt, ap);
    va_end(ap);
}

void refuse_field(request *r, int status, const char *code, const char *field, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    note(r, status, code, field, fmt, ap);
    va_end(ap);
}

void refuse_no_job(request *r) {
    refuse(r, MHD_HTTP_NOT_FOUND, "no-such-job", "there is no such job, or it has expired");
}

static bool is_no_room(int error) {
    return error == ENOSPC || error == EDQUOT;
}

void refuse_write(request *r, const char *what, int error) {
    refuse(r, is_no_room(error) ? MHD_HTTP_INSUFFICIENT_STORAGE : 500,
           is_no_room(error) ? "no-room" : "io-error", "%s cannot be kept: %s", what, strerror(error));
}

/* Messages end with what the system said. */
static bool says_no_room(const char *message) {
    return strstr(message, strerror(ENOSPC)) || strstr(message, strerror(EDQUOT)) ||
           strstr(message, "database or disk is full");
}

/* Messages name files by their whole path; clients are not told where the data folder is. */
static void drop_folder(char *message, const char *folder) {
    const size_t n = strlen(folder);
    for (char *at = message; n > 1 && (at = strstr(at, folder)) != NULL;) {
        size_t bytes = n + (at[n] == '/');
        memmove(at, at + bytes, strlen(at + bytes) + 1);
    }
}

void refuse_error(request *r, const ms_error *err, int64_t needs_bytes) {
    char message[sizeof(err->message)];
    int status = 500;
    const char *code = jobs_error_code(err->code);
    switch (err->code) {
    case MS_INVALID_ARGUMENT:
    case MS_BUDGET:
    case MS_BAD_MEDIA:
    case MS_NO_FACE:
    case MS_UNSUPPORTED:
        status = 422;
        break;
    case MS_CANCELLED:
        status = MHD_HTTP_SERVICE_UNAVAILABLE;
        code = "busy";
        break;
    case MS_HOST_MEMORY:
        status = MHD_HTTP_SERVICE_UNAVAILABLE;
        break;
    case MS_IO: /* what is written is on the data folder's disk */
        if (says_no_room(err->message)) {
            status = MHD_HTTP_INSUFFICIENT_STORAGE;
            code = "no-room";
        }
        break;
    default:
        break;
    }
    snprintf(message, sizeof(message), "%s", err->message);
    drop_folder(message, jobs_get_params(r->h->p.jobs)->folder_path);
    refuse(r, status, code, "%s", message);
    r->problem.needs_bytes = needs_bytes;
}

static const char *title_of(int status) {
    switch (status) {
    case 400:
        return "The request cannot be read";
    case 401:
        return "A token is needed";
    case 403:
        return "Not allowed";
    case 404:
        return "Not found";
    case 405:
        return "Not a method of this";
    case 409:
        return "Not in this state";
    case 413:
        return "Too large";
    case 415:
        return "Not a type that is read here";
    case 416:
        return "Outside of the file";
    case 422:
        return "This cannot be done";
    case 429:
        return "Too many requests";
    case 503:
        return "Not now";
    case 507:
        return "No room on the disk";
    default:
        return "The server failed";
    }
}

http_result answer_problem(request *r) {
    const problem *p = &r->problem;
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "{\"type\":\"" TYPE "%s\",\"title\":\"%s\",\"status\":%d,\"code\":\"%s\",\"detail\":",
                  p->code, title_of(p->status), p->status, p->code);
    ms_buf_json_string(&b, p->detail);
    if (p->field[0]) {
        ms_buf_printf(&b, ",\"field\":");
        ms_buf_json_string(&b, p->field);
    }
    if (p->needs_bytes > 0)
        ms_buf_printf(&b, ",\"needs_bytes\":%" PRId64, p->needs_bytes);
    ms_buf_printf(&b, "}");
    pthread_mutex_lock(&r->h->rate_lock);
    r->h->refused++;
    pthread_mutex_unlock(&r->h->rate_lock);
    http_result result =
        b.failed ? MHD_NO : answer_buffer(r, p->status, "application/problem+json", b.data, b.length, NULL);
    ms_buf_free(&b);
    return result;
}

/* ---- files ---- */

static bool is_plain(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The name as it is, by RFC 8187. */
static void write_whole_name(char *ret, size_t bytes, const char *name, size_t length, const char *end) {
    static const char hex[] = "0123456789ABCDEF";
    size_t n = (size_t)snprintf(ret, bytes, "; filename*=UTF-8''");
    for (size_t i = 0; i < length && n + 4 < bytes; i++) {
        const unsigned char c = (unsigned char)name[i];
        if (is_plain(name[i]) || strchr("-._~", c)) {
            ret[n++] = (char)c;
        } else {
            ret[n++] = '%';
            ret[n++] = hex[c >> 4];
            ret[n++] = hex[c & 15];
        }
    }
    snprintf(ret + n, bytes - n, "-memsafe%s", end);
}

/* What is safe within quotes, in any file system; where that is not the name, it follows for who can read
   it. */
static void write_disposition(char *ret, size_t bytes, const char *name, const char *file) {
    char safe[80];
    size_t n = 0, length = 0;
    bool same = true;
    const char *dot = strrchr(name, '.'), *end = strrchr(file, '.');
    for (const char *c = name; *c && c != dot; c++, length++) {
        same &= is_plain(*c) && n < sizeof(safe) - 1;
        if (n < sizeof(safe) - 1)
            safe[n++] = is_plain(*c) ? *c : '-';
    }
    safe[n] = 0;
    int written =
        snprintf(ret, bytes, "attachment; filename=\"%s-memsafe%s\"", n ? safe : "result", end ? end : "");
    if (!same && ms_utf8_valid_bytes(name, length) == length && written > 0)
        write_whole_name(ret + written, bytes - (size_t)written, name, length, end ? end : "");
}

/* What a link leads to was looked at when the job was made; it is again, as it was opened. */
static bool may_be_read(const request *r, int fd) {
    char way[32], real[PATH_MAX];
    snprintf(way, sizeof(way), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(way, real, sizeof(real) - 1);
    real[n > 0 ? n : 0] = 0;
    return n > 0 && is_allowed_file(r->h, real);
}

int open_file(request *r, const char *file) {
    bool link;
    struct stat s;
    int fd = job_folder_open(jobs_folder(r->h->p.jobs), r->id, file, &link);
    if (fd >= 0 && fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && (!link || may_be_read(r, fd)))
        return fd;
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
        refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "too many files are open");
    else if (fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP && errno != EACCES)
        refuse(r, 500, "io-error", "the file cannot be read: %s", strerror(errno));
    else
        refuse(r, MHD_HTTP_NOT_FOUND, "not-there", "the job has no such file yet, or any more");
    if (fd >= 0)
        close(fd);
    return -1;
}

static http_result answer_unchanged(request *r, const char *tag) {
    struct MHD_Response *response = MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "ETag", tag);
    MHD_add_response_header(response, "Cache-Control", "private, no-cache");
    return answer_response(r, MHD_HTTP_NOT_MODIFIED, response, NULL);
}

static http_result answer_outside(request *r, uint64_t bytes) {
    refuse(r, MHD_HTTP_RANGE_NOT_SATISFIABLE, "outside", "the file has %" PRIu64 " bytes", bytes);
    snprintf(r->problem.content_range, sizeof(r->problem.content_range), "bytes */%" PRIu64, bytes);
    return answer_problem(r);
}

http_result answer_file(request *r, const char *file, const char *type, const char *name) {
    uint64_t first, count;
    char text[1200], tag[100];
    struct stat s;
    int fd = open_file(r, file);
    if (fd < 0)
        return answer_problem(r);
    if (fstat(fd, &s) != 0) {
        close(fd);
        return MHD_NO;
    }
    if (s.st_size > SHORT_BYTES && !r->head && peers_are_full(r->h)) {
        close(fd);
        refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "too many read files now");
        return answer_problem(r);
    }
    snprintf(tag, sizeof(tag), "\"%s-%llx-%llx\"", file, (unsigned long long)s.st_size,
             (unsigned long long)s.st_mtim.tv_sec * 1000 + (unsigned long long)s.st_mtim.tv_nsec / 1000000);
    const char *if_range = header_of(r, "If-Range"), *none = header_of(r, "If-None-Match");
    if (none && strcmp(none, tag) == 0) {
        close(fd);
        return answer_unchanged(r, tag);
    }
    const bool whole = r->head || (if_range && strcmp(if_range, tag) != 0);
    range_kind kind = range_parse(whole ? NULL : header_of(r, "Range"), (uint64_t)s.st_size, &first, &count);
    if (kind == RANGE_OUTSIDE) {
        close(fd);
        return answer_outside(r, (uint64_t)s.st_size);
    }
    struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(count, fd, first);
    if (!response) {
        close(fd); /* else the response's */
        return MHD_NO;
    }
    MHD_add_response_header(response, "Accept-Ranges", "bytes");
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Cache-Control", "private, no-cache");
    MHD_add_response_header(response, "ETag", tag);
    if (name) {
        write_disposition(text, sizeof(text), name, file);
        MHD_add_response_header(response, "Content-Disposition", text);
    }
    snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%lld", first, first + count - 1,
             (long long)s.st_size);
    if (kind == RANGE_PART)
        MHD_add_response_header(response, "Content-Range", text);
    return answer_response(r, kind == RANGE_PART ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK, response, NULL);
}
