/* `memsafe probe` lists the cards that NVIDIA's management library knows: a stand-in for it, one that lacks a
   function, one that is no library, and none. */
#include "test.h"

#include <dlfcn.h>

#include "support/cli.h"
#include "text/json.h"

static const ms_json *cards(ms_json_doc **ret_doc) {
    ms_error err;
    assert_run_works("probe --json --device cpu");
    assert_ms_ok(ms_json_parse(NULL, test_output, strlen(test_output), ret_doc, &err), &err);
    return ms_json_get(ms_json_root(*ret_doc), "cards");
}

static void no_library_is_no_card(void **state) {
    (void)state;
    ms_json_doc *doc = NULL;
    if (dlopen("libnvidia-ml.so.1", RTLD_LAZY))
        skip(); /* this machine has it */
    assert_null(ms_json_at(cards(&doc), 0));
    ms_json_doc_destroy(&doc);
    assert_run_works("probe --device cpu");
    assert_null(strstr(test_output, "CUDA cards"));
    assert_null(strstr(test_output, "nvidia"));
}

static void cards_are_listed(void **state) {
    (void)state;
    ms_json_doc *doc = NULL;
    setenv("LD_LIBRARY_PATH", MS_NVML_DIR, 1);
    const ms_json *all = cards(&doc), *first = ms_json_at(all, 0), *second = ms_json_at(all, 1);
    assert_string_equal(ms_json_get(first, "name")->string, "NVIDIA GeForce RTX 3090");
    assert_true(ms_json_get(first, "arch")->number == 86);
    assert_true(ms_json_get(first, "nominal_bytes")->number == 25757220864.0);
    assert_true(ms_json_get(first, "free_bytes")->number == 25000000000.0);
    assert_int_equal(ms_json_get(first, "problem")->type, MS_JSON_NULL);
    assert_string_equal(ms_json_get(second, "name")->string, "NVIDIA T4 \"quoted\"");
    assert_true(ms_json_get(second, "arch")->number == 75);
    assert_null(ms_json_at(all, 2));
    ms_json_doc_destroy(&doc);
    assert_run_works("probe --device cpu");
    assert_non_null(strstr(test_output, "CUDA cards (what memsafe does on them is predicted, not yet run on "
                                        "hardware)\n  0                        NVIDIA GeForce RTX 3090 "
                                        "(sm_86), 24.0 GiB, 23.3 GiB free\n  1  "));
    setenv("NVML_STAND_IN", "none", 1);
    assert_null(ms_json_at(cards(&doc), 0));
    ms_json_doc_destroy(&doc);
}

/* One line each, and the other card is there. */
static void what_does_not_work_is_said(void **state) {
    (void)state;
    setenv("LD_LIBRARY_PATH", MS_NVML_DIR, 1);
    setenv("NVML_STAND_IN", "lost", 1);
    assert_run_works("probe --device cpu");
    assert_non_null(strstr(test_output, "RTX 3090 (sm_86)"));
    assert_non_null(strstr(test_output, "  1                        card 1: GPU is lost\n"));
    setenv("NVML_STAND_IN", "unified", 1);
    assert_run_works("probe --device cpu");
    assert_non_null(strstr(test_output, "(sm_75), the memory is the host's\n"));
    setenv("NVML_STAND_IN", "init", 1);
    assert_run_works("probe --device cpu");
    assert_non_null(
        strstr(test_output, "  0                        libnvidia-ml.so.1: Driver Not Loaded\nTier"));
    setenv("LD_LIBRARY_PATH", MS_NVML_DIR "/old", 1);
    assert_run_works("probe --device cpu");
    assert_non_null(strstr(test_output, "libnvidia-ml.so.1 has no nvmlDeviceGetCudaComputeCapability\nTier"));
    FILE *f = fopen(test_file("libnvidia-ml.so.1"), "w");
    assert_non_null(f);
    fputs("no library", f);
    assert_int_equal(fclose(f), 0);
    setenv("LD_LIBRARY_PATH", test_dir(), 1);
    assert_run_works("probe --device cpu");
    assert_non_null(strstr(test_output, "/libnvidia-ml.so.1: file too short"));
    ms_json_doc *doc = NULL;
    const ms_json *problem = ms_json_get(ms_json_at(cards(&doc), 0), "problem");
    assert_non_null(strstr(problem->string, "file too short"));
    ms_json_doc_destroy(&doc);
}

static int reset(void **state) {
    (void)state;
    unsetenv("LD_LIBRARY_PATH");
    unsetenv("NVML_STAND_IN");
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(no_library_is_no_card, reset),
        cmocka_unit_test_setup(cards_are_listed, reset),
        cmocka_unit_test_setup(what_does_not_work_is_said, reset),
    };
    return cmocka_run_group_tests(tests, reset, clean_up);
}
