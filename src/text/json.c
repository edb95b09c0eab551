/* The tree: building it and finding one's way in it. */
#include "text/json.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/json_tree.h"

/* Below this many members a walk along the list is as quick as the table. */
#define INDEX_FROM_MEMBERS 16

/* Arrays and objects carry more than a scalar does; type says which one a node is. */
typedef struct container {
    ms_json node;
    ms_json *last;
    ms_strmap *index; /* objects with many members */
} container;

static bool is_container(ms_json_type type) {
    return type == MS_JSON_ARRAY || type == MS_JSON_OBJECT;
}

ms_status ms_json_doc_create(ms_mem *mem, ms_json_doc **ret_doc) {
    ms_json_doc *doc = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*doc));
    if (!doc)
        return MS_HOST_MEMORY;
    ms_region_init(&doc->region, mem, SIZE_MAX);
    *ret_doc = doc;
    return MS_OK;
}

void ms_json_doc_destroy(ms_json_doc **doc) {
    if (!doc || !*doc)
        return;
    ms_region_free(&(*doc)->region);
    ms_mem_free(*doc);
    *doc = NULL;
}

const ms_json *ms_json_root(const ms_json_doc *doc) {
    return doc->root;
}

static bool add_to_index(container *object, ms_json *member) {
    /* An object's members have keys. NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
    return ms_strmap_add(object->index, member->key, strlen(member->key), member) != MS_STRMAP_NO_MEMORY;
}

static bool make_index(ms_json_doc *doc, container *object) {
    object->index = ms_region_alloc(&doc->region, sizeof(*object->index));
    if (!object->index)
        return false;
    ms_strmap_init(object->index, &doc->region);
    for (const ms_json *member = object->node.child; member; member = member->next)
        if (!add_to_index(object, (ms_json *)member))
            return false;
    return true;
}

static bool attach(ms_json_doc *doc, ms_json *parent, ms_json *node) {
    container *into = (container *)parent;
    if (into->last)
        into->last->next = node;
    else
        parent->child = node;
    into->last = node;
    parent->count++;
    if (parent->type == MS_JSON_OBJECT && into->index)
        return add_to_index(into, node);
    return parent->type != MS_JSON_OBJECT || parent->count != INDEX_FROM_MEMBERS || make_index(doc, into);
}

ms_json *ms_json_tree_add(ms_json_doc *doc, ms_json *parent, const char *key, ms_json_type type) {
    if (doc->values == MS_JSON_MAX_VALUES)
        return NULL;
    size_t bytes = is_container(type) ? sizeof(container) : sizeof(ms_json);
    ms_json *node = ms_region_alloc(&doc->region, bytes);
    if (!node)
        return NULL;
    memset(node, 0, bytes);
    node->type = type;
    node->key = key;
    if (parent && !attach(doc, parent, node))
        return NULL;
    if (!parent)
        doc->root = node;
    doc->values++;
    return node;
}

ms_json *ms_json_append(ms_json_doc *doc, ms_json *parent, const char *key, ms_json_type type,
                        const char *string) {
    const char *own_key = key ? ms_region_strndup(&doc->region, key, strlen(key)) : NULL;
    const char *own_string = string ? ms_region_strndup(&doc->region, string, strlen(string)) : NULL;
    if ((key && !own_key) || (string && !own_string))
        return NULL;
    ms_json *node = ms_json_tree_add(doc, parent, own_key, type);
    if (node)
        node->string = own_string;
    return node;
}

const ms_json *ms_json_get(const ms_json *object, const char *key) {
    if (!object || object->type != MS_JSON_OBJECT)
        return NULL;
    const ms_strmap *index = ((const container *)object)->index;
    if (index)
        return ms_strmap_find(index, key, strlen(key));
    const ms_json *member = object->child;
    while (member && strcmp(member->key, key) != 0)
        member = member->next;
    return member;
}

const ms_json *ms_json_at(const ms_json *array, uint32_t index) {
    if (!array || array->type != MS_JSON_ARRAY || index >= array->count)
        return NULL;
    const ms_json *element = array->child;
    while (index--)
        element = element->next;
    return element;
}

const char *ms_json_get_text(const ms_json *object, const char *key) {
    const ms_json *m = ms_json_get(object, key);
    return m && m->type == MS_JSON_STRING ? m->string : "";
}

double ms_json_get_number(const ms_json *object, const char *key, double otherwise) {
    const ms_json *m = ms_json_get(object, key);
    return m && m->type == MS_JSON_NUMBER ? m->number : otherwise;
}

int64_t ms_json_get_integer(const ms_json *object, const char *key, int64_t otherwise) {
    const ms_json *m = ms_json_get(object, key);
    return m && m->type == MS_JSON_NUMBER && m->is_integer ? m->integer : otherwise;
}

bool ms_json_get_flag(const ms_json *object, const char *key) {
    const ms_json *m = ms_json_get(object, key);
    return m && m->type == MS_JSON_BOOL && m->boolean;
}

static size_t digits(const char *text, size_t at) {
    size_t n = 0;
    while (text[at + n] >= '0' && text[at + n] <= '9')
        n++;
    return n;
}

/* Length of the JSON number at the start of text, which is NUL-terminated; 0 when there is none. */
static size_t number_chars(const char *text, bool *ret_whole) {
    size_t at = text[0] == '-', n = digits(text, at);
    *ret_whole = true;
    if (!n || (n > 1 && text[at] == '0'))
        return 0;
    at += n;
    if (text[at] == '.') {
        n = digits(text, ++at);
        if (!n)
            return 0;
        at += n;
        *ret_whole = false;
    }
    if (text[at] == 'e' || text[at] == 'E') {
        at++;
        at += text[at] == '-' || text[at] == '+';
        n = digits(text, at);
        if (!n)
            return 0;
        at += n;
        *ret_whole = false;
    }
    return at;
}

bool ms_json_set_number(ms_json *node, const char *text, size_t length) {
    char copy[MS_JSON_MAX_NUMBER_CHARS + 1];
    if (length >= sizeof(copy))
        return false;
    memcpy(copy, text, length);
    copy[length] = 0;
    bool whole;
    if (!length || number_chars(copy, &whole) != length)
        return false;
    /* strtod alone would want a decimal comma in a program that has set such a locale. */
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c_locale)
        return false;
    double number = strtod_l(copy, NULL, c_locale);
    freelocale(c_locale);
    if (!isfinite(number))
        return false;
    node->number = number;
    if (whole) {
        errno = 0;
        long long integer = strtoll(copy, NULL, 10);
        node->is_integer = errno == 0;
        node->integer = node->is_integer ? integer : 0;
    }
    return true;
}
