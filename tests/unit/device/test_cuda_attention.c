/*
 * Attention of the CUDA back end. In float32 it has the processor's bits, and so have 16-bit rows that tensor
 * cores cannot read, rounded once. What tensor cores do is held against double, to the rounding of the
 * weights and of the result.
 */
#include "support/device/typed.h"

#include "device/cuda/kernels/attention.h"
#include "device/cuda/ops.h"

#define CARD(name, args) assert_int_equal(ms_cuda_##name(&card->queue, args, NULL), MS_OK)

typedef struct attention_case {
    typed q, kv, dst;
    ms_attention_args args, plain; /* the latter of the processor's side */
} attention_case;

/* Aligned rows without gaps, or such as begin anywhere. */
static typed rows_of(uint64_t *rng, int64_t outer, int64_t inner, int64_t channels, ms_dtype dtype,
                     bool even) {
    for (;;) {
        typed t = typed_random(rng, outer, inner, channels, dtype);
        if (!even ||
            (t.offset == 0 && t.rows.inner_stride == channels && t.rows.outer_stride == inner * channels))
            return t;
        typed_free(&t);
    }
}

static void strides(const ms_rows *rows, int64_t frames, int64_t ret_stride[3]) {
    ret_stride[0] = frames ? frames * rows->outer_stride : rows->outer_stride;
    ret_stride[1] = frames ? rows->inner_stride : 0;
    ret_stride[2] = frames ? rows->outer_stride : rows->inner_stride;
}

typedef struct attention_shape {
    int64_t batches, q_tokens, kv_tokens, pixels; /* pixels: tokens are frames; kv_tokens is not read */
    int heads, head_dim;
} attention_shape;

static attention_case make_case(uint64_t *rng, const attention_shape *s, ms_dtype dtype, bool even) {
    attention_case c;
    const int64_t frames = s->pixels ? s->q_tokens : 0, width = (int64_t)s->heads * s->head_dim;
    const int64_t outer = s->pixels ? s->batches * frames : s->batches;
    const int64_t inner = s->pixels ? s->pixels : s->q_tokens;
    const int64_t kv_inner = s->pixels ? s->pixels : s->kv_tokens;
    c.q = rows_of(rng, outer, inner, width, dtype, even);
    c.kv = rows_of(rng, outer, kv_inner, 2 * width, dtype, even); /* keys, then values, of each token */
    c.dst = rows_of(rng, outer, inner, width, dtype, even);
    typed_fill_poison(&c.dst);
    c.args = (ms_attention_args){.q = c.q.rows.data,
                                 .k = c.kv.rows.data,
                                 .v = ms_elements_at(c.kv.rows.data, dtype, width),
                                 .out = c.dst.rows.data,
                                 .dtype = dtype,
                                 .batch_outer = s->batches,
                                 .batch_inner = s->pixels ? s->pixels : 1,
                                 .q_tokens = s->q_tokens,
                                 .kv_tokens = s->pixels ? s->q_tokens : s->kv_tokens,
                                 .heads = s->heads,
                                 .head_dim = s->head_dim,
                                 .scale = (float)(1 / sqrt((double)s->head_dim))};
    strides(&c.q.rows, frames, c.args.q_stride);
    strides(&c.kv.rows, frames, c.args.k_stride);
    strides(&c.kv.rows, frames, c.args.v_stride);
    strides(&c.dst.rows, frames, c.args.out_stride);
    c.plain = c.args;
    c.plain.dtype = MS_F32;
    c.plain.q = c.q.floats.data;
    c.plain.k = c.kv.floats.data;
    c.plain.v = (float *)c.kv.floats.data + width;
    c.plain.out = c.dst.floats.data;
    return c;
}

static void free_case(attention_case *c) {
    typed_free(&c->q);
    typed_free(&c->kv);
    typed_free(&c->dst);
}

