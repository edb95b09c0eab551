/* Plans of the real networks, tiny and of full size, through the dummy back end: no bytes are allocated. */
#include "test.h"

#include "graph/exec.h"
#include "models/synthesize/synthesize.h"

/* Of the arena over the busiest moment's sum: official networks on a window of 16 frames, which decide
   how much memory a run needs; and any other (a single frame at 512 px has 1.063, the tiny one 1.092). */
#define MAX_RATIO 1.01
#define MAX_RATIO_SMALL 1.1

typedef struct planner {
    ms_compute compute;
    ms_params *params;
    ms_graph *graph;
    ms_error err;
} planner;

static planner planner_open(void) {
    planner p = {0};
    const ms_compute_params params = {.device = "dummy", .threads = 1, .memory_bytes = (size_t)1 << 40};
    assert_ms_ok(ms_compute_open(&params, &p.compute, &p.err), &p.err);
    assert_ms_ok(ms_params_create(NULL, p.compute.dev, &p.params, &p.err), &p.err);
    assert_ms_ok(ms_graph_create(p.params, p.compute.activation, &p.graph, &p.err), &p.err);
    return p;
}

static void planner_close(planner *p) {
    ms_graph_destroy(&p->graph);
    ms_params_destroy(&p->params);
    ms_compute_close(&p->compute);
}

/* The life that a value must have its place for: in a sliced segment, values that
   enter or leave it are touched by every slice. */
static void life_of(const ms_graph *g, const ms_value_info *v, int *first, int *last) {
    const ms_segment *begin = ms_graph_get_segment(g, ms_graph_node(g, v->first)->segment);
    const ms_segment *end = ms_graph_get_segment(g, ms_graph_node(g, v->last)->segment);
    *first = !v->local && !v->input && begin->axis != MS_AXIS_NONE ? begin->first : v->first;
    *last = !v->local && end->axis != MS_AXIS_NONE ? end->last : v->last;
}

/*
 * Every value and workspace as a block of its own. An output may lie where an input of its node lies, if the
 * operation allows it and nothing reads that input later: then both are one block.
 */
static void check_plan(const ms_graph *g, const ms_plan *plan, double max_ratio) {
    int n_values = ms_graph_value_count(g), n_nodes = ms_graph_node_count(g), shared = 0;
    ms_block *blocks = calloc((size_t)(n_values + n_nodes), sizeof(*blocks));
    int *owner = calloc((size_t)n_values, sizeof(*owner));
    ms_error err;
    for (int v = 0; v < n_values; v++) {
        owner[v] = v;
        blocks[v].bytes = plan->value_bytes[v];
        blocks[v].offset = plan->value_offset[v];
        life_of(g, ms_graph_value(g, v), &blocks[v].first, &blocks[v].last);
        assert_true(blocks[v].bytes > 0);
    }
    for (int n = 0; n < n_nodes; n++) {
        const ms_node *node = ms_graph_node(g, n);
        blocks[n_values + n] = (ms_block){
            .bytes = plan->workspace_bytes[n], .first = n, .last = n, .offset = plan->workspace_offset[n]};
        ms_value from = node->in_place >= 0 ? node->input[node->in_place] : MS_NO_VALUE, to = node->output;
        if (from == MS_NO_VALUE || plan->value_offset[from] != plan->value_offset[to])
            continue;
        const ms_value_info *a = ms_graph_value(g, from);
        if (a->last == n && !a->output && !a->input && plan->value_bytes[from] == plan->value_bytes[to]) {
            owner[to] = owner[from];
            ms_block *whole = &blocks[owner[to]];
            whole->last = blocks[to].last > whole->last ? blocks[to].last : whole->last;
            blocks[to].bytes = 0;
            shared++;
        }
    }
    assert_ms_ok(ms_validate_offsets(NULL, blocks, n_values + n_nodes, plan->arena_bytes, &err), &err);
    assert_true(plan->arena_bytes >= plan->lower_bound_bytes);
    print_message("    %5d values, %4d in place, %8.1f MiB, %.4f x lower bound (%s)\n", n_values, shared,
                  (double)plan->arena_bytes / 0x1p20,
                  (double)plan->arena_bytes / (double)plan->lower_bound_bytes, plan->ordering);
    assert_true((double)plan->arena_bytes <= max_ratio * (double)plan->lower_bound_bytes);
    free(blocks);
    free(owner);
}

