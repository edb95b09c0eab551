/* What a network takes at given rates: of a device that moves while it computes, layer by layer what takes
   longer; by hand, for an RTX 3090. */
#include "test.h"

#include "graph/network.h"
#include "graph/ops.h"
#include "models/synthesize/synthesize.h"
#include "predict/roofline.h"

/* Its maker's 71 TFLOP/s and 936 GB/s, of which half, attention 35 %, and 80 % count; 5 us for a launch. */
#define PRODUCTS 35.5e12
#define ATTENTION 24.85e12
#define BYTES 748.8e9
#define LAUNCH 5e-6

/* 16 frames of 64x64, in fp16. */
#define ROWS (16.0 * 64 * 64)

enum { CONV_IN = 1, CONV = 2, FRAMES = 4, LINEAR = 8, ALL = 15 };

typedef struct built {
    ms_compute compute;
    ms_params *params;
    ms_graph *graph;
    ms_network network;
    ms_probe_rates rates;
    ms_error err;
} built;

static built *card(void) {
    static built b;
    const ms_card *c = ms_card_find(86, (size_t)24 << 30);
    b = (built){.rates = ms_roofline(c, MS_F16)};
    assert_string_equal(c->name, "GeForce RTX 3090");
    const ms_compute_params params = {
        .device = "dummy", .threads = 1, .memory_bytes = (size_t)24 << 30, .card = c};
    assert_ms_ok(ms_compute_open(&params, &b.compute, &b.err), &b.err);
    assert_ms_ok(ms_params_create(NULL, b.compute.dev, &b.params, &b.err), &b.err);
    assert_ms_ok(ms_graph_create(b.params, MS_F16, &b.graph, &b.err), &b.err);
    return &b;
}

static void plan(built *b, ms_slicing slicing) {
    assert_ms_ok(ms_network_take(&b->graph, &slicing, &b->network, &b->err), &b->err);
}

static void done(built *b) {
    ms_network_clear(&b->network);
    ms_params_destroy(&b->params);
    ms_compute_close(&b->compute);
}

static ms_value convolve(ms_graph *g, const char *name, ms_value src, int64_t channels) {
    return ms_op_conv(g, &(ms_conv_desc){.name = name,
                                         .src = src,
                                         .src2 = MS_NO_VALUE,
                                         .channels = channels,
                                         .kernel_h = 3,
                                         .kernel_w = 3,
                                         .pad_top = 1,
                                         .pad_left = 1,
                                         .pad_bottom = 1,
                                         .pad_right = 1,
                                         .weight = name,
                                         .norm = MS_NO_NORM,
                                         .out = MS_NO_OUT});
}

/* Those of the layers, one behind the other. */
static built *layers(int which, ms_slicing slicing) {
    built *b = card();
    ms_graph *g = b->graph;
    int64_t channels = which & CONV_IN ? 4 : which & CONV ? 320 : which & FRAMES ? 960 : 320;
    ms_value v = ms_graph_input(g, "x", (ms_shape){16, 64, 64, channels}, false);
    ms_graph_set_dtype(g, v, MS_F16);
    if (which & (CONV_IN | CONV))
        ms_graph_segment(g, MS_AXIS_FRAMES, "frames");
    if (which & CONV_IN)
        v = convolve(g, "conv_in", v, 320);
    if (which & CONV)
        v = convolve(g, "conv", v, 960);
    if (which & (FRAMES | LINEAR))
        ms_graph_segment(g, MS_AXIS_PIXELS, "pixels");
    if (which & FRAMES)
        v = ms_op_attention(g, &(ms_attention_desc){.name = "attention",
                                                    .q = v,
                                                    .kv = MS_NO_VALUE,
                                                    .k_channel = 320,
                                                    .v_channel = 640,
                                                    .heads = 8,
                                                    .head_dim = 40,
                                                    .frames = 16});
    if (which & LINEAR)
        v = ms_op_linear(g, &(ms_linear_desc){.name = "linear",
                                              .src = v,
                                              .src2 = MS_NO_VALUE,
                                              .n = 32,
                                              .weight = {"linear"},
                                              .norm = MS_NO_NORM,
                                              .out = MS_NO_OUT});
    ms_graph_output(g, v, "y");
    assert_ms_ok(ms_graph_finish(g, &b->err), &b->err);
    plan(b, slicing);
    return b;
}

static double seconds_of(const built *b) {
    ms_network_work work = ms_network_get_work(&b->network, MS_F16, MS_ALL_RESIDENT, &b->rates);
    return ms_network_seconds(&work, &b->rates);
}

static void takes(int which, ms_slicing slicing, double expected_s) {
    built *b = layers(which, slicing);
    double s = seconds_of(b);
    if (fabs(s - expected_s) > 1e-9 * expected_s)
        fail_msg("layers %d: %.9g s, not %.9g", which, s, expected_s);
    done(b);
}

static const ms_slicing whole;

