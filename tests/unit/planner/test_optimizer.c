/* Batch queries: caps, memory, pressure, and the exact costs of our own networks. */
#include "test.h"

#include "graph/network.h"
#include "models/synthesize/synthesize.h"
#include "planner/batch_cost.h"
#include "planner/optimizer.h"

#define GIB ((size_t)1 << 30)
#define MIB ((size_t)1 << 20)

static ms_optimizer *make(const char *profile, const ms_optimizer_params *params, const char *setting) {
    ms_optimizer *o = NULL;
    ms_optimizer_params p = *params;
    ms_error err;
    p.device_bytes = p.device_bytes ? p.device_bytes : 8 * GIB;
    p.profile = profile;
    p.settings = &setting;
    p.n_settings = setting != NULL;
    assert_ms_ok(ms_optimizer_create(&p, &o, &err), &err);
    return o;
}

static ms_batch_answer ask(const ms_optimizer *o, ms_task task, const ms_batch_request *r) {
    ms_batch_answer a;
    ms_error err;
    int batch = 0;
    assert_ms_ok(ms_optimizer_explain(o, task, r, &a, &err), &err);
    assert_ms_ok(ms_optimizer_get_optimal_batch_size(o, task, r, &batch, &err), &err);
    assert_int_equal(batch, a.batch);
    return a;
}

/* 1 KiB a pixel: 64 MiB an item of 256 x 256. */
static ms_optimizer_params table(size_t free_bytes) {
    ms_optimizer_params p;
    ms_optimizer_params_init(&p);
    assert_true(p.environment);
    p.free_bytes = free_bytes;
    for (int t = 0; t < MS_TASK_COUNT; t++)
        p.costs[t] = (ms_task_cost){.fixed_bytes = 10 * MIB, .item_bytes = MIB, .pixel_bytes = 1024};
    return p;
}

static void caps_are_the_tiers(void **state) {
    (void)state;
    static const int face[] = {4, 8, 16, 32}, decode[] = {1, 3, 8, 16};
    static const char *const tiers[] = {"compact", "standard", "professional", "datacenter"};
    const ms_optimizer_params p = table(100 * GIB);
    const ms_batch_request r = {.height = 256, .width = 256};
    for (int t = 0; t < 4; t++) {
        ms_optimizer *o = make(tiers[t], &p, NULL);
        for (int task = 0; task < MS_TASK_COUNT; task++) {
            ms_batch_answer a = ask(o, (ms_task)task, &r);
            int want = task == MS_TASK_FACE_PROCESSING ? face[t]
                       : task == MS_TASK_VAE_DECODE    ? decode[t]
                                                       : 32;
            assert_int_equal(a.batch, want);
            assert_int_equal(a.limit, MS_BATCH_BY_CAP);
            assert_true(a.fits && !a.cap_is_users);
        }
        ms_optimizer_destroy(&o);
        assert_null(o);
    }
}

