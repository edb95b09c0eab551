/* `memsafe-bench`: peak, kernels, and whole networks at the official shapes with random weights. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "bench.h"
#include "console/console.h"
#include "engine/engine.h"
#include "kernel_bench.h"
#include "models/unet3d.h"
#include "models/vae.h"
#include "models/whisper.h"
#include "console/program.h"

#define PEAK_SECONDS 0.3

static void bench_defaults(void *state) {
    bench_state *s = state;
    s->frames = 16;
    s->repeat = 1;
    s->batch = 4;
    s->steps = 2;
    s->guidance = 1.5;
    s->seconds = 0.3;
    s->isa = MS_ISA_COUNT - 1;
}

/* ---- a network with random weights and input ---- */

typedef struct bench_network {
    ms_params *params;
    ms_context at;
    ms_graph *graph; /* until the network takes it */
    ms_network net;
    double load_seconds;
} bench_network;

static void network_free(bench_network *b) {
    ms_network_clear(&b->net);
    ms_graph_destroy(&b->graph);
    ms_device_free(b->at.compute.dev, b->at.arena);
    ms_weights_destroy(&b->at.weights);
    ms_params_destroy(&b->params);
    ms_compute_close(&b->at.compute);
}

static ms_status network_begin(bench_network *b, const bench_state *s, ms_error *err) {
    MS_TRY(bench_open_compute(s, &b->at.compute, err));
    MS_TRY(ms_params_create(b->at.compute.mem, b->at.compute.dev, &b->params, err));
    MS_TRY(ms_weights_create(&b->at.compute, b->params, &b->at.weights, err));
    return ms_graph_create(b->params, b->at.compute.activation, &b->graph, err);
}

static ms_status network_ready(bench_network *b, const bench_state *s, ms_error *err) {
    ms_slicing slicing = {.frames = s->slice_frames, .pixels = s->slice_pixels, .rows = s->stripe_rows};
    MS_TRY(ms_network_take(&b->graph, &slicing, &b->net, err));
    double start = bench_now_s();
    MS_TRY(
        ms_weights_randomize(b->at.weights, 1, MS_ALL_RESIDENT, bench_precision(s), b->at.compute.pool, err));
    b->load_seconds = bench_now_s() - start;
    return ms_device_alloc(b->at.compute.dev, MS_LEDGER_ACTIVATIONS, b->net.plan->arena_bytes, "activations",
                           &b->at.arena, err);
}

/* All inputs get values in [-1, 1]. */
static ms_status fill_inputs(bench_network *b, ms_error *err) {
    uint32_t seed = 1;
    for (int v = 0; v < ms_graph_value_count(b->net.graph); v++) {
        const ms_value_info *info = ms_graph_value(b->net.graph, v);
        if (!info->input)
            continue;
        int64_t count = ms_shape_elements(info->shape);
        float *values = ms_alloc_array(NULL, MS_LEDGER_GENERAL, (size_t)count, sizeof(float));
        if (!values)
            return ms_fail_alloc(err, NULL, (size_t)count * sizeof(float), info->name);
        for (int64_t i = 0; i < count; i++) {
            seed = seed * 1664525u + 1013904223u;
            values[i] = (float)(int32_t)seed * 0x1p-31f;
        }
        ms_status status = ms_exec_write(b->net.graph, b->net.plan, &b->at, v, values);
        ms_mem_free(values);
        MS_TRY(status);
    }
    return MS_OK;
}