static void run_processor(const typed_devices *d, const attention_case *c) {
    const ms_kernels *kernels = d->cpu.dev->kernels;
    void *workspace = test_workspace(kernels->attention_workspace(d->cpu.dev, &c->plain));
    assert_int_equal(kernels->attention(d->cpu.queue, &c->plain, workspace), MS_OK);
    free(workspace);
}

/* ---- in float32 ---- */

static attention_shape random_shape(uint64_t *rng) {
    attention_shape s = {.batches = test_range(rng, 1, 2),
                         .q_tokens = test_range(rng, 1, 80),
                         .kv_tokens = test_range(rng, 1, 150),
                         .heads = (int)test_range(rng, 1, 3),
                         .head_dim = (int)test_range(rng, 1, 90)};
    if (test_one_in(rng, 3)) {
        s.q_tokens = test_range(rng, 1, 20);
        s.pixels = test_range(rng, 1, 5);
    }
    return s;
}

static void check_bits(typed_devices *d, uint64_t *rng, const attention_shape *s, ms_dtype dtype, bool even) {
    simt_direct *card = typed_card(d, rng);
    if (dtype == MS_BF16)
        card = &d->card[2];
    attention_case c = make_case(rng, s, dtype, even);
    run_processor(d, &c);
    CARD(attention, &c.args);
    assert_non_null(strstr(card->last, "attention_f32"));
    typed_assert_same(&c.dst, "attention");
    free_case(&c);
}

static void floats_have_the_processors_bits(void **state) {
    uint64_t rng = 1;
    for (int trial = 0; trial < 30; trial++) {
        const attention_shape s = random_shape(&rng);
        check_bits(*state, &rng, &s, MS_F32, test_one_in(&rng, 2));
    }
    static const attention_shape large[] = {
        {1, 33, 70, 0, 1, 160}, {1, 5, 65, 0, 2, 161}, {1, 33, 130, 0, 1, 512}, {1, 3, 64, 0, 1, 1030}};
    for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
        check_bits(*state, &rng, &large[i], MS_F32, true);
}

static void halves_that_are_not_aligned_are_rounded_once(void **state) {
    uint64_t rng = 2;
    for (int trial = 0; trial < 20; trial++) {
        attention_shape s = random_shape(&rng);
        s.head_dim |= 1;
        check_bits(*state, &rng, &s, trial % 2 ? MS_F16 : MS_BF16, test_one_in(&rng, 2));
    }
}

/* ---- by tensor cores ---- */

/* One query of one head, in double: what it should be, and the sum of the weighted sizes of v. */
static void exact_row(const ms_attention_args *a, int64_t i, int64_t j, int64_t t, int64_t h, double *result,
                      double *size) {
    const float *q = (const float *)a->q + i * a->q_stride[0] + j * a->q_stride[1] + t * a->q_stride[2];
    const float *k = (const float *)a->k + i * a->k_stride[0] + j * a->k_stride[1] + h * a->head_dim;
    const float *v = (const float *)a->v + i * a->v_stride[0] + j * a->v_stride[1] + h * a->head_dim;
    double *score = malloc((size_t)a->kv_tokens * sizeof(*score)), most = -INFINITY, sum = 0;
    assert_non_null(score);
    q += h * a->head_dim;
    for (int64_t n = 0; n < a->kv_tokens; n++) {
        score[n] = 0;
        for (int64_t c = 0; c < a->head_dim; c++)
            score[n] += (double)q[c] * k[n * a->k_stride[2] + c] * a->scale;
        most = fmax(most, score[n]);
    }
    for (int64_t c = 0; c < a->head_dim; c++)
        result[c] = size[c] = 0;
    for (int64_t n = 0; n < a->kv_tokens; n++) {
        const double p = exp(score[n] - most);
        sum += p;
        for (int64_t c = 0; c < a->head_dim; c++) {
            result[c] += p * v[n * a->v_stride[2] + c];
            size[c] += p * fabs((double)v[n * a->v_stride[2] + c]);
        }
    }
    for (int64_t c = 0; c < a->head_dim; c++) {
        result[c] /= sum;
        size[c] /= sum;
    }
    free(score);
}