static void memory_and_resolution_lower_a_batch(void **state) {
    (void)state;
    const ms_optimizer_params p = table(1000 * MIB); /* 10 % are left alone: 900 */
    ms_optimizer *o = make("datacenter", &p, NULL);
    ms_batch_request r = {.height = 256, .width = 256};
    ms_batch_answer a = ask(o, MS_TASK_VAE_DECODE, &r); /* 10 + 13 x 65 = 855, 14 would be 920 */
    assert_int_equal(a.batch, 13);
    assert_int_equal(a.limit, MS_BATCH_BY_MEMORY);
    assert_int_equal(a.usable_bytes, 900 * MIB);
    assert_int_equal(a.needed.device_bytes, 855 * MIB);
    assert_int_equal(a.one.device_bytes, 75 * MIB);
    r.free_bytes = 855 * MIB * 10 / 9 + 10; /* to the byte */
    assert_int_equal(ask(o, MS_TASK_VAE_DECODE, &r).batch, 13);
    r.free_bytes = 855 * MIB * 10 / 9 - 10;
    assert_int_equal(ask(o, MS_TASK_VAE_DECODE, &r).batch, 12);
    r = (ms_batch_request){.height = 512, .width = 512};
    assert_int_equal(ask(o, MS_TASK_VAE_DECODE, &r).batch, 3); /* 10 + 3 x 257 */
    r = (ms_batch_request){.height = 1024, .width = 1024};
    a = ask(o, MS_TASK_VAE_DECODE, &r);
    assert_int_equal(a.batch, 1);
    assert_false(a.fits);
    assert_int_equal(a.limit, MS_BATCH_BY_MEMORY);
    r = (ms_batch_request){.height = 65536, .width = 65536}; /* no overflow */
    assert_false(ask(o, MS_TASK_VAE_DECODE, &r).fits);
    for (size_t free_mib = 1; free_mib < 2000; free_mib += 37) { /* the binary search against the formula */
        r = (ms_batch_request){.height = 256, .width = 256, .free_bytes = free_mib * MIB};
        a = ask(o, MS_TASK_VAE_ENCODE, &r);
        int64_t fit = ((int64_t)a.usable_bytes - (int64_t)(10 * MIB)) / (int64_t)(65 * MIB);
        assert_int_equal(a.batch, fit < 1 ? 1 : fit > 32 ? 32 : fit);
        assert_int_equal(a.fits, fit >= 1);
    }
    ms_optimizer_destroy(&o);
}

static void pressure_and_frames_lower_it_further(void **state) {
    (void)state;
    const ms_optimizer_params p = table(1000 * MIB);
    ms_optimizer *o = make("datacenter", &p, NULL);
    static const int want[] = {13, 6, 3, 1};
    for (int level = 0; level <= 3; level++) {
        ms_batch_request r = {.height = 256, .width = 256, .pressure = level};
        ms_batch_answer a = ask(o, MS_TASK_VAE_DECODE, &r);
        assert_int_equal(a.batch, want[level]);
        assert_int_equal(a.limit, level ? MS_BATCH_BY_PRESSURE : MS_BATCH_BY_MEMORY);
        r.frames = 5;
        a = ask(o, MS_TASK_VAE_DECODE, &r);
        assert_int_equal(a.batch, level == 0 ? 5 : level == 1 ? 2 : 1);
        r.frames = 1;
        a = ask(o, MS_TASK_VAE_DECODE, &r);
        assert_int_equal(a.batch, 1);
        assert_int_equal(a.limit, MS_BATCH_BY_FRAMES);
    }
    ms_optimizer_destroy(&o);
}

static void the_user_may_go_above_the_cap(void **state) {
    (void)state;
    const ms_optimizer_params p = table(100 * GIB);
    const ms_batch_request r = {.height = 256, .width = 256};
    ms_optimizer *o = make("compact", &p, "vae_decode_batch=100");
    ms_batch_answer a = ask(o, MS_TASK_VAE_DECODE, &r);
    assert_int_equal(a.batch, 100);
    assert_true(a.cap_is_users);
    ms_optimizer_destroy(&o);
    o = make("compact", &p, "unet_inference_batch=64");
    assert_int_equal(ask(o, MS_TASK_UNET_INFERENCE, &r).batch, 64);
    ms_optimizer_destroy(&o);
    o = make("compact", &p, "unet_inference_batch=auto");
    assert_int_equal(ask(o, MS_TASK_UNET_INFERENCE, &r).batch, 32);
    ms_optimizer_destroy(&o);
    o = make("datacenter", &p, "budget=140M"); /* 10 + 2 x 65 */
    assert_int_equal(ask(o, MS_TASK_VAE_DECODE, &r).batch, 2);
    ms_optimizer_destroy(&o);
}

typedef struct fake {
    size_t free_bytes;
    int calls;
    ms_status status;
} fake;

static size_t fake_free(void *arg) {
    return ((fake *)arg)->free_bytes;
}

