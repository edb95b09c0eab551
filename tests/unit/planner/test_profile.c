/* Tiers quote docs/memory.md (and that the project's design); profiles are made from all their sources. */
#include "test.h"

#include "planner/profile.h"
#include "support/cli.h"

#define GIB(x) ((size_t)((x)*0x1p30))

/* ---- tiers ---- */

static void cards_are_in_their_tier(void **state) {
    (void)state;
    static const struct {
        const char *what; /* and what it reports */
        double gib;
        ms_tier tier;
    } cases[] = {
        {"RTX 3060 8G", 8.0, MS_TIER_COMPACT},
        {"RTX 3060 8G, less what the driver keeps", 7.8, MS_TIER_COMPACT},
        {"RTX 2070", 7.79, MS_TIER_COMPACT},
        {"8 GB, a little over", 8.1, MS_TIER_COMPACT},
        {"MIG 1g.10gb", 9.5, MS_TIER_STANDARD},
        {"RTX 3080", 9.78, MS_TIER_STANDARD},
        {"RTX 2080 Ti", 10.76, MS_TIER_STANDARD},
        {"RTX 4070", 11.72, MS_TIER_STANDARD},
        {"T4", 14.75, MS_TIER_STANDARD},
        {"V100 16G", 16.0, MS_TIER_STANDARD},
        {"RTX 4080", 15.99, MS_TIER_STANDARD},
        {"RTX 4000 Ada", 19.6, MS_TIER_PROFESSIONAL},
        {"A10", 22.5, MS_TIER_PROFESSIONAL},
        {"RTX 3090", 23.6, MS_TIER_PROFESSIONAL},
        {"RTX 4090", 24.0, MS_TIER_PROFESSIONAL},
        {"RTX 5090", 31.8, MS_TIER_PROFESSIONAL},
        {"V100 32G", 32.0, MS_TIER_PROFESSIONAL},
        {"A100 40G", 39.4, MS_TIER_DATACENTER},
        {"A100 40G", 40.0, MS_TIER_DATACENTER},
        {"L40S", 44.5, MS_TIER_DATACENTER},
        {"A100 80G", 79.1, MS_TIER_DATACENTER},
        {"H100", 79.6, MS_TIER_DATACENTER},
        {"H200", 139.8, MS_TIER_DATACENTER},
        {"nothing", 0, MS_TIER_COMPACT},
        /* the tolerance's own edges */
        {"", 8.24, MS_TIER_COMPACT},
        {"", 8.2401, MS_TIER_STANDARD},
        {"", 16.48, MS_TIER_STANDARD},
        {"", 16.4801, MS_TIER_PROFESSIONAL},
        {"", 38.7999, MS_TIER_PROFESSIONAL},
        {"", 38.8001, MS_TIER_DATACENTER},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (ms_tier_of(GIB(cases[i].gib)) != cases[i].tier)
            fail_msg("%s of %g GiB is %s", cases[i].what, cases[i].gib,
                     ms_tier_name(ms_tier_of(GIB(cases[i].gib))));
}

/* The table as the design has it, written in the words of `--set`. */
static const struct {
    const char *field, *value[MS_TIER_COUNT];
} table[] = {
    {"precision", {"fp16", "fp16", "fp16", "bf16"}},
    {"face_processing_batch", {"4", "8", "16", "32"}},
    {"vae_decode_batch", {"1", "3", "8", "16"}},
    {"unet_inference_batch", {"auto", "auto", "auto", "auto"}},
    {"vae_encode_batch", {"auto", "auto", "auto", "auto"}},
    {"face_detection_batch", {"auto", "auto", "auto", "auto"}},
    {"latent_processing_batch", {"auto", "auto", "auto", "auto"}},
    {"weight_offload", {"allowed", "under_pressure", "under_pressure", "off"}},
    {"attention_slices", {"4", "off", "off", "off"}},
    {"vae_tiling", {"on", "by_need", "by_need_large", "off"}},
    {"device_graphs", {"off", "off", "on", "on"}},
    {"preallocated_outputs", {"off", "off", "on", "on"}},
    {"svd_rank", {"50%", "70%", "90%", "none"}},
    {"gradient_checkpointing", {"on", "on", "off", "off"}},
    {"clean_up_frames", {"8", "32", "on_pressure", "on_pressure"}},
    {"safety_margin", {"30%", "25%", "15%", "10%"}},
    {"budget", {"auto", "auto", "auto", "auto"}},
    {"host_budget", {"auto", "auto", "auto", "auto"}},
};
#define TABLE_ROWS (sizeof(table) / sizeof(table[0]))

static const char *value_of(const ms_profile *p, const char *field) {
    static char text[4][MS_PROFILE_TEXT_BYTES];
    static int next;
    int id = ms_profile_find_field(field);
    assert_true(id >= 0);
    return ms_profile_value_text(ms_profile_get_field((ms_field_id)id), p->value[id], text[next++ % 4]);
}

static ms_status load(const char *tier, const char *file, const char *setting, ms_profile *ret_profile,
                      ms_error *err) {
    ms_profile_params params = {.device_bytes = GIB(24),
                                .device_has_bf16 = true,
                                .tier = tier,
                                .file = file,
                                .environment = true,
                                .settings = &setting,
                                .n_settings = setting != NULL};
    return ms_profile_load(&params, ret_profile, err);
}

static void the_tiers_are_the_table(void **state) {
    (void)state;
    static ms_profile p;
    ms_error err;
    assert_int_equal(TABLE_ROWS, MS_FIELD_COUNT);
    for (int t = 0; t < MS_TIER_COUNT; t++) {
        assert_ms_ok(load(ms_tier_name((ms_tier)t), NULL, NULL, &p, &err), &err);
        assert_int_equal(p.tier, t);
        for (size_t i = 0; i < TABLE_ROWS; i++) {
            if (strcmp(value_of(&p, table[i].field), table[i].value[t]) != 0)
                fail_msg("%s of %s is %s, not %s", table[i].field, ms_tier_name((ms_tier)t),
                         value_of(&p, table[i].field), table[i].value[t]);
            assert_false(ms_profile_is_set(&p, (ms_field_id)ms_profile_find_field(table[i].field)));
        }
    }
    assert_int_equal(ms_tier_precision(MS_TIER_DATACENTER, false), MS_F16);
}

static char *read_docs(void) {
    FILE *f = fopen(MS_SOURCE_DIR "/docs/memory.md", "r");
    assert_non_null(f);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
    fclose(f);
    return text;
}

static void the_manual_quotes_tiers_and_fields(void **state) {
    (void)state;
    char *docs = read_docs(), row[512];
    for (size_t i = 0; i < TABLE_ROWS; i++) {
        const char *const *v = table[i].value;
        if (strcmp(v[0], "auto") == 0)
            continue;
        snprintf(row, sizeof(row), "\n| %s | %s | %s | %s | %s%s |\n", table[i].field, v[0], v[1], v[2], v[3],
                 strcmp(v[3], "bf16") == 0 ? " if the device has it" : "");
        if (!strstr(docs, row))
            fail_msg("docs/memory.md lacks %s", row);
    }
    ms_buf fields;
    ms_buf_init(&fields, NULL);
    ms_profile_write_fields(&fields);
    assert_false(fields.failed);
    if (!strstr(docs, fields.data))
        fail_msg("docs/memory.md lacks what `memsafe probe --fields` prints:\n%s", fields.data);
    ms_buf_free(&fields);
    free(docs);
}

/* ---- fields ---- */

static void every_value_is_read_as_it_is_written(void **state) {
    (void)state;
    for (int i = 0; i < MS_FIELD_COUNT; i++) {
        const ms_profile_field *f = ms_profile_get_field((ms_field_id)i);
        assert_int_equal(ms_profile_find_field(f->name), i);
        for (int64_t v = 0; v <= 1024; v++) {
            int64_t value = f->type == MS_FIELD_BYTES ? v << 30 : v, read = -1;
            char text[MS_PROFILE_TEXT_BYTES];
            if ((f->type == MS_FIELD_BOOL && v > 1) || (f->type == MS_FIELD_ENUM && v > 2) ||
                ((f->type == MS_FIELD_INT || f->type == MS_FIELD_PERCENT) &&
                 (v > f->max || (v < f->min && (v || !f->zero)))))
                continue;
            ms_profile_value_text(f, value, text);
            if (!ms_profile_parse(f, text, &read) || read != value)
                fail_msg("%s: %s became %lld", f->name, text, (long long)read);
        }
    }
}

static void assert_setting_refused(const char *setting, const char *because) {
    static ms_profile p;
    ms_error err;
    p.tier = MS_TIER_COUNT;
    assert_int_equal(load(NULL, NULL, setting, &p, &err), MS_INVALID_ARGUMENT);
    if (!strstr(err.message, because))
        fail_msg("%s: \"%s\" does not say \"%s\"", setting, err.message, because);
    assert_int_equal(p.tier, MS_TIER_COUNT); /* left alone */
}

static void wrong_settings_are_named(void **state) {
    (void)state;
    assert_setting_refused(
        "vae_tiling=fast",
        "settings: vae_tiling: \"fast\" is not possible; allowed: off by_need by_need_large on");
    assert_setting_refused("vae_tiling=o", "\"o\" is not possible");
    assert_setting_refused("vae_tiling=", "\"\" is not possible");
    assert_setting_refused("vae_tilin=on", "\"vae_tilin\" is no field of a profile; there are budget");
    assert_setting_refused("vae_tiling", "not of the form field=value");
    assert_setting_refused("=on", "is no field");
    assert_setting_refused("vae_decode_batch=0", "allowed: 1 to 1024");
    assert_setting_refused("vae_decode_batch=1025", "1025");
    assert_setting_refused("vae_decode_batch=4.5", "4.5");
    assert_setting_refused("vae_decode_batch=-1", "-1");
    assert_setting_refused("vae_decode_batch=99999999999999999999", "allowed");
    assert_setting_refused("vae_decode_batch=4%", "allowed");
    assert_setting_refused("safety_margin=91", "allowed: 0 to 90%");
    assert_setting_refused("attention_slices=65", "allowed: off or 1 to 64");
    assert_setting_refused("device_graphs=maybe", "allowed: on off");
    assert_setting_refused("budget=lots", "allowed: auto or a size like 8G");
    assert_setting_refused("budget=1000", "from 1M on");
    assert_setting_refused("a_very_long_name_that_is_longer_than_any_field_can_ever_possibly_be_at_all=1",
                           "is no field");
    static ms_profile p;
    ms_error err;
    assert_int_equal(load("huge", NULL, NULL, &p, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "tier: profile: \"huge\" is no profile; allowed: auto compact"));
}

/* ---- sources ---- */

static const char *put(const char *name, const char *text) {
    FILE *f = fopen(test_file(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return test_file(name);
}

static const char *origin_of(const ms_profile *p, ms_field_id id) {
    static char text[MS_PROFILE_TEXT_BYTES];
    return ms_profile_origin_text(p, id, text);
}

static void later_sources_win(void **state) {
    (void)state;
    static ms_profile p;
    ms_error err;
    char want[700], reason[MS_PROFILE_TEXT_BYTES];
    const char *file =
        put("p.json", "{\"profile\": \"standard\",\n \"vae_tiling\": \"on\",\n"
                      " \"safety_margin\": 12, \"vae_decode_batch\": 5,\n \"budget\": \"6G\"}");
    setenv("MEMSAFE_VAE_DECODE_BATCH", "6", 1);
    setenv("MEMSAFE_SAFETY_MARGIN", "13%", 1);
    assert_ms_ok(load(NULL, file, "safety_margin=14", &p, &err), &err);
    assert_int_equal(p.tier, MS_TIER_STANDARD);
    snprintf(want, sizeof(want), "%.120s, line 1 says so", file);
    assert_string_equal(ms_profile_tier_reason(&p, reason), want);
    assert_int_equal(p.value[MS_FIELD_VAE_TILING], MS_TILING_ON);
    snprintf(want, sizeof(want), "%.120s, line 2", file);
    assert_string_equal(origin_of(&p, MS_FIELD_VAE_TILING), want);
    assert_int_equal(p.value[MS_FIELD_VAE_DECODE_BATCH], 6);
    assert_string_equal(origin_of(&p, MS_FIELD_VAE_DECODE_BATCH), "MEMSAFE_VAE_DECODE_BATCH");
    assert_int_equal(p.value[MS_FIELD_SAFETY_MARGIN], 14);
    assert_string_equal(origin_of(&p, MS_FIELD_SAFETY_MARGIN), "settings");
    assert_int_equal(p.value[MS_FIELD_FACE_PROCESSING_BATCH], 8);
    assert_string_equal(origin_of(&p, MS_FIELD_FACE_PROCESSING_BATCH), "tier standard");
    setenv("MEMSAFE_PROFILE", "compact", 1);
    assert_ms_ok(load(NULL, file, NULL, &p, &err), &err);
    assert_int_equal(p.tier, MS_TIER_COMPACT);
    assert_string_equal(ms_profile_tier_reason(&p, reason), "MEMSAFE_PROFILE says so");
    assert_ms_ok(load("datacenter", file, NULL, &p, &err), &err);
    assert_int_equal(p.tier, MS_TIER_DATACENTER);
    assert_string_equal(ms_profile_tier_reason(&p, reason), "tier says so");
    assert_ms_ok(load("auto", file, NULL, &p, &err), &err); /* by the budget */
    assert_int_equal(p.tier, MS_TIER_COMPACT);
    assert_string_equal(ms_profile_tier_reason(&p, reason), "the budget is 6.00 GiB");
    unsetenv("MEMSAFE_PROFILE");
    unsetenv("MEMSAFE_VAE_DECODE_BATCH");
    unsetenv("MEMSAFE_SAFETY_MARGIN");
    assert_ms_ok(load(NULL, NULL, NULL, &p, &err), &err);
    assert_int_equal(p.tier, MS_TIER_PROFESSIONAL);
    assert_string_equal(ms_profile_tier_reason(&p, reason), "the device has 24.0 GiB");
    setenv("MEMSAFE_VAE_TILING", "never", 1);
    assert_int_equal(load(NULL, NULL, NULL, &p, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "MEMSAFE_VAE_TILING: vae_tiling: \"never\""));
    unsetenv("MEMSAFE_VAE_TILING");
}

static void assert_file_refused(ms_status code, const char *text, const char *because) {
    static ms_profile p;
    ms_error err;
    const char *file = put("bad.json", text);
    assert_int_equal(load(NULL, file, NULL, &p, &err), code);
    assert_int_equal(err.code, code);
    if (!strstr(err.message, because) || !strstr(err.message, "bad.json"))
        fail_msg("%s: \"%s\" does not say \"%s\"", text, err.message, because);
}

static void wrong_files_are_named(void **state) {
    (void)state;
    static ms_profile p;
    ms_error err;
    assert_file_refused(MS_INVALID_ARGUMENT, "{\n\"vae_tilin\": \"on\"}",
                        "line 2: \"vae_tilin\" is no field");
    assert_file_refused(MS_INVALID_ARGUMENT, "{\"vae_decode_batch\": 1.5}",
                        "line 1: vae_decode_batch: \"1.5\" is not possible; allowed: 1 to 1024");
    assert_file_refused(MS_INVALID_ARGUMENT, "{\"vae_decode_batch\": true}", "\"on\" is not possible");
    assert_file_refused(MS_INVALID_ARGUMENT, "{\"vae_decode_batch\": null}", "must be one value");
    assert_file_refused(MS_INVALID_ARGUMENT, "{\"vae_decode_batch\": [1]}", "must be one value");
    assert_file_refused(MS_INVALID_ARGUMENT, "{\"profile\": \"big\"}", "\"big\" is no profile");
    assert_file_refused(MS_INVALID_ARGUMENT, "[1]", "is no mapping");
    assert_file_refused(MS_INVALID_ARGUMENT, "{\"budget\"", "line 1");
    assert_int_equal(load(NULL, test_file("none.yaml"), NULL, &p, &err), MS_IO);
    ms_profile_params optional = {
        .device_bytes = GIB(8), .file = test_file("none.yaml"), .file_optional = true};
    assert_ms_ok(ms_profile_load(&optional, &p, &err), &err);
    assert_int_equal(p.file[0], 0);
}

#if MS_HAVE_YAML
/* YAML reads off and on as booleans, also where the field knows more than these two. */
static void yaml_files_are_read(void **state) {
    (void)state;
    static ms_profile p;
    ms_error err;
    const char *file =
        put("p.yaml", "# ours\nvae_tiling: off\nattention_slices: off\ndevice_graphs: yes\n"
                      "budget: 1.5GiB\nsvd_rank: 40%\nsafety_margin: 0\nweight_offload: allowed\n");
    assert_ms_ok(load(NULL, file, NULL, &p, &err), &err);
    assert_int_equal(p.value[MS_FIELD_VAE_TILING], MS_TILING_OFF);
    assert_int_equal(p.value[MS_FIELD_ATTENTION_SLICES], 0);
    assert_int_equal(p.value[MS_FIELD_DEVICE_GRAPHS], 1);
    assert_true(p.value[MS_FIELD_BUDGET] == (int64_t)3 << 29);
    assert_int_equal(p.value[MS_FIELD_SVD_RANK], 40);
    assert_int_equal(p.value[MS_FIELD_SAFETY_MARGIN], 0);
    assert_int_equal(p.value[MS_FIELD_WEIGHT_OFFLOAD], MS_OFFLOAD_ALLOWED);
    assert_int_equal(p.origin[MS_FIELD_SVD_RANK].line, 6);
}
#endif

static void json_holds_every_field(void **state) {
    (void)state;
    static ms_profile p;
    ms_error err;
    ms_buf out;
    ms_json_doc *doc;
    assert_ms_ok(load("compact", NULL, "budget=2G", &p, &err), &err);
    ms_buf_init(&out, NULL);
    ms_profile_write_json(&p, &out);
    assert_ms_ok(ms_json_parse(NULL, out.data, out.length, &doc, &err), &err);
    const ms_json *root = ms_json_root(doc), *fields = ms_json_get(root, "fields");
    assert_string_equal(ms_json_get(root, "tier")->string, "compact");
    assert_string_equal(ms_json_get(root, "tier_source")->string, "flag");
    assert_int_equal(ms_json_get(root, "file")->type, MS_JSON_NULL);
    assert_int_equal(fields->count, MS_FIELD_COUNT);
    for (int i = 0; i < MS_FIELD_COUNT; i++) {
        const ms_json *f = ms_json_get(fields, ms_profile_get_field((ms_field_id)i)->name);
        assert_int_equal(f->count, 4);
        assert_string_equal(ms_json_get(f, "source")->string, i == MS_FIELD_BUDGET ? "flag" : "tier");
    }
    assert_true(ms_json_get(ms_json_get(fields, "budget"), "value")->integer == (int64_t)2 << 30);
    assert_string_equal(ms_json_get(ms_json_get(fields, "vae_tiling"), "value")->string, "on");
    assert_int_equal(ms_json_get(ms_json_get(fields, "device_graphs"), "value")->type, MS_JSON_BOOL);
    ms_json_doc_destroy(&doc);
    ms_buf_free(&out);
}

static void no_memory_is_an_error(void **state) {
    (void)state;
    static ms_profile p;
    ms_error err;
    const char *file = put("p.json", "{\"budget\": \"6G\"}");
    bool passed = false;
    for (uint64_t n = 1; !passed && n < 100; n++) {
        ms_mem_fail_after(n, false);
        ms_status status = load(NULL, file, NULL, &p, &err);
        ms_mem_fail_after(0, false);
        passed = status == MS_OK;
        if (!passed)
            assert_int_equal(status, MS_HOST_MEMORY);
        else
            assert_true(n > 1); /* something was made to fail */
    }
    assert_true(passed);
}

static int finish(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cards_are_in_their_tier),
        cmocka_unit_test(the_tiers_are_the_table),
        cmocka_unit_test(the_manual_quotes_tiers_and_fields),
        cmocka_unit_test(every_value_is_read_as_it_is_written),
        cmocka_unit_test(wrong_settings_are_named),
        cmocka_unit_test(later_sources_win),
        cmocka_unit_test(wrong_files_are_named),
#if MS_HAVE_YAML
        cmocka_unit_test(yaml_files_are_read),
#endif
        cmocka_unit_test(json_holds_every_field),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