/* The rest of a line. */
static void print_peaks(double before, double after) {
    if (before > 0)
        cli_print("; FMA peak %.1f GFLOP/s before, %.1f after", before * 1e-9, after * 1e-9);
    cli_print("\n");
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Planned: weights, arena, and what the device takes for itself. */
static size_t device_bytes(const bench_network *b, const bench_state *s) {
    return ms_params_bytes(b->params, bench_precision(s)) + b->net.plan->arena_bytes +
           b->at.compute.dev->caps.own_bytes;
}

static ms_status network_time(bench_network *b, const bench_state *s, const char *what, double images,
                              ms_error *err) {
    double flops = ms_graph_flops(b->net.graph), peak = 0;
    double *taken = ms_alloc_array(NULL, MS_LEDGER_GENERAL, (size_t)s->repeat, sizeof(double));
    if (!taken)
        return ms_fail_alloc(err, NULL, (size_t)s->repeat * sizeof(double), "the times");
    ms_status status = MS_OK;
    const ms_plan *plan = b->net.plan;
    cli_print("%s, %s, %d threads (%s)\n", what, ms_dtype_name(bench_precision(s)),
              ms_pool_threads(b->at.compute.pool), b->at.compute.dev->description);
    cli_print("  weights %.2f GiB (made in %.1f s), arena %.1f MiB = %.3f x lower bound (%s), %.2f TFLOP\n",
              (double)ms_params_bytes(b->params, bench_precision(s)) / 0x1p30, b->load_seconds,
              (double)plan->arena_bytes / 0x1p20, (double)plan->arena_bytes / (double)plan->lower_bound_bytes,
              plan->ordering, flops * 1e-12);
    for (int i = 0; i < s->repeat; i++) {
        bench_profile profile = {0};
        ms_exec_params exec = {0};
        peak = bench_peak_flops(&b->at.compute, PEAK_SECONDS);
        MS_GOTO(fill_inputs(b, err));
        if (s->profile)
            MS_GOTO(bench_profile_start(&profile, b->net.graph, &exec, err));
        double start = bench_now_s();
        MS_GOTO(s->profile ? ms_exec_run(b->net.graph, plan, &b->at, &exec, err)
                           : ms_network_run(&b->net, &b->at, &exec, err));
        double seconds = bench_now_s() - start;
        if (s->profile)
            bench_profile_stop(&profile);
        double after = bench_peak_flops(&b->at.compute, PEAK_SECONDS);
        taken[i] = seconds;
        cli_print("  %.3f s, %.4f s a picture, %.1f GFLOP/s", seconds, seconds / images,
                  flops / seconds * 1e-9);
        print_peaks(peak, after);
        if (s->profile)
            bench_profile_finish(&profile, 0.5 * (peak + after));
    }
    qsort(taken, (size_t)s->repeat, sizeof(*taken), by_size);
    cli_print("  best %.4f s, peak resident set %.2f GiB\n", taken[0],
              (double)bench_peak_rss_bytes() / 0x1p30);
    /* The first one also captures, where the device does. */
    cli_print("  median %.5f s of %d, activations %s, device memory %.1f MiB\n", taken[(s->repeat - 1) / 2],
              s->repeat, ms_dtype_name(b->at.compute.activation), (double)device_bytes(b, s) / 0x1p20);
fail:
    ms_mem_free(taken);
    return status;
}

static int report(bench_network *b, ms_status status, const ms_error *err) {
    network_free(b);
    return status == MS_OK ? 0 : cli_fail(err);
}

/* ---- the benchmarks ---- */

static int unet_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    const bench_state *s = state;
    ms_error err;
    ms_error_clear(&err);
    bench_network b = {0};
    static ms_model_files files;
    const ms_unet_config *config = &files.unet_config;
    ms_status status;
    MS_GOTO(ms_synthetic_configs((ms_synthetic)s->shape, &files, &err));
    MS_GOTO(network_begin(&b, s, &err));
    int64_t branches = s->guidance > 1 && !s->serial ? 2 : 1, side = config->resolution / 8;
    ms_unet_shape shape = {.branches = branches, .frames = s->frames, .h = side, .w = side, .tokens = 50};
    char what[96];
    snprintf(what, sizeof(what), "UNet step, %d frames x %lld, latent %lldx%lld", s->frames,
             (long long)branches, (long long)side, (long long)side);
    MS_GOTO(ms_unet_build(b.graph, config, &shape, &err));
    MS_GOTO(network_ready(&b, s, &err));
    MS_GOTO(network_time(&b, s, what, (double)(branches * s->frames), &err));
fail:
    return report(&b, status, &err);
}