static ms_status fake_cost(void *arg, ms_task task, const ms_batch_request *r, int items,
                           ms_batch_bytes *ret_bytes, ms_error *err) {
    fake *f = arg;
    (void)task, (void)r;
    f->calls++;
    if (f->status != MS_OK)
        return ms_fail(err, f->status, "the cost is not to be had");
    *ret_bytes = (ms_batch_bytes){.device_bytes = (size_t)items * MIB, .host_bytes = (size_t)items * 2 * MIB};
    return MS_OK;
}

static void cost_and_free_memory_are_asked_for(void **state) {
    (void)state;
    fake f = {.free_bytes = 20 * MIB};
    ms_optimizer_params p;
    ms_optimizer_params_init(&p);
    p.cost = fake_cost;
    p.ask_free = fake_free;
    p.arg = &f;
    p.host_budget_bytes = 24 * MIB;
    ms_optimizer *o = make("datacenter", &p, NULL);
    ms_batch_request r = {.height = 8, .width = 8};
    ms_batch_answer a = ask(o, MS_TASK_FACE_PROCESSING, &r); /* the host has room for 12, the device for 18 */
    assert_int_equal(a.batch, 12);
    assert_int_equal(a.limit, MS_BATCH_BY_HOST_MEMORY);
    f.free_bytes = 10 * MIB;
    a = ask(o, MS_TASK_FACE_PROCESSING, &r);
    assert_int_equal(a.batch, 9);
    assert_int_equal(a.limit, MS_BATCH_BY_MEMORY);
    f.calls = 0;
    int batch = 42;
    ms_error err;
    assert_ms_ok(ms_optimizer_get_optimal_batch_size(o, MS_TASK_FACE_PROCESSING, &r, &batch, &err), &err);
    assert_true(f.calls <= 8); /* log2(32), one item and the result */
    f.status = MS_BAD_MODEL;
    assert_int_equal(ms_optimizer_get_optimal_batch_size(o, MS_TASK_FACE_PROCESSING, &r, &batch, &err),
                     MS_BAD_MODEL);
    assert_string_equal(err.message, "the cost is not to be had");
    assert_int_equal(batch, 9); /* left alone */
    ms_optimizer_destroy(&o);
}

static void wrong_queries_are_errors(void **state) {
    (void)state;
    ms_optimizer_params p = table(GIB);
    p.costs[MS_TASK_VAE_ENCODE] = (ms_task_cost){0};
    ms_optimizer *o = make("compact", &p, NULL), *none = NULL;
    const ms_batch_request good = {.height = 8, .width = 8};
    static const ms_batch_request bad[] = {{.height = 0, .width = 8},
                                           {.height = 8, .width = 65537},
                                           {.height = 8, .width = 8, .frames = -1},
                                           {.height = 8, .width = 8, .pressure = 4},
                                           {.height = 8, .width = 8, .pressure = -1}};
    ms_error err;
    int batch;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(ms_optimizer_get_optimal_batch_size(o, MS_TASK_VAE_DECODE, &bad[i], &batch, &err),
                         MS_INVALID_ARGUMENT);
    assert_int_equal(ms_optimizer_get_optimal_batch_size(o, MS_TASK_COUNT, &good, &batch, NULL),
                     MS_INVALID_ARGUMENT);
    assert_int_equal(ms_optimizer_get_optimal_batch_size(o, MS_TASK_VAE_ENCODE, &good, &batch, &err),
                     MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "what vae_encode costs is not known"));
    p.device_bytes = 0;
    assert_int_equal(ms_optimizer_create(&p, &none, &err), MS_INVALID_ARGUMENT);
    p.device_bytes = GIB;
    p.profile = "huge";
    assert_int_equal(ms_optimizer_create(&p, &none, &err), MS_INVALID_ARGUMENT);
    p.profile = NULL;
    ms_mem_fail_after(1, false);
    assert_int_equal(ms_optimizer_create(&p, &none, &err), MS_HOST_MEMORY);
    ms_mem_fail_after(0, false);
    assert_null(none);
    ms_optimizer_destroy(&o);
    ms_task task;
    for (int t = 0; t < MS_TASK_COUNT; t++)
        assert_true(ms_task_find(ms_task_name((ms_task)t), &task) && (int)task == t);
    assert_false(ms_task_find("vae", &task));
}

