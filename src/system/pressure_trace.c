#include "system/pressure_trace.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "files/regular_file.h"
#include "text/json.h"
#include "text/text.h"

struct ms_pressure_trace {
    bool in_seconds;
    size_t count;
    ms_pressure_trace_entry *entries;
};

typedef enum field_kind { BYTES, LIMIT, COUNT, PERCENT } field_kind;

/* What a line may set, and where it goes. LIMIT is bytes or "max". */
static const struct field {
    const char *name;
    field_kind kind;
    size_t offset;
} fields[] = {
    {"total", BYTES, offsetof(ms_pressure_sample, host_total)},
    {"available", BYTES, offsetof(ms_pressure_sample, host_available)},
    {"cgroup_current", BYTES, offsetof(ms_pressure_sample, cgroup_current)},
    {"cgroup_cache", BYTES, offsetof(ms_pressure_sample, cgroup_cache)},
    {"cgroup_max", LIMIT, offsetof(ms_pressure_sample, cgroup_max)},
    {"cgroup_high", LIMIT, offsetof(ms_pressure_sample, cgroup_high)},
    {"events_high", COUNT, offsetof(ms_pressure_sample, events_high)},
    {"events_max", COUNT, offsetof(ms_pressure_sample, events_max)},
    {"events_oom", COUNT, offsetof(ms_pressure_sample, events_oom)},
    {"psi_some", PERCENT, offsetof(ms_pressure_sample, psi_some)},
    {"psi_full", PERCENT, offsetof(ms_pressure_sample, psi_full)},
    {"device_total", BYTES, offsetof(ms_pressure_sample, device_total)},
    {"device_free", BYTES, offsetof(ms_pressure_sample, device_free)},
};
#define FIELDS (sizeof(fields) / sizeof(*fields))

/* A whole number below 2^62, so that no sum or difference of two of them overflows. */
static bool read_whole(const ms_json *value, int64_t *ret_number) {
    if (value->type != MS_JSON_NUMBER || !value->is_integer || value->integer < 0 ||
        value->integer >= (int64_t)1 << 62)
        return false;
    *ret_number = value->integer;
    return true;
}

/* A number of bytes, or text as the command's options take it: "8G", "1.5GiB", "64K". */
static bool read_bytes(const ms_json *value, int64_t *ret_bytes) {
    if (value->type != MS_JSON_STRING)
        return read_whole(value, ret_bytes);
    ms_json number = {.type = MS_JSON_NUMBER};
    size_t digits = strspn(value->string, "0123456789.");
    const char *unit = value->string + digits;
    if (!ms_json_set_number(&number, value->string, digits))
        return false;
    double bytes = number.number;
    const char *letters = "KMGT", *letter = *unit ? strchr(letters, toupper((unsigned char)*unit)) : NULL;
    if (letter) {
        for (const char *l = letters; l <= letter; l++)
            bytes *= 1024;
        unit += unit[1] == 'i' ? 2 : 1;
    }
    unit += *unit == 'B' || *unit == 'b';
    if (*unit || !(bytes < 0x1p62))
        return false;
    *ret_bytes = (int64_t)bytes;
    return true;
}

/* null makes the field unknown again. */
static bool read_field(const struct field *field, const ms_json *value, ms_pressure_sample *sample) {
    void *at = (char *)sample + field->offset;
    bool unknown = value->type == MS_JSON_NULL;
    if (field->kind == PERCENT) {
        if (!unknown && (value->type != MS_JSON_NUMBER || !(value->number >= 0 && value->number <= 100)))
            return false;
        *(double *)at = unknown ? -1 : value->number;
        return true;
    }
    int64_t number = MS_PRESSURE_UNKNOWN;
    bool fits = unknown || (field->kind == COUNT ? read_whole(value, &number) : read_bytes(value, &number));
    if (!fits && field->kind == LIMIT && value->type == MS_JSON_STRING && strcmp(value->string, "max") == 0) {
        number = MS_PRESSURE_NO_LIMIT;
        fits = true;
    }
    if (fits)
        *(int64_t *)at = number;
    return fits;
}

static ms_status fail_field(const ms_json *value, ms_error *err) {
    static const char *const wanted[] = {
        [BYTES] = "a number of bytes, a size like \"8G\", or null",
        [LIMIT] = "a number of bytes, a size like \"8G\", \"max\", or null",
        [COUNT] = "a whole number, or null",
        [PERCENT] = "a percentage from 0 to 100, or null",
    };
    for (size_t i = 0; i < FIELDS; i++)
        if (strcmp(value->key, fields[i].name) == 0)
            return ms_fail(err, MS_INVALID_ARGUMENT, "\"%s\" must be %s", value->key, wanted[fields[i].kind]);
    char quoted[MS_QUOTE_BYTES];
    return ms_fail(err, MS_INVALID_ARGUMENT, "unknown field \"%s\"",
                   ms_quote(quoted, value->key, strlen(value->key)));
}

