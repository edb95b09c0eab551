/* One drawn clip, one small model: whatever memory a run is given and however it is
   cut up, the same frames come out, and the memory is kept. */
#include "test.h"

#include "support/media/decoded.h"
#include "support/run_inputs.h"
#include "text/json.h"

#define FRAMES 18 /* a window and a short one */

static char inputs[2048];

static int prepare(void **state) {
    (void)state;
    test_set_history(test_file("history.db"));
    test_make_run_inputs(FRAMES, "240x208");
    snprintf(inputs, sizeof(inputs),
             "--video %s --track %s --audio %s --model %s --frames %d --codec ffv1 --audio-out none -y",
             test_file("in.mkv"), test_file("in.jsonl"), test_file("in.wav"), test_file("model"), FRAMES);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static uint64_t hash_of(const char *path) {
    int frames;
    uint64_t hash = test_hash_video(path, &frames);
    assert_int_equal(frames, FRAMES);
    return hash;
}

typedef struct outcome {
    uint64_t hash;
    double budget, planned, resident, streamed, weights, read;
    char rung[24];
} outcome;

static double number(const ms_json *root, const char *key) {
    const ms_json *value = ms_json_get(root, key);
    assert_non_null(value);
    return value->number;
}

/* What is computed: small, since there are many. Options of a run come after, so that they win. */
#define SMALL "--steps 1 --resolution 64 "

/* A codec's bound is worth some megabytes whatever the model's size: that is the
   least that a plan can be above. */
#define SLACK_BYTES 10e6
#define SLACK_SHARE 0.03

/* A run with more options, its frames and its report. */
static outcome run(const char *options) {
    const char *output = test_file("out.mkv"), *report = test_file("report.json");
    assert_run_works("run %s -v -o %s --report %s %s", inputs, output, report, options);
    ms_error err;
    ms_json_doc *doc = NULL;
    static char text[32768];
    FILE *f = fopen(report, "r");
    assert_non_null(f);
    size_t length = fread(text, 1, sizeof(text), f);
    fclose(f);
    assert_ms_ok(ms_json_parse(NULL, text, length, &doc, &err), &err);
    const ms_json *root = ms_json_root(doc);
    outcome o = {.hash = hash_of(output),
                 .budget = number(root, "budget_bytes"),
                 .planned = number(root, "planned_bytes"),
                 .resident = number(root, "peak_resident_bytes"),
                 .streamed = number(root, "streamed_bytes"),
                 .weights = number(root, "weight_bytes"),
                 .read = number(root, "weights_read_bytes")};
    snprintf(o.rung, sizeof(o.rung), "%s", ms_json_get(root, "rung")->string);
    ms_json_doc_destroy(&doc);
    assert_true(o.planned <= o.budget);
#ifdef SANITIZED /* a sanitizer keeps memory of its own */
    return o;
#endif
    assert_true(o.resident <= o.planned);
    double slack = o.planned - o.resident;
    if (slack > SLACK_BYTES && slack > SLACK_SHARE * o.planned)
        fail_msg("%s: planned %.0f, but only %.0f came to be held", options, o.planned, o.resident);
    return o;
}

static const char *const rungs[] = {"full",  "batch",       "serial",     "slices",
                                    "tiles", "stream-part", "stream-all", "single-frame"};

static void every_rung_gives_the_same_frames(void **state) {
    (void)state;
    uint64_t first = 0;
    for (size_t i = 0; i < sizeof(rungs) / sizeof(rungs[0]); i++) {
        for (int threads = 1 + (int)i % 4; threads <= 4; threads += test_at_length() ? 2 : 4) {
            char options[96];
            snprintf(options, sizeof(options), SMALL "--force-rung %s --threads %d", rungs[i], threads);
            outcome o = run(options);
            assert_string_equal(o.rung, rungs[i]);
            if (!first)
                first = o.hash;
            assert_true(o.hash == first);
            assert_int_equal(o.streamed > 0, i >= 5);
        }
    }
}

/* At 64 px a picture is one stripe. */
static void stripes_give_the_same_frames(void **state) {
    (void)state;
    uint64_t first = run("--steps 1 --force-rung full").hash;
    assert_true(run("--steps 1 --force-rung tiles --threads 2").hash == first);
    assert_true(run("--steps 1 --force-rung single-frame --threads 3").hash == first);
    assert_true(run("--steps 1 --profile compact").hash == first);
}

/* Whatever the profile says of batches, slices and streaming. */
static void every_profile_gives_the_same_frames(void **state) {
    (void)state;
    static const char *const options[] = {
        "--profile compact",
        "--profile standard --set attention_slices=64 --set vae_tiling=on",
        "--profile professional --set unet_inference_batch=1 --set vae_decode_batch=1",
        "--profile datacenter --set vae_encode_batch=32 --set vae_decode_batch=32 --set clean_up_frames=1",
        "--set vae_encode_batch=1 --set vae_decode_batch=2 --set unet_inference_batch=3",
        "--set vae_encode_batch=3 --set vae_decode_batch=5 --set unet_inference_batch=7 --threads 3",
        "--set vae_encode_batch=8 --set vae_decode_batch=16 --set unet_inference_batch=15",
        "--set vae_encode_batch=16 --set vae_decode_batch=8 --set attention_slices=5",
    };
    uint64_t expected = run(SMALL).hash;
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        char line[256];
        snprintf(line, sizeof(line), SMALL "%s", options[i]);
        assert_true(run(line).hash == expected);
    }
}

