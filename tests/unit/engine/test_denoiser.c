/* The denoising loop: latents and all that goes with them stay on the device, in the same bits however
   the branches are run, what is captured is launched again, and what is not finite is found. */
#include "test.h"

#include <dlfcn.h>
#include <math.h>

#include "base/philox.h"
#include "engine/denoiser.h"
#include "models/model_files.h"
#include "support/golden.h"

enum { FRAMES = 3, SIDE = 8, PIXELS = SIDE * SIDE, LATENTS = FRAMES * PIXELS * 4, TOKENS = 10, STEPS = 4 };

static ms_model_files files;

typedef struct how {
    const char *device;
    bool serial, deepcache, replay, seeded; /* seeded: the start noise is made on the device */
    float guidance;
} how;

typedef struct traffic {
    uint64_t up, down;
} traffic;

typedef struct bench {
    ms_params *params;
    ms_context at;
    ms_denoiser *denoiser;
    size_t arena_bytes;
    float *audio, mask[PIXELS], pictures[2][LATENTS], start[LATENTS];
    /* Of the steps. */
    void (*count)(uint64_t *up, uint64_t *down); /* of the remote device */
    traffic before, most;
    int steps;
    void (*after_step)(void *arg, int step);
    int broken; /* the step after which a latent is made no number */
} bench;

static size_t audio_floats(void) {
    return (size_t)(FRAMES * TOKENS * files.unet_config.cross_attention_dim);
}

static traffic now(const bench *b) {
    traffic t = {0};
    if (b->count)
        b->count(&t.up, &t.down);
    return t;
}

/* What crossed since the step before. The first has the window's condition too. */
static void step_done(void *arg, int step) {
    bench *b = arg;
    traffic t = now(b);
    if (step > 0) {
        b->most.up = t.up - b->before.up > b->most.up ? t.up - b->before.up : b->most.up;
        b->most.down = t.down - b->before.down > b->most.down ? t.down - b->before.down : b->most.down;
    }
    b->before = t;
    b->steps++;
}

static void bench_open(bench *b, const how *h) {
    ms_error err;
    size_t state_bytes = 0;
    memset(b, 0, sizeof(*b));
    b->after_step = step_done;
    const ms_compute_params device = {.device = h->device, .threads = 2, .isa_limit = MS_ISA_COUNT - 1};
    assert_ms_ok(ms_compute_open(&device, &b->at.compute, &err), &err);
    b->at.compute.replay = h->replay;
    assert_ms_ok(ms_params_create(NULL, b->at.compute.dev, &b->params, &err), &err);
    assert_ms_ok(ms_weights_create(&b->at.compute, b->params, &b->at.weights, &err), &err);
    assert_ms_ok(ms_denoiser_create(b->params, MS_F32, &files.unet_config, &b->denoiser, &err), &err);
    const ms_denoise_params params = {.frames = FRAMES,
                                      .h = SIDE,
                                      .w = SIDE,
                                      .tokens = TOKENS,
                                      .steps = STEPS,
                                      .guidance = h->guidance,
                                      .deepcache = h->deepcache,
                                      .serial_branches = h->serial,
                                      .seed = 3};
    assert_ms_ok(ms_denoiser_prepare(b->denoiser, &params, &b->arena_bytes, &state_bytes, &err), &err);
    ms_tensor_file *file = NULL;
    ms_weights_load_params load = {.precision = MS_F16};
    assert_ms_ok(ms_checkpoint_open(NULL, files.unet, "conv_in.weight", &file, &load.prefix, &err), &err);
    assert_ms_ok(ms_weights_load(b->at.weights, file, MS_ALL_RESIDENT, &load, &err), &err);
    ms_tensor_file_close(&file);
    ms_device *dev = b->at.compute.dev;
    assert_ms_ok(ms_device_alloc(dev, MS_LEDGER_ACTIVATIONS, b->arena_bytes, "arena", &b->at.arena, &err),
                 &err);
    assert_ms_ok(ms_device_alloc(dev, MS_LEDGER_STAGING, state_bytes, "state", &b->at.state, &err), &err);
    b->audio = malloc(audio_floats() * sizeof(float));
    assert_non_null(b->audio);
    ms_noise_normals(1, 0, 0, 0, audio_floats(), b->audio);
    ms_noise_normals(2, 0, 0, 0, 2 * LATENTS, b->pictures[0]);
    float planes[4 * PIXELS];
    ms_noise_normals(3, MS_NOISE_START, 0, 0, 4 * PIXELS, planes);
    for (int i = 0; i < LATENTS; i++)
        b->start[i] = planes[i % 4 * PIXELS + i / 4 % PIXELS];
    for (int i = 0; i < PIXELS; i++)
        b->mask[i] = i < PIXELS / 2;
}

