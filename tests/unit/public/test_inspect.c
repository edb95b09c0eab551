/* What callers learn of a machine, a model's folder, a profile, batch sizes and
   earlier runs, through the public headers alone. */
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "memsafe/memsafe.h"

static char folder[256];
static ms_error err;

static const char *in_folder(const char *name) {
    static char path[4][512];
    static int at;
    at = (at + 1) % 4;
    snprintf(path[at], sizeof(path[0]), "%s/%s", folder, name);
    return path[at];
}

static int make_model(void **state) {
    (void)state;
    snprintf(folder, sizeof(folder), "%s/memsafe-inspect.%d", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp",
             (int)getpid());
    ms_model_synthesize_params p;
    ms_model_synthesize_params_init(&p);
    p.shape = "tiny";
    p.folder = folder;
    return ms_model_synthesize(&p, &err) == MS_OK ? 0 : -1;
}

static int remove_model(void **state) {
    (void)state;
    char line[300];
    snprintf(line, sizeof(line), "rm -rf %s", folder);
    return system(line);
}

/* ---- a model's folder ---- */

typedef struct findings {
    int facts[MS_MODEL_PART_COUNT], problems[MS_MODEL_PART_COUNT], errors[MS_MODEL_PART_COUNT];
    bool synthetic;
    char error[512];
} findings;

static void count(void *arg, const ms_finding *f) {
    findings *all = arg;
    assert_non_null(f->text);
    assert_true((f->kind == MS_FINDING_ERROR) == (f->error != NULL));
    int *const kinds[] = {all->facts, all->problems, all->errors};
    kinds[f->kind][f->part]++;
    all->synthetic |= (f->hints & MS_HINT_BIT(MS_HINT_SYNTHETIC)) != 0;
    if (f->kind == MS_FINDING_ERROR)
        snprintf(all->error, sizeof(all->error), "%s", f->text);
}

static void a_whole_model_has_nothing_wrong(void **state) {
    (void)state;
    findings all = {0};
    ms_model_check_params p;
    ms_model_check_params_init(&p);
    p.model = folder;
    p.tell = count;
    p.arg = &all;
#if MS_HAVE_YAML
    assert_ms_ok(ms_model_check(&p, &err), &err);
    for (int i = 0; i < MS_MODEL_PART_COUNT; i++)
        assert_true(all.facts[i] >= 3 && all.problems[i] == 0 && all.errors[i] == 0);
    assert_true(all.synthetic);
    assert_true(ms_model_is_synthetic(&p));
    p.tell = NULL;
    assert_int_equal(ms_model_check(&p, NULL), MS_OK);
#else
    assert_int_not_equal(ms_model_check(&p, &err), MS_OK);
#endif
    assert_true(ms_model_has_file(&p, in_folder("latentsync_unet.pt")));
    assert_true(ms_model_has_file(&p, in_folder("vae/../latentsync_unet.pt")));
    assert_false(ms_model_has_file(&p, in_folder("new.pt")));
    assert_false(ms_model_has_file(&p, "/proc/self/exe"));
}

#if MS_HAVE_YAML
/* The first error is the result, and the parts behind it are looked at all the same. */
static void damage_is_found_part_by_part(void **state) {
    (void)state;
    const char *vae = in_folder("vae/diffusion_pytorch_model.safetensors"),
               *whisper = in_folder("whisper/tiny.pt");
    assert_int_equal(rename(vae, in_folder("kept")), 0);
    struct stat st;
    assert_int_equal(stat(whisper, &st), 0);
    FILE *f = fopen(whisper, "r+b");
    assert_non_null(f);
    const long at = (long)st.st_size / 2;
    fseek(f, at, SEEK_SET);
    const int byte = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(byte ^ 0xFF, f);
    assert_int_equal(fclose(f), 0);
    findings all = {0};
    ms_model_check_params p = {.model = folder, .tell = count, .arg = &all};
    ms_status status = ms_model_check(&p, &err);
    assert_int_equal(status, MS_BAD_MODEL);
    assert_non_null(strstr(err.message, "vae"));
    assert_int_equal(all.errors[MS_MODEL_PART_UNET], 0);
    assert_int_equal(all.errors[MS_MODEL_PART_VAE], 1);
    assert_true(all.problems[MS_MODEL_PART_WHISPER] > 0 && all.errors[MS_MODEL_PART_WHISPER] == 1);
    assert_int_equal(all.errors[MS_MODEL_PART_FACES], 0);
    p.quick = true; /* values and checksums are not looked at */
    memset(&all, 0, sizeof(all));
    assert_int_equal(ms_model_check(&p, &err), MS_BAD_MODEL);
    assert_int_equal(all.problems[MS_MODEL_PART_WHISPER] + all.errors[MS_MODEL_PART_WHISPER], 0);
    f = fopen(whisper, "r+b");
    assert_non_null(f);
    fseek(f, at, SEEK_SET);
    fputc(byte, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(in_folder("kept"), vae), 0);
}
#endif