static ms_status vae(const bench_state *s, bool encoder, bench_network *b, ms_error *err) {
    static ms_model_files files;
    MS_TRY(ms_synthetic_configs((ms_synthetic)s->shape, &files, err));
    const ms_vae_config *config = &files.vae_config_values;
    int64_t px = files.unet_config.resolution, side = px / ms_vae_factor(config);
    MS_TRY(network_begin(b, s, err));
    ms_vae_build how = {.images = s->batch, .h = px, .w = px, .stripe_rows = s->stripe_rows};
    if (!encoder)
        how.h = how.w = side;
    MS_TRY(encoder ? ms_vae_build_encoder(b->graph, config, &how, err)
                   : ms_vae_build_decoder(b->graph, config, &how, err));
    MS_TRY(network_ready(b, s, err));
    char what[96];
    snprintf(what, sizeof(what), "VAE %s, %d pictures of %d px", encoder ? "encode" : "decode", s->batch,
             (int)px);
    return network_time(b, s, what, s->batch, err);
}

static int vae_run(const void *state, char **arguments, int n_arguments) {
    static const char *const names[2] = {"decode", "encode"};
    ms_error err;
    ms_error_clear(&err);
    if (n_arguments && strcmp(arguments[0], names[0]) != 0 && strcmp(arguments[0], names[1]) != 0) {
        ms_fail(&err, MS_INVALID_ARGUMENT, "\"%s\" is neither encode nor decode", arguments[0]);
        return cli_fail(&err);
    }
    for (int encoder = 1; encoder >= 0; encoder--) {
        if (n_arguments && strcmp(arguments[0], names[encoder]) != 0)
            continue;
        bench_network b = {0};
        int code = report(&b, vae(state, encoder, &b, &err), &err);
        if (code)
            return code;
    }
    return 0;
}

static int whisper_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    const bench_state *s = state;
    ms_error err;
    ms_error_clear(&err);
    bench_network b = {0};
    ms_status status;
    static ms_model_files files;
    MS_GOTO(ms_synthetic_configs((ms_synthetic)s->shape, &files, &err));
    MS_GOTO(network_begin(&b, s, &err));
    MS_GOTO(ms_whisper_build(b.graph, &files.whisper_config, &err));
    MS_GOTO(network_ready(&b, s, &err));
    MS_GOTO(network_time(&b, s, "Whisper encoder, 30 s of sound", 1, &err));
fail:
    return report(&b, status, &err);
}

/* ---- a whole window ---- */

typedef struct window_times {
    double since, encode, denoise, decode;
} window_times;

static void window_stage(void *arg, const char *stage, int64_t done, int64_t total) {
    (void)done;
    (void)total;
    window_times *t = arg;
    double now = bench_now_s();
    if (strcmp(stage, "encode") == 0) /* speech comes before it and reports nothing */
        t->encode += now - t->since;
    else if (strcmp(stage, "denoise") == 0)
        t->denoise += now - t->since;
    else
        t->decode += now - t->since;
    t->since = now;
}

static ms_status noise_samples(void *arg, int64_t first, int64_t count, float *ret_samples, ms_error *err) {
    (void)arg;
    (void)err;
    uint32_t seed = (uint32_t)first;
    for (int64_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        ret_samples[i] = (float)(int32_t)seed * 0x1p-33f;
    }
    return MS_OK;
}

static ms_status ignore_face(void *arg, int64_t frame, const float *face, ms_error *err) {
    (void)arg;
    (void)frame;
    (void)face;
    (void)err;
    return MS_OK;
}

