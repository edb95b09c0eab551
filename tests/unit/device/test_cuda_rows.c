/* Element-wise kernels of the CUDA back end, pooling, resizing and copying: the processor's bits, rounded
   once where rows are 16 bits wide. */
#include "support/device/typed.h"

#include "device/cuda/ops.h"

#define TRIALS 60
#define CPU(name, args) assert_int_equal(d->cpu.dev->kernels->name(d->cpu.queue, args), MS_OK)
#define CARD(name, args) assert_int_equal(ms_cuda_##name(&card->queue, args), MS_OK)

typedef struct shape {
    int64_t outer, inner, channels;
} shape;

/* Channels by eights half of the time; sometimes more rows than a block has threads for. */
static shape random_shape(uint64_t *rng) {
    shape s = {test_range(rng, 1, 4), test_range(rng, 1, 40), test_range(rng, 1, 70)};
    if (test_one_in(rng, 2))
        s.channels = 8 * test_range(rng, 1, 9);
    if (test_one_in(rng, 8))
        s.inner = test_range(rng, 200, 400);
    return s;
}

static ms_act random_act(uint64_t *rng, bool prelu) {
    static const ms_act acts[] = {MS_ACT_NONE, MS_ACT_SILU,    MS_ACT_GELU,
                                  MS_ACT_RELU, MS_ACT_SIGMOID, MS_ACT_PRELU};
    return acts[test_range(rng, 0, prelu ? 5 : 4)];
}

/* dst as well as its processor's side: poison before both ran. */
static typed random_rows(const simt_direct *card, uint64_t *rng, shape s) {
    return typed_random(rng, s.outer, s.inner, s.channels, typed_dtype(card, rng));
}

static typed poison_rows(const simt_direct *card, uint64_t *rng, shape s) {
    return typed_poison(rng, s.outer, s.inner, s.channels, typed_dtype(card, rng));
}

static void binary_matches(void **state) {
    typed_devices *d = *state;
    uint64_t rng = 1;
    for (int trial = 0; trial < TRIALS; trial++) {
        simt_direct *card = typed_card(d, &rng);
        const shape s = random_shape(&rng);
        typed a = random_rows(card, &rng, s), b = random_rows(card, &rng, s),
              dst = poison_rows(card, &rng, s);
        float *channel = test_floats(&rng, s.channels);
        ms_binary_args args = {.op = (ms_binary)test_range(&rng, 0, 3),
                               .a = a.rows,
                               .dst = dst.rows,
                               .act = random_act(&rng, false)};
        if (test_one_in(&rng, 3))
            args.b_channel = channel;
        else
            args.b = b.rows;
        ms_binary_args plain = args;
        plain.a = a.floats;
        plain.b = args.b_channel ? args.b : b.floats;
        plain.dst = dst.floats;
        CPU(binary, &plain);
        CARD(binary, &args);
        typed_assert_same(&dst, "binary");
        typed_free(&a);
        typed_free(&b);
        typed_free(&dst);
        free(channel);
    }
}

static void unary_matches(void **state) {
    typed_devices *d = *state;
    uint64_t rng = 2;
    for (int trial = 0; trial < TRIALS; trial++) {
        simt_direct *card = typed_card(d, &rng);
        const shape s = random_shape(&rng);
        const bool in_place = test_one_in(&rng, 3);
        typed src = random_rows(card, &rng, s), other = poison_rows(card, &rng, s);
        typed *dst = in_place ? &src : &other;
        float *slope = test_floats(&rng, s.channels);
        ms_unary_args args = {
            .src = src.rows, .dst = dst->rows, .act = random_act(&rng, true), .slope = slope};
        ms_unary_args plain = args;
        plain.src = src.floats;
        plain.dst = dst->floats;
        CPU(unary, &plain);
        CARD(unary, &args);
        typed_assert_same(dst, "unary");
        typed_free(&src);
        typed_free(&other);
        free(slope);
    }
}

static void apply_matches(void **state) {
    typed_devices *d = *state;
    uint64_t rng = 3;
    for (int trial = 0; trial < TRIALS; trial++) {
        simt_direct *card = typed_card(d, &rng);
        const shape s = random_shape(&rng);
        typed src = random_rows(card, &rng, s), dst = poison_rows(card, &rng, s);
        ms_norm_apply_args args = {.src = src.rows, .dst = dst.rows};
        args.prologue = test_prologue_random(&rng, s.outer, s.channels);
        ms_norm_apply_args plain = args;
        plain.src = src.floats;
        plain.dst = dst.floats;
        CPU(norm_apply, &plain);
        CARD(norm_apply, &args);
        typed_assert_same(&dst, "norm_apply");
        typed_free(&src);
        typed_free(&dst);
        free((void *)(uintptr_t)args.prologue.tables);
    }
}

