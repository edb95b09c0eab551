#include "support/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct http_server {
    http_file *files;
    int count, socket, port;
    int requests;
    pthread_t thread;
};

static void send_all(int to, const void *data, size_t bytes) {
    const char *at = data;
    while (bytes) {
        ssize_t n = send(to, at, bytes, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        at += n;
        bytes -= (size_t)n;
    }
}

static void answer_file(int to, http_file *f, bool head, size_t from, bool ranged) {
    char text[512];
    if (ranged && from >= f->bytes) {
        int n =
            snprintf(text, sizeof(text), "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n");
        send_all(to, text, (size_t)n);
        return;
    }
    int n = snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nAccept-Ranges: bytes\r\nContent-Length: %zu\r\n",
                     ranged ? "206 Partial Content" : "200 OK", f->bytes - from);
    if (ranged)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "Content-Range: bytes %zu-%zu/%zu\r\n", from,
                      f->bytes - 1, f->bytes);
    n += snprintf(text + n, sizeof(text) - (size_t)n, "Connection: close\r\n\r\n");
    send_all(to, text, (size_t)n);
    if (head)
        return;
    size_t bytes = f->bytes - from;
    if (f->cut && f->cut < bytes)
        bytes = f->cut;
    f->cut = 0;
    f->gets++;
    f->last_from = from;
    send_all(to, (const char *)f->data + from, bytes);
}

static http_file *find(http_server *s, const char *path) {
    for (int i = 0; i < s->count; i++)
        if (strcmp(s->files[i].path, path) == 0)
            return &s->files[i];
    return NULL;
}

/* A file with a digest lies behind a redirect to /store/..., as in large file storage. */
static void answer(http_server *s, int to, const char *request) {
    char method[8], path[256], text[512];
    bool stored = false;
    if (sscanf(request, "%7s %255s", method, path) != 2)
        return;
    const char *name = path;
    if (strncmp(path, "/store/", 7) == 0) {
        stored = true;
        name = path + 6;
    }
    http_file *f = find(s, name);
    if (!f) {
        int n = snprintf(text, sizeof(text), "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        send_all(to, text, (size_t)n);
        return;
    }
    if (f->digest[0] && !stored) {
        int n = snprintf(text, sizeof(text),
                         "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/store%s\r\n"
                         "X-Linked-Etag: \"%s\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                         s->port, name, f->digest);
        send_all(to, text, (size_t)n);
        return;
    }
    const char *range = strcasestr(request, "\r\nRange: bytes=");
    size_t from = range ? strtoull(range + strlen("\r\nRange: bytes="), NULL, 10) : 0;
    answer_file(to, f, strcmp(method, "HEAD") == 0, from, range != NULL);
}

static void *serve(void *arg) {
    http_server *s = arg;
    for (;;) {
        char request[4096];
        size_t length = 0;
        int to = accept(s->socket, NULL, NULL);
        if (to < 0)
            return NULL;
        while (length + 1 < sizeof(request)) {
            ssize_t n = recv(to, request + length, sizeof(request) - 1 - length, 0);
            if (n <= 0)
                break;
            length += (size_t)n;
            request[length] = 0;
            if (strstr(request, "\r\n\r\n")) {
                s->requests++;
                answer(s, to, request);
                break;
            }
        }
        shutdown(to, SHUT_RDWR);
        close(to);
    }
}

http_server *http_start(http_file *files, int count) {
    http_server *s = calloc(1, sizeof(*s));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    if (!s || (s->socket = socket(AF_INET, SOCK_STREAM, 0)) < 0 ||
        bind(s->socket, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(s->socket, 8) != 0 ||
        getsockname(s->socket, (struct sockaddr *)&address, &size) != 0) {
        perror("http_start");
        exit(1);
    }
    s->files = files;
    s->count = count;
    s->port = ntohs(address.sin_port);
    if (pthread_create(&s->thread, NULL, serve, s) != 0) {
        perror("http_start");
        exit(1);
    }
    return s;
}

void http_stop(http_server *s) {
    shutdown(s->socket, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->socket);
    free(s);
}

int http_port(const http_server *s) {
    return s->port;
}

int http_requests(const http_server *s) {
    return s->requests;
}