static ms_status read_at(const ms_json *root, ms_pressure_trace *trace, double *ret_at, ms_error *err) {
    const ms_json *at = ms_json_get(root, "at"), *t = ms_json_get(root, "t"), *when = at ? at : t;
    if (!when || (at && t))
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "a line needs one of \"at\" (safe point) and \"t\" (seconds)");
    if (trace->count == 0)
        trace->in_seconds = t != NULL;
    if (trace->in_seconds != (t != NULL))
        return ms_fail(err, MS_INVALID_ARGUMENT, "\"%s\" in a file that began with \"%s\"", when->key,
                       t ? "at" : "t");
    if (when->type != MS_JSON_NUMBER || !(when->number >= 0 && when->number <= MS_PRESSURE_TRACE_MAX_AT) ||
        (at && !at->is_integer))
        return ms_fail(err, MS_INVALID_ARGUMENT, "\"%s\" must be a %s from 0 to %g", when->key,
                       at ? "whole number" : "number", MS_PRESSURE_TRACE_MAX_AT);
    if (trace->count > 0 && when->number <= trace->entries[trace->count - 1].at)
        return ms_fail(err, MS_INVALID_ARGUMENT, "\"%s\" %.15g comes after %.15g: lines must be in order",
                       when->key, when->number, trace->entries[trace->count - 1].at);
    *ret_at = when->number;
    return MS_OK;
}

static ms_status read_level(const ms_json *value, ms_pressure_trace_entry *entry, ms_error *err) {
    entry->forced = value->type != MS_JSON_NULL;
    if (entry->forced &&
        (value->type != MS_JSON_STRING || !ms_pressure_from_name(value->string, &entry->level)))
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "\"level\" must be \"none\", \"low\", \"high\", \"critical\", or null");
    return MS_OK;
}

/* A share cannot be judged without what it is a share of: better said here than a trace that does nothing. */
static ms_status check_totals(const ms_pressure_sample *s, ms_error *err) {
    const struct {
        const char *part, *whole;
        int64_t part_bytes, whole_bytes;
    } pairs[] = {
        {"available", "total", s->host_available, s->host_total},
        {"device_free", "device_total", s->device_free, s->device_total},
    };
    for (int i = 0; i < 2; i++) {
        if (pairs[i].part_bytes >= 0 && pairs[i].whole_bytes <= 0)
            return ms_fail(err, MS_INVALID_ARGUMENT, "\"%s\" needs \"%s\", here or on an earlier line",
                           pairs[i].part, pairs[i].whole);
        if (pairs[i].part_bytes > pairs[i].whole_bytes && pairs[i].whole_bytes > 0)
            return ms_fail(err, MS_INVALID_ARGUMENT, "\"%s\" is more than \"%s\"", pairs[i].part,
                           pairs[i].whole);
    }
    if (ms_pressure_cgroup_limit(s) >= 0 && s->cgroup_current < 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a cgroup limit needs \"cgroup_current\"");
    return MS_OK;
}

/* One line; what it does not name stays as on the line before. */
static ms_status read_entry(const ms_json *root, ms_pressure_trace *trace, ms_pressure_trace_entry *entry,
                            ms_error *err) {
    if (!root || root->type != MS_JSON_OBJECT)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a line must be a JSON object");
    MS_TRY(read_at(root, trace, &entry->at, err));
    for (const ms_json *value = root->child; value; value = value->next) {
        if (strcmp(value->key, "at") == 0 || strcmp(value->key, "t") == 0)
            continue;
        if (strcmp(value->key, "level") == 0) {
            MS_TRY(read_level(value, entry, err));
            continue;
        }
        size_t i = 0;
        while (i < FIELDS && strcmp(value->key, fields[i].name) != 0)
            i++;
        if (i == FIELDS || !read_field(&fields[i], value, &entry->sample))
            return fail_field(value, err);
    }
    return check_totals(&entry->sample, err);
}

static bool is_blank(const char *line, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (!memchr(" \t\r", line[i], 3))
            return false;
    return true;
}

