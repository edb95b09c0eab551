#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *ms_status_text(ms_status status) {
    switch (status) {
#define X(name, value, exit_code, text)                                                                      \
    case MS_##name:                                                                                          \
        return text;
        MS_STATUS_MAP(X)
#undef X
    }
    return "unknown status";
}

const char *ms_status_name(ms_status status) {
    switch (status) {
#define X(name, value, exit_code, text)                                                                      \
    case MS_##name:                                                                                          \
        return #name;
        MS_STATUS_MAP(X)
#undef X
    }
    return "UNKNOWN";
}

int ms_status_exit_code(ms_status status) {
    switch (status) {
#define X(name, value, exit_code, text)                                                                      \
    case MS_##name:                                                                                          \
        return exit_code;
        MS_STATUS_MAP(X)
#undef X
    }
    return 70;
}

void ms_error_clear(ms_error *err) {
    if (!err)
        return;
    memset(err, 0, sizeof(*err));
    err->frame = -1;
}

ms_status(ms_fail)(ms_error *err, ms_status code, const char *fmt, ...) {
    if (!err)
        return code;
    ms_error_clear(err);
    err->code = code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->message, sizeof(err->message), fmt, ap);
    va_end(ap);
    return code;
}

ms_status ms_fail_prefix(ms_error *err, ms_status code, const char *fmt, ...) {
    if (!err)
        return code;
    char old[sizeof(err->message)];
    memcpy(old, err->message, sizeof(old));
    old[sizeof(old) - 1] = 0;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->message, sizeof(err->message), fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof(err->message) - 3) {
        size_t room = sizeof(err->message) - (size_t)n;
        snprintf(err->message + n, room, ": %.*s", (int)(room - 3), old);
    }
    err->code = code;
    return code;
}

void ms_error_add(ms_error *err, const char *fmt, ...) {
    if (!err)
        return;
    size_t n = strlen(err->message);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->message + n, sizeof(err->message) - n, fmt, ap);
    va_end(ap);
}

void ms_error_where(ms_error *err, const char *stage, int64_t frame) {
    if (!err)
        return;
    if (!err->stage[0] && stage)
        snprintf(err->stage, sizeof(err->stage), "%s", stage);
    if (err->frame < 0)
        err->frame = frame;
}
