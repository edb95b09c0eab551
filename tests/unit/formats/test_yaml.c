#include "test.h"

#include "formats/yaml/yaml_internal.h"
#include "support/golden.h"

static ms_status parse(const char *text, ms_json_doc **ret_doc, ms_error *err) {
    return ms_config_parse(NULL, "c.yaml", text, strlen(text), ret_doc, err);
}

#if MS_HAVE_YAML
static void assert_refused(const char *text, const char *because) {
    ms_error err = {0};
    ms_json_doc *doc = NULL;
    if (parse(text, &doc, &err) != MS_BAD_MODEL || doc)
        fail_msg("accepted: %s", text);
    if (strncmp(err.message, "c.yaml: ", 8) != 0 || !strstr(err.message, because))
        fail_msg("%s: \"%s\" does not say \"%s\"", text, err.message, because);
}
#endif

static const ms_json *at_path(const ms_json *node, const char *path) {
    char part[64];
    while (node && *path) {
        size_t n = strcspn(path, ".");
        snprintf(part, sizeof(part), "%.*s", (int)n, path);
        node = ms_json_get(node, part);
        path += n + (path[n] == '.');
    }
    return node;
}

static void scalars_mean_what_omegaconf_says(void **state) {
    (void)state;
    /* What PyYAML's SafeLoader makes of these with OmegaConf's pattern for floats. */
    static const struct {
        const char *text;
        ms_json_type type;
        bool integer;
        double value;
    } cases[] = {
        {"1e-5", MS_JSON_NUMBER, false, 1e-5},
        {"1.0e-05", MS_JSON_NUMBER, false, 1e-5},
        {"3", MS_JSON_NUMBER, true, 3},
        {"-3", MS_JSON_NUMBER, true, -3},
        {"+3", MS_JSON_NUMBER, true, 3},
        {"1.", MS_JSON_NUMBER, false, 1},
        {".5", MS_JSON_NUMBER, false, 0.5},
        {"-.5", MS_JSON_STRING, false, 0},
        {".5e3", MS_JSON_STRING, false, 0},
        {".5e+3", MS_JSON_NUMBER, false, 500},
        {"1_000", MS_JSON_NUMBER, true, 1000},
        {"1_0.2_5", MS_JSON_NUMBER, false, 10.25},
        {"0x1F", MS_JSON_NUMBER, true, 31},
        {"-0x1f", MS_JSON_NUMBER, true, -31},
        {"0b101", MS_JSON_NUMBER, true, 5},
        {"017", MS_JSON_NUMBER, true, 15},
        {"018", MS_JSON_STRING, false, 0},
        {"0o17", MS_JSON_STRING, false, 0},
        {"00.5", MS_JSON_NUMBER, false, 0.5},
        {"0", MS_JSON_NUMBER, true, 0},
        {"1e", MS_JSON_STRING, false, 0},
        {"e5", MS_JSON_STRING, false, 0},
        {"1E5", MS_JSON_NUMBER, false, 1e5},
        {"1.5.2", MS_JSON_STRING, false, 0},
        {".", MS_JSON_STRING, false, 0},
        {"-", MS_JSON_STRING, false, 0},
        {"yes", MS_JSON_BOOL, false, 1},
        {"Off", MS_JSON_BOOL, false, 0},
        {"TRUE", MS_JSON_BOOL, false, 1},
        {"y", MS_JSON_STRING, false, 0},
        {"tRUE", MS_JSON_STRING, false, 0},
        {"~", MS_JSON_NULL, false, 0},
        {"", MS_JSON_NULL, false, 0},
        {"Null", MS_JSON_NULL, false, 0},
        {"nULL", MS_JSON_STRING, false, 0},
        {"2001-12-14", MS_JSON_STRING, false, 0},
        {"a:1", MS_JSON_STRING, false, 0},
        {"1:75", MS_JSON_STRING, false, 0},
        {"9223372036854775807", MS_JSON_NUMBER, true, 0x1p63},
        {"9223372036854775808", MS_JSON_NUMBER, false, 0x1p63},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        ms_json node = {0};
        const char *wrong = ms_yaml_resolve(cases[i].text, strlen(cases[i].text), &node);
        double value = node.type == MS_JSON_BOOL ? node.boolean : node.number;
        if (wrong || node.type != cases[i].type || node.is_integer != cases[i].integer ||
            value != cases[i].value)
            fail_msg("%s: type %d, integer %d, value %.17g, %s", cases[i].text, node.type, node.is_integer,
                     value, wrong ? wrong : "accepted");
    }
    static const char *const bad[] = {".inf",    "-.INF",  ".nan",  "1:30",
                                      "1:30:59", "1:30.5", "1e999", "0x8000000000000000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        ms_json node = {0};
        assert_non_null(ms_yaml_resolve(bad[i], strlen(bad[i]), &node));
    }
}