/* A part of the rows, by itself: the same bits as in one call. */
static void slices_are_the_whole(void **state) {
    typed_devices *d = *state;
    uint64_t rng = 4;
    for (int trial = 0; trial < TRIALS / 2; trial++) {
        simt_direct *card = typed_card(d, &rng);
        const shape s = {3, test_range(&rng, 2, 30), test_range(&rng, 1, 40)};
        typed src = random_rows(card, &rng, s), dst = poison_rows(card, &rng, s);
        ms_norm_apply_args args = {.src = src.rows, .dst = dst.rows};
        float *tables = test_floats(&rng, 3 * 2 * s.channels);
        args.prologue = (ms_prologue){.tables = tables, .outer_per_table = 2, .act = MS_ACT_SILU};
        ms_norm_apply_args plain = args;
        plain.src = src.floats;
        plain.dst = dst.floats;
        CPU(norm_apply, &plain);
        const int64_t cut = test_range(&rng, 1, s.inner - 1);
        for (int64_t i = 0; i < s.outer; i++)
            for (int part = 0; part < 2; part++) {
                ms_norm_apply_args slice = args;
                const int64_t first = part ? cut : 0, count = part ? s.inner - cut : cut;
                slice.prologue.outer_first = i;
                slice.src.outer = slice.dst.outer = 1;
                slice.src.inner = slice.dst.inner = count;
                slice.src.data = ms_elements_at(args.src.data, args.src.dtype,
                                                i * args.src.outer_stride + first * args.src.inner_stride);
                slice.dst.data = ms_elements_at(args.dst.data, args.dst.dtype,
                                                i * args.dst.outer_stride + first * args.dst.inner_stride);
                CARD(norm_apply, &slice);
            }
        typed_assert_same(&dst, "slices");
        typed_free(&src);
        typed_free(&dst);
        free(tables);
    }
}

static void pool_matches(void **state) {
    typed_devices *d = *state;
    uint64_t rng = 5;
    for (int trial = 0; trial < TRIALS; trial++) {
        simt_direct *card = typed_card(d, &rng);
        ms_pool_args args = {.average = test_one_in(&rng, 2),
                             .count_pad = test_one_in(&rng, 2),
                             .src_h = test_range(&rng, 1, 12),
                             .src_w = test_range(&rng, 1, 12),
                             .kernel_h = (int)test_range(&rng, 1, 5),
                             .kernel_w = (int)test_range(&rng, 1, 5),
                             .stride_h = (int)test_range(&rng, 1, 3),
                             .stride_w = (int)test_range(&rng, 1, 3)};
        if (test_one_in(&rng, 10)) { /* a window of more taps than the processor takes at a time */
            args.src_h = args.src_w = args.kernel_h = args.kernel_w = 17;
            args.average = true;
        }
        args.pad_top = (int)test_range(&rng, 0, args.kernel_h - 1);
        args.pad_left = (int)test_range(&rng, 0, args.kernel_w - 1);
        args.pad_bottom = (int)test_range(&rng, 0, 2);
        args.pad_right = (int)test_range(&rng, 0, 2);
        args.dst_h = (args.src_h - 1 + args.pad_top) / args.stride_h + 1;
        args.dst_w = (args.src_w - 1 + args.pad_left) / args.stride_w + 1;
        const int64_t outer = test_range(&rng, 1, 3), channels = test_range(&rng, 1, 40);
        typed src = random_rows(card, &rng, (shape){outer, args.src_h * args.src_w, channels});
        typed dst = poison_rows(card, &rng, (shape){outer, args.dst_h * args.dst_w, channels});
        args.src = src.rows;
        args.dst = dst.rows;
        ms_pool_args plain = args;
        plain.src = src.floats;
        plain.dst = dst.floats;
        CPU(pool, &plain);
        CARD(pool, &args);
        typed_assert_same(&dst, "pool");
        typed_free(&src);
        typed_free(&dst);
    }
}