static void bench_close(bench *b) {
    ms_denoiser_destroy(&b->denoiser);
    ms_device_free(b->at.compute.dev, b->at.arena);
    ms_device_free(b->at.compute.dev, b->at.state);
    ms_weights_destroy(&b->at.weights);
    ms_params_destroy(&b->params);
    ms_compute_close(&b->at.compute);
    free(b->audio);
}

static ms_status run(bench *b, bool seeded, float ret_latents[LATENTS], ms_error *err) {
    const size_t bytes = LATENTS * sizeof(float);
    const ms_denoise_io io = {.audio = b->audio, .mask = b->mask, .latents = seeded ? NULL : b->start};
    const ms_denoise_hooks hooks = {.step = b->after_step, .arg = b};
    static const ms_denoise_part parts[] = {MS_DENOISE_MASKED, MS_DENOISE_REFERENCE};
    for (int i = 0; i < 2; i++)
        assert_int_equal(ms_compute_upload(&b->at.compute, ms_denoiser_part(b->denoiser, &b->at, parts[i]),
                                           b->pictures[i], bytes),
                         MS_OK);
    ms_status status = ms_denoiser_run(b->denoiser, &b->at, &io, &hooks, err);
    assert_int_equal(ms_compute_download(&b->at.compute, ret_latents,
                                         ms_denoiser_part(b->denoiser, &b->at, MS_DENOISE_LATENTS), bytes),
                     MS_OK);
    return status;
}

static void run_once(const how *h, float ret_latents[LATENTS]) {
    static bench b;
    ms_error err;
    bench_open(&b, h);
    assert_ms_ok(run(&b, h->seeded, ret_latents, &err), &err);
    assert_int_equal(b.steps, STEPS);
    bench_close(&b);
}

/* On the cpu and on the remote device, captured or not, branches together or one
   after the other, noise from the host or made there. */
static void the_bits_are_the_same(void **state) {
    (void)state;
    static float expected[LATENTS], got[LATENTS];
    for (int kind = 0; kind < 4; kind++) {
        how h = {.device = "cpu", .deepcache = kind & 1, .guidance = kind & 2 ? 1.5f : 1.0f};
        run_once(&h, expected);
        for (int i = 0; i < LATENTS; i++)
            assert_true(isfinite(expected[i]));
        for (int other = 1; other < 16; other++) {
            h.device = other & 1 ? "remote" : "cpu";
            h.serial = other & 2;
            h.replay = other & 4;
            h.seeded = other & 8;
            run_once(&h, got);
            assert_memory_equal(got, expected, sizeof(expected));
        }
    }
}

/* Between two steps the time's embedding and the step's factors go to the device,
   and only the check's word comes back. */