static void json_is_read_always(void **state) {
    (void)state;
    ms_error err;
    ms_json_doc *doc = NULL;
    assert_ms_ok(parse("\xef\xbb\xbf {\n\"a\": [1, 2.5, \"x\"],\t\"b\": null}", &doc, &err), &err);
    assert_int_equal(at_path(ms_json_root(doc), "a")->count, 3);
    ms_json_doc_destroy(&doc);
    const char *bad = "{\n\"a\" 1}";
    assert_int_equal(ms_config_parse(NULL, "c.json", bad, strlen(bad), &doc, &err), MS_BAD_MODEL);
    assert_string_equal(err.message, "c.json: no valid JSON: line 2: expected ':', found '1'");
}

static void the_vae_config_loads(void **state) {
    (void)state;
    char path[512];
    if (!golden_path(path, sizeof(path), "tiny/vae/config.json"))
        skip();
    ms_error err;
    ms_json_doc *doc = NULL;
    assert_ms_ok(ms_config_load(NULL, path, &doc, &err), &err);
    assert_int_equal(ms_json_get(ms_json_root(doc), "block_out_channels")->count, 4);
    assert_int_equal(ms_json_at(ms_json_get(ms_json_root(doc), "block_out_channels"), 3)->integer, 32);
    ms_json_doc_destroy(&doc);
}

#if MS_HAVE_YAML

static void the_unet_config_loads(void **state) {
    (void)state;
    char path[512];
    if (!golden_path(path, sizeof(path), "tiny/unet.yaml"))
        skip();
    ms_error err;
    ms_json_doc *doc = NULL;
    assert_ms_ok(ms_config_load(NULL, path, &doc, &err), &err);
    const ms_json *model = at_path(ms_json_root(doc), "model");
    assert_int_equal(at_path(model, "in_channels")->integer, 13);
    assert_true(at_path(model, "norm_eps")->number == 1e-5);
    assert_true(at_path(model, "add_audio_layer")->boolean);
    assert_int_equal(ms_json_at(at_path(model, "block_out_channels"), 3)->integer, 32);
    assert_string_equal(ms_json_at(at_path(model, "down_block_types"), 0)->string, "CrossAttnDownBlock3D");
    assert_int_equal(at_path(model, "motion_module_kwargs.num_attention_heads")->integer, 8);
    ms_json_doc_destroy(&doc);
}

static void yaml_becomes_the_same_tree_as_json(void **state) {
    (void)state;
    ms_error err;
    ms_json_doc *doc = NULL;
    assert_ms_ok(parse("%YAML 1.1\n---\n"
                       "a: 1 # one\n"
                       "b:\n  - x\n  - 'true'\n  - \"1\"\n  - {c: [1, 2,], 'd e': ~}\n"
                       "f: |\n  two\n  lines\n"
                       "g:\n"
                       "3: three\n...\n",
                       &doc, &err),
                 &err);
    const ms_json *root = ms_json_root(doc), *b = ms_json_get(root, "b");
    assert_int_equal(root->count, 5);
    assert_int_equal(ms_json_get(root, "a")->integer, 1);
    assert_int_equal(ms_json_get(root, "a")->line, 3);
    assert_int_equal(b->count, 4);
    assert_int_equal(ms_json_at(b, 1)->type, MS_JSON_STRING);
    assert_string_equal(ms_json_at(b, 2)->string, "1");
    assert_int_equal(ms_json_get(ms_json_at(b, 3), "c")->count, 2);
    assert_int_equal(ms_json_get(ms_json_at(b, 3), "d e")->type, MS_JSON_NULL);
    assert_string_equal(ms_json_get(root, "f")->string, "two\nlines\n");
    assert_int_equal(ms_json_get(root, "g")->type, MS_JSON_NULL);
    assert_string_equal(ms_json_get(root, "3")->string, "three");
    ms_json_doc_destroy(&doc);
    assert_ms_ok(parse("{a: 1}", &doc, &err), &err);
    assert_int_equal(ms_json_get(ms_json_root(doc), "a")->integer, 1);
    ms_json_doc_destroy(&doc);
}

