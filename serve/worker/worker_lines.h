/* The lines between the server and its workers: one JSON object a line, each way, over a socket pair. What a
   worker says is checked as anything that comes from outside. */
#ifndef SERVE_WORKER_LINES_H
#define SERVE_WORKER_LINES_H

#include "text/json.h"

#define WORKER_LINE_BYTES ((size_t)64 << 10) /* the longest line */

typedef struct worker_lines {
    int fd; /* borrowed */
    size_t length, taken;
    char bytes[WORKER_LINE_BYTES];
} worker_lines;

void worker_lines_init(worker_lines *l, int fd);

/* The next line, as a document that the caller destroys; *ret_doc NULL: none came within timeout_ms (0 = do
   not wait). MS_IO: the other side has ended; MS_INVALID_ARGUMENT: what came is no line of ours. */
ms_status worker_lines_read(worker_lines *l, int timeout_ms, ms_json_doc **ret_doc, ms_error *err);

/* Writes the buffer's text and the end of the line. MS_IO: the other side has ended. */
ms_status worker_lines_write(int fd, const ms_buf *text, ms_error *err);

/* A value as text again, to be freed; NULL: there is none, or no memory. */
char *worker_json_text(const ms_json *value);

#endif