/* The next line without its newline; NULL behind the last. */
static const char *next_line(const char *text, size_t length, size_t *start, size_t *ret_length) {
    if (*start >= length)
        return NULL;
    const char *line = text + *start, *newline = memchr(line, '\n', length - *start);
    *ret_length = newline ? (size_t)(newline - line) : length - *start;
    *start += *ret_length + 1;
    return line;
}

/* Lines that are not blank. */
static size_t count_entries(const char *text, size_t length) {
    size_t n = 0, start = 0, line_length;
    for (const char *line; (line = next_line(text, length, &start, &line_length));)
        n += !is_blank(line, line_length);
    return n;
}

static ms_status read_line(ms_mem *mem, const char *line, size_t length, ms_pressure_trace *trace,
                           ms_error *err) {
    ms_pressure_trace_entry entry = {0};
    ms_pressure_sample_init(&entry.sample);
    if (trace->count > 0)
        entry = trace->entries[trace->count - 1];
    ms_json_doc *doc = NULL;
    ms_status status = ms_json_parse(mem, line, length, &doc, err);
    if (status == MS_OK)
        status = read_entry(ms_json_root(doc), trace, &entry, err);
    ms_json_doc_destroy(&doc);
    if (status == MS_OK)
        trace->entries[trace->count++] = entry;
    return status;
}

ms_status ms_pressure_trace_parse(ms_mem *mem, const char *name, const char *text, size_t length,
                                  ms_pressure_trace **ret_trace, ms_error *err) {
    if (length > MS_PRESSURE_TRACE_MAX_BYTES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: a trace of more than %zu bytes", name,
                       MS_PRESSURE_TRACE_MAX_BYTES);
    size_t count = count_entries(text, length), number = 0, start = 0, line_length;
    if (count == 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: no line in it", name);
    ms_pressure_trace *trace = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*trace));
    if (!trace)
        return ms_fail_alloc(err, mem, sizeof(*trace), "a pressure trace");
    ms_status status = MS_OK;
    trace->entries = ms_alloc_array(mem, MS_LEDGER_GENERAL, count, sizeof(*trace->entries));
    if (!trace->entries)
        status = ms_fail_alloc(err, mem, count * sizeof(*trace->entries), "a pressure trace");
    for (const char *line; status == MS_OK && (line = next_line(text, length, &start, &line_length));) {
        number++;
        if (!is_blank(line, line_length))
            status = read_line(mem, line, line_length, trace, err);
        if (status != MS_OK)
            ms_fail_prefix(err, status, "%s:%zu", name, number);
    }
    if (status != MS_OK) {
        ms_pressure_trace_destroy(&trace);
        return status;
    }
    *ret_trace = trace;
    return MS_OK;
}

/* It may be in the making, so its size is found by reading. */
static ms_status read_file(FILE *file, const char *path, ms_buf *buf, ms_error *err) {
    char block[4096];
    size_t got;
    while ((got = fread(block, 1, sizeof(block), file)) > 0 && !buf->failed &&
           buf->length <= MS_PRESSURE_TRACE_MAX_BYTES)
        ms_buf_append(buf, block, got);
    if (ferror(file))
        return ms_fail(err, MS_IO, "%s: cannot be read: %s", path, strerror(errno));
    if (buf->failed)
        return ms_fail_alloc(err, buf->mem, buf->length, "a pressure trace");
    return MS_OK;
}

ms_status ms_pressure_trace_load(ms_mem *mem, const char *path, ms_pressure_trace **ret_trace,
                                 ms_error *err) {
    FILE *file = NULL;
    MS_TRY(ms_regular_fopen(path, &file, err));
    ms_buf buf;
    ms_buf_init(&buf, mem);
    ms_status status = read_file(file, path, &buf, err);
    if (status == MS_OK)
        status = ms_pressure_trace_parse(mem, path, buf.data ? buf.data : "", buf.length, ret_trace, err);
    ms_buf_free(&buf);
    fclose(file);
    return status;
}

void ms_pressure_trace_destroy(ms_pressure_trace **ptr) {
    if (!ptr || !*ptr)
        return;
    ms_mem_free((*ptr)->entries);
    ms_mem_free(*ptr);
    *ptr = NULL;
}

size_t ms_pressure_trace_count(const ms_pressure_trace *trace) {
    return trace->count;
}

const ms_pressure_trace_entry *ms_pressure_trace_get(const ms_pressure_trace *trace, size_t index) {
    return &trace->entries[index];
}

bool ms_pressure_trace_in_seconds(const ms_pressure_trace *trace) {
    return trace->in_seconds;
}
