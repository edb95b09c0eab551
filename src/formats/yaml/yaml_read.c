/* YAML to a tree, from libyaml's events. */
#include "base/error.h"
#include "formats/yaml/yaml_internal.h"
#include "memsafe_have.h"
#include "text/text.h"

#if MS_HAVE_YAML

#include <string.h>
#include <yaml.h>

#define MAX_KEY_BYTES 1024

/* What libyaml takes for itself at most, per byte of text: its raw and decoded buffers, the scalar it
   collects and the token and event that hold it; plus its queues and stacks. */
#define LIBYAML_BYTES_PER_BYTE 8
#define LIBYAML_FIXED_BYTES ((size_t)128 << 10)

typedef struct reader {
    yaml_parser_t parser;
    ms_json_doc *doc;
    ms_json *open[MS_JSON_MAX_DEPTH]; /* containers that the next event lies in */
    int depth;
    bool has_key; /* key names the next value of the innermost mapping */
    char key[MAX_KEY_BYTES];
    ms_error *err;
} reader;

static int line_of(const yaml_event_t *event) {
    return (int)event->start_mark.line + 1;
}

static ms_status bad(reader *r, const yaml_event_t *event, const char *what) {
    return ms_fail(r->err, MS_BAD_MODEL, "line %d: %s", line_of(event), what);
}

static ms_status bad_text(reader *r, const yaml_event_t *event, const char *text, const char *what) {
    char q[MS_QUOTE_BYTES];
    return ms_fail(r->err, MS_BAD_MODEL, "line %d: \"%s\" %s", line_of(event),
                   ms_quote(q, text, strlen(text)), what);
}

static ms_status place(reader *r, const yaml_event_t *event, ms_json_type type, const char *string,
                       ms_json **ret_node) {
    ms_json *parent = r->depth ? r->open[r->depth - 1] : NULL;
    bool named = parent && parent->type == MS_JSON_OBJECT;
    if (named && !r->has_key)
        return bad(r, event, "the name of a mapping's entry must be plain text");
    ms_json *node = ms_json_append(r->doc, parent, named ? r->key : NULL, type, string);
    if (!node)
        return ms_fail(r->err, MS_HOST_MEMORY, "line %d: cannot allocate the config's tree", line_of(event));
    node->line = line_of(event);
    r->has_key = false;
    *ret_node = node;
    return MS_OK;
}

static ms_status open_container(reader *r, const yaml_event_t *event, ms_json_type type) {
    bool mapping = event->type == YAML_MAPPING_START_EVENT;
    if (mapping ? event->data.mapping_start.anchor != NULL : event->data.sequence_start.anchor != NULL)
        return bad(r, event, "anchors (&name) are not supported");
    if (mapping ? event->data.mapping_start.tag != NULL : event->data.sequence_start.tag != NULL)
        return bad(r, event, "tags (!name) are not supported");
    if (r->depth == MS_JSON_MAX_DEPTH)
        return bad(r, event, "nested too deep");
    ms_json *node = NULL;
    MS_TRY(place(r, event, type, NULL, &node));
    r->open[r->depth++] = node;
    return MS_OK;
}

static ms_status take_key(reader *r, const yaml_event_t *event, const char *text, size_t length) {
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (plain && strcmp(text, "<<") == 0)
        return bad(r, event, "merge keys (<<) are not supported");
    if (length == 0 && plain)
        return bad(r, event, "the name of a mapping's entry must be plain text");
    if (length >= MAX_KEY_BYTES)
        return bad_text(r, event, text, "is too long for a name");
    if (ms_json_get(r->open[r->depth - 1], text))
        return bad_text(r, event, text, "is there twice");
    memcpy(r->key, text, length + 1);
    r->has_key = true;
    return MS_OK;
}