static void plan_and_check(planner *p, double max_ratio) {
    static const ms_slicing slicings[] = {{.frames = 0},
                                          {.frames = 1, .pixels = 256},
                                          {.frames = 3, .pixels = 1000},
                                          {.frames = 5, .pixels = 1}};
    size_t whole = 0;
    for (size_t i = 0; i < sizeof(slicings) / sizeof(*slicings); i++) {
        ms_plan *plan = NULL;
        assert_ms_ok(ms_plan_create(p->graph, &slicings[i], &plan, &p->err), &p->err);
        check_plan(p->graph, plan, max_ratio);
        if (i == 0)
            whole = plan->arena_bytes;
        assert_true(plan->arena_bytes <= whole); /* slices are there to need less */
        ms_plan_destroy(&plan);
    }
}

static void plan_unet(const ms_model_files *files, ms_unet_kind kind, int64_t branches, int64_t frames) {
    int64_t side = files->unet_config.resolution / 8;
    const ms_unet_shape shape = {
        .kind = kind, .branches = branches, .frames = frames, .h = side, .w = side, .tokens = 50};
    planner p = planner_open();
    assert_ms_ok(ms_unet_build(p.graph, &files->unet_config, &shape, &p.err), &p.err);
    bool small = files->unet_config.resolution < 256 || frames < 16;
    plan_and_check(&p, small ? MAX_RATIO_SMALL : MAX_RATIO);
    planner_close(&p);
}

static void plan_vae(const ms_model_files *files, bool encoder, int64_t images) {
    const ms_vae_config *c = &files->vae_config_values;
    int64_t px = files->unet_config.resolution, side = px / ms_vae_factor(c);
    planner p = planner_open();
    assert_ms_ok(encoder ? ms_vae_build_encoder(p.graph, c,
                                                &(ms_vae_build){.images = images, .h = px, .w = px}, &p.err)
                         : ms_vae_build_decoder(
                               p.graph, c, &(ms_vae_build){.images = images, .h = side, .w = side}, &p.err),
                 &p.err);
    plan_and_check(&p, MAX_RATIO);
    planner_close(&p);
}

/* Stripes: less than whole pictures take, and smaller ones less than larger ones. */
static void plan_vae_stripes(const ms_model_files *files, bool encoder) {
    const ms_vae_config *c = &files->vae_config_values;
    int64_t px = files->unet_config.resolution, side = encoder ? px : px / ms_vae_factor(c);
    size_t before = SIZE_MAX;
    for (int64_t rows = px; rows >= 16; rows = rows == px ? px / 4 : rows / 2) {
        const ms_slicing slicing = {.rows = rows};
        const ms_vae_build how = {.images = 1, .h = side, .w = side, .stripe_rows = rows};
        planner p = planner_open();
        assert_ms_ok(encoder ? ms_vae_build_encoder(p.graph, c, &how, &p.err)
                             : ms_vae_build_decoder(p.graph, c, &how, &p.err),
                     &p.err);
        ms_plan *plan = NULL;
        assert_ms_ok(ms_plan_create(p.graph, &slicing, &plan, &p.err), &p.err);
        check_plan(p.graph, plan, MAX_RATIO_SMALL);
        if (px >= 256) /* below 32 rows halos are most of a stripe */
            assert_true(rows >= 64 ? plan->arena_bytes < before : plan->arena_bytes <= before);
        before = plan->arena_bytes;
        ms_plan_destroy(&plan);
        planner_close(&p);
    }
}

static void plan_model(ms_synthetic kind, int resolution) {
    static ms_model_files files;
    ms_error err;
    assert_ms_ok(ms_synthetic_configs(kind, &files, &err), &err);
    assert_int_equal(files.unet_config.resolution, resolution);
    plan_unet(&files, MS_UNET_FULL, 2, 16);
    plan_unet(&files, MS_UNET_FULL, 1, 1);
    plan_unet(&files, MS_UNET_FULL_KEEP, 2, 16);
    plan_unet(&files, MS_UNET_CACHED, 2, 16);
    plan_vae(&files, true, 2);
    plan_vae(&files, false, 2);
    plan_vae_stripes(&files, true);
    plan_vae_stripes(&files, false);
    planner p = planner_open();
    assert_ms_ok(ms_whisper_build(p.graph, &files.whisper_config, &p.err), &p.err);
    plan_and_check(&p, MAX_RATIO);
    planner_close(&p);
}

