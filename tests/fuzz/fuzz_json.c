#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "fuzz/fuzz.h"
#include "text/json.h"

const fuzz_seeds fuzz_golden_seeds = {"geometry", ".json"};

size_t fuzz_own_seed(size_t index, uint8_t *ret_data, size_t room) {
    static const char *const texts[] = {
        "{\"a\":[1,-2.5e-3,true,false,null,\"x\\n\\u00e9\\ud83d\\ude00\"],\"b\":{\"c\":{}},\"d\":[[],[[]]]}",
        "[0, 9223372036854775807, -9223372036854775808, 1e308, 123456789012345678901234567890]",
        "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1,\"l\":1,"
        "\"m\":1,"
        "\"n\":1,\"o\":1,\"p\":1,\"q\":1,\"r\":1}",
        "\"\xf0\x9f\x98\x80\"",
    };
    if (index >= sizeof(texts) / sizeof(*texts))
        return 0;
    return (size_t)snprintf((char *)ret_data, room, "%s", texts[index]);
}

static void write_value(ms_buf *buf, const ms_json *value) {
    if (value->type == MS_JSON_OBJECT || value->type == MS_JSON_ARRAY) {
        bool object = value->type == MS_JSON_OBJECT;
        ms_buf_append(buf, object ? "{" : "[", 1);
        for (const ms_json *child = value->child; child; child = child->next) {
            fuzz_require(!object || ms_json_get(value, child->key) == child, "a member is found by its name");
            if (object) {
                ms_buf_json_string(buf, child->key);
                ms_buf_append(buf, ":", 1);
            }
            write_value(buf, child);
            if (child->next)
                ms_buf_append(buf, ",", 1);
        }
        ms_buf_append(buf, object ? "}" : "]", 1);
    } else if (value->type == MS_JSON_STRING) {
        ms_buf_json_string(buf, value->string);
    } else if (value->is_integer) {
        ms_buf_printf(buf, "%lld", (long long)value->integer);
    } else if (value->type == MS_JSON_NUMBER) {
        ms_buf_json_number(buf, value->number);
    } else {
        ms_buf_printf(buf, "%s", value->type == MS_JSON_NULL ? "null" : value->boolean ? "true" : "false");
    }
}

static bool same_tree(const ms_json *a, const ms_json *b) {
    if (a->type != b->type || a->count != b->count || a->boolean != b->boolean || a->number != b->number ||
        (a->string && strcmp(a->string, b->string) != 0) || (a->key && strcmp(a->key, b->key) != 0))
        return false;
    const ms_json *x = a->child, *y = b->child;
    for (; x && y; x = x->next, y = y->next)
        if (!same_tree(x, y))
            return false;
    return !x && !y;
}

/* What is read, written and read again is the same tree. */
static void parse(ms_mem *mem, const uint8_t *data, size_t size) {
    ms_json_doc *doc = NULL, *again = NULL;
    ms_error err;
    ms_status status = ms_json_parse(mem, (const char *)data, size, &doc, &err);
    fuzz_require(status == MS_OK || status == MS_INVALID_ARGUMENT || status == MS_HOST_MEMORY,
                 "the status is one of three");
    if (status != MS_OK) {
        fuzz_require(!doc && strlen(err.message) > 6, "a refusal has a message and no tree");
        return;
    }
    ms_buf buf;
    ms_buf_init(&buf, mem);
    write_value(&buf, ms_json_root(doc));
    if (!buf.failed) {
        status = ms_json_parse(mem, buf.data, buf.length, &again, &err);
        fuzz_require(status == MS_HOST_MEMORY ||
                         (status == MS_OK && same_tree(ms_json_root(doc), ms_json_root(again))),
                     "what was written reads as the same tree");
    }
    ms_buf_free(&buf);
    ms_json_doc_destroy(&again);
    ms_json_doc_destroy(&doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_run(parse, data, size);
}
