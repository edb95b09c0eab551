/* What a run does with what its profile says, and what it says when that does not fit. */
#include "test.h"

#include "support/media/drawn.h"
#include "support/run_inputs.h"
#include "text/json.h"

static char inputs[2048];

static int prepare(void **state) {
    (void)state;
    test_make_run_inputs(10, "240x208");
    snprintf(
        inputs, sizeof(inputs),
        "--video %s --track %s --audio %s --model %s --steps 1 --frames 10 --codec ffv1 --audio-out none -y",
        test_file("in.mkv"), test_file("in.jsonl"), test_file("in.wav"), test_file("model"));
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

/* A number of the report of a run with more options. */
static double reported(const char *options, const char *key) {
    static char text[32768];
    ms_error err;
    ms_json_doc *doc = NULL;
    assert_run_works("run %s -o %s --report %s %s", inputs, test_file("out.mkv"), test_file("report.json"),
                     options);
    FILE *f = fopen(test_file("report.json"), "r");
    assert_non_null(f);
    size_t length = fread(text, 1, sizeof(text), f);
    fclose(f);
    assert_ms_ok(ms_json_parse(NULL, text, length, &doc, &err), &err);
    const ms_json *value = ms_json_get(ms_json_root(doc), key);
    assert_non_null(value);
    double number = value->number;
    ms_json_doc_destroy(&doc);
    return number;
}

static int least_mib(const char *options, const char *message) {
    assert_run_fails(3, message, "run %s -o %s %s", inputs, test_file("none.mkv"), options);
    return atoi(strstr(test_output, "at least") + 8);
}

static void batches_follow_the_profile(void **state) {
    (void)state;
    assert_true(reported("--profile compact", "vae_decode_batch") == 1);
    assert_true(reported("--profile standard", "vae_decode_batch") == 3);
    assert_true(reported("--profile standard --set vae_decode_batch=2", "vae_decode_batch") == 2);
    assert_true(reported("--set vae_encode_batch=9 --force-rung full", "vae_encode_batch") == 9);
    assert_run_fails(2, "no profile", "run %s -o %s --profile huge", inputs, test_file("none.mkv"));
    assert_run_fails(2, "no field", "run %s -o %s --set colour=blue", inputs, test_file("none.mkv"));
    FILE *f = fopen(test_file("policy.json"), "w");
    assert_non_null(f);
    fputs("{\"vae_decode_batch\": 2, \"budget\": \"3G\"}", f);
    fclose(f);
    char options[600];
    snprintf(options, sizeof(options), "--profile-file %s", test_file("policy.json"));
    assert_true(reported(options, "budget_bytes") == 3.0 * (1 << 30));
}

static void the_lesser_budget_holds(void **state) {
    (void)state;
    assert_true(reported("--budget 2G --host-budget 1G", "budget_bytes") == 1 << 30);
    assert_true(reported("--budget 1G --host-budget 2G", "budget_bytes") == 1 << 30);
    assert_true(reported("--host-budget 1G", "budget_bytes") == 1 << 30);
}

static void without_offload_no_weight_is_streamed(void **state) {
    (void)state;
    char options[128];
    int streamed = least_mib("--budget 10M", "needs at least"),
        resident = least_mib("--budget 10M --set weight_offload=off", "while weight_offload is off");
    assert_true(resident > streamed);
    snprintf(options, sizeof(options), "--set weight_offload=off --budget %dM", resident + 1);
    assert_true(reported(options, "streamed_bytes") == 0);
    snprintf(options, sizeof(options), "--set weight_offload=allowed --budget %dM", resident - 5);
    assert_true(reported(options, "streamed_bytes") > 0);
    assert_run_fails(2, "weight_offload is off",
                     "run %s -o %s --set weight_offload=off --force-rung stream-all", inputs,
                     test_file("none.mkv"));
}

static void resolution_is_lowered_only_when_that_is_allowed(void **state) {
    (void)state;
    char options[128];
    int least = least_mib("--resolution 320 --budget 10M", "needs at least"),
        lower = least_mib("--resolution 192 --budget 10M", "needs at least");
    assert_true(lower < least);
    snprintf(options, sizeof(options), "--resolution 320 --budget %dM", lower + 1);
    least_mib(options, "needs at least");
    snprintf(options, sizeof(options), "--resolution 320 --allow-downscale --budget %dM", lower + 1);
    double resolution = reported(options, "resolution");
    assert_true(resolution >= 192 && resolution < 320 && (int)resolution % 64 == 0);
    assert_non_null(strstr(test_output, "320 px do not fit"));
    assert_true(reported(options, "wanted_resolution") == 320);
    assert_run_fails(3, "needs at least", "run %s -o %s --allow-downscale --budget 10M", inputs,
                     test_file("none.mkv"));
}

static void help_shows_whole_choices(void **state) {
    (void)state;
    assert_run_works("run --help");
    assert_non_null(strstr(test_output, "single-frame"));
    assert_non_null(strstr(test_output, "--allow-downscale"));
}

static void plan_follows_the_profile_as_the_run_does(void **state) {
    (void)state;
    assert_run_works("plan --shape tiny --profile compact");
    assert_non_null(strstr(test_output, "decodes 1 at a time"));
    assert_run_fails(3, "while weight_offload is off",
                     "plan --shape tiny --budget 10M --set weight_offload=off");
}

/* Where nothing says what is free, a budget must. */
static void without_proc_a_budget_is_asked_for(void **state) {
    (void)state;
    if (system("unshare -Urm mount -t tmpfs none /proc 2>/dev/null") != 0) {
        print_message("    skipped: /proc cannot be covered here\n");
        skip();
    }
    char line[4096];
    snprintf(line, sizeof(line),
             "unshare -Urm sh -c 'mount -t tmpfs none /proc && exec %s run %s -o %s' 2>&1", MS_CLI_PATH,
             inputs, test_file("none.mkv"));
    assert_int_equal(test_shell(line), ms_status_exit_code(MS_BUDGET));
    assert_non_null(
        strstr(test_output, "how much memory is free is not known: name a budget, or mount /proc"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_follow_the_profile),
        cmocka_unit_test(the_lesser_budget_holds),
        cmocka_unit_test(without_offload_no_weight_is_streamed),
        cmocka_unit_test(resolution_is_lowered_only_when_that_is_allowed),
        cmocka_unit_test(help_shows_whole_choices),
        cmocka_unit_test(plan_follows_the_profile_as_the_run_does),
        cmocka_unit_test(without_proc_a_budget_is_asked_for),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