/* The weights are rounded once, and the result; a little more is what float32 and tensor cores lose. */
static void check_close(const attention_case *c, double *worst) {
    const ms_attention_args *a = &c->args;
    const double unit = a->dtype == MS_F16 ? 0x1p-11 : 0x1p-8;
    double result[512], size[512];
    for (int64_t i = 0; i < a->batch_outer; i++)
        for (int64_t j = 0; j < a->batch_inner; j++)
            for (int64_t t = 0; t < a->q_tokens; t++)
                for (int64_t h = 0; h < a->heads; h++) {
                    exact_row(&c->plain, i, j, t, h, result, size);
                    for (int64_t n = 0; n < a->head_dim; n++) {
                        const int64_t at = i * a->out_stride[0] + j * a->out_stride[1] +
                                           t * a->out_stride[2] + h * a->head_dim + n;
                        const double got = test_element(a->out, a->dtype, (size_t)at);
                        const double bound = unit * fabs(result[n]) + (unit + 1e-5) * size[n] + 1e-6;
                        if (!(fabs(got - result[n]) <= bound))
                            fail_msg("token %lld, channel %lld of %d: %g, exactly %g, may be off by %g",
                                     (long long)t, (long long)n, a->head_dim, got, result[n], bound);
                        *worst = fmax(*worst, fabs(got - result[n]) / bound);
                    }
                }
}

static void same_block(const typed *a, const typed *b) {
    assert_int_equal(a->elements, b->elements);
    assert_memory_equal(a->block, b->block, a->elements * ms_dtype_bytes(a->rows.dtype));
}

/* Another schedule gives the same bits; a part of the queries, and a part of the batches, by themselves
   too. */
static void check_parts(simt_direct *card, uint64_t *rng, attention_case *c) {
    typed whole = c->dst;
    whole.block = malloc(whole.elements * ms_dtype_bytes(whole.rows.dtype));
    assert_non_null(whole.block);
    memcpy(whole.block, c->dst.block, whole.elements * ms_dtype_bytes(whole.rows.dtype));
    for (int kind = 0; kind < 3; kind++) {
        const ms_attention_args *a = &c->args;
        const int64_t cut_tokens = kind == 1 ? test_range(rng, 0, a->q_tokens - 1) : 0;
        const int64_t cut_pixels = kind == 2 ? test_range(rng, 0, a->batch_inner - 1) : 0;
        typed_fill_poison(&c->dst);
        card->seed = test_rand(rng);
        for (int part = cut_tokens + cut_pixels > 0 ? 0 : 1; part < 2; part++) {
            ms_attention_args slice = *a;
            const int64_t token = part ? cut_tokens : 0, pixel = part ? cut_pixels : 0;
            slice.q = ms_elements_at(a->q, a->dtype, token * a->q_stride[2] + pixel * a->q_stride[1]);
            slice.k = ms_elements_at(a->k, a->dtype, pixel * a->k_stride[1]);
            slice.v = ms_elements_at(a->v, a->dtype, pixel * a->v_stride[1]);
            slice.out = ms_elements_at(a->out, a->dtype, token * a->out_stride[2] + pixel * a->out_stride[1]);
            slice.q_tokens = kind == 1 ? (part ? a->q_tokens - token : cut_tokens) : a->q_tokens;
            slice.batch_inner = kind == 2 ? (part ? a->batch_inner - pixel : cut_pixels) : a->batch_inner;
            CARD(attention, &slice);
        }
        same_block(&c->dst, &whole);
    }
    free(whole.block);
}