/* 2 * 320 * 9 operations for each of 960 outputs: 10.2 ms, while its bytes pass in 0.2. */
static const double conv_s = ROWS * 960 * 320 * 9 * 2 / PRODUCTS + LAUNCH;
/* Queries, keys and values are read, 320 channels of 16 frames written: 0.22 ms; 0.05 for the products. */
static const double attention_s = ROWS * (960 + 320) * 2 / BYTES + LAUNCH;
static const double linear_s = (ROWS * (320 + 32) * 2 + 320.0 * 32 * 2) / BYTES + LAUNCH;
/* Four channels are copied first, to rows of eight; a matrix's rows are multiples of 32. */
static const double copy_s = 2 * ROWS * 8 * 2 / BYTES + LAUNCH;
static const double conv_in_s = (ROWS * (4 + 320) * 2 + 320.0 * 96 * 2) / BYTES + LAUNCH;

static void a_layer_that_computes_takes_its_operations(void **state) {
    (void)state;
    takes(CONV, whole, conv_s);
}

static void a_layer_that_moves_takes_its_bytes(void **state) {
    (void)state;
    assert_true(ROWS * 16 * 320 * 4 / ATTENTION < attention_s / 4);
    takes(FRAMES, whole, attention_s);
    takes(LINEAR, whole, linear_s);
}

static void copies_in_a_workspace_come_before(void **state) {
    (void)state;
    takes(CONV_IN, whole, copy_s + conv_in_s);
}

static void a_network_takes_the_sum_of_its_layers(void **state) {
    (void)state;
    takes(ALL, whole, copy_s + conv_in_s + conv_s + attention_s + linear_s);
}

/* Each of four slices reads the weights and is a launch of its own; all else passes once. */
static void slices_read_weights_again(void **state) {
    (void)state;
    takes(CONV_IN, (ms_slicing){.frames = 4, .pixels = 1024},
          copy_s + conv_in_s + 3 * 320.0 * 96 * 2 / BYTES + 6 * LAUNCH);
    takes(CONV, (ms_slicing){.frames = 4, .pixels = 1024}, conv_s + 3 * LAUNCH);
}

/* What a processor's prediction goes by: products count by their operations and weights alone. */
static void without_a_roofline_all_work_counts(void **state) {
    (void)state;
    built *b = layers(ALL, whole);
    ms_network_work work = ms_network_get_work(&b->network, MS_F16, MS_ALL_RESIDENT, NULL);
    assert_true(work.linear_flops == ROWS * 2 * (320 * 36 + 960 * 320 * 9 + 32 * 320));
    assert_true(work.attention_flops == ROWS * 16 * 320 * 4);
    assert_true(work.weight_bytes == 2 * (320 * 96 + 960 * 320 * 9 + 32 * 320));
    assert_true(work.conv_flops == 0 && work.moved_bytes == 0 && work.streamed_bytes == 0);
    assert_true(work.passes == 4);
    done(b);
}

/* A real one takes at least what all its operations do, and less than if nothing went on side by side. */
static void a_unet_lies_between_its_bounds(void **state) {
    (void)state;
    static ms_model_files files;
    built *b = card();
    assert_ms_ok(ms_synthetic_configs(MS_SYNTHETIC_1_5, &files, &b->err), &b->err);
    const ms_unet_shape shape = {.branches = 2, .frames = 16, .h = 32, .w = 32, .tokens = 50};
    assert_ms_ok(ms_unet_build(b->graph, &files.unet_config, &shape, &b->err), &b->err);
    plan(b, whole);
    ms_network_work all = ms_network_get_work(&b->network, MS_F16, MS_ALL_RESIDENT, NULL),
                    longer = ms_network_get_work(&b->network, MS_F16, MS_ALL_RESIDENT, &b->rates);
    double computed = all.linear_flops / PRODUCTS + all.attention_flops / ATTENTION;
    assert_true(longer.linear_flops < all.linear_flops && longer.attention_flops < all.attention_flops);
    assert_true(longer.weight_bytes < all.weight_bytes && longer.moved_bytes > all.moved_bytes);
    assert_true(longer.passes > all.passes && longer.passes < 2 * all.passes);
    assert_true(seconds_of(b) > computed + all.moved_bytes / BYTES + all.passes * LAUNCH);
    assert_true(seconds_of(b) < 2 * computed);
    print_message("    %.1f ms; its operations alone %.1f\n", 1e3 * seconds_of(b), 1e3 * computed);
    done(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layer_that_computes_takes_its_operations),
        cmocka_unit_test(a_layer_that_moves_takes_its_bytes),
        cmocka_unit_test(copies_in_a_workspace_come_before),
        cmocka_unit_test(a_network_takes_the_sum_of_its_layers),
        cmocka_unit_test(slices_read_weights_again),
        cmocka_unit_test(without_a_roofline_all_work_counts),
        cmocka_unit_test(a_unet_lies_between_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
