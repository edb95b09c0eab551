#include "predict/calibration.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "graph/exec.h"
#include "graph/ops.h"
#include "predict/bandwidth.h"

enum { MEASUREMENTS = 7, PASSES = 64, SIDE = 32, CHANNELS = 320, HEAVY_CHANNELS = 512 };

/* ---- one operation as a graph ---- */

typedef struct bench {
    ms_compute compute;
    ms_params *params;
    ms_weights *weights;
    ms_graph *graph;
    ms_plan *plan;
    void *arena;
} bench;

static void conv_of(ms_graph *g, int64_t side, int64_t channels) {
    ms_conv_desc d = {.name = "conv",
                      .src = ms_graph_input(g, "x", (ms_shape){1, side, side, channels}, false),
                      .src2 = MS_NO_VALUE,
                      .channels = channels,
                      .kernel_h = 3,
                      .kernel_w = 3,
                      .pad_top = 1,
                      .pad_left = 1,
                      .pad_bottom = 1,
                      .pad_right = 1,
                      .weight = "w",
                      .norm = MS_NO_NORM,
                      .out = MS_NO_OUT};
    ms_graph_output(g, ms_op_conv(g, &d), "y");
}

static void build_conv(ms_graph *g) {
    conv_of(g, SIDE, CHANNELS);
}

/* So few pixels that reading the weights takes longer than computing. */
static void build_weights(ms_graph *g) {
    conv_of(g, 4, HEAVY_CHANNELS);
}

static void build_linear(ms_graph *g) {
    ms_linear_desc d = {.name = "linear",
                        .src = ms_graph_input(g, "x", (ms_shape){1, SIDE, SIDE, CHANNELS}, false),
                        .src2 = MS_NO_VALUE,
                        .n = (int64_t)4 * CHANNELS,
                        .weight = {"w"},
                        .norm = MS_NO_NORM,
                        .out = MS_NO_OUT};
    ms_graph_output(g, ms_op_linear(g, &d), "y");
}

static void build_attention(ms_graph *g) {
    ms_attention_desc d = {.name = "attention",
                           .q = ms_graph_input(g, "x", (ms_shape){1, SIDE, SIDE, 3 * CHANNELS}, false),
                           .kv = MS_NO_VALUE,
                           .k_channel = CHANNELS,
                           .v_channel = 2 * (int64_t)CHANNELS,
                           .heads = 8,
                           .head_dim = CHANNELS / 8};
    ms_graph_output(g, ms_op_attention(g, &d), "y");
}

static void build_move(ms_graph *g) {
    ms_shape shape = {2, SIDE, SIDE, CHANNELS};
    ms_value a = ms_graph_input(g, "a", shape, false), b = ms_graph_input(g, "b", shape, false);
    ms_graph_output(g, ms_op_binary(g, "add", MS_BINARY_ADD, a, b), "y");
}

/* So little to do that handing it out to the threads is most of it. */
static void build_passes(ms_graph *g) {
    ms_value v = ms_graph_input(g, "x", (ms_shape){1, 2, 2, 64}, false);
    for (int i = 0; i < PASSES; i++) {
        ms_linear_desc d = {.name = "linear",
                            .src = v,
                            .src2 = MS_NO_VALUE,
                            .n = 64,
                            .weight = {"w"},
                            .norm = MS_NO_NORM,
                            .out = MS_NO_OUT};
        v = ms_op_linear(g, &d);
    }
    ms_graph_output(g, v, "y");
}

static void bench_close(bench *b) {
    ms_device_free(b->compute.dev, b->arena);
    ms_plan_destroy(&b->plan);
    ms_graph_destroy(&b->graph);
    ms_weights_destroy(&b->weights);
    ms_params_destroy(&b->params);
}

