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

ms_status ms_failure_named(const char *name) {
#define X(status, value, exit_code, text)                                                                    \
    if (MS_##status != MS_OK && strcmp(name, #status) == 0)                                                  \
        return MS_##status;
    MS_STATUS_MAP(X)
#undef X
    return MS_INTERNAL;
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

static const struct {
    const char *code, *text;
} hints[MS_HINT_COUNT] = {[MS_HINT_NONE] = {"", ""},
#define X(name, code, text) [MS_HINT_##name] = {code, text},
                          MS_HINT_MAP(X)
#undef X
};

_Static_assert(MS_HINT_COUNT <= 64, "each hint has a bit of ms_error.hints");

static bool is_hint(ms_hint hint) {
    return (int)hint >= 0 && hint < MS_HINT_COUNT;
}

const char *ms_hint_code(ms_hint hint) {
    return is_hint(hint) ? hints[hint].code : "";
}

const char *ms_hint_text(ms_hint hint) {
    return is_hint(hint) ? hints[hint].text : "";
}

void ms_error_clear(ms_error *err) {
    if (!err)
        return;
    memset(err, 0, sizeof(*err));
    err->frame = -1;
}

static void fail(ms_error *err, ms_status code, ms_hint hint, const char *fmt, va_list ap) {
    if (!err)
        return;
    ms_error_clear(err);
    err->code = code;
    vsnprintf(err->message, sizeof(err->message), fmt, ap);
    ms_error_hint(err, hint);
}

ms_status(ms_fail)(ms_error *err, ms_status code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fail(err, code, MS_HINT_NONE, fmt, ap);
    va_end(ap);
    return code;
}

ms_status(ms_fail_hint)(ms_error *err, ms_status code, ms_hint hint, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fail(err, code, hint, fmt, ap);
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

void ms_error_hint(ms_error *err, ms_hint hint) {
    if (err && hint != MS_HINT_NONE)
        err->hints |= MS_HINT_BIT(hint);
}

void ms_error_where(ms_error *err, const char *stage, int64_t frame) {
    if (!err)
        return;
    if (!err->stage[0] && stage)
        snprintf(err->stage, sizeof(err->stage), "%s", stage);
    if (err->frame < 0)
        err->frame = frame;
}

int ms_error_name_length(const char *function) {
    static const char tail[] = "_sized";
    const size_t length = strlen(function), more = sizeof(tail) - 1;
    const bool sized = length > more && strcmp(function + length - more, tail) == 0;
    return (int)(sized ? length - more : length);
}