static void latents_stay_on_the_device(void **state) {
    (void)state;
    static bench b;
    static float got[LATENTS];
    char path[1024];
    ms_error err;
    snprintf(path, sizeof(path), "%s/memsafe-remote.so", getenv("MEMSAFE_PLUGIN_DIR"));
    for (int kind = 0; kind < 4; kind++) {
        const how h = {
            .device = "remote", .deepcache = true, .serial = kind & 1, .replay = kind & 2, .guidance = 1.5f};
        bench_open(&b, &h);
        void *plugin = dlopen(path, RTLD_NOW), *found = plugin ? dlsym(plugin, "remote_traffic") : NULL;
        assert_non_null(found);
        memcpy(&b.count, &found, sizeof(found));
        assert_ms_ok(run(&b, true, got, &err), &err);
        const size_t scalars = (size_t)files.unet_config.channels[0] * sizeof(float) + MS_ARENA_ALIGN;
        assert_true(b.most.up > 0 && b.most.up <= scalars);
        assert_int_equal(b.most.down, sizeof(uint32_t));
        bench_close(&b);
        dlclose(plugin);
    }
}

/* Each branch has a list of its own, and both are good for all steps and windows;
   other memory makes new ones. */
static void what_is_captured_is_launched_again(void **state) {
    (void)state;
    static bench b;
    static float expected[LATENTS], got[LATENTS];
    ms_error err;
    const how h = {.device = "remote", .serial = true, .deepcache = true, .replay = true, .guidance = 1.5f};
    bench_open(&b, &h);
    assert_ms_ok(run(&b, true, expected, &err), &err);
    ms_network_list kept[2][MS_NETWORK_LISTS];
    for (int cached = 0; cached < 2; cached++) {
        memcpy(kept[cached], ms_denoiser_network(b.denoiser, cached)->list, sizeof(kept[0]));
        assert_true(kept[cached][0].launches && kept[cached][1].launches);
        assert_true(kept[cached][0].launches != kept[cached][1].launches);
    }
    assert_ms_ok(run(&b, true, got, &err), &err);
    assert_memory_equal(got, expected, sizeof(got));
    for (int cached = 0; cached < 2; cached++)
        assert_memory_equal(kept[cached], ms_denoiser_network(b.denoiser, cached)->list, sizeof(kept[0]));
    void *old = b.at.arena;
    b.at.arena = NULL;
    assert_ms_ok(
        ms_device_alloc(b.at.compute.dev, MS_LEDGER_ACTIVATIONS, b.arena_bytes, "arena", &b.at.arena, &err),
        &err);
    ms_device_free(b.at.compute.dev, old); /* a list that still means it would fault */
    assert_ms_ok(run(&b, true, got, &err), &err);
    assert_memory_equal(got, expected, sizeof(got));
    bench_close(&b);
}

/* A device's memory breaks after the second step: the third one's check tells. */
static void break_latents(void *arg, int step) {
    bench *b = arg;
    const float nan = NAN;
    b->steps++;
    if (step == b->broken)
        assert_int_equal(ms_compute_upload(&b->at.compute,
                                           ms_denoiser_part(b->denoiser, &b->at, MS_DENOISE_LATENTS), &nan,
                                           sizeof(nan)),
                         MS_OK);
}

/* Wherever it comes up, the last step included. */
static void the_step_is_told(void **state) {
    (void)state;
    static bench b;
    static float got[LATENTS];
    ms_error err;
    char said[64];
    for (int kind = 0; kind < 4; kind++) {
        const how h = {
            .device = kind & 1 ? "remote" : "cpu", .serial = kind & 2, .deepcache = true, .guidance = 1.5f};
        for (int broken = 0; broken < STEPS - 1; broken++) {
            bench_open(&b, &h);
            b.after_step = break_latents;
            b.broken = broken;
            assert_int_equal(run(&b, true, got, &err), MS_BAD_MODEL);
            snprintf(said, sizeof(said), "not finite after step %d of %d:", broken + 2, STEPS);
            assert_non_null(strstr(err.message, said));
            assert_int_equal(b.steps, broken + 2);
            bench_close(&b);
        }
    }
}