static void a_model_that_is_there_is_not_replaced(void **state) {
    (void)state;
    ms_model_synthesize_params p;
    ms_model_synthesize_params_init(&p);
    p.shape = "tiny";
    p.folder = folder;
    assert_int_equal(ms_model_synthesize(&p, &err), MS_IO);
    assert_non_null(strstr(err.message, folder));
}

/* Memory that is not to be had is an error at every allocation, and nothing is left behind. */
static void every_allocation_may_fail(void **state) {
    (void)state;
    ms_model_check_params check = {.model = folder, .quick = true};
    ms_batches_params batches;
    ms_batches_params_init(&batches);
    batches.shape = "tiny";
    batches.profile.environment = false;
    const ms_profile_source source = {0};
    const ms_probe_params device = {.device = "cpu", .threads = 1};
    for (int what = 0; what < 5; what++) {
        bool worked = false;
        for (uint64_t n = 1; !worked; n++) {
            ms_mem_usage before, after;
            ms_mem_get_usage(NULL, &before);
            ms_mem_fail_after(n, true);
            ms_batches *made = NULL;
            ms_probe *probe = NULL;
            char *text = NULL;
            ms_status status =
                what == 0   ? ms_batches_create(&batches, &made, &err)
                : what == 1 ? ms_probe_create(&device, &probe, &err)
                : what == 2 ? ms_profile_describe(&source, (size_t)8 << 30, 0, MS_PROFILE_TEXT, &text, &err)
                : what == 3 ? ms_profile_fields(&text, &err)
                            : ms_model_check(&check, &err);
            ms_mem_fail_after(0, false);
            worked = status == MS_OK;
            if (!worked)
                assert_true(status == MS_HOST_MEMORY || status == MS_DEVICE_MEMORY);
            ms_batches_destroy(&made);
            ms_probe_destroy(&probe);
            ms_mem_free(text);
            ms_mem_get_usage(NULL, &after);
            assert_int_equal(after.current_bytes, before.current_bytes);
            assert_true(n < 20000);
            if (n > 40) /* of hundreds alike: every 7th */
                n += 6;
        }
    }
}

/* ---- batch sizes ---- */

static void a_model_has_batch_sizes(void **state) {
    (void)state;
    ms_batches_params p;
    ms_batches_params_init(&p);
    p.shape = "tiny";
    p.profile.environment = false;
    p.budget_bytes = (size_t)1 << 30;
    ms_batches *b = NULL;
    assert_ms_ok(ms_batches_create(&p, &b, &err), &err);
    ms_batches_info info;
    ms_batches_get_info(b, &info);
    assert_true(info.memory_bytes == p.budget_bytes && info.margin_percent == 0);
    assert_true(info.weight_bytes > 0 && info.free_bytes == info.memory_bytes - info.weight_bytes);
    assert_true(info.resolution == 128 && info.window_frames == 16);
    assert_true(info.tier[0] && strstr(info.tier_reason, "1.00 GiB"));
    ms_batch_answer answer;
    const ms_batch_request picture = {.height = 128, .width = 128};
    assert_ms_ok(ms_optimizer_explain(ms_batches_optimizer(b), MS_TASK_VAE_DECODE, &picture, &answer, &err),
                 &err);
    assert_true(answer.fits && answer.one.device_bytes > 0);
    int run = ms_batches_in_a_run(b, MS_TASK_VAE_DECODE, 128, 0, answer.batch);
    assert_true(run >= 1 && run <= answer.batch);
    assert_int_equal(ms_batches_in_a_run(b, MS_TASK_LATENT_PROCESSING, 128, 5, 32), 5);
    assert_int_equal(ms_batches_in_a_run(b, MS_TASK_COUNT, 128, 0, 4), 0);
    /* An optimizer for another device has the same costs, and its own caps and free memory. */
    ms_optimizer_params other;
    ms_optimizer *optimizer = NULL;
    ms_batch_bytes one = {0}, two = {0};
    int batch = 0;
    ms_optimizer_params_init(&other);
    other.environment = false;
    other.device_bytes = (size_t)16 << 30;
    other.free_bytes = (size_t)12 << 30;
    other.cost = ms_batches_cost;
    other.arg = b;
    assert_ms_ok(ms_batches_cost(b, MS_TASK_VAE_DECODE, &picture, 1, &one, &err), &err);
    assert_ms_ok(ms_batches_cost(b, MS_TASK_VAE_DECODE, &picture, 2, &two, &err), &err);
    assert_true(one.device_bytes == answer.one.device_bytes && two.device_bytes > one.device_bytes);
    assert_ms_ok(ms_optimizer_create(&other, &optimizer, &err), &err);
    assert_ms_ok(ms_optimizer_get_optimal_batch_size(optimizer, MS_TASK_VAE_DECODE, &picture, &batch, &err),
                 &err);
    assert_int_equal(batch, 3);
    ms_optimizer_destroy(&optimizer);
    const ms_batch_request odd = {.height = 129, .width = 128};
    assert_int_equal(ms_batches_cost(b, MS_TASK_VAE_DECODE, &odd, 1, &one, &err), MS_INVALID_ARGUMENT);
    char from[MS_BATCHES_TEXT_BYTES];
    assert_non_null(strstr(ms_batches_cap_origin(b, MS_TASK_VAE_DECODE, from), "tier"));
    assert_string_equal(ms_batches_cap_origin(b, MS_TASK_COUNT, from), "");
    ms_batches_destroy(&b);
}