/* "... needs at least N MiB" */
static int least_mib(const char *options) {
    assert_run_fails(3, "needs at least", "run %s -o %s %s", inputs, test_file("none.mkv"), options);
    assert_false(test_exists(test_file("none.mkv")));
    return atoi(strstr(test_output, "at least") + 8);
}

static void every_budget_is_kept_and_gives_the_same_frames(void **state) {
    (void)state;
    char options[96];
    outcome all = run(SMALL "--force-rung full");
    int least = least_mib(SMALL "--budget 1M");
    double room = 1.1 * all.planned - 0x1p20 * least;
    uint32_t random = 12345;
    for (int i = 0; i < (test_at_length() ? 20 : 5); i++) {
        random = random * 1664525 + 1013904223;
        double budget = 0x1p20 * least + (i ? room * (random >> 8) / 0x1p24 : 0);
        snprintf(options, sizeof(options), SMALL "--threads %d --budget %.0f", 1 + i % 3, budget);
        assert_true(run(options).hash == all.hash);
    }
    /* what the program holds is not the same in each run */
    snprintf(options, sizeof(options), SMALL "--budget %dM", least - 5);
    least_mib(options);
}

/* The layout changes between the windows, down to the least and up again. */
static void pressure_changes_no_frame(void **state) {
    (void)state;
    static const char *const traces[] = {
        "{\"at\":0,\"level\":\"critical\"}\n{\"at\":1,\"level\":\"none\"}\n",
        "{\"at\":0,\"level\":\"none\"}\n{\"at\":1,\"level\":\"high\"}\n",
        "{\"at\":1,\"level\":\"critical\"}\n",
    };
    const outcome calm = run(SMALL);
    const uint64_t expected = calm.hash;
    assert_true(calm.read >= calm.weights - calm.streamed);
    int least = least_mib(SMALL "--budget 1M");
    for (int i = 0; i < 3; i++) {
        char options[600];
        FILE *f = fopen(test_file("trace.jsonl"), "w");
        assert_non_null(f);
        fputs(traces[i], f);
        fclose(f);
        snprintf(options, sizeof(options), SMALL "--pressure-trace %s", test_file("trace.jsonl"));
        outcome pressed = run(options);
        assert_true(pressed.hash == expected);
        /* What both layouts keep is read once: only what was streamed meanwhile is read again. */
        assert_true(pressed.read <= 2 * calm.read);
        if (i > 0) /* it only goes down */
            assert_true(pressed.read <= calm.read);
        if (!strstr(test_output, "memory pressure"))
            fail_msg("%s says nothing of pressure: %s", traces[i], test_output);
        /* With the least budget: there is no room for two layouts at once. */
        snprintf(options, sizeof(options), SMALL "--budget %dM --pressure-trace %s", least + 2,
                 test_file("trace.jsonl"));
        assert_true(run(options).hash == expected);
    }
    assert_run_fails(11, "no-trace", "run %s -o %s --pressure-trace %s", inputs, test_file("none.mkv"),
                     test_file("no-trace"));
}

static void a_deepcache_run_is_the_same_too(void **state) {
    (void)state;
    uint64_t first = run("--resolution 64 --steps 4 --deepcache --force-rung full").hash;
    assert_true(run("--resolution 64 --steps 4 --deepcache --force-rung single-frame --threads 3").hash ==
                first);
    assert_true(run("--resolution 64 --steps 4 --force-rung full").hash != first);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rung_gives_the_same_frames),
        cmocka_unit_test(stripes_give_the_same_frames),
        cmocka_unit_test(every_profile_gives_the_same_frames),
        cmocka_unit_test(every_budget_is_kept_and_gives_the_same_frames),
        cmocka_unit_test(pressure_changes_no_frame),
        cmocka_unit_test(a_deepcache_run_is_the_same_too),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
