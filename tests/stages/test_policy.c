/* `memsafe probe` and `memsafe batch-size`: what they print, read back. */
#include "test.h"

#include "memsafe/optimizer.h"
#include "planner/profile.h"
#include "support/cli.h"
#include "text/json.h"

static const ms_json *parse(ms_json_doc **ret_doc) {
    ms_error err;
    assert_ms_ok(ms_json_parse(NULL, test_output, strlen(test_output), ret_doc, &err), &err);
    return ms_json_root(*ret_doc);
}

static const ms_json *at(const ms_json *node, const char *path) {
    char key[64];
    for (const char *p = path; *p && node; p += strcspn(p, ".") + (strchr(p, '.') != NULL)) {
        snprintf(key, sizeof(key), "%.*s", (int)strcspn(p, "."), p);
        node = ms_json_get(node, key);
    }
    if (!node)
        fail_msg("no %s in %s", path, test_output);
    return node;
}

static void probe_prints_json(void **state) {
    (void)state;
    static const char *const keys[] = {"cpu.name",
                                       "cpu.cpus",
                                       "cpu.isa",
                                       "host.total_bytes",
                                       "host.available_bytes",
                                       "host.swap_free_bytes",
                                       "host.cgroup.levels",
                                       "host.cgroup.left_bytes",
                                       "host.cgroup.binding",
                                       "host.address_limit_bytes",
                                       "host.data_limit_bytes",
                                       "host.locked_limit_bytes",
                                       "host.free_bytes",
                                       "devices",
                                       "backends",
                                       "disk",
                                       "host_to_device",
                                       "profile.tier",
                                       "profile.tier_reason",
                                       "profile.tier_source",
                                       "profile.file",
                                       "profile.fields"};
    ms_json_doc *doc;
    assert_run_works("probe --json --set vae_tiling=on --set safety_margin=5");
    const ms_json *root = parse(&doc);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        at(root, keys[i]);
    const ms_json *device = ms_json_at(at(root, "devices"), 0);
    assert_string_equal(at(device, "backend")->string, "cpu");
    assert_true(at(device, "nominal_bytes")->integer > 0 &&
                at(device, "free_bytes")->integer <= at(device, "nominal_bytes")->integer);
    assert_int_equal(at(root, "disk")->type, MS_JSON_NULL);
    assert_int_equal(at(root, "profile.fields")->count, MS_FIELD_COUNT);
    assert_string_equal(at(root, "profile.fields.vae_tiling.value")->string, "on");
    assert_string_equal(at(root, "profile.fields.vae_tiling.source")->string, "flag");
    assert_int_equal(at(root, "profile.fields.safety_margin.value")->integer, 5);
    ms_json_doc_destroy(&doc);
}

static void probe_measures(void **state) {
    (void)state;
    ms_json_doc *doc;
    assert_run_works("probe --json --measure --disk-file %s", MS_CLI_PATH);
    const ms_json *root = parse(&doc);
    assert_true(at(root, "disk.bytes_per_s")->number > 0 && at(root, "disk.bytes")->integer > 0);
    assert_true(at(root, "host_to_device.bytes_per_s")->number > 0 &&
                at(root, "host_to_device.seconds")->number > 0);
    ms_json_doc_destroy(&doc);
    assert_run_fails(11, "there-is-none", "probe --measure --disk-file there-is-none");
}

