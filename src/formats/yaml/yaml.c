#include "formats/yaml/yaml.h"

#include <string.h>

#include "base/error.h"
#include "formats/source.h"
#include "formats/yaml/yaml_internal.h"

static bool looks_like_json(const char *text, size_t length) {
    size_t at = 0;
    while (at < length && memchr(" \t\r\n", text[at], 4))
        at++;
    return at < length && (text[at] == '{' || text[at] == '[');
}

static bool ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

static ms_status parse(ms_mem *mem, const char *name, const char *text, size_t length, ms_json_doc **ret_doc,
                       ms_error *err) {
    bool json_name = ends_with(name, ".json");
    if (length > MS_CONFIG_MAX_BYTES)
        return ms_fail(err, MS_BAD_MODEL, "has %zu bytes, more than the %zu that a config may have", length,
                       MS_CONFIG_MAX_BYTES);
    if (length >= 3 &&
        memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark, as some editors write it */
        text += 3;
        length -= 3;
    }
    if (json_name || looks_like_json(text, length)) {
        ms_status status = ms_json_parse(mem, text, length, ret_doc, err);
        if (status != MS_INVALID_ARGUMENT)
            return status;
        if (json_name)
            return ms_fail_prefix(err, MS_BAD_MODEL, "no valid JSON");
        /* {a: 1} is YAML's flow style. */
    }
    return ms_yaml_parse(mem, text, length, ret_doc, err);
}

ms_status ms_config_parse(ms_mem *mem, const char *name, const char *text, size_t length,
                          ms_json_doc **ret_doc, ms_error *err) {
    ms_status status = parse(mem, name, text, length, ret_doc, err);
    return status == MS_OK ? MS_OK : ms_fail_prefix(err, status, "%s", name);
}

static ms_status read_text(ms_mem *mem, const ms_source *source, char **ret_text, ms_error *err) {
    if (source->bytes > MS_CONFIG_MAX_BYTES)
        return ms_fail(err, MS_BAD_MODEL, "has %llu bytes, more than the %zu that a config may have",
                       (unsigned long long)source->bytes, MS_CONFIG_MAX_BYTES);
    char *text = ms_mem_alloc(mem, MS_LEDGER_GENERAL, (size_t)source->bytes);
    if (!text)
        return ms_fail_alloc(err, mem, (size_t)source->bytes, "a config's text");
    ms_status status = ms_source_read(source, 0, text, (size_t)source->bytes, err);
    if (status != MS_OK) {
        ms_mem_free(text);
        return status;
    }
    *ret_text = text;
    return MS_OK;
}

ms_status ms_config_load(ms_mem *mem, const char *path, ms_json_doc **ret_doc, ms_error *err) {
    ms_source source;
    char *text = NULL;
    ms_status status = ms_source_open(path, &source, err);
    if (status == MS_OK) {
        status = read_text(mem, &source, &text, err);
        ms_source_close(&source);
    }
    if (status != MS_OK)
        return ms_fail_prefix(err, status, "%s", path);
    status = ms_config_parse(mem, path, text, (size_t)source.bytes, ret_doc, err);
    ms_mem_free(text);
    return status;
}