/* ---- the machine and its profile ---- */

/* What a plan would say; of a device that is not here, to the byte what the margin leaves. */
static void a_budget_needs_no_plan(void **state) {
    (void)state;
    static const char *const settings[] = {"safety_margin=25"};
    ms_plan_params p;
    size_t budget = 0;
    ms_plan_report *report = calloc(1, sizeof(*report));
    assert_non_null(report);
    ms_plan_params_init(&p);
    p.shape = "tiny";
    p.profile = (ms_profile_source){.settings = settings, .n_settings = 1};
    p.device = "dummy";
    p.device_bytes = (size_t)8 << 30;
    assert_ms_ok(ms_plan_run(&p, report, NULL, &err), &err);
    assert_ms_ok(ms_plan_budget(&p, &budget, &err), &err);
    assert_int_equal(budget, (size_t)6 << 30);
    assert_int_equal(budget, report->budget_bytes);
    p.budget_bytes = 1 << 20; /* too small for any run */
    assert_int_equal(ms_plan_run(&p, report, NULL, &err), MS_BUDGET);
    assert_ms_ok(ms_plan_budget(&p, &budget, &err), &err);
    assert_int_equal(budget, 1 << 20);
    p.device_bytes = 0;
    assert_int_equal(ms_plan_budget(&p, &budget, &err), MS_INVALID_ARGUMENT);
    p.device = "toaster";
    assert_int_not_equal(ms_plan_budget(&p, &budget, &err), MS_OK);
    assert_int_equal(budget, 1 << 20);
    free(report);
}

static void the_machine_is_what_it_is(void **state) {
    (void)state;
    ms_probe *probe = NULL;
    ms_probe_host host;
    ms_probe_device device;
    const ms_probe_params p = {.device = "cpu", .threads = 2},
                          dummy = {.device = "dummy", .memory_bytes = 1 << 30},
                          works = {.device = "dummy", .memory_bytes = 1 << 30, .must_compute = true};
    assert_ms_ok(ms_probe_create(&p, &probe, &err), &err);
    ms_probe_get_host(probe, &host);
    assert_true(host.cpus >= 1 && host.cpu_name[0] && host.total_bytes >= host.available_bytes);
    assert_true(host.free_bytes > 0 && host.nominal_bytes <= host.total_bytes);
    ms_probe_cgroup group;
    int levels = 0;
    size_t left = SIZE_MAX;
    for (; ms_probe_get_cgroup(probe, levels, &group); levels++)
        left = group.left_bytes < left ? group.left_bytes : left;
    assert_int_equal(levels, host.cgroup_levels);
    assert_int_equal(left, host.cgroup_left_bytes);
    assert_true(ms_probe_get_device(probe, &device));
    assert_string_equal(device.backend, "cpu");
    assert_true(device.computes && !device.own_memory && device.threads == 2);
    assert_int_equal(device.nominal_bytes, host.nominal_bytes);
    assert_int_equal(ms_probe_disk(probe, "/nowhere", &(ms_probe_bandwidth){0}, &err), MS_IO);
    assert_int_equal(ms_probe_calibrate(probe, "/proc/self/exe", "/proc/no/h.db", &(ms_probe_rates){0}, &err),
                     ms_has_feature(MS_FEATURE_SQLITE) ? MS_IO : MS_UNSUPPORTED);
    ms_probe_destroy(&probe);
    assert_ms_ok(ms_probe_create(&dummy, &probe, &err), &err);
    assert_true(ms_probe_get_device(probe, &device));
    assert_true(!device.computes && device.own_memory && device.nominal_bytes == 1 << 30);
    assert_int_equal(ms_probe_upload(probe, &(ms_probe_bandwidth){0}, &err), MS_UNSUPPORTED);
    ms_probe_destroy(&probe);
    assert_int_equal(ms_probe_create(&works, &probe, &err), MS_UNSUPPORTED);
    assert_string_equal(ms_probe_instruction_set(0), "c");
    assert_string_equal(ms_probe_backend(0), "cpu");
    assert_true(ms_probe_has_encoder(MS_OUTPUT_FFV1) == ms_has_feature(MS_FEATURE_FFMPEG));
}

