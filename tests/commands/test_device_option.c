/* --device means the same in every command that has it: on `remote`, whose memory is apart, each gives
   what it gives on the cpu or says what that device has, and what is no device is refused by each. */
#include "test.h"

#include "support/run_inputs.h"
#include "text/json.h"

#define FRAMES 12
#define GIB ((double)(1 << 30))
#define OWN ((double)(3 << 20)) /* REMOTE_OWN_BYTES */

#define NETS MS_SOURCE_DIR "/models/demo/auxiliary/models/buffalo_l"

static int prepare(void **state) {
    (void)state;
    test_make_run_inputs(FRAMES, "240x208");
    return chdir(test_dir());
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static ms_json_doc *json_of(const char *command) {
    ms_json_doc *doc = NULL;
    ms_error err;
    assert_run_works("%s", command);
    assert_ms_ok(ms_json_parse(NULL, test_output, strlen(test_output), &doc, &err), &err);
    return doc;
}

static void probe_is_of_the_device(void **state) {
    (void)state;
    ms_json_doc *doc = json_of("probe --json --device remote");
    const ms_json *dev = ms_json_at(ms_json_get(ms_json_root(doc), "devices"), 0);
    assert_string_equal(ms_json_get(dev, "backend")->string, "remote");
    assert_true(ms_json_get(dev, "nominal_bytes")->number == 8 * GIB + OWN);
    assert_true(ms_json_get(dev, "free_bytes")->number <= 8 * GIB);
    ms_json_doc_destroy(&doc);
    assert_run_works("probe --device remote");
    assert_non_null(strstr(test_output, "remote test device"));
    assert_non_null(strstr(test_output, "the device has 8.00 GiB"));
    assert_run_works("probe --device cpu");
    assert_non_null(strstr(test_output, " dummy (sizes only)"));
    assert_null(strstr(test_output, "remote test device"));
}

static void batch_sizes_are_of_the_device(void **state) {
    (void)state;
    assert_run_works("batch-size vae_decode --json --device remote --shape tiny");
    assert_non_null(strstr(test_output, "\"vae_decode\""));
    assert_run_works("batch-size vae_decode --json --device dummy --device-memory 24G");
    assert_run_fails(2, "--device-memory", "batch-size --device dummy");
}

static void plans_are_of_the_device(void **state) {
    (void)state;
    ms_json_doc *doc = json_of("plan --shape tiny --json --device remote");
    const ms_json *bytes = ms_json_get(ms_json_root(doc), "bytes");
    assert_true(ms_json_get(bytes, "device_own")->number == OWN);
    assert_true(ms_json_get(bytes, "host")->number > 0);
    assert_true(ms_json_get(ms_json_root(doc), "total_s")->number > 0); /* it is here: it was measured */
    ms_json_doc_destroy(&doc);
    assert_run_fails(2, "--device-memory", "plan --shape tiny --device remote --device-memory 8G");
}

static void networks_are_measured_on_it(void **state) {
    (void)state;
    assert_program_works(MS_BENCH_PATH, "unet --shape tiny --frames 2 --device remote");
    assert_non_null(strstr(test_output, "remote test device"));
    assert_null(strstr(test_output, "FMA peak"));
    assert_program_works(MS_BENCH_PATH, "unet --shape tiny --frames 2 --device auto");
    assert_non_null(strstr(test_output, "FMA peak"));
}

#if MS_HAVE_ONNX
/* The nets that find faces are on the device too, before anything is planned: what
   is too small for them is said as ever. */
static void a_small_device_budget_names_the_least(void **state) {
    (void)state;
    assert_run_fails(3, "needs at least",
                     "run -i in.mkv -a in.wav -m model --faces " NETS " --device remote -b 1M small.mkv");
}

/* What the device held is held to its budget, and what the process held to the host's. */
static void a_run_tells_both_memories(void **state) {
    (void)state;
    assert_run_works(
        "run --demo -i in.mkv -a in.wav -t 0.2 --steps 1 --resolution 64 -b 4G --host-budget 3G -v -y "
        "--device remote out.mkv");
    assert_non_null(strstr(test_output, "budget of the device 4.00 GiB (as asked for), planned "));
    assert_non_null(strstr(test_output, "budget of the host 3.00 GiB, planned "));
    assert_non_null(strstr(test_output, "of a budget of 4.00 GiB, peak of the host "));
    assert_run_works("run --demo -i in.mkv -a in.wav -t 0.2 --steps 1 --resolution 64 -b 64G -v -y --device "
                     "remote out.mkv");
    assert_non_null(strstr(
        test_output, "budget of the device 8.00 GiB (all that the device has: less than was asked for)"));
}

static void faces_are_the_cpus(void **state) {
    (void)state;
    assert_run_works("detect -i in.mkv --faces " NETS " cpu.jsonl --device cpu");
    assert_run_works("detect -i in.mkv --faces " NETS " remote.jsonl --device remote");
    assert_int_equal(system("cmp cpu.jsonl remote.jsonl && test -s cpu.jsonl"), 0);
    assert_run_works("score in.mkv -a in.wav --faces " NETS " --json --device cpu > cpu.json");
    assert_run_works("score in.mkv -a in.wav --faces " NETS " --json --device remote > remote.json");
    assert_int_equal(system("for f in cpu remote; do sed 's/\"seconds\":[0-9.]*//' $f.json > $f.plain; done; "
                            "cmp cpu.plain remote.plain && test -s cpu.plain"),
                     0);
}
#endif

static void what_is_no_device_is_refused(void **state) {
    (void)state;
    static const char *const commands[] = {"probe", "batch-size", "plan",
                                           "detect -i in.mkv --faces " NETS " x.jsonl",
                                           "run -i in.mkv -a in.wav -m model x.mkv --track in.jsonl"};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        assert_run_fails(2, "\"a:b\" is no device", "%s --device a:b", commands[i]);
        assert_run_fails(12, "there is no back end \"abacus\"", "%s --device abacus", commands[i]);
    }
    assert_run_fails(12, "computes nothing", "probe --device dummy");
    assert_program_fails(MS_BENCH_PATH, 12, "computes nothing", "unet --shape tiny --device dummy");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probe_is_of_the_device),
        cmocka_unit_test(batch_sizes_are_of_the_device),
        cmocka_unit_test(plans_are_of_the_device),
        cmocka_unit_test(networks_are_measured_on_it),
#if MS_HAVE_ONNX
        cmocka_unit_test(faces_are_the_cpus),
        cmocka_unit_test(a_small_device_budget_names_the_least),
        cmocka_unit_test(a_run_tells_both_memories),
#endif
        cmocka_unit_test(what_is_no_device_is_refused),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
