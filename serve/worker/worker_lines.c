#include "worker/worker_lines.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/error.h"

void worker_lines_init(worker_lines *l, int fd) {
    l->fd = fd;
    l->length = l->taken = 0;
}

/* A line that is there already; false: more must be read. */
static bool take_line(worker_lines *l, ms_json_doc **ret_doc, ms_status *ret_status, ms_error *err) {
    char *begin = l->bytes + l->taken;
    char *end = memchr(begin, '\n', l->length - l->taken);
    if (!end)
        return false;
    *ret_status = ms_json_parse(NULL, begin, (size_t)(end - begin), ret_doc, err);
    l->taken = (size_t)(end + 1 - l->bytes);
    if (*ret_status == MS_OK && ms_json_root(*ret_doc)->type != MS_JSON_OBJECT) {
        ms_json_doc_destroy(ret_doc);
        *ret_status = ms_fail(err, MS_INVALID_ARGUMENT, "a line of the worker's is no object");
    }
    return true;
}

ms_status worker_lines_read(worker_lines *l, int timeout_ms, ms_json_doc **ret_doc, ms_error *err) {
    double until = ms_now_s() + timeout_ms / 1e3;
    *ret_doc = NULL;
    for (;;) {
        ms_status status = MS_OK;
        if (take_line(l, ret_doc, &status, err))
            return status;
        memmove(l->bytes, l->bytes + l->taken, l->length - l->taken);
        l->length -= l->taken;
        l->taken = 0;
        if (l->length == sizeof(l->bytes))
            return ms_fail(err, MS_INVALID_ARGUMENT, "a line of the worker's is too long");
        double left = timeout_ms ? (until - ms_now_s()) * 1e3 : 0;
        struct pollfd p = {.fd = l->fd, .events = POLLIN};
        int ready = poll(&p, 1, left > 0 ? (int)left + 1 : 0);
        if (ready == 0 || (ready < 0 && errno == EINTR)) {
            if (ready == 0 && (timeout_ms == 0 || ms_now_s() >= until))
                return MS_OK;
            continue;
        }
        ssize_t n = recv(l->fd, l->bytes + l->length, sizeof(l->bytes) - l->length, 0);
        if (n == 0 || (n < 0 && errno != EINTR))
            return ms_fail(err, MS_IO, "the worker has ended");
        if (n > 0)
            l->length += (size_t)n;
    }
}

ms_status worker_lines_write(int fd, const ms_buf *text, ms_error *err) {
    if (text->failed)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory");
    for (size_t done = 0; done <= text->length;) {
        bool last = done == text->length;
        ssize_t n = send(fd, last ? "\n" : text->data + done, last ? 1 : text->length - done, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ms_fail(err, MS_IO, "the worker has ended");
        done += (size_t)n;
    }
    return MS_OK;
}

static void write_json(ms_buf *b, const ms_json *v) {
    switch (v->type) {
    case MS_JSON_NULL:
        ms_buf_printf(b, "null");
        break;
    case MS_JSON_BOOL:
        ms_buf_printf(b, v->boolean ? "true" : "false");
        break;
    case MS_JSON_NUMBER:
        if (v->is_integer)
            ms_buf_printf(b, "%" PRId64, v->integer);
        else
            ms_buf_json_number(b, v->number);
        break;
    case MS_JSON_STRING:
        ms_buf_json_string(b, v->string);
        break;
    case MS_JSON_ARRAY:
    case MS_JSON_OBJECT:
        ms_buf_printf(b, v->type == MS_JSON_ARRAY ? "[" : "{");
        for (const ms_json *m = v->child; m; m = m->next) {
            if (m != v->child)
                ms_buf_printf(b, ",");
            if (v->type == MS_JSON_OBJECT) {
                ms_buf_json_string(b, m->key);
                ms_buf_printf(b, ":");
            }
            write_json(b, m); /* as deep as the reader allows */
        }
        ms_buf_printf(b, v->type == MS_JSON_ARRAY ? "]" : "}");
        break;
    }
}

char *worker_json_text(const ms_json *value) {
    ms_buf b;
    if (!value)
        return NULL;
    ms_buf_init(&b, NULL);
    write_json(&b, value);
    char *text = b.failed ? NULL : strdup(b.data);
    ms_buf_free(&b);
    return text;
}
