/*
 * JSON as a tree (RFC 8259) and a text writer. The reader treats its input as hostile: depth, member count
 * and size are bounded, strings must be valid UTF-8, duplicate member names are refused. YAML configs are
 * read into the same tree (formats/yaml/yaml.h), so that the rest of the code knows one kind of config.
 */
#ifndef MS_TEXT_JSON_H
#define MS_TEXT_JSON_H

#include <stdbool.h>

#include "base/mem.h"

typedef enum ms_json_type {
    MS_JSON_NULL,
    MS_JSON_BOOL,
    MS_JSON_NUMBER,
    MS_JSON_STRING,
    MS_JSON_ARRAY,
    MS_JSON_OBJECT,
} ms_json_type;

typedef struct ms_json {
    ms_json_type type;
    bool boolean;
    bool is_integer;    /* the number was written without fraction or exponent and fits int64 */
    int64_t integer;    /* when is_integer */
    double number;      /* every number; always finite */
    const char *string; /* NUL-terminated; a NUL inside (\u0000) is refused */
    const char *key;    /* the member's name when the parent is an object, else NULL */
    uint32_t count;     /* members or elements */
    int line;           /* where it began, from 1 */
    const struct ms_json *child, *next;
} ms_json;

typedef struct ms_json_doc ms_json_doc;

#define MS_JSON_MAX_DEPTH 64
#define MS_JSON_MAX_VALUES ((size_t)2 << 20)      /* a tree of this many takes about 150 MB */
#define MS_JSON_MAX_BYTES ((size_t)100 * 1000000) /* what safetensors allows its header */
#define MS_JSON_MAX_NUMBER_CHARS 255

/* text need not be NUL-terminated. Errors are MS_INVALID_ARGUMENT with the line;
   the caller maps and prefixes them. MS_HOST_MEMORY when the tree does not fit.
   Where two members of an object have one name, the message says so. */
ms_status ms_json_parse(ms_mem *mem, const char *text, size_t length, ms_json_doc **ret_doc, ms_error *err);
void ms_json_doc_destroy(ms_json_doc **doc);

/* NULL for a document that was created by hand and has no value yet. */
const ms_json *ms_json_root(const ms_json_doc *doc);

/* A member by its name. NULL when it is absent, or when object is NULL or no object. A name with
   dots is no path. Takes constant time in large objects. The node must come from a ms_json_doc. */
const ms_json *ms_json_get(const ms_json *object, const char *key);
const ms_json *ms_json_at(const ms_json *array, uint32_t index);

/* A member's value, or what stands for it where there is none or it is of another type: "", otherwise, false.
   A number with a fraction is no integer. */
const char *ms_json_get_text(const ms_json *object, const char *key);
double ms_json_get_number(const ms_json *object, const char *key, double otherwise);
int64_t ms_json_get_integer(const ms_json *object, const char *key, int64_t otherwise);
bool ms_json_get_flag(const ms_json *object, const char *key);

/*
 * Building a tree by hand (used by the YAML reader). parent NULL makes the root; key (for members of an
 * object, else NULL) and string are copied. The caller fills in boolean, number, integer and line of what it
 * gets. NULL when there is no memory or when the tree has MS_JSON_MAX_VALUES values; a member name that is
 * there already is the caller's to find, with ms_json_get.
 */
ms_status ms_json_doc_create(ms_mem *mem, ms_json_doc **ret_doc);
ms_json *ms_json_append(ms_json_doc *doc, ms_json *parent, const char *key, ms_json_type type,
                        const char *string);

/* A number as JSON writes it, whatever the process's locale: value, integer and is_integer of node are set.
   False when text is no such number, is not finite, or has more than MS_JSON_MAX_NUMBER_CHARS. */
bool ms_json_set_number(ms_json *node, const char *text, size_t length);

/* A growing text buffer. After a failed allocation `failed` stays set and further writes do nothing, so that
   one check at the end is enough. */
typedef struct ms_buf {
    ms_mem *mem;
    char *data; /* NUL-terminated once anything was written */
    size_t length, capacity;
    bool failed;
} ms_buf;

void ms_buf_init(ms_buf *buf, ms_mem *mem);
void ms_buf_free(ms_buf *buf);
void ms_buf_append(ms_buf *buf, const char *data, size_t length);

/* Numbers are written with a decimal point whatever the process's locale. */
void ms_buf_printf(ms_buf *buf, const char *fmt, ...) MS_PRINTF(2, 3);

/* A quoted, escaped JSON string. Bytes that are not UTF-8 become U+FFFD. */
void ms_buf_json_string(ms_buf *buf, const char *text);

/* A member that is a text, NULL = null, behind `before`, like ", ". */
void ms_buf_json_member(ms_buf *buf, const char *before, const char *name, const char *text);

/* The shortest of %.15g and %.17g that reads back as the same double; "null" for what JSON cannot write. */
void ms_buf_json_number(ms_buf *buf, double value);

#endif
