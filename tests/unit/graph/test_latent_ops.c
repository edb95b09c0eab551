/* The operations on latents, all in one graph: the bits of the host's loops on the cpu and on
   the remote device, there also captured and launched again with other numbers in its memory. */
#include "test.h"

#include <math.h>

#include "base/philox.h"
#include "graph/exec.h"
#include "graph/ops.h"

enum { IMAGES = 3, SIDE = 5, PIXELS = SIDE * SIDE, C = 4, LATENT = PIXELS * C };
#define SEED 0x123456789abcu
#define SHIFT 0.25f
#define SCALE 0.18215f
#define GUIDANCE 1.5f

typedef struct inputs {
    uint32_t numbers[IMAGES][2];
    float moments[IMAGES * PIXELS * 2 * C];
    float mask[PIXELS];
    float both[2 * IMAGES * LATENT]; /* predictions of two branches */
    float step[4];
} inputs;

typedef struct results {
    float sample[2 * IMAGES * PIXELS * (2 * C + 1)]; /* latent, mask, start noise; twice */
    float next[IMAGES * LATENT];
    float rescaled[IMAGES * LATENT];
    uint32_t bad;
} results;

static void random_inputs(uint64_t *rng, inputs *in, bool spoiled) {
    for (int i = 0; i < IMAGES; i++) {
        in->numbers[i][0] = (uint32_t)(1 + i % 2);
        in->numbers[i][1] = (uint32_t)test_rand(rng);
    }
    for (size_t i = 0; i < sizeof(in->moments) / sizeof(float); i++)
        in->moments[i] = 4 * test_uniform(rng);
    for (size_t i = 0; i < sizeof(in->both) / sizeof(float); i++)
        in->both[i] = test_uniform(rng);
    for (int i = 0; i < PIXELS; i++)
        in->mask[i] = (float)(i % 2);
    for (int i = 0; i < 4; i++)
        in->step[i] = 0.2f + fabsf(test_uniform(rng));
    if (spoiled)
        in->both[17] = NAN;
}

static void expect(const inputs *in, results *r) {
    static float planes[LATENT], latent[IMAGES][PIXELS][C], start[PIXELS][C];
    ms_noise_normals(SEED, 0, 0, 0, LATENT, planes);
    for (int p = 0; p < PIXELS; p++)
        for (int c = 0; c < C; c++)
            start[p][c] = planes[c * PIXELS + p];
    for (int i = 0; i < IMAGES; i++) {
        ms_noise_normals(SEED, in->numbers[i][0], in->numbers[i][1], 0, LATENT, planes);
        for (int p = 0; p < PIXELS; p++) {
            const float *m = in->moments + (i * PIXELS + p) * 2 * C;
            for (int c = 0; c < C; c++) {
                float logvar = fminf(fmaxf(m[C + c], -30.0f), 20.0f);
                float x = m[c] + expf(0.5f * logvar) * planes[c * PIXELS + p];
                latent[i][p][c] = (x - SHIFT) * SCALE;
            }
        }
    }
    float *s = r->sample;
    for (int i = 0; i < 2 * IMAGES; i++)
        for (int p = 0; p < PIXELS; p++, s += 2 * C + 1) {
            memcpy(s, latent[i % IMAGES][p], C * sizeof(float));
            s[C] = in->mask[p];
            memcpy(s + C + 1, start[p], C * sizeof(float));
        }
    r->bad = 0;
    for (int i = 0; i < IMAGES * LATENT; i++) {
        float n = in->both[i], sample = (&latent[0][0][0])[i];
        n = n + GUIDANCE * (in->both[IMAGES * LATENT + i] - n);
        float original = (sample - in->step[1] * n) / in->step[0];
        r->next[i] = in->step[2] * original + in->step[3] * n;
        r->rescaled[i] = sample / SCALE + SHIFT;
        r->bad |= !isfinite(r->next[i]);
    }
}

static ms_status build(ms_graph *g, ms_error *err) {
    const ms_shape latents = {IMAGES, SIDE, SIDE, C}, moments_of = {IMAGES, SIDE, SIDE, 2 * C},
                   both_of = {2 * IMAGES, SIDE, SIDE, C};
    ms_value numbers = ms_graph_input(g, "numbers", (ms_shape){1, 1, 1, 2 * IMAGES}, true),
             moments = ms_graph_input(g, "moments", moments_of, false),
             mask = ms_graph_input(g, "mask", (ms_shape){1, SIDE, SIDE, 1}, false),
             both = ms_graph_input(g, "both", both_of, false),
             step = ms_graph_input(g, "step", (ms_shape){1, 1, 1, 4}, true);
    ms_value normals = ms_op_noise(g, "noise", SEED, numbers, latents);
    ms_value latent = ms_op_posterior(g, "posterior", moments, normals, SHIFT, SCALE);
    ms_value start = ms_op_noise(g, "start", SEED, MS_NO_VALUE, (ms_shape){1, SIDE, SIDE, C});
    ms_graph_output(g, ms_op_join(g, "join", (ms_value[]){latent, mask, start}, 3, 2 * IMAGES), "sample");
    ms_value next = ms_op_ddim(g, "ddim", latent, ms_op_guide(g, "guide", both, GUIDANCE), step);
    ms_graph_output(g, ms_op_finite(g, "finite", next), "bad");
    ms_graph_output(g, next, "next");
    ms_graph_output(g, ms_op_rescale(g, "rescale", latent, SCALE, SHIFT), "rescaled");
    return ms_graph_finish(g, err);
}

typedef struct bench {
    ms_compute compute;
    ms_params *params;
    ms_graph *graph;
    ms_plan *plan;
    ms_weights *weights;
    ms_context context;
} bench;