/* ---- our own networks ---- */

static ms_compute computing;

static ms_batch_costs *tiny_costs(ms_model_files *files) {
    ms_batch_costs *costs;
    ms_error err;
    assert_ms_ok(ms_synthetic_configs(MS_SYNTHETIC_TINY, files, &err), &err);
    const ms_compute_params cpu = {.device = "cpu", .threads = 2, .isa_limit = MS_ISA_COUNT - 1};
    assert_ms_ok(ms_compute_open(&cpu, &computing, &err), &err);
    const ms_batch_cost_params params = {.compute = &computing, .files = files, .branches = 2};
    assert_ms_ok(ms_batch_costs_create(&params, &costs, &err), &err);
    return costs;
}

static size_t cost_of(ms_batch_costs *costs, ms_task task, ms_batch_request r, int items) {
    ms_batch_bytes bytes;
    ms_error err;
    assert_ms_ok(ms_batch_cost(costs, task, &r, items, &bytes, &err), &err);
    assert_int_equal(bytes.host_bytes, 0);
    return bytes.device_bytes;
}

/* The arena that the back end which computes would need. */
static size_t cpu_arena(const ms_model_files *files, bool unet, int items, ms_slicing slicing) {
    const ms_compute_params cpu = {.device = "cpu", .threads = 2, .isa_limit = MS_ISA_COUNT - 1};
    const ms_unet_shape shape = {.branches = 2, .frames = 16, .h = 16, .w = 16, .tokens = 50};
    ms_compute compute;
    ms_params *params;
    ms_graph *graph;
    ms_network net;
    ms_error err;
    assert_ms_ok(ms_compute_open(&cpu, &compute, &err), &err);
    assert_ms_ok(ms_params_create(NULL, compute.dev, &params, &err), &err);
    assert_ms_ok(ms_graph_create(params, compute.activation, &graph, &err), &err);
    if (unet)
        assert_ms_ok(ms_unet_build(graph, &files->unet_config, &shape, &err), &err);
    else
        assert_ms_ok(ms_vae_build_decoder(graph, &files->vae_config_values,
                                          &(ms_vae_build){.images = items, .h = 16, .w = 16}, &err),
                     &err);
    assert_ms_ok(ms_network_take(&graph, &slicing, &net, &err), &err);
    size_t bytes = net.plan->arena_bytes;
    ms_network_clear(&net);
    ms_params_destroy(&params);
    ms_compute_close(&compute);
    return bytes;
}

static void costs_are_those_of_the_real_back_end(void **state) {
    (void)state;
    static ms_model_files files;
    ms_batch_costs *costs = tiny_costs(&files);
    const ms_batch_request r = {.height = 128, .width = 128};
    for (int items = 1; items <= 9; items += 2) {
        size_t buffers = (128 * 128 * 3 + 16 * 16 * 4) * sizeof(float);
        assert_int_equal(cost_of(costs, MS_TASK_VAE_DECODE, r, items),
                         cpu_arena(&files, false, items, (ms_slicing){0}) + (size_t)items * buffers);
        assert_int_equal(cost_of(costs, MS_TASK_UNET_INFERENCE, r, items),
                         cpu_arena(&files, true, 0, (ms_slicing){.frames = 2 * items, .pixels = 16 * items}));
    }
    assert_int_equal(cost_of(costs, MS_TASK_UNET_INFERENCE, r, 16),
                     cpu_arena(&files, true, 0, (ms_slicing){0}));
    ms_batch_costs_destroy(&costs);
    ms_compute_close(&computing);
    assert_null(costs);
}

