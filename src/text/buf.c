/* The growing text buffer of json.h. */
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/json.h"
#include "text/text.h"

void ms_buf_init(ms_buf *buf, ms_mem *mem) {
    *buf = (ms_buf){.mem = mem};
}

void ms_buf_free(ms_buf *buf) {
    ms_mem_free(buf->data);
    ms_buf_init(buf, buf->mem);
}

/* Room for extra more characters and the NUL. */
static bool reserve(ms_buf *buf, size_t extra) {
    if (buf->failed)
        return false;
    if (extra < buf->capacity - buf->length)
        return true;
    size_t want = buf->capacity ? buf->capacity * 2 : 256;
    if (extra > SIZE_MAX / 4 || want > SIZE_MAX / 4) {
        buf->failed = true;
        return false;
    }
    if (want <= buf->length + extra)
        want = buf->length + extra + 1;
    char *data = buf->data ? ms_realloc(buf->data, want) : ms_mem_alloc(buf->mem, MS_LEDGER_GENERAL, want);
    if (!data) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->capacity = want;
    return true;
}

void ms_buf_append(ms_buf *buf, const char *data, size_t length) {
    if (!reserve(buf, length))
        return;
    if (length)
        memcpy(buf->data + buf->length, data, length);
    buf->length += length;
    buf->data[buf->length] = 0;
}

static void print(ms_buf *buf, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n < 0)
        buf->failed = true;
    else if (reserve(buf, (size_t)n)) {
        vsnprintf(buf->data + buf->length, (size_t)n + 1, fmt, again);
        buf->length += (size_t)n;
    }
    va_end(again);
}

void ms_buf_printf(ms_buf *buf, const char *fmt, ...) {
    if (buf->failed)
        return;
    /* glibc has this one ready: no allocation */
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c_locale) {
        buf->failed = true;
        return;
    }
    locale_t before = uselocale(c_locale);
    va_list ap;
    va_start(ap, fmt);
    print(buf, fmt, ap);
    va_end(ap);
    uselocale(before);
    freelocale(c_locale);
}

static void append_escaped(ms_buf *buf, unsigned char c) {
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = strchr(plain, c);
    if (found) {
        char escape[2] = {'\\', letters[found - plain]};
        ms_buf_append(buf, escape, 2);
    } else {
        ms_buf_printf(buf, "\\u%04x", c);
    }
}

/* text is UTF-8. */
static void append_valid(ms_buf *buf, const char *text, size_t length) {
    const char *end = text + length;
    while (text < end && !buf->failed) {
        const char *plain = text;
        while (text < end && (unsigned char)*text >= 0x20 && *text != '"' && *text != '\\')
            text++;
        ms_buf_append(buf, plain, (size_t)(text - plain));
        if (text < end)
            append_escaped(buf, (unsigned char)*text++);
    }
}

void ms_buf_json_string(ms_buf *buf, const char *text) {
    size_t left = strlen(text);
    ms_buf_append(buf, "\"", 1);
    while (left && !buf->failed) {
        size_t valid = ms_utf8_valid_bytes(text, left);
        append_valid(buf, text, valid);
        if (valid < left) {
            ms_buf_append(buf, "\xef\xbf\xbd", 3);
            valid++;
        }
        text += valid;
        left -= valid;
    }
    ms_buf_append(buf, "\"", 1);
}

void ms_buf_json_member(ms_buf *buf, const char *before, const char *name, const char *text) {
    ms_buf_printf(buf, "%s\"%s\": ", before, name);
    if (text)
        ms_buf_json_string(buf, text);
    else
        ms_buf_printf(buf, "null");
}

void ms_buf_json_number(ms_buf *buf, double value) {
    if (!isfinite(value)) {
        ms_buf_append(buf, "null", 4);
        return;
    }
    size_t start = buf->length;
    ms_buf_printf(buf, "%.15g", value);
    ms_json read = {0};
    if (buf->failed ||
        (ms_json_set_number(&read, buf->data + start, buf->length - start) && read.number == value))
        return;
    buf->length = start;
    ms_buf_printf(buf, "%.17g", value);
}