static ms_status take_scalar(reader *r, const yaml_event_t *event) {
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    if (event->data.scalar.anchor)
        return bad(r, event, "anchors (&name) are not supported");
    if (event->data.scalar.tag)
        return bad(r, event, "tags (!name) are not supported");
    if (strlen(text) != length)
        return bad(r, event, "a text contains a NUL character");
    if (r->depth && r->open[r->depth - 1]->type == MS_JSON_OBJECT && !r->has_key)
        return take_key(r, event, text, length);
    ms_json value = {.type = MS_JSON_STRING}, *node = NULL;
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        const char *wrong = ms_yaml_resolve(text, length, &value);
        if (wrong)
            return bad_text(r, event, text, wrong);
    }
    MS_TRY(place(r, event, value.type, value.type == MS_JSON_STRING ? text : NULL, &node));
    node->boolean = value.boolean;
    node->is_integer = value.is_integer;
    node->integer = value.integer;
    node->number = value.number;
    return MS_OK;
}

static ms_status take_event(reader *r, const yaml_event_t *event) {
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return ms_json_root(r->doc) ? bad(r, event, "a second document") : MS_OK;
    case YAML_SCALAR_EVENT:
        return take_scalar(r, event);
    case YAML_MAPPING_START_EVENT:
        return open_container(r, event, MS_JSON_OBJECT);
    case YAML_SEQUENCE_START_EVENT:
        return open_container(r, event, MS_JSON_ARRAY);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        r->depth--;
        return MS_OK;
    case YAML_ALIAS_EVENT:
        return bad(r, event, "aliases (*name) are not supported");
    default:
        return MS_OK;
    }
}

static ms_status parser_failed(reader *r) {
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return ms_fail(r->err, MS_HOST_MEMORY, "libyaml has run out of memory");
    if (p->error == YAML_READER_ERROR) /* encoding; there is no mark */
        return ms_fail(r->err, MS_BAD_MODEL, "byte %zu: %s", p->problem_offset,
                       p->problem ? p->problem : "no text");
    return ms_fail(r->err, MS_BAD_MODEL, "line %zu: %s%s%s", p->problem_mark.line + 1,
                   p->context ? p->context : "", p->context ? ", " : "",
                   p->problem ? p->problem : "not YAML");
}

static ms_status read_events(reader *r) {
    for (bool end = false; !end;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r->parser, &event))
            return parser_failed(r);
        end = event.type == YAML_STREAM_END_EVENT;
        ms_status status = take_event(r, &event);
        yaml_event_delete(&event);
        MS_TRY(status);
    }
    return ms_json_root(r->doc) ? MS_OK : ms_fail(r->err, MS_BAD_MODEL, "has nothing in it");
}

static ms_status read_document(ms_mem *mem, const char *text, size_t length, ms_json_doc *doc,
                               ms_error *err) {
    reader r = {.doc = doc, .err = err};
    size_t charge = LIBYAML_FIXED_BYTES + length * LIBYAML_BYTES_PER_BYTE;
    if (!ms_mem_charge(mem, MS_LEDGER_GENERAL, charge))
        return ms_fail_alloc(err, mem, charge, "libyaml");
    ms_status status = MS_HOST_MEMORY;
    if (yaml_parser_initialize(&r.parser)) {
        yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, length);
        status = read_events(&r);
        yaml_parser_delete(&r.parser);
    } else {
        ms_fail(err, status, "libyaml has run out of memory");
    }
    ms_mem_release(mem, MS_LEDGER_GENERAL, charge);
    return status;
}

ms_status ms_yaml_parse(ms_mem *mem, const char *text, size_t length, ms_json_doc **ret_doc, ms_error *err) {
    ms_json_doc *doc = NULL;
    if (ms_json_doc_create(mem, &doc) != MS_OK)
        return ms_fail_alloc(err, mem, sizeof(doc), "a config");
    ms_status status = read_document(mem, text, length, doc, err);
    if (status != MS_OK) {
        ms_json_doc_destroy(&doc);
        return status;
    }
    *ret_doc = doc;
    return MS_OK;
}

#else

ms_status ms_yaml_parse(ms_mem *mem, const char *text, size_t length, ms_json_doc **ret_doc, ms_error *err) {
    (void)mem, (void)text, (void)length, (void)ret_doc;
    return ms_fail(err, MS_UNSUPPORTED,
                   "is YAML, and this build reads only JSON configs (it has no libyaml)");
}

#endif
