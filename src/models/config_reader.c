#include "models/config_reader.h"

#include <inttypes.h>

#include "base/error.h"

ms_config_reader ms_config_section(const ms_json *root, const char *path, const char *section, bool required,
                                   ms_error *err) {
    ms_config_reader r = {.path = path, .section = section, .err = err};
    r.object = ms_json_get(root, section);
    if (r.object && r.object->type != MS_JSON_OBJECT)
        r.status =
            ms_fail(err, MS_BAD_MODEL, "%s: %s is no mapping (line %d)", path, section, r.object->line);
    else if (!r.object && required)
        r.status = ms_fail(err, MS_BAD_MODEL, "%s: has no section %s", path, section);
    return r;
}

static const ms_json *field(ms_config_reader *r, const char *key, bool required) {
    if (r->status != MS_OK)
        return NULL;
    const ms_json *f = ms_json_get(r->object, key);
    if (f && f->type == MS_JSON_NULL)
        f = NULL;
    if (!f && required)
        r->status = ms_fail(r->err, MS_BAD_MODEL, "%s: %s.%s is missing", r->path, r->section, key);
    return f;
}

static void wrong(ms_config_reader *r, const char *key, const ms_json *f, const char *want) {
    if (r->status == MS_OK)
        r->status = ms_fail(r->err, MS_BAD_MODEL, "%s: %s.%s (line %d) must be %s", r->path, r->section, key,
                            f->line, want);
}

static int64_t integer(ms_config_reader *r, const char *key, const ms_json *f, int64_t fallback, int64_t min,
                       int64_t max) {
    if (f->type != MS_JSON_NUMBER || !f->is_integer) {
        wrong(r, key, f, "a whole number");
        return fallback;
    }
    if (f->integer < min || f->integer > max) {
        if (r->status == MS_OK)
            r->status =
                ms_fail(r->err, MS_BAD_MODEL, "%s: %s.%s is %" PRId64 ", not within %" PRId64 " to %" PRId64,
                        r->path, r->section, key, f->integer, min, max);
        return fallback;
    }
    return f->integer;
}

int64_t ms_config_int(ms_config_reader *r, const char *key, bool required, int64_t fallback, int64_t min,
                      int64_t max) {
    const ms_json *f = field(r, key, required);
    return f ? integer(r, key, f, fallback, min, max) : fallback;
}

double ms_config_number(ms_config_reader *r, const char *key, bool required, double fallback) {
    const ms_json *f = field(r, key, required);
    if (!f)
        return fallback;
    if (f->type != MS_JSON_NUMBER) {
        wrong(r, key, f, "a number");
        return fallback;
    }
    return f->number;
}

bool ms_config_bool(ms_config_reader *r, const char *key, bool fallback) {
    const ms_json *f = field(r, key, false);
    if (!f)
        return fallback;
    if (f->type != MS_JSON_BOOL) {
        wrong(r, key, f, "true or false");
        return fallback;
    }
    return f->boolean;
}

const char *ms_config_string(ms_config_reader *r, const char *key, bool required) {
    const ms_json *f = field(r, key, required);
    if (!f)
        return NULL;
    if (f->type != MS_JSON_STRING) {
        wrong(r, key, f, "a text");
        return NULL;
    }
    return f->string;
}

int ms_config_ints(ms_config_reader *r, const char *key, bool required, int64_t min, int64_t max,
                   int64_t *ret_list, int capacity) {
    const ms_json *f = field(r, key, required);
    if (!f)
        return 0;
    if (f->type == MS_JSON_NUMBER) {
        ret_list[0] = integer(r, key, f, min, min, max);
        return 1;
    }
    if (f->type != MS_JSON_ARRAY || f->count == 0 || f->count > (uint32_t)capacity) {
        wrong(r, key, f, "a list of numbers of a sensible length");
        return 0;
    }
    int n = 0;
    for (const ms_json *e = f->child; e; e = e->next)
        ret_list[n++] = integer(r, key, e, min, min, max);
    return n;
}

int ms_config_strings(ms_config_reader *r, const char *key, bool required, const char **ret_list,
                      int capacity) {
    const ms_json *f = field(r, key, required);
    if (!f)
        return 0;
    if (f->type != MS_JSON_ARRAY || f->count == 0 || f->count > (uint32_t)capacity) {
        wrong(r, key, f, "a list of names of a sensible length");
        return 0;
    }
    int n = 0;
    for (const ms_json *e = f->child; e; e = e->next) {
        if (e->type != MS_JSON_STRING) {
            wrong(r, key, e, "a list of names");
            return 0;
        }
        ret_list[n++] = e->string;
    }
    return n;
}

void ms_config_refuse(ms_config_reader *r, const char *key, const char *why) {
    if (r->status == MS_OK)
        r->status = ms_fail(r->err, MS_UNSUPPORTED, "%s: %s.%s: %s", r->path, r->section, key, why);
}