static void what_is_ambiguous_is_refused(void **state) {
    (void)state;
    assert_refused("a: &x 1\nb: *x\n", "line 1: anchors");
    assert_refused("a: &x {}\n", "line 1: anchors");
    assert_refused("a: &x []\n", "line 1: anchors");
    assert_refused("- 1\n- *x\n", "line 2: aliases");
    assert_refused("a: !!str 1\n", "line 1: tags");
    assert_refused("a: !foo {}\n", "line 1: tags");
    assert_refused("a: !!seq []\n", "line 1: tags");
    assert_refused("<<: {a: 1}\n", "merge keys");
    assert_refused("a: 1\nb: 2\na: 3\n", "line 3: \"a\" is there twice");
    assert_refused("a: 1\n---\nb: 2\n", "line 2: a second document");
    assert_refused("? [1, 2]\n: x\n", "must be plain text");
    assert_refused("? \n: x\n", "must be plain text");
    assert_refused("a: 1:30\n", "line 1: \"1:30\" is a base-60 number");
    assert_refused("a: .nan\n", "line 1: \".nan\" is not a finite number");
    assert_refused("", "has nothing in it");
    assert_refused("# only a comment\n", "has nothing in it");
    assert_refused("a: [1, 2\nb: 3\n", "line 2: while parsing a flow sequence");
    assert_refused("a: 'x\n", "line");
    assert_refused("a:\n\t- 1\n", "line 2");
    assert_refused("a: \"\\0\"\n", "NUL");
    assert_refused("a: \xff\n", "UTF-8");
    char deep[200];
    memset(deep, '[', sizeof(deep));
    deep[sizeof(deep) - 1] = 0;
    assert_refused(deep, "nested too deep");
    char long_key[1200];
    memset(long_key, 'k', sizeof(long_key));
    memcpy(long_key, "? ", 2);
    strcpy(long_key + 1190, "\n: 1\n");
    assert_refused(long_key, "is too long for a name");
}

#else

static void yaml_needs_libyaml(void **state) {
    (void)state;
    ms_error err;
    ms_json_doc *doc = NULL;
    assert_int_equal(parse("a: 1\n", &doc, &err), MS_UNSUPPORTED);
    assert_string_equal(err.message,
                        "c.yaml: is YAML, and this build reads only JSON configs (it has no libyaml)");
}

#endif

static void files_that_cannot_be_read(void **state) {
    (void)state;
    ms_error err;
    ms_json_doc *doc = NULL;
    assert_int_equal(ms_config_load(NULL, "no/such/file.yaml", &doc, &err), MS_IO);
    assert_non_null(strstr(err.message, "no/such/file.yaml: cannot open"));
    assert_int_equal(ms_config_load(NULL, MS_SOURCE_DIR, &doc, &err), MS_IO);
    assert_non_null(strstr(err.message, "is a folder"));
    char *large = malloc(MS_CONFIG_MAX_BYTES + 1);
    memset(large, ' ', MS_CONFIG_MAX_BYTES + 1);
    assert_int_equal(ms_config_parse(NULL, "c.yaml", large, MS_CONFIG_MAX_BYTES + 1, &doc, &err),
                     MS_BAD_MODEL);
    assert_non_null(strstr(err.message, "has 1048577 bytes, more than the 1048576"));
    free(large);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    char text[8192];
    size_t length = 0;
    for (int i = 0; i < 200; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s\"name%d\": [%d, \"x\"]",
                                   i ? ",\n" : "{", i, i);
    length += (size_t)snprintf(text + length, sizeof(text) - length, "%s}", MS_HAVE_YAML ? ",'last': 1" : "");
    ms_status status = MS_HOST_MEMORY;
    int n = 0;
    while (status != MS_OK) {
        ms_mem *mem;
        assert_int_equal(ms_mem_create(0, &mem), MS_OK);
        ms_json_doc *doc = NULL;
        ms_error err;
        ms_mem_fail_after((uint64_t)++n, true);
        status = ms_config_parse(mem, "c.yaml", text, length, &doc, &err);
        ms_mem_fail_after(0, false);
        assert_true(status == MS_OK ||
                    (status == MS_HOST_MEMORY && !doc && strstr(err.message, "cannot allocate")));
        ms_json_doc_destroy(&doc);
        assert_int_equal(ms_mem_destroy(&mem), 0);
    }
    assert_true(n > 3);
}

static void libyaml_is_charged_to_the_budget(void **state) {
    (void)state;
    ms_mem *mem;
    ms_error err;
    ms_json_doc *doc = NULL;
    assert_int_equal(ms_mem_create(64 << 10, &mem), MS_OK);
    ms_status status = ms_config_parse(mem, "c.yaml", "a: 1", 4, &doc, &err);
    assert_int_equal(status, MS_HAVE_YAML ? MS_HOST_MEMORY : MS_UNSUPPORTED);
    assert_int_equal(ms_mem_destroy(&mem), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_mean_what_omegaconf_says),
        cmocka_unit_test(json_is_read_always),
        cmocka_unit_test(the_vae_config_loads),
#if MS_HAVE_YAML
        cmocka_unit_test(the_unet_config_loads),
        cmocka_unit_test(yaml_becomes_the_same_tree_as_json),
        cmocka_unit_test(what_is_ambiguous_is_refused),
#else
        cmocka_unit_test(yaml_needs_libyaml),
#endif
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(libyaml_is_charged_to_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