static void check_tensor_cores(typed_devices *d, uint64_t *rng, const attention_shape *s, float size,
                               const char *kernel, double *worst) {
    simt_direct *card = typed_card(d, rng);
    attention_case c = make_case(rng, s, card->arch >= 80 && test_one_in(rng, 2) ? MS_BF16 : MS_F16, true);
    for (size_t i = 0; i < c.q.elements; i++)
        typed_set(&c.q, i, c.q.widened[i] * size);
    CARD(attention, &c.args);
    if (!strstr(card->last, kernel))
        fail_msg("%s did heads of %d, not %s", card->last, s->head_dim, kernel);
    check_close(&c, worst);
    check_parts(card, rng, &c);
    free_case(&c);
}

static const int head_dims[] = {40, 64, 80, 160, 8, 16, 24, 32, 48, 56, 72, 88, 96, 120, 128, 136, 152};
#define HEAD_DIMS ((int)(sizeof(head_dims) / sizeof(head_dims[0])))

static void halves_are_close(void **state) {
    uint64_t rng = 3;
    double worst = 0;
    for (int trial = 0; trial < 2 * HEAD_DIMS; trial++) {
        const attention_shape s = {.batches = test_range(&rng, 1, 2),
                                   .q_tokens = test_range(&rng, 1, 90),
                                   .kv_tokens = test_range(&rng, 17, 200),
                                   .heads = (int)test_range(&rng, 1, 2),
                                   .head_dim = head_dims[trial % HEAD_DIMS]};
        check_tensor_cores(*state, &rng, &s, trial % 4 ? 1.0f : 30.0f, "attention<", &worst);
    }
    print_message("%.2f of the bound\n", worst);
}

static void block_borders(void **state) {
    uint64_t rng = 4;
    double worst = 0;
    static const int64_t tokens[][2] = {{64, 64}, {65, 65}, {128, 128}, {16, 63}, {1, 17}, {63, 129}};
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        const attention_shape s = {1, tokens[i][0], tokens[i][1], 0, 1, 40};
        check_tensor_cores(*state, &rng, &s, 4.0f, "attention<", &worst);
    }
}

static void temporal_is_close(void **state) {
    uint64_t rng = 5;
    double worst = 0;
    for (int trial = 0; trial < 2 * HEAD_DIMS; trial++) {
        const attention_shape s = {.batches = test_range(&rng, 1, 2),
                                   .q_tokens = trial % 3 ? 16 : test_range(&rng, 1, 16),
                                   .pixels = test_range(&rng, 1, 7),
                                   .heads = (int)test_range(&rng, 1, 3),
                                   .head_dim = head_dims[trial % HEAD_DIMS]};
        check_tensor_cores(*state, &rng, &s, trial % 4 ? 1.0f : 30.0f, "temporal", &worst);
    }
    /* Few keys and many queries. */
    const attention_shape s = {2, 50, 5, 0, 2, 40};
    check_tensor_cores(*state, &rng, &s, 1.0f, "temporal", &worst);
    print_message("%.2f of the bound\n", worst);
}