static ms_status window(const bench_state *s, const ms_compute *compute, ms_error *err) {
    static ms_model_files files;
    const int64_t samples = 3 * 16000;
    window_times t = {0};
    MS_TRY(ms_synthetic_configs((ms_synthetic)s->shape, &files, err));
    ms_engine_params params = {.compute = *compute,
                               .files = &files,
                               .random_weights = true,
                               .precision = bench_precision(s),
                               .steps = s->steps,
                               .guidance = (float)s->guidance,
                               .deepcache = s->deepcache,
                               .seed = 1,
                               .fps = 25,
                               .speech = {.samples = samples, .columns = samples / 160, .max = 0},
                               .samples = {.samples = samples, .read = noise_samples}};
    ms_engine_hooks hooks = {.stage = window_stage, .arg = &t};
    const ms_engine_layout layout = {.slicing = {.frames = s->slice_frames, .pixels = s->slice_pixels},
                                     .resident_weight_bytes = SIZE_MAX};
    ms_engine *engine = NULL;
    ms_engine_program *program = NULL;
    double start = bench_now_s();
    MS_TRY(ms_engine_create(&params, &hooks, &engine, err));
    ms_status status = ms_engine_program_create(engine, &layout, &program, err);
    if (status == MS_OK)
        status = ms_engine_use(engine, &program, err);
    double made = bench_now_s() - start;
    size_t face = (size_t)ms_engine_resolution(engine) * (size_t)ms_engine_resolution(engine) * 3;
    uint8_t *faces = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, (size_t)s->frames, face);
    if (status == MS_OK && !faces)
        status = ms_fail_alloc(err, NULL, face, "faces");
    for (size_t i = 0; faces && i < (size_t)s->frames * face; i++)
        faces[i] = (uint8_t)(i * 7 + i / 768);
    if (status == MS_OK) {
        ms_window w = {.frames = s->frames, .faces = faces, .deliver = ignore_face};
        double peak = bench_peak_flops(compute, PEAK_SECONDS);
        start = t.since = bench_now_s();
        status = ms_engine_run_window(engine, &w, err);
        double seconds = bench_now_s() - start;
        ms_engine_memory memory = ms_engine_get_memory(engine, ms_engine_program_of(engine));
        if (status == MS_OK) {
            cli_print("Window of %d frames, %d px, %d steps%s, %s, %d threads (%s)\n", s->frames,
                      ms_engine_resolution(engine), s->steps, s->deepcache ? " with DeepCache" : "",
                      ms_dtype_name(bench_precision(s)), ms_pool_threads(compute->pool),
                      compute->dev->description);
            cli_print("  weights %.2f GiB (made in %.1f s), arena %.1f MiB, peak resident set %.2f GiB\n",
                      (double)memory.weight_bytes / 0x1p30, made, (double)memory.arena_bytes / 0x1p20,
                      (double)bench_peak_rss_bytes() / 0x1p30);
            cli_print("  %.2f s, %.3f s a frame: speech and encode %.2f, denoise %.2f (%.2f a step), decode "
                      "%.2f",
                      seconds, seconds / s->frames, t.encode, t.denoise, t.denoise / s->steps, t.decode);
            print_peaks(peak, bench_peak_flops(compute, PEAK_SECONDS));
        }
    }
    ms_mem_free(faces);
    ms_engine_destroy(&engine);
    return status;
}

static int run_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    ms_error err;
    ms_error_clear(&err);
    ms_compute compute = {0};
    ms_status status = bench_open_compute(state, &compute, &err);
    if (status == MS_OK)
        status = window(state, &compute, &err);
    ms_compute_close(&compute);
    return status == MS_OK ? 0 : cli_fail(&err);
}

static int peak_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    const bench_state *s = state;
    ms_error err;
    ms_compute compute = {0};
    if (bench_open_compute(s, &compute, &err) != MS_OK)
        return cli_fail(&err);
    cli_print("%s, %d threads\n", compute.dev->description, ms_pool_threads(compute.pool));
    for (int i = 0; i < s->repeat; i++)
        cli_print("FMA peak %.1f GFLOP/s (float32)\n", bench_peak_flops(&compute, s->seconds) * 1e-9);
    ms_compute_close(&compute);
    return 0;
}

