/*
 * A small HTTP server on the loopback for tests of downloads: files in memory,
 * ranges, a digest header as Hugging Face has it, and connections that break.
 */
#ifndef MS_TESTS_SUPPORT_HTTP_H
#define MS_TESTS_SUPPORT_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#define HTTP_MAX_FILES 16

typedef struct http_file {
    const char *path; /* begins with a slash */
    const void *data;
    size_t bytes;
    char digest[65];  /* stated in X-Linked-Etag of a redirect; "" = none, and no redirect */
    size_t cut;       /* the next GET breaks off after so many bytes; 0 = whole */
    int gets;         /* of the file's bytes, so far */
    size_t last_from; /* where the last of them began */
} http_file;

typedef struct http_server http_server;

/* Serves files[0 ... count-1], which the caller may change while no request runs. */
http_server *http_start(http_file *files, int count);
void http_stop(http_server *server);
int http_port(const http_server *server);
int http_requests(const http_server *server); /* of any kind, so far */

#endif