static void costs_rise_with_items_and_pixels(void **state) {
    (void)state;
    static ms_model_files files;
    ms_batch_costs *costs = tiny_costs(&files);
    for (int t = 0; t < MS_TASK_COUNT; t++) {
        size_t before = 0;
        for (int items = 1; items <= 32; items++) {
            size_t now = cost_of(costs, (ms_task)t, (ms_batch_request){.height = 128, .width = 128}, items);
            if (now < before)
                fail_msg("%s: %d items cost %zu, one less %zu", ms_task_name((ms_task)t), items, now, before);
            before = now;
        }
        assert_true(before > cost_of(costs, (ms_task)t, (ms_batch_request){.height = 128, .width = 128}, 1));
        assert_true(cost_of(costs, (ms_task)t, (ms_batch_request){.height = 256, .width = 256}, 1) >
                    cost_of(costs, (ms_task)t, (ms_batch_request){.height = 128, .width = 128}, 1));
    }
    ms_error err;
    ms_batch_bytes bytes;
    const ms_batch_request odd = {.height = 100, .width = 128};
    assert_int_equal(ms_batch_cost(costs, MS_TASK_VAE_DECODE, &odd, 1, &bytes, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "multiples of 8"));
    size_t f16 = 0, f32 = 0;
    assert_ms_ok(ms_batch_costs_weight_bytes(costs, MS_F16, &f16, &err), &err);
    assert_ms_ok(ms_batch_costs_weight_bytes(costs, MS_F32, &f32, &err), &err);
    assert_true(f16 > 0 && f32 > f16 && f32 <= 2 * f16);
    ms_batch_costs_destroy(&costs);
    ms_compute_close(&computing);
}

/* Every allocation of making and asking fails once. */
static void costs_survive_failed_allocations(void **state) {
    (void)state;
    static ms_model_files files;
    ms_error err;
    const ms_batch_request r = {.height = 64, .width = 64, .frames = 2};
    assert_ms_ok(ms_synthetic_configs(MS_SYNTHETIC_TINY, &files, &err), &err);
    const ms_compute_params cpu = {.device = "cpu", .threads = 1, .isa_limit = MS_ISA_COUNT - 1};
    assert_ms_ok(ms_compute_open(&cpu, &computing, &err), &err);
    const ms_batch_cost_params params = {.compute = &computing, .files = &files, .branches = 1};
    ms_mem_usage before, after;
    ms_mem_get_usage(NULL, &before);
    bool passed = false;
    for (uint64_t n = 1; !passed; n++) {
        ms_batch_costs *costs = NULL;
        ms_batch_bytes bytes;
        ms_mem_fail_after(n, false);
        ms_status status = ms_batch_costs_create(&params, &costs, &err);
        if (status == MS_OK)
            status = ms_batch_cost(costs, MS_TASK_VAE_DECODE, &r, 1, &bytes, &err);
        ms_mem_fail_after(0, false);
        passed = status == MS_OK;
        if (!passed)
            assert_int_equal(status, MS_HOST_MEMORY);
        ms_batch_costs_destroy(&costs);
        ms_mem_get_usage(NULL, &after);
        assert_int_equal(after.current_bytes, before.current_bytes);
    }
    ms_compute_close(&computing);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(caps_are_the_tiers),
        cmocka_unit_test(memory_and_resolution_lower_a_batch),
        cmocka_unit_test(pressure_and_frames_lower_it_further),
        cmocka_unit_test(the_user_may_go_above_the_cap),
        cmocka_unit_test(cost_and_free_memory_are_asked_for),
        cmocka_unit_test(wrong_queries_are_errors),
        cmocka_unit_test(costs_are_those_of_the_real_back_end),
        cmocka_unit_test(costs_rise_with_items_and_pixels),
        cmocka_unit_test(costs_survive_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