static void wide_heads_are_close(void **state) {
    uint64_t rng = 6;
    double worst = 0;
    static const attention_shape shapes[] = {{2, 40, 130, 0, 1, 512}, {1, 33, 64, 0, 2, 168},
                                             {1, 5, 17, 0, 1, 200},   {1, 32, 65, 0, 1, 320},
                                             {1, 70, 90, 0, 1, 512},  {1, 9, 3, 0, 1, 504}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        check_tensor_cores(*state, &rng, &shapes[i], i % 2 ? 20.0f : 1.0f, "attention_wide", &worst);
    print_message("%.2f of the bound\n", worst);
}

/* With many blocks each takes 128 queries: the bits are those of one batch alone, whose blocks take 64. */
static void tiles_do_not_show(void **state) {
    typed_devices *d = *state;
    uint64_t rng = 7;
    for (int arch = 0; arch < TYPED_ARCHS; arch++) {
        simt_direct *card = &d->card[arch];
        const attention_shape s = {
            .batches = 65, .q_tokens = 66, .kv_tokens = 70, .heads = 8, .head_dim = 40};
        attention_case c = make_case(&rng, &s, MS_F16, true);
        CARD(attention, &c.args);
        assert_non_null(strstr(card->last, "attention<simt_f16, 40, 2>"));
        for (int64_t batch = 0; batch < s.batches; batch += 13) {
            ms_attention_args one = c.args;
            typed alone = rows_of(&rng, 1, s.q_tokens, 320, MS_F16, true);
            one.batch_outer = 1;
            one.q = ms_elements_at(one.q, MS_F16, batch * one.q_stride[0]);
            one.k = ms_elements_at(one.k, MS_F16, batch * one.k_stride[0]);
            one.v = ms_elements_at(one.v, MS_F16, batch * one.v_stride[0]);
            one.out = alone.rows.data;
            one.out_stride[2] = 320;
            CARD(attention, &one);
            assert_non_null(strstr(card->last, "attention<simt_f16, 40, 1>"));
            assert_memory_equal(ms_elements_at(c.args.out, MS_F16, batch * c.args.out_stride[0]),
                                alone.rows.data, (size_t)(s.q_tokens * 320 * 2));
            card->form = 1; /* the self-test's way to the large tile */
            CARD(attention, &one);
            card->form = 0;
            assert_non_null(strstr(card->last, "attention<simt_f16, 40, 2>"));
            assert_memory_equal(ms_elements_at(c.args.out, MS_F16, batch * c.args.out_stride[0]),
                                alone.rows.data, (size_t)(s.q_tokens * 320 * 2));
            typed_free(&alone);
        }
        free_case(&c);
    }
}

/* What is no number is not lost on the way: not in the maximum, and not in the powers of two. */
static void what_is_no_number_comes_through(void **state) {
    typed_devices *d = *state;
    uint64_t rng = 8;
    static const attention_shape shapes[] = {
        {1, 40, 70, 0, 1, 40}, {1, 40, 10, 0, 1, 40}, {1, 40, 70, 0, 1, 512}};
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int trial = 0; trial < 27; trial++) {
        simt_direct *card = &d->card[trial % TYPED_ARCHS];
        attention_case c = make_case(&rng, &shapes[trial / 9], MS_F16, true);
        const int64_t width = c.args.head_dim, token = test_range(&rng, 0, c.args.kv_tokens - 1);
        const int part = trial % 3;
        if (part == 0)
            typed_set(&c.q, (size_t)(3 * width + 5), bad[trial / 3 % 3]);
        else
            typed_set(&c.kv, (size_t)(token * 2 * width + (part == 1 ? 5 : width + 5)), bad[trial / 3 % 3]);
        CARD(attention, &c.args);
        bool finite = true;
        for (int64_t n = 0; n < width; n++)
            finite = finite && isfinite(test_element(c.args.out, MS_F16, (size_t)(3 * width + n)));
        /* An infinite query or key may have the least weight, or all of it. */
        if (part == 2 || trial / 3 % 3 == 0)
            assert_false(finite);
        free_case(&c);
    }
}

static void refuses(void **state) {
    typed_devices *d = *state;
    uint64_t rng = 9;
    const attention_shape s = {1, 4, 4, 0, 1, 8};
    attention_case c = make_case(&rng, &s, MS_BF16, true);
    assert_int_equal(ms_cuda_attention(&d->card[0].queue, &c.args, NULL), MS_UNSUPPORTED);
    c.args.heads = 0;
    assert_int_equal(ms_cuda_attention(&d->card[1].queue, &c.args, NULL), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_cuda_attention_workspace(&d->card[1].dev, &c.args), 0);
    free_case(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats_have_the_processors_bits),
        cmocka_unit_test(halves_that_are_not_aligned_are_rounded_once),
        cmocka_unit_test(halves_are_close),
        cmocka_unit_test(block_borders),
        cmocka_unit_test(temporal_is_close),
        cmocka_unit_test(wide_heads_are_close),
        cmocka_unit_test(tiles_do_not_show),
        cmocka_unit_test(what_is_no_number_comes_through),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, typed_devices_open, typed_devices_close);
}