static void probe_knows_every_source(void **state) {
    (void)state;
    char shell[1024];
    FILE *f = fopen(test_file("memsafe.yaml"), "w");
    assert_non_null(f);
    fputs("{\"profile\": \"standard\",\n\"svd_rank\": 55, \"vae_decode_batch\": 4}\n", f);
    fclose(f);
    setenv("MEMSAFE_VAE_DECODE_BATCH", "7", 1);
    /* memsafe.yaml of the current folder is read unasked */
    snprintf(shell, sizeof(shell), "cd %s && %s probe --profile compact --set budget=3G", test_dir(),
             MS_CLI_PATH);
    FILE *pipe = popen(shell, "r");
    assert_non_null(pipe);
    size_t got = fread(test_output, 1, sizeof(test_output) - 1, pipe);
    test_output[got] = 0;
    assert_int_equal(pclose(pipe), 0);
    unsetenv("MEMSAFE_VAE_DECODE_BATCH");
    static const char *const lines[] = {
        "compact, because --profile says so",
        "svd_rank                 55%              memsafe.yaml, line 2",
        "vae_decode_batch         7                MEMSAFE_VAE_DECODE_BATCH",
        "budget                   3.00 GiB         --set",
        "face_processing_batch    4                tier compact",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (!strstr(test_output, lines[i]))
            fail_msg("no \"%s\" in:\n%s", lines[i], test_output);
    assert_run_works("probe --profile-file %s", test_file("memsafe.yaml"));
    assert_non_null(strstr(test_output, "standard, because"));
}

static void probe_refuses_what_is_wrong(void **state) {
    (void)state;
    assert_run_fails(2, "--set: vae_tiling: \"x\" is not possible; allowed: off by_need",
                     "probe --set vae_tiling=x");
    assert_run_fails(2, "\"nothing\" is no field", "probe --set nothing=1");
    assert_run_fails(2, "\"huge\" is no profile", "probe --profile huge");
    assert_run_fails(11, "none.yaml", "probe --profile-file none.yaml");
    assert_run_works("probe --fields");
    assert_non_null(strstr(test_output, "| `safety_margin` | 0 to 90% |"));
}

static int64_t batch_of(const ms_json *root, const char *task, const char **ret_limit) {
    const ms_json *tasks = at(root, "tasks");
    for (uint32_t i = 0; i < tasks->count; i++) {
        const ms_json *t = ms_json_at(tasks, i);
        if (strcmp(at(t, "task")->string, task) == 0) {
            *ret_limit = at(t, "limit")->string;
            return at(t, "batch")->integer;
        }
    }
    fail_msg("no %s in %s", task, test_output);
    return 0;
}

static void assert_batch(int batch, const char *limit, const char *task, const char *options) {
    ms_json_doc *doc;
    const char *got_limit;
    assert_run_works("batch-size --threads 2 --json %s %s", task, options);
    const ms_json *root = parse(&doc);
    int64_t got = batch_of(root, task, &got_limit);
    if (got != batch || strcmp(got_limit, limit) != 0)
        fail_msg("%s %s: %lld by %s, not %d by %s", task, options, (long long)got, got_limit, batch, limit);
    ms_json_doc_destroy(&doc);
}

static void batches_have_their_reasons(void **state) {
    (void)state;
    assert_batch(1, "cap", "vae_decode", "--device-memory 8G");
    assert_batch(3, "cap", "vae_decode", "--device-memory 16G");
    assert_batch(8, "cap", "vae_decode", "--device-memory 24G");
    assert_batch(16, "cap", "vae_decode", "--device-memory 80G");
    assert_batch(32, "cap", "face_processing", "--device-memory 39.4G");
    assert_batch(32, "cap", "latent_processing", "--device-memory 8G");
    assert_batch(16, "frames", "unet_inference", "--device-memory 80G");
    assert_batch(5, "frames", "vae_encode", "--device-memory 80G --frames 5");
    assert_batch(8, "pressure", "vae_decode", "--device-memory 80G --pressure 1");
    assert_batch(4, "pressure", "vae_decode", "--device-memory 80G --pressure 2");
    assert_batch(1, "pressure", "vae_decode", "--device-memory 80G --pressure 3");
    assert_batch(20, "cap", "vae_decode", "--device-memory 80G --set vae_decode_batch=20");
    assert_batch(1, "memory", "vae_decode", "--device-memory 80G --free 200M");
}

/* The batch fits what is usable, and one item more would not. */
static void batches_fit_to_the_byte(void **state) {
    (void)state;
    static const char *const models[] = {"tiny", "latentsync-1.5", "latentsync-1.6"};
    static const int free_mib[] = {60, 1000, 3000};
    for (int m = 0; m < 3; m++) {
        ms_json_doc *doc;
        const char *limit;
        assert_run_works("batch-size --json --threads 2 vae_encode --device-memory 80G --free %dM --shape %s",
                         free_mib[m], models[m]);
        const ms_json *root = parse(&doc), *task = ms_json_at(at(root, "tasks"), 0);
        int64_t batch = batch_of(root, "vae_encode", &limit), usable = at(task, "usable_bytes")->integer;
        assert_true(at(task, "fits")->boolean && batch > 1 && batch < 32);
        assert_string_equal(limit, "memory");
        assert_true(at(task, "batch_bytes")->integer <= usable);
        ms_json_doc_destroy(&doc);
        assert_run_works(
            "batch-size --json --threads 2 vae_encode --device-memory 80G --free 70G --shape %s --set "
            "vae_encode_batch=%lld",
            models[m], (long long)batch + 1);
        root = parse(&doc);
        assert_int_equal(batch_of(root, "vae_encode", &limit), batch + 1);
        assert_true(at(ms_json_at(at(root, "tasks"), 0), "batch_bytes")->integer > usable);
        ms_json_doc_destroy(&doc);
    }
}

/* What is said of a run is what its plan says. */
static void batches_in_a_run_are_the_plans(void **state) {
    (void)state;
    static const char *const options[] = {"", "--set vae_encode_batch=7", "--set vae_decode_batch=2"};
    static const char *const models[] = {"tiny", "latentsync-1.5", "latentsync-1.6"};
    for (int i = 0; i < 9; i++) {
        ms_json_doc *doc;
        int64_t encode, decode;
        assert_run_works("plan --json --threads 2 --shape %s -b 60G --device cpu %s", models[i / 3],
                         options[i % 3]);
        const ms_json *root = parse(&doc);
        encode = at(root, "vae_encode_batch")->integer;
        decode = at(root, "vae_decode_batch")->integer;
        ms_json_doc_destroy(&doc);
        assert_run_works("batch-size --json --threads 2 --free 60G --shape %s vae_encode vae_decode %s",
                         models[i / 3], options[i % 3]);
        root = parse(&doc);
        int64_t said[2];
        for (uint32_t t = 0; t < 2; t++)
            said[t] = at(ms_json_at(at(root, "tasks"), t), "run_batch")->integer;
        if (said[0] != encode || said[1] != decode)
            fail_msg("%s %s: %d and %d, the plan says %d and %d", models[i / 3], options[i % 3], (int)said[0],
                     (int)said[1], (int)encode, (int)decode);
        ms_json_doc_destroy(&doc);
    }
}

static void all_tasks_are_listed(void **state) {
    (void)state;
    ms_json_doc *doc;
    assert_run_works("batch-size --shape tiny --json");
    assert_int_equal(at(parse(&doc), "tasks")->count, MS_TASK_COUNT);
    ms_json_doc_destroy(&doc);
    assert_run_fails(3, "6 of 6 tasks cannot work within this memory",
                     "batch-size --shape tiny --device-memory 10K");
    assert_run_fails(3, "cannot work within this memory",
                     "batch-size --shape tiny --device-memory 1G --free 1M");
    for (int t = 0; t < MS_TASK_COUNT; t++)
        assert_non_null(strstr(test_output, ms_task_name((ms_task)t)));
    assert_non_null(strstr(test_output, "does not fit: one item needs"));
    assert_run_fails(2, "\"vae\" is no task", "batch-size vae");
    assert_run_fails(2, "multiples of 8", "batch-size vae_decode --width 100");
    assert_run_fails(2, "a size like 8G", "batch-size --device-memory lots");
    assert_run_fails(11, "there-is-none", "batch-size --model there-is-none");
}

/* A model's folder answers as its name does, which stands for no face nets. */
static void folders_are_models_too(void **state) {
    (void)state;
    char by_name[sizeof(test_output)];
    char line[600];
    assert_run_works("models --synthesize tiny -o %s", test_file("tiny"));
    snprintf(line, sizeof(line), "rm -r %s", test_file("tiny/auxiliary"));
    assert_int_equal(system(line), 0);
    assert_run_works("batch-size --device-memory 4G --threads 1 --shape tiny");
    strcpy(by_name, test_output);
    assert_run_works("batch-size --device-memory 4G --threads 1 --model %s", test_file("tiny"));
    const char *one = strstr(test_output, ", tier "), *other = strstr(by_name, ", tier ");
    assert_non_null(one);
    assert_non_null(other);
    assert_string_equal(one, other); /* all but the name */
}

/* The words of `plan`: a budget is a run's, the weights' part of it is taken off
   and nothing is left alone. */
static void words_are_those_of_a_plan(void **state) {
    (void)state;
    ms_json_doc *doc;
    assert_run_works("batch-size --shape tiny -b 3G --device-memory 80G --json vae_decode");
    const ms_json *root = parse(&doc), *task = ms_json_at(at(root, "tasks"), 0);
    int64_t weights = at(root, "weight_bytes")->integer, memory = at(root, "memory_bytes")->integer;
    assert_int_equal(memory, (int64_t)3 << 30);
    assert_int_equal(at(root, "free_bytes")->integer, memory - weights);
    assert_int_equal(at(task, "usable_bytes")->integer, memory - weights);
    ms_json_doc_destroy(&doc);
    assert_run_works("batch-size --shape tiny -b 3G");
    assert_non_null(strstr(test_output, "the budget is 3.00 GiB"));
    assert_run_fails(2, "batch-size has no option --memory; did you mean -b or --budget?",
                     "batch-size --memory 8G");
    assert_run_fails(2, "--model and --shape name two models", "batch-size -m somewhere --shape tiny");
    assert_run_fails(
        11, "there is no folder latentsync-1.6 here; the published model's shape is --shape latentsync-1.6",
        "batch-size -m latentsync-1.6");
    assert_run_fails(11, "the published model's shape is --shape tiny", "plan -m tiny");
    assert_program_fails(MS_BENCH_PATH, 2, "memsafe-bench unet has no option --model; did you mean --shape?",
                         "unet --model tiny");
    assert_program_fails(MS_BENCH_PATH, 2, "did you mean --shape?", "unet -m tiny");
}

static int finish(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

/* Not "of 0 bytes". */
static void nothing_left_is_called_so(void **state) {
    (void)state;
    assert_run_fails(3, "the weights leave nothing", "batch-size --device-memory 10M vae_decode");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_those_of_a_plan),
        cmocka_unit_test(nothing_left_is_called_so),
        cmocka_unit_test(probe_prints_json),
        cmocka_unit_test(probe_measures),
        cmocka_unit_test(probe_knows_every_source),
        cmocka_unit_test(probe_refuses_what_is_wrong),
        cmocka_unit_test(batches_have_their_reasons),
        cmocka_unit_test(batches_fit_to_the_byte),
        cmocka_unit_test(batches_in_a_run_are_the_plans),
        cmocka_unit_test(all_tasks_are_listed),
        cmocka_unit_test(folders_are_models_too),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