static bench bench_open(const char *device) {
    bench b = {0};
    ms_error err;
    const ms_compute_params params = {
        .device = device, .threads = 2, .isa_limit = MS_ISA_AVX512, .memory_bytes = (size_t)1 << 28};
    assert_ms_ok(ms_compute_open(&params, &b.compute, &err), &err);
    assert_ms_ok(ms_params_create(NULL, b.compute.dev, &b.params, &err), &err);
    assert_ms_ok(ms_weights_create(&b.compute, b.params, &b.weights, &err), &err);
    assert_ms_ok(ms_graph_create(b.params, MS_F32, &b.graph, &err), &err);
    assert_ms_ok(build(b.graph, &err), &err);
    assert_ms_ok(ms_plan_create(b.graph, NULL, &b.plan, &err), &err);
    b.context = (ms_context){.compute = b.compute, .weights = b.weights};
    assert_ms_ok(ms_device_alloc(b.compute.dev, MS_LEDGER_ACTIVATIONS, b.plan->arena_bytes, "the arena",
                                 &b.context.arena, &err),
                 &err);
    return b;
}

static void bench_close(bench *b) {
    ms_device_free(b->compute.dev, b->context.arena);
    ms_plan_destroy(&b->plan);
    ms_graph_destroy(&b->graph);
    ms_weights_destroy(&b->weights);
    ms_params_destroy(&b->params);
    ms_compute_close(&b->compute);
}

static void put(const bench *b, const char *name, const void *data) {
    assert_int_equal(ms_exec_write(b->graph, b->plan, &b->context, ms_graph_find(b->graph, name), data),
                     MS_OK);
}

static void check(const bench *b, const char *name, const void *expected, size_t bytes) {
    void *data = malloc(bytes);
    assert_non_null(data);
    assert_int_equal(ms_exec_read(b->graph, b->plan, &b->context, ms_graph_find(b->graph, name), data),
                     MS_OK);
    assert_memory_equal(data, expected, bytes);
    free(data);
}

static void in_one_graph(const char *device, bool captured) {
    static inputs in;
    static results want;
    bench b = bench_open(device);
    ms_launches *launches = NULL;
    ms_error err;
    uint64_t rng = 9;
    if (captured)
        assert_ms_ok(ms_exec_capture(b.graph, b.plan, &b.context, &launches, &err), &err);
    for (int turn = 0; turn < 3; turn++) {
        random_inputs(&rng, &in, turn == 1);
        expect(&in, &want);
        put(&b, "numbers", in.numbers);
        put(&b, "moments", in.moments);
        put(&b, "mask", in.mask);
        put(&b, "both", in.both);
        put(&b, "step", in.step);
        if (captured) {
            assert_int_equal(b.compute.dev->backend->launch(b.compute.queue, launches), MS_OK);
            assert_int_equal(ms_compute_finish(&b.compute), MS_OK);
        } else {
            assert_ms_ok(ms_exec_run(b.graph, b.plan, &b.context, NULL, &err), &err);
        }
        check(&b, "sample", want.sample, sizeof(want.sample));
        if (turn != 1) /* which NaN comes out is the processor's */
            check(&b, "next", want.next, sizeof(want.next));
        check(&b, "rescaled", want.rescaled, sizeof(want.rescaled));
        assert_int_equal(want.bad, turn == 1); /* and is not left from the run before */
        check(&b, "bad", &want.bad, sizeof(want.bad));
    }
    if (launches)
        b.compute.dev->backend->launches_destroy(&launches);
    bench_close(&b);
}

static void the_graph_has_the_hosts_bits(void **state) {
    (void)state;
    in_one_graph("cpu", false);
    in_one_graph("remote", false);
    in_one_graph("remote", true);
}

/* What a builder refuses. */
static void nonsense_fails_the_graph(void **state) {
    (void)state;
    for (int wrong = 0; wrong < 6; wrong++) {
        ms_compute compute;
        ms_params *params = NULL;
        ms_graph *g = NULL;
        ms_error err;
        assert_ms_ok(ms_compute_open(&(ms_compute_params){.device = "cpu", .threads = 1}, &compute, &err),
                     &err);
        assert_ms_ok(ms_params_create(NULL, compute.dev, &params, &err), &err);
        assert_ms_ok(ms_graph_create(params, MS_F32, &g, &err), &err);
        const ms_shape shape = {3, 2, 2, 4};
        ms_value a = ms_graph_input(g, "a", shape, false),
                 b = ms_graph_input(g, "b", (ms_shape){2, 2, 2, 4}, false),
                 w = ms_graph_input(g, "w", (ms_shape){1, 1, 1, 3}, true);
        switch (wrong) {
        case 0: /* words for another number of images */
            ms_op_noise(g, "wrong", 1, w, shape);
            break;
        case 1:
            ms_op_posterior(g, "wrong", a, a, 0, 1);
            break;
        case 2: /* three images are no two branches */
            ms_op_guide(g, "wrong", a, 1);
            break;
        case 3:
            ms_op_ddim(g, "wrong", a, a, w);
            break;
        case 4:
            ms_op_join(g, "wrong", (ms_value[]){a, b}, 2, 3);
            break;
        default:
            ms_op_finite(g, "wrong", MS_NO_VALUE);
        }
        assert_true(ms_graph_failed(g));
        assert_int_not_equal(ms_graph_finish(g, &err), MS_OK);
        assert_non_null(strstr(err.message, "wrong"));
        ms_graph_destroy(&g);
        ms_params_destroy(&params);
        ms_compute_close(&compute);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_graph_has_the_hosts_bits),
        cmocka_unit_test(nonsense_fails_the_graph),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