/* What is planned for lists is what those hold that are made. */
static void captured_calls_are_as_planned(void **state) {
    (void)state;
    static bench b;
    static float got[LATENTS];
    char path[1024];
    ms_error err;
    snprintf(path, sizeof(path), "%s/memsafe-remote.so", getenv("MEMSAFE_PLUGIN_DIR"));
    for (int kind = 0; kind < 8; kind++) {
        const how h = {.device = "remote",
                       .serial = kind & 1,
                       .deepcache = kind & 2,
                       .replay = true,
                       .guidance = kind & 4 ? 1.5f : 1.0f};
        uint64_t (*captured)(void);
        bench_open(&b, &h);
        void *plugin = dlopen(path, RTLD_NOW), *found = plugin ? dlsym(plugin, "remote_captured") : NULL;
        assert_non_null(found);
        memcpy(&captured, &found, sizeof(found));
        b.at.compute.dev->caps.launch_bytes = 1; /* so bytes count calls */
        const uint64_t before = captured();
        assert_ms_ok(run(&b, true, got, &err), &err);
        assert_int_equal(captured() - before, ms_denoiser_launch_bytes(b.denoiser));
        assert_true(captured() > before);
        bench_close(&b);
        dlclose(plugin);
    }
}

static void what_is_not_finite_is_an_error(void **state) {
    (void)state;
    static bench b;
    static float got[LATENTS];
    ms_error err;
    for (int kind = 0; kind < 4; kind++) {
        const how h = {.device = kind & 1 ? "remote" : "cpu", .replay = true, .guidance = 1.5f};
        bench_open(&b, &h);
        if (kind & 2)
            b.start[LATENTS - 1] = NAN;
        else
            b.audio[5] = INFINITY;
        assert_int_equal(run(&b, false, got, &err), MS_BAD_MODEL);
        assert_non_null(strstr(err.message, "the denoiser's latents are not finite after step 1 of 4"));
        assert_int_equal(b.steps, 1); /* and no step more was computed */
        b.start[LATENTS - 1] = 0;     /* and is forgotten by the next window */
        b.audio[5] = 0;
        assert_ms_ok(run(&b, false, got, &err), &err);
        bench_close(&b);
    }
}

/* What is bound has no room in the arena, and an address that is missing is told of. */
static void bound_values_are_elsewhere(void **state) {
    (void)state;
    static bench b;
    ms_error err;
    const how h = {.device = "cpu", .deepcache = true, .guidance = 1.5f};
    bench_open(&b, &h);
    const ms_network *net = ms_denoiser_network(b.denoiser, false);
    static const char *const names[] = {"latents", "mask", "masked", "reference",
                                        "audio",   "time", "noise",  "cache"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        ms_value v = ms_graph_find(net->graph, names[i]);
        assert_true(v != MS_NO_VALUE && net->plan->value_bytes[v] == 0);
    }
    assert_int_equal(ms_exec_run(net->graph, net->plan, &b.at, NULL, &err), MS_INTERNAL);
    assert_non_null(strstr(err.message, "is not bound"));
    float mask[PIXELS];
    assert_int_equal(ms_network_read(net, &b.at, "mask", mask, &err), MS_INTERNAL);
    bench_close(&b);
}

static int prepare(void **state) {
    (void)state;
    char config[512], unet[512];
    ms_error err;
    assert_non_null(golden_path(config, sizeof(config), "tiny/unet.yaml"));
    assert_non_null(golden_path(unet, sizeof(unet), "tiny/latentsync_unet_fp16.pt"));
    const ms_model_names names = {.config = config, .unet = unet};
    assert_ms_ok(ms_model_files_find(&names, MS_PART_UNET, &files, &err), &err);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bits_are_the_same),
        cmocka_unit_test(latents_stay_on_the_device),
        cmocka_unit_test(what_is_captured_is_launched_again),
        cmocka_unit_test(captured_calls_are_as_planned),
        cmocka_unit_test(what_is_not_finite_is_an_error),
        cmocka_unit_test(the_step_is_told),
        cmocka_unit_test(bound_values_are_elsewhere),
    };
    if (!MS_HAVE_YAML)
        return 0;
    return cmocka_run_group_tests(tests, prepare, NULL);
}