static void tiny_networks(void **state) {
    (void)state;
    plan_model(MS_SYNTHETIC_TINY, 128);
}

static void latentsync_1_5_at_256(void **state) {
    (void)state;
    plan_model(MS_SYNTHETIC_1_5, 256);
}

static void latentsync_1_6_at_512(void **state) {
    (void)state;
    plan_model(MS_SYNTHETIC_1_6, 512);
}

/* The UNet's arena on a device, for a window of both branches. */
static size_t unet_arena(const char *device, ms_dtype activation, const ms_model_files *files) {
    const ms_compute_params params = {
        .device = device, .threads = 2, .isa_limit = MS_ISA_COUNT - 1, .memory_bytes = (size_t)1 << 40};
    const ms_unet_shape shape = {.branches = 2, .frames = 16, .h = 64, .w = 64, .tokens = 50};
    planner p = {0};
    ms_plan *plan = NULL;
    assert_ms_ok(ms_compute_open(&params, &p.compute, &p.err), &p.err);
    p.compute.activation = activation;
    assert_ms_ok(ms_params_create(NULL, p.compute.dev, &p.params, &p.err), &p.err);
    assert_ms_ok(ms_graph_create(p.params, p.compute.activation, &p.graph, &p.err), &p.err);
    assert_ms_ok(ms_unet_build(p.graph, &files->unet_config, &shape, &p.err), &p.err);
    assert_ms_ok(ms_plan_create(p.graph, NULL, &plan, &p.err), &p.err);
    size_t bytes = plan->arena_bytes;
    assert_true((double)bytes <= MAX_RATIO * (double)plan->lower_bound_bytes);
    for (int v = 0; v < ms_graph_value_count(p.graph); v++) {
        const ms_value_info *info = ms_graph_value(p.graph, v);
        assert_true(info->dtype == activation || info->dtype == MS_F32);
        assert_true(!info->whole || info->dtype == MS_F32);
    }
    ms_plan_destroy(&plan);
    planner_close(&p);
    return bytes;
}

static void sixteen_bits_halve_the_arena(void **state) {
    (void)state;
    static ms_model_files files;
    ms_error err;
    assert_ms_ok(ms_synthetic_configs(MS_SYNTHETIC_1_6, &files, &err), &err);
    size_t cpu = unet_arena("cpu", MS_F32, &files), half = unet_arena("dummy", MS_F16, &files);
    assert_true((double)half <= 0.55 * (double)cpu);
    assert_int_equal(unet_arena("dummy", MS_BF16, &files), half);
    print_message("    UNet at 512 px: %.1f MiB, in 16 bits %.1f\n", (double)cpu / 0x1p20,
                  (double)half / 0x1p20);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    static ms_model_files files;
    ms_error err;
    assert_ms_ok(ms_synthetic_configs(MS_SYNTHETIC_TINY, &files, &err), &err);
    planner p = planner_open();
    assert_ms_ok(ms_vae_build_decoder(p.graph, &files.vae_config_values,
                                      &(ms_vae_build){.images = 1, .h = 16, .w = 16}, &p.err),
                 &p.err);
    ms_status status = MS_HOST_MEMORY;
    for (uint64_t n = 1; status != MS_OK; n++) {
        ms_plan *plan = NULL;
        ms_mem_usage before, after;
        ms_mem_get_usage(ms_mem_process(), &before);
        ms_mem_fail_after(n, false);
        status = ms_plan_create(p.graph, NULL, &plan, &err);
        ms_mem_fail_after(0, false);
        assert_true(status == MS_OK ? n > 6 : status == MS_HOST_MEMORY && !plan);
        ms_plan_destroy(&plan);
        ms_mem_get_usage(ms_mem_process(), &after);
        assert_int_equal(after.current_bytes, before.current_bytes);
    }
    planner_close(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiny_networks),
        cmocka_unit_test(latentsync_1_5_at_256),
        cmocka_unit_test(latentsync_1_6_at_512),
        cmocka_unit_test(sixteen_bits_halve_the_arena),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
