/* JSON text to tree, strictly by RFC 8259. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "text/json_tree.h"
#include "text/text.h"

typedef struct reader {
    const char *at, *end;
    int line, depth;
    ms_json_doc *doc;
    ms_error *err;
} reader;

static ms_status bad(reader *r, const char *what) {
    char quoted[MS_QUOTE_BYTES];
    if (r->at == r->end)
        return ms_fail(r->err, MS_INVALID_ARGUMENT, "line %d: %s, but the text ends here", r->line, what);
    size_t left = (size_t)(r->end - r->at), bytes = (unsigned char)*r->at < 0x80 ? 1 : 4;
    return ms_fail(r->err, MS_INVALID_ARGUMENT, "line %d: %s, found '%s'", r->line, what,
                   ms_quote(quoted, r->at, bytes < left ? bytes : left));
}

static ms_status no_room(reader *r) {
    if (r->doc->values == MS_JSON_MAX_VALUES)
        return ms_fail(r->err, MS_INVALID_ARGUMENT, "line %d: more than %zu values", r->line,
                       MS_JSON_MAX_VALUES);
    return ms_fail_alloc(r->err, r->doc->region.mem, sizeof(ms_json), "a JSON tree");
}

static void skip_space(reader *r) {
    for (; r->at < r->end; r->at++) {
        if (*r->at == '\n')
            r->line++;
        else if (*r->at != ' ' && *r->at != '\t' && *r->at != '\r')
            break;
    }
}

static bool take(reader *r, char c) {
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool hex4(reader *r, uint32_t *ret_unit) {
    uint32_t unit = 0;
    if (r->end - r->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = r->at[i];
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (uint32_t)((c | 0x20) - 'a' + 10);
        else
            return false;
        unit = unit << 4 | digit;
    }
    r->at += 4;
    *ret_unit = unit;
    return true;
}

/* Behind "\u": one code point, which may be written as two surrogates. */
static ms_status read_code_point(reader *r, uint32_t *ret_point) {
    uint32_t high = 0, low = 0;
    if (!hex4(r, &high))
        return bad(r, "\\u needs four hexadecimal digits");
    if (high == 0)
        return ms_fail(r->err, MS_INVALID_ARGUMENT, "line %d: a string contains \\u0000", r->line);
    if (high < 0xd800 || high > 0xdfff) {
        *ret_point = high;
        return MS_OK;
    }
    if (high > 0xdbff || r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u')
        return ms_fail(r->err, MS_INVALID_ARGUMENT, "line %d: \\u%04x is half a surrogate pair", r->line,
                       high);
    r->at += 2;
    if (!hex4(r, &low))
        return bad(r, "\\u needs four hexadecimal digits");
    if (low < 0xdc00 || low > 0xdfff)
        return ms_fail(r->err, MS_INVALID_ARGUMENT, "line %d: \\u%04x is half a surrogate pair", r->line,
                       high);
    *ret_point = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return MS_OK;
}

static ms_status read_escape(reader *r, char **to) {
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (r->at == r->end)
        return bad(r, "expected the rest of an escape");
    if (*r->at == 'u') {
        uint32_t point = 0;
        r->at++;
        MS_TRY(read_code_point(r, &point));
        *to += ms_utf8_encode(point, *to);
        return MS_OK;
    }
    const char *letter = *r->at ? strchr(letters, *r->at) : NULL;
    if (!letter)
        return bad(r, "unknown escape");
    *(*to)++ = meanings[letter - letters];
    r->at++;
    return MS_OK;
}

/* Finds the closing quote of the string that starts at r->at and checks what lies between. */
static ms_status scan_string(reader *r, const char **ret_close) {
    const char *p = r->at;
    while (p < r->end && *p != '"') {
        if ((unsigned char)*p < 0x20) {
            r->at = p;
            return bad(r, "a control character in a string must be escaped");
        }
        p += *p == '\\' && p + 1 < r->end ? 2 : 1;
    }
    if (p >= r->end) {
        r->at = r->end;
        return bad(r, "expected '\"'");
    }
    size_t length = (size_t)(p - r->at), valid = ms_utf8_valid_bytes(r->at, length);
    if (valid < length)
        return ms_fail(r->err, MS_INVALID_ARGUMENT, "line %d: a string is not valid UTF-8 (byte 0x%02x)",
                       r->line, (unsigned char)r->at[valid]);
    *ret_close = p;
    return MS_OK;
}

/* r->at is behind the opening quote. */
static ms_status read_string(reader *r, const char **ret_text) {
    const char *close = r->at;
    MS_TRY(scan_string(r, &close));
    size_t length = (size_t)(close - r->at);
    char *text = ms_region_alloc(&r->doc->region, length + 1), *to = text; /* escapes only ever shorten */
    if (!text)
        return ms_fail_alloc(r->err, r->doc->region.mem, length + 1, "a JSON string");
    while (r->at < close) {
        const char *escape = memchr(r->at, '\\', (size_t)(close - r->at));
        size_t plain = (size_t)((escape ? escape : close) - r->at);
        memcpy(to, r->at, plain);
        to += plain;
        r->at += plain;
        if (escape) {
            r->at++;
            MS_TRY(read_escape(r, &to));
        }
    }
    *to = 0;
    r->at = close + 1;
    *ret_text = text;
    return MS_OK;
}

static ms_status read_number(reader *r, ms_json *node) {
    const char *p = r->at;
    while (p < r->end &&
           ((*p >= '0' && *p <= '9') || *p == '-' || *p == '+' || *p == '.' || *p == 'e' || *p == 'E'))
        p++;
    size_t length = (size_t)(p - r->at);
    if (!ms_json_set_number(node, r->at, length)) {
        char quoted[MS_QUOTE_BYTES];
        return ms_fail(r->err, MS_INVALID_ARGUMENT, "line %d: %s is no JSON number or too large", r->line,
                       ms_quote(quoted, r->at, length));
    }
    r->at = p;
    return MS_OK;
}

static ms_status read_value(reader *r, ms_json *parent, const char *key);

static ms_status read_elements(reader *r, ms_json *array) {
    skip_space(r);
    if (take(r, ']'))
        return MS_OK;
    for (;;) {
        MS_TRY(read_value(r, array, NULL));
        skip_space(r);
        if (take(r, ']'))
            return MS_OK;
        if (!take(r, ','))
            return bad(r, "expected ',' or ']'");
        skip_space(r);
    }
}

static ms_status read_member(reader *r, ms_json *object) {
    const char *key;
    if (!take(r, '"'))
        return bad(r, "expected a member name in quotes");
    int line = r->line;
    MS_TRY(read_string(r, &key));
    if (ms_json_get(object, key)) {
        char quoted[MS_QUOTE_BYTES];
        return ms_fail(r->err, MS_INVALID_ARGUMENT, "line %d: a second member named \"%s\"", line,
                       ms_quote(quoted, key, strlen(key)));
    }
    skip_space(r);
    if (!take(r, ':'))
        return bad(r, "expected ':'");
    skip_space(r);
    return read_value(r, object, key);
}

static ms_status read_members(reader *r, ms_json *object) {
    skip_space(r);
    if (take(r, '}'))
        return MS_OK;
    for (;;) {
        MS_TRY(read_member(r, object));
        skip_space(r);
        if (take(r, '}'))
            return MS_OK;
        if (!take(r, ','))
            return bad(r, "expected ',' or '}'");
        skip_space(r);
    }
}

static bool take_word(reader *r, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0)
        return false;
    r->at += length;
    return true;
}