static int ops_run(const void *state, char **arguments, int n_arguments) {
    const bench_state *s = state;
    ms_error err;
    double step_s = 0, step_flops = 0;
    ms_compute compute = {0};
    if (bench_open_compute(s, &compute, &err) != MS_OK)
        return cli_fail(&err);
    cli_print("%s, %d threads, weights %s\n", compute.dev->description, ms_pool_threads(compute.pool),
              ms_dtype_name(bench_precision(s)));
    cli_print("%-30s %10s %9s %9s %7s %9s\n", "kernel", "ms", "GFLOP/s", "peak", "share", "ws MiB");
    for (int i = 0; i < ms_bench_case_count; i++) {
        ms_bench_case test = ms_bench_cases[i];
        const ms_bench_case *c = &test;
        bool wanted = n_arguments == 0;
        for (int a = 0; a < n_arguments; a++)
            wanted = wanted || strstr(c->name, arguments[a]);
        if (!wanted)
            continue;
        if (s->images)
            test.images = s->images;
        ms_bench_result r;
        double peak = bench_peak_flops(&compute, 0.05);
        if (ms_bench_run(&compute, c, bench_precision(s), s->seconds, &r, &err) != MS_OK) {
            ms_compute_close(&compute);
            return cli_fail(&err);
        }
        cli_print("%-30s %10.3f %9.1f ", c->name, r.seconds * 1e3, r.flops / r.seconds * 1e-9);
        if (peak > 0)
            cli_print("%9.1f %6.1f%% ", peak * 1e-9, 100 * r.flops / r.seconds / peak);
        else
            cli_print("%9s %7s ", "-", "-");
        cli_print("%9.1f\n", (double)r.workspace_bytes / 0x1p20);
        step_s += c->per_step * r.seconds;
        step_flops += c->per_step * r.flops;
    }
    if (step_s > 0)
        cli_print("in one step of the UNet these take %.2f s, for %.2f TFLOP\n", step_s, step_flops * 1e-12);
    ms_compute_close(&compute);
    return 0;
}

#define BENCH_THREADS                                                                                        \
    { "threads", 0, CLI_INT, offsetof(bench_state, threads), "N", "threads; 0 = all", 0, 1024 }
#define BENCH_DEVICE CLI_DEVICE_OPTION(bench_state, device)
#define BENCH_ISA                                                                                            \
    {                                                                                                        \
        "isa", 0, CLI_CHOICE, offsetof(bench_state, isa), "c|avx2|avx512",                                   \
            "best instruction set that kernels may use (default: the machine's)", 0, 0                       \
    }
#define BENCH_PRECISION                                                                                      \
    {                                                                                                        \
        "precision", 0, CLI_CHOICE, offsetof(bench_state, precision), "fp32|fp16|bf16",                      \
            "storage of the weights", 0, 0                                                                   \
    }
#define BENCH_SECONDS                                                                                        \
    {                                                                                                        \
        "seconds", 0, CLI_NUMBER, offsetof(bench_state, seconds), "S",                                       \
            "time for each measurement (default 0.3)", 0.001, 1000                                           \
    }
#define BENCH_REPEAT                                                                                         \
    { "repeat", 0, CLI_INT, offsetof(bench_state, repeat), "N", "how often (default 1)", 1, 10000 }
#define BENCH_NETWORK                                                                                        \
    {"shape",                                                                                                \
     0,                                                                                                      \
     CLI_CHOICE,                                                                                             \
     offsetof(bench_state, shape),                                                                           \
     "latentsync-1.5|latentsync-1.6|tiny",                                                                   \
     "of which published model (default latentsync-1.5: 256 px)",                                            \
     0,                                                                                                      \
     0},                                                                                                     \
        {"layers", 0, CLI_FLAG, offsetof(bench_state, profile), NULL, "time of each kind of layer", 0, 0},   \
        {"slice-frames",                                                                                     \
         0,                                                                                                  \
         CLI_INT,                                                                                            \
         offsetof(bench_state, slice_frames),                                                                \
         "N",                                                                                                \
         "frames that spatial layers take at a time; 0 = all",                                               \
         0,                                                                                                  \
         1 << 20},                                                                                           \
        BENCH_DEVICE, BENCH_THREADS, BENCH_PRECISION, BENCH_REPEAT, {                                        \
        "no-graphs", 0, CLI_FLAG, offsetof(bench_state, no_graphs), NULL,                                    \
            "give the device each operation anew, in place of a list that it has captured", 0, 0             \
    }

static const cli_option peak_options[] = {CLI_GROUP("Options"), BENCH_THREADS, BENCH_ISA, BENCH_SECONDS,
                                          BENCH_REPEAT};