static ms_status bench_open(bench *b, const ms_compute *compute, void (*build)(ms_graph *g), ms_error *err) {
    const ms_slicing whole = {0};
    *b = (bench){.compute = *compute};
    MS_TRY(ms_params_create(compute->mem, compute->dev, &b->params, err));
    MS_TRY(ms_graph_create(b->params, compute->activation, &b->graph, err));
    ms_graph_segment(b->graph, MS_AXIS_FRAMES, "calibration");
    build(b->graph);
    MS_TRY(ms_graph_finish(b->graph, err));
    MS_TRY(ms_plan_create(b->graph, &whole, &b->plan, err));
    MS_TRY(ms_weights_create(compute, b->params, &b->weights, err));
    MS_TRY(ms_weights_randomize(b->weights, 1, MS_ALL_RESIDENT, MS_F16, compute->pool, err));
    MS_TRY(ms_device_alloc(compute->dev, MS_LEDGER_ACTIVATIONS, b->plan->arena_bytes, "measuring the kernels",
                           &b->arena, err));
    /* Numbers that are none would take longer. */
    return compute->dev->backend->fill(compute->queue, b->arena, 0, b->plan->arena_bytes);
}

/* ---- the best of several rounds ---- */

typedef struct watch {
    double wall_s, cpu_s;           /* when the round began */
    double best_wall_s, best_cpu_s; /* of a round; cpu: of all threads */
} watch;

#define WATCH_NEW ((watch){.best_wall_s = INFINITY, .best_cpu_s = INFINITY})

static double cpu_now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void watch_start(watch *w) {
    w->wall_s = ms_now_s();
    w->cpu_s = cpu_now_s();
}

static void watch_stop(watch *w) {
    w->best_wall_s = fmin(w->best_wall_s, ms_now_s() - w->wall_s);
    w->best_cpu_s = fmin(w->best_cpu_s, cpu_now_s() - w->cpu_s);
}

/* Other programs may take the processors in every round, for many times as long as one takes. They do not add
   to the time that our threads ran: a round alone on the machine takes hardly more than twice that, even
   where threads wait for each other. */
static double on_threads_s(const watch *w, const ms_compute *compute, int64_t tasks) {
    double at_once = fmin(fmin(ms_pool_threads(compute->pool), ms_cpu_count()), (double)tasks);
    return fmax(fmin(w->best_wall_s, 2 * w->best_cpu_s / at_once), 1e-9);
}

/* A device apart works while our threads wait: their time says nothing of it. */
static double on_device_s(const watch *w, const ms_compute *compute) {
    return compute->dev->caps.host_memory ? on_threads_s(w, compute, INT64_MAX) : fmax(w->best_wall_s, 1e-9);
}

/* What a round takes and does. */
typedef struct timing {
    double seconds, flops, weight_bytes;
} timing;

static ms_status time_graph(const ms_compute *compute, void (*build)(ms_graph *g), double limit_s,
                            timing *ret_timing, ms_error *err) {
    bench b;
    ms_status status;
    timing t = {0};
    watch w = WATCH_NEW;
    MS_GOTO(bench_open(&b, compute, build, err));
    t.flops = ms_graph_flops(b.graph);
    t.weight_bytes = (double)ms_params_bytes(b.params, MS_F16);
    const ms_context context = {.compute = *compute, .weights = b.weights, .arena = b.arena};
    double began = ms_now_s();
    for (int round = 0; round < 1 || ms_now_s() - began < limit_s; round++) {
        watch_start(&w);
        MS_GOTO(ms_exec_run(b.graph, b.plan, &context, NULL, err));
        watch_stop(&w);
    }
    t.seconds = on_device_s(&w, compute);
    *ret_timing = t;
fail:
    bench_close(&b);
    return status;
}

/* ---- weights on their way in ---- */

typedef struct packing {
    ms_compute compute;
    ms_weight_shape shape;
    const float *row;
    void *packed;
} packing;

static void pack_panel(void *arg, int64_t panel, int worker) {
    (void)worker;
    const packing *p = arg;
    const float *rows[16];
    for (int i = 0; i < 16; i++)
        rows[i] = p->row;
    p->compute.dev->backend->weight_pack(&p->shape, panel, rows, p->packed);
}

#define UPLOAD_BLOCK_BYTES ((size_t)2 << 20)