static ms_status read_scalar(reader *r, ms_json *node) {
    if (node->type == MS_JSON_STRING) {
        r->at++;
        return read_string(r, &node->string);
    }
    if (node->type == MS_JSON_NUMBER)
        return read_number(r, node);
    if (node->type == MS_JSON_BOOL) {
        node->boolean = *r->at == 't';
        return take_word(r, node->boolean ? "true" : "false") ? MS_OK : bad(r, "expected a value");
    }
    return take_word(r, "null") ? MS_OK : bad(r, "expected a value");
}

static bool type_from(char first, ms_json_type *ret_type) {
    if (first == '-' || (first >= '0' && first <= '9'))
        *ret_type = MS_JSON_NUMBER;
    else if (first == '"')
        *ret_type = MS_JSON_STRING;
    else if (first == '{')
        *ret_type = MS_JSON_OBJECT;
    else if (first == '[')
        *ret_type = MS_JSON_ARRAY;
    else if (first == 't' || first == 'f')
        *ret_type = MS_JSON_BOOL;
    else if (first == 'n')
        *ret_type = MS_JSON_NULL;
    else
        return false;
    return true;
}

static ms_status read_value(reader *r, ms_json *parent, const char *key) {
    ms_json_type type;
    if (r->at == r->end || !type_from(*r->at, &type))
        return bad(r, "expected a value");
    ms_json *node = ms_json_tree_add(r->doc, parent, key, type);
    if (!node)
        return no_room(r);
    node->line = r->line;
    if (type != MS_JSON_ARRAY && type != MS_JSON_OBJECT)
        return read_scalar(r, node);
    if (r->depth == MS_JSON_MAX_DEPTH)
        return ms_fail(r->err, MS_INVALID_ARGUMENT, "line %d: nested more than %d deep", r->line,
                       MS_JSON_MAX_DEPTH);
    r->depth++;
    r->at++;
    MS_TRY(type == MS_JSON_ARRAY ? read_elements(r, node) : read_members(r, node));
    r->depth--;
    return MS_OK;
}

static ms_status read_document(reader *r) {
    skip_space(r);
    MS_TRY(read_value(r, NULL, NULL));
    skip_space(r);
    return r->at == r->end ? MS_OK : bad(r, "expected nothing after the value");
}

ms_status ms_json_parse(ms_mem *mem, const char *text, size_t length, ms_json_doc **ret_doc, ms_error *err) {
    if (length > MS_JSON_MAX_BYTES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "line 1: %zu bytes of JSON, more than the %zu that are read",
                       length, MS_JSON_MAX_BYTES);
    ms_json_doc *doc = NULL;
    if (ms_json_doc_create(mem, &doc) != MS_OK)
        return ms_fail_alloc(err, mem, sizeof(*doc), "a JSON document");
    reader r = {.at = text, .end = text + length, .line = 1, .doc = doc, .err = err};
    ms_status status = read_document(&r);
    if (status != MS_OK) {
        ms_json_doc_destroy(&doc);
        return status;
    }
    *ret_doc = doc;
    return MS_OK;
}