static void a_profile_is_told(void **state) {
    (void)state;
    const char *const settings[] = {"vae_decode_batch=3"};
    const ms_profile_source source = {.settings = settings, .n_settings = 1, .settings_called = "--set"};
    char *text = NULL;
    assert_ms_ok(ms_profile_describe(&source, (size_t)8 << 30, 0, MS_PROFILE_TEXT, &text, &err), &err);
    assert_int_equal(strncmp(text, "Tier\n  compact, because ", 23), 0);
    assert_non_null(strstr(text, "--set"));
    ms_mem_free(text);
    assert_ms_ok(
        ms_profile_describe(&source, (size_t)8 << 30, (size_t)40 << 30, MS_PROFILE_JSON, &text, &err), &err);
    assert_true(text[0] == '{' && strstr(text, "\"tier\": \"datacenter\""));
    ms_mem_free(text);
    /* Of an optimizer, which also knows what its device computes in. */
    ms_optimizer_params p;
    ms_optimizer *optimizer = NULL;
    ms_optimizer_params_init(&p);
    p.environment = false;
    p.device_bytes = (size_t)80 << 30;
    p.device_has_bf16 = true;
    assert_ms_ok(ms_optimizer_create(&p, &optimizer, &err), &err);
    assert_ms_ok(ms_profile_of_optimizer(optimizer, MS_PROFILE_JSON, &text, &err), &err);
    assert_true(strstr(text, "\"tier\": \"datacenter\"") && strstr(text, "\"value\": \"bf16\""));
    ms_mem_free(text);
    assert_ms_ok(ms_profile_of_optimizer(optimizer, MS_PROFILE_TEXT, &text, &err), &err);
    assert_int_equal(strncmp(text, "Tier\n  datacenter, because ", 27), 0);
    ms_mem_free(text);
    ms_optimizer_destroy(&optimizer);
    assert_ms_ok(ms_profile_fields(&text, &err), &err);
    assert_non_null(strstr(text, "`vae_decode_batch`"));
    ms_mem_free(text);
}

/* ---- earlier runs ---- */

#if MS_HAVE_SQLITE
static ms_status never(void *arg, const ms_past_run *run) {
    (void)arg, (void)run;
    fail_msg("a run is on record");
    return MS_OK;
}

static void a_new_history_is_empty(void **state) {
    (void)state;
    char warning[MS_HISTORY_WARNING_BYTES] = "?";
    const char *path = in_folder("deep/history.db");
    assert_ms_ok(ms_history_read(path, 0, never, NULL, warning, &err), &err);
    assert_string_equal(warning, "");
    assert_ms_ok(ms_history_forget(path, NULL, &err), &err);
    assert_int_equal(ms_history_read(in_folder("unet.yaml"), 0, never, NULL, warning, &err), MS_DAMAGED);
    assert_int_equal(ms_history_forget(in_folder("unet.yaml"), NULL, &err), MS_DAMAGED);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_model_has_nothing_wrong),
#if MS_HAVE_YAML
        cmocka_unit_test(damage_is_found_part_by_part),
#endif
        cmocka_unit_test(a_model_that_is_there_is_not_replaced),
        cmocka_unit_test(a_model_has_batch_sizes),
        cmocka_unit_test(a_budget_needs_no_plan),
        cmocka_unit_test(the_machine_is_what_it_is),
        cmocka_unit_test(a_profile_is_told),
#if MS_HAVE_SQLITE
        cmocka_unit_test(a_new_history_is_empty),
#endif
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, make_model, remove_model);
}
