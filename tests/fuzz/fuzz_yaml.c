#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "formats/yaml/yaml_internal.h"
#include "fuzz/fuzz.h"
#include "memsafe_have.h"

const fuzz_seeds fuzz_golden_seeds = {"tiny", ".yaml"};

size_t fuzz_own_seed(size_t index, uint8_t *ret_data, size_t room) {
    static const char *const texts[] = {
        "model:\n  in_channels: 13 # 49\n  norm_eps: 1e-5\n  types:\n    [\n      \"A\",\n      'B',\n    "
        "]\n  on: yes\n",
        "%YAML 1.1\n---\na: |\n  text\n  more\nb: >-\n  folded\n  text\n? c\n: - 1\n  - ~\n  - 0x1F\n  - "
        "017\n...\n",
        "{a: [1, 2.5, {b: null}], \"c d\": true}",
        "a: &x 1\nb: *x\nc: !!str 2\n<<: {d: 1}\n",
        "- 1:30\n- .inf\n- 1_000\n- -.5\n- 0b11\n- 2001-12-14\n",
    };
    if (index >= sizeof(texts) / sizeof(*texts))
        return 0;
    return (size_t)snprintf((char *)ret_data, room, "%s", texts[index]);
}

static void walk(const ms_json *value) {
    const ms_json *child = value->child;
    for (uint32_t i = 0; i < value->count; i++, child = child->next) {
        fuzz_require((child->key != NULL) == (value->type == MS_JSON_OBJECT), "members have names");
        walk(child);
    }
    fuzz_require(child == NULL, "count is the number of children");
    fuzz_require((value->string != NULL) == (value->type == MS_JSON_STRING), "strings have text");
}

static void parse(ms_mem *mem, const uint8_t *data, size_t size) {
    ms_json_doc *doc = NULL;
    ms_error err;
    ms_status status = ms_config_parse(mem, "fuzz", (const char *)data, size, &doc, &err);
    fuzz_require(status == MS_OK || status == MS_BAD_MODEL || status == MS_HOST_MEMORY ||
                     (status == MS_UNSUPPORTED && !MS_HAVE_YAML),
                 "the status is one of the promised ones");
    if (status == MS_OK)
        walk(ms_json_root(doc));
    else
        fuzz_require(!doc && strlen(err.message) > 6, "a refusal has a message and no tree");
    ms_json_doc_destroy(&doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_run(parse, data, size);
}