/* On a device that prepares weights itself: the copy, which is the larger part. */
static ms_status time_upload(const ms_compute *compute, double limit_s, double *ret_bytes_per_s,
                             ms_error *err) {
    const ms_bandwidth_params params = {
        .mem = compute->mem, .block_bytes = UPLOAD_BLOCK_BYTES, .limit_s = limit_s};
    ms_bandwidth upload;
    MS_TRY(ms_bandwidth_of_upload(&params, compute, &upload, err));
    *ret_bytes_per_s = upload.bytes_per_s;
    return MS_OK;
}

static ms_status time_packing(const ms_compute *compute, double limit_s, double *ret_bytes_per_s,
                              ms_error *err) {
    packing p = {.compute = *compute,
                 .shape = {.layout = MS_LAYOUT_WINOGRAD,
                           .dtype = MS_F16,
                           .n = HEAVY_CHANNELS,
                           .c_in = HEAVY_CHANNELS,
                           .kernel_h = 3,
                           .kernel_w = 3,
                           .groups = 1}};
    size_t bytes = compute->dev->backend->weight_bytes(&p.shape);
    float *row = ms_mem_calloc(compute->mem, MS_LEDGER_STAGING, (size_t)HEAVY_CHANNELS * 9, sizeof(float));
    p.packed = ms_mem_alloc(compute->mem, MS_LEDGER_STAGING, bytes);
    p.row = row;
    ms_status status = MS_OK;
    watch w = WATCH_NEW;
    double began = ms_now_s();
    if (!row || !p.packed)
        status = ms_fail_alloc(err, compute->mem, bytes, "measuring how weights are packed");
    for (int round = 0; status == MS_OK && (round < 1 || ms_now_s() - began < limit_s); round++) {
        watch_start(&w);
        ms_pool_run(compute->pool, compute->dev->backend->weight_panels(&p.shape), pack_panel, &p);
        watch_stop(&w);
    }
    if (status == MS_OK)
        *ret_bytes_per_s =
            (double)bytes / on_threads_s(&w, compute, compute->dev->backend->weight_panels(&p.shape));
    ms_mem_free(row);
    ms_mem_free(p.packed);
    return status;
}

static double disk_rate(const ms_compute *compute, const char *file, double limit_s, double otherwise) {
    ms_bandwidth_params params = {.mem = compute->mem, .limit_s = limit_s};
    ms_bandwidth disk;
    return ms_bandwidth_of_file(&params, file, &disk, NULL) == MS_OK ? disk.bytes_per_s : otherwise;
}

ms_status ms_calibrate(const ms_compute *compute, const char *disk_file, double seconds,
                       ms_calibration *ret_calibration, ms_error *err) {
    double share = seconds / (MEASUREMENTS + 1);
    ms_calibration c = {0};
    timing t = {.seconds = 1};
    MS_TRY(time_graph(compute, build_conv, share, &t, err));
    c.conv_flops = t.flops / t.seconds;
    MS_TRY(time_graph(compute, build_linear, share, &t, err));
    c.linear_flops = t.flops / t.seconds;
    MS_TRY(time_graph(compute, build_attention, share, &t, err));
    c.attention_flops = t.flops / t.seconds;
    MS_TRY(time_graph(compute, build_weights, share, &t, err));
    /* Noise may make the rest too small or negative: then half of it is taken for reading. */
    c.weight_bytes = t.weight_bytes / fmax(t.seconds - t.flops / c.conv_flops, 0.5 * t.seconds);
    MS_TRY(time_graph(compute, build_move, share, &t, err));
    c.moved_bytes = 3.0 * 2 * SIDE * SIDE * CHANNELS * sizeof(float) / t.seconds;
    MS_TRY(time_graph(compute, build_passes, share, &t, err));
    c.passes = PASSES / t.seconds;
    if (compute->dev->caps.raw_weights)
        MS_TRY(time_upload(compute, share, &c.pack_bytes, err));
    else
        MS_TRY(time_packing(compute, share, &c.pack_bytes, err));
    c.disk_bytes = disk_rate(compute, disk_file, share, c.pack_bytes);
    *ret_calibration = c;
    return MS_OK;
}

bool ms_calibration_is_sane(const ms_calibration *c) {
    bool sane = true;
#define X(rate) sane = sane && c->rate > 1 && c->rate < 1e18;
    MS_RATE_MAP(X)
#undef X
    return sane;
}