static void resize_matches(void **state) {
    typed_devices *d = *state;
    uint64_t rng = 6;
    for (int trial = 0; trial < TRIALS; trial++) {
        simt_direct *card = typed_card(d, &rng);
        ms_resize_args args = {.src_h = test_range(&rng, 1, 9),
                               .src_w = test_range(&rng, 1, 9),
                               .dst_h = test_range(&rng, 1, 20),
                               .dst_w = test_range(&rng, 1, 20)};
        const int64_t outer = test_range(&rng, 1, 3), channels = test_range(&rng, 1, 40);
        typed src = random_rows(card, &rng, (shape){outer, args.src_h * args.src_w, channels});
        typed dst = poison_rows(card, &rng, (shape){outer, args.dst_h * args.dst_w, channels});
        args.src = src.rows;
        args.dst = dst.rows;
        ms_resize_args plain = args;
        plain.src = src.floats;
        plain.dst = dst.floats;
        CPU(resize, &plain);
        CARD(resize, &args);
        typed_assert_same(&dst, "resize");
        typed_free(&src);
        typed_free(&dst);
    }
}

/* To planar rows, from planar rows, rows as they are, and one row for all of the outer ones. */
static void copy_matches(void **state) {
    typed_devices *d = *state;
    uint64_t rng = 7;
    for (int trial = 0; trial < TRIALS; trial++) {
        simt_direct *card = typed_card(d, &rng);
        const shape s = random_shape(&rng);
        const ms_dtype dtype = typed_dtype(card, &rng);
        typed src = typed_random(&rng, s.outer, s.inner, s.channels, dtype);
        typed dst = typed_poison(&rng, s.outer, s.inner, s.channels, dtype);
        const int64_t planar[3] = {s.inner * s.channels, 1, s.inner};
        ms_copy_args args = {.src = src.rows.data,
                             .dst = dst.rows.data,
                             .dtype = dtype,
                             .outer = s.outer,
                             .inner = s.inner,
                             .channels = s.channels,
                             .src_stride = {src.rows.outer_stride, src.rows.inner_stride, 1},
                             .dst_stride = {dst.rows.outer_stride, dst.rows.inner_stride, 1}};
        const int kind = (int)test_range(&rng, 0, 3);
        if (kind == 1)
            memcpy(args.src_stride, planar, sizeof(planar));
        if (kind == 2)
            memcpy(args.dst_stride, planar, sizeof(planar));
        if (kind == 3)
            args.src_stride[0] = 0;
        ms_copy_args plain = args;
        plain.src = src.floats.data;
        plain.dst = dst.floats.data;
        plain.dtype = MS_F32;
        CPU(copy, &plain);
        CARD(copy, &args);
        typed_assert_same(&dst, "copy");
        typed_free(&src);
        typed_free(&dst);
    }
}

/* A grid has 65,535 blocks along y: they take turns. */
static void many_outer_rows(void **state) {
    typed_devices *d = *state;
    simt_direct *card = &d->card[1];
    uint64_t rng = 9;
    typed src = typed_random(&rng, 65600, 1, 1, MS_F16);
    while (src.rows.outer_stride == 1) { /* these would be one long row */
        typed_free(&src);
        src = typed_random(&rng, 65600, 1, 1, MS_F16);
    }
    ms_unary_args args = {.src = src.rows, .dst = src.rows, .act = MS_ACT_SILU}, plain = args;
    plain.src = plain.dst = src.floats;
    CPU(unary, &plain);
    CARD(unary, &args);
    typed_assert_same(&src, "many outer rows");
    typed_free(&src);
}

static void types_it_does_not_keep_are_refused(void **state) {
    typed_devices *d = *state;
    uint64_t rng = 8;
    typed rows = typed_random(&rng, 1, 2, 8, MS_BF16);
    ms_unary_args args = {.src = rows.rows, .dst = rows.rows, .act = MS_ACT_RELU};
    assert_int_equal(ms_cuda_unary(&d->card[0].queue, &args), MS_UNSUPPORTED);
    args.act = MS_ACT_GEGLU;
    assert_int_equal(ms_cuda_unary(&d->card[1].queue, &args), MS_INVALID_ARGUMENT);
    typed_free(&rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binary_matches),  cmocka_unit_test(unary_matches),
        cmocka_unit_test(apply_matches),   cmocka_unit_test(slices_are_the_whole),
        cmocka_unit_test(pool_matches),    cmocka_unit_test(resize_matches),
        cmocka_unit_test(copy_matches),    cmocka_unit_test(types_it_does_not_keep_are_refused),
        cmocka_unit_test(many_outer_rows),
    };
    return cmocka_run_group_tests(tests, typed_devices_open, typed_devices_close);
}