static const cli_option ops_options[] = {CLI_GROUP("Options"),
                                         BENCH_DEVICE,
                                         BENCH_THREADS,
                                         BENCH_ISA,
                                         BENCH_PRECISION,
                                         BENCH_SECONDS,
                                         {"images", 0, CLI_INT, offsetof(bench_state, images), "N",
                                          "pictures or windows of a case (default: the official)", 1, 4096}};
static const cli_option whisper_options[] = {CLI_GROUP("Options"), BENCH_NETWORK};
static const cli_option vae_options[] = {
    CLI_GROUP("Options"),
    BENCH_NETWORK,
    {"batch", 0, CLI_INT, offsetof(bench_state, batch), "N", "pictures at a time (default 4)", 1, 1024},
    {"stripe-rows", 0, CLI_INT, offsetof(bench_state, stripe_rows), "N",
     "rows of pixels that layers take at a time; 0 = all", 0, 1 << 20}};
static const cli_option unet_options[] = {
    CLI_GROUP("Options"),
    BENCH_NETWORK,
    {"frames", 0, CLI_INT, offsetof(bench_state, frames), "N", "frames of the window (default 16)", 1, 24},
    {"guidance", 0, CLI_NUMBER, offsetof(bench_state, guidance), "X", "1 = one branch (default 1.5)", 0, 100},
    {"serial", 0, CLI_FLAG, offsetof(bench_state, serial), NULL,
     "one guidance branch only, as when they run in turn", 0, 0},
    {"slice-pixels", 0, CLI_INT, offsetof(bench_state, slice_pixels), "N",
     "pixels that temporal layers take at a time; 0 = all", 0, 1 << 30},
};

static const cli_option run_options[] = {
    CLI_GROUP("Options"),
    BENCH_NETWORK,
    {"frames", 0, CLI_INT, offsetof(bench_state, frames), "N", "frames of the window (default 16)", 1, 16},
    {"steps", 0, CLI_INT, offsetof(bench_state, steps), "N", "denoising steps (default 2)", 1, 999},
    {"guidance", 0, CLI_NUMBER, offsetof(bench_state, guidance), "X", "1 = one branch (default 1.5)", 0, 100},
    {"deepcache", 0, CLI_FLAG, offsetof(bench_state, deepcache), NULL, "whole UNet on every third step only",
     0, 0},
};

#define BENCH_COMMAND(ident, title, use, words)                                                              \
    static const cli_command bench_##ident##_command = {.name = "memsafe-bench " #ident,                     \
                                                        .summary = title,                                    \
                                                        .usage = use,                                        \
                                                        .options = ident##_options,                          \
                                                        .n_options = CLI_COUNT(ident##_options),             \
                                                        .max_arguments = words,                              \
                                                        .state_bytes = sizeof(bench_state),                  \
                                                        .defaults = bench_defaults,                          \
                                                        .run = ident##_run}

BENCH_COMMAND(peak, "FMA rate of the processor, the yardstick of the others", "[OPTIONS]", 0);
BENCH_COMMAND(ops, "Kernels on the official layer shapes", "[PART OF A NAME...] [OPTIONS]", 64);
BENCH_COMMAND(unet, "One step of the denoiser", "[OPTIONS]", 0);
BENCH_COMMAND(vae, "Encoder and decoder", "[encode|decode] [OPTIONS]", 1);
BENCH_COMMAND(run, "A window from speech and faces to redrawn faces", "[OPTIONS]", 0);
BENCH_COMMAND(whisper, "Speech encoder", "[OPTIONS]", 0);

static const cli_command *const children[] = {&bench_peak_command,
                                              &bench_ops_command,
                                              &bench_unet_command,
                                              &bench_vae_command,
                                              &bench_whisper_command,
                                              &bench_run_command,
                                              NULL};

static const cli_command bench_program = {
    .name = "memsafe-bench",
    .summary = "Measure speed and memory with random weights of the official shapes",
    .examples = {{"memsafe-bench unet --layers", "one step of the denoiser, layer by layer"},
                 {"memsafe-bench run", "one window of a whole run"}},
    .usage = "NAME [OPTIONS]",
    .children = children,
};

int main(int argc, char **argv) {
    return cli_program_of(&bench_program, argc, argv);
}
