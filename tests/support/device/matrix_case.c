#include "support/device/matrix_case.h"

#include "device/cpu/cpu.h"
#include "device/cuda/weight_prepare.h"

float card_at(const ms_rows *r, int64_t outer, int64_t inner, int64_t channel) {
    return test_element(r->data, r->dtype, outer * r->outer_stride + inner * r->inner_stride + channel);
}

/* ---- tensors ---- */

static void *block_of(size_t bytes) {
    void *p = NULL;
    assert_int_equal(posix_memalign(&p, 64, bytes), 0);
    memset(p, 0xff, bytes); /* NaNs of every type */
    return p;
}

/* Strides are multiples of 8 as often as channels allow it. */
static test_tensor aligned_random(uint64_t *rng, int64_t outer, int64_t inner, int64_t channels) {
    test_tensor t = {.rows = {.outer = outer, .inner = inner, .channels = channels}};
    const int64_t step = test_one_in(rng, 3) ? 1 : 8;
    t.rows.inner_stride = channels + test_range(rng, 0, 2) * step;
    t.rows.outer_stride = inner * t.rows.inner_stride + test_range(rng, 0, 1) * 3 * step;
    t.floats = (size_t)((outer - 1) * t.rows.outer_stride + (inner - 1) * t.rows.inner_stride + channels);
    t.block = malloc(t.floats * sizeof(float));
    assert_non_null(t.block);
    t.rows.data = t.block;
    for (size_t i = 0; i < t.floats; i++)
        t.block[i] = test_uniform(rng);
    return t;
}

/* The values of a type, and poison between rows. */
static card_tensor to_card(test_tensor *t, ms_dtype dtype) {
    card_tensor c = {.bytes = t->floats * ms_dtype_bytes(dtype), .rows = t->rows};
    c.rows.data = c.block = block_of(c.bytes);
    c.rows.dtype = dtype;
    const ms_rows *r = &t->rows;
    for (int64_t i = 0; i < r->outer; i++)
        for (int64_t j = 0; j < r->inner; j++)
            for (int64_t k = 0; k < r->channels; k++) {
                int64_t at = i * r->outer_stride + j * r->inner_stride + k;
                t->block[at] = test_rounded(t->block[at], dtype);
                test_element_set(c.block, dtype, at, t->block[at]);
            }
    return c;
}

/* ---- shapes ---- */

static int64_t channels_of(uint64_t *rng, const matrix_sizes *s, int64_t most) {
    return s->step * test_range(rng, 1, most / s->step);
}

static void random_window(uint64_t *rng, const matrix_sizes *s, ms_conv2d_args *a) {
    a->src_h = test_range(rng, 1, s->side);
    a->src_w = test_range(rng, 1, s->side);
    if (test_one_in(rng, 3)) {
        a->up_h = a->src_h * 2 + test_range(rng, 0, 1) * (a->src_h > 1);
        a->up_w = test_one_in(rng, 2) ? a->src_w * 2 : 0;
    }
    const int64_t in_h = ms_conv2d_in_h(a), in_w = ms_conv2d_in_w(a);
    a->kernel_h = a->kernel_w = 3;
    a->stride_h = a->stride_w = 1;
    a->pad_top = a->pad_left = 1;
    a->dst_h = in_h;
    a->dst_w = in_w;
    if (test_one_in(rng, 2))
        return;
    a->kernel_h = (int)test_range(rng, 1, in_h < 5 ? in_h : 5);
    a->kernel_w = (int)test_range(rng, 1, in_w < 5 ? in_w : 5);
    a->stride_h = (int)test_range(rng, 1, 2);
    a->stride_w = (int)test_range(rng, 1, 3);
    a->pad_top = (int)test_range(rng, 0, a->kernel_h - 1);
    a->pad_left = (int)test_range(rng, 0, a->kernel_w - 1);
    a->dst_h = (in_h + a->pad_top + test_range(rng, 0, a->kernel_h - 1) - a->kernel_h) / a->stride_h + 1;
    a->dst_w = (in_w + a->pad_left + test_range(rng, 0, a->kernel_w - 1) - a->kernel_w) / a->stride_w + 1;
}

static bool is_linear(matrix_kind kind) {
    return kind == MATRIX_LINEAR || kind == MATRIX_GEGLU;
}

static void random_shape(uint64_t *rng, matrix_kind kind, const matrix_sizes *s, ms_conv2d_args *a,
                         int64_t channels[2], int64_t *ret_n) {
    a->groups = 1;
    a->n_src = test_one_in(rng, 3) ? 2 : 1;
    channels[0] = channels_of(rng, s, s->channels);
    channels[1] = channels_of(rng, s, s->channels);
    *ret_n = test_one_in(rng, 2) ? test_range(rng, 1, s->n) : channels_of(rng, s, s->n);
    if (is_linear(kind)) {
        a->src_h = a->dst_h = 1;
        a->src_w = a->dst_w = test_one_in(rng, 5) ? 1 : test_range(rng, 1, s->side * s->side);
        a->kernel_h = a->kernel_w = a->stride_h = a->stride_w = 1;
        return;
    }
    random_window(rng, s, a);
    if (kind == MATRIX_CONV)
        return;
    a->n_src = 1;
    if (kind == MATRIX_DEPTHWISE) {
        channels[0] = *ret_n = *ret_n > 1 ? *ret_n : 2;
        a->groups = (int)*ret_n;
    } else {
        a->groups = (int)test_range(rng, 2, 3);
        channels[0] = a->groups * channels_of(rng, s, s->channels / 3 < s->step ? s->step : s->channels / 3);
        *ret_n = a->groups * test_range(rng, 1, s->n / 3);
        if (channels[0] == a->groups && *ret_n == a->groups)
            *ret_n *= 2; /* else it were depthwise */
    }
}

static void random_epilogue(uint64_t *rng, const matrix_types *types, matrix_case *c) {
    ms_conv2d_args *a = &c->host;
    test_epilogue_random(rng, &c->epilogue, &c->dst.rows, c->kind == MATRIX_GEGLU);
    if (c->epilogue.e.residual.data) {
        test_tensor_free(&c->epilogue.residual);
        c->epilogue.residual = aligned_random(rng, a->dst.outer, a->dst.inner, a->dst.channels);
        c->in_place = types->residual == types->dst && test_one_in(rng, 3);
        if (c->in_place)
            c->epilogue.residual.rows.inner_stride = c->epilogue.residual.rows.outer_stride = 0;
    }
    if (c->in_place) {
        test_tensor_free(&c->epilogue.residual);
        c->epilogue.residual = test_tensor_copy(&c->dst);
        for (size_t i = 0; i < c->dst.floats; i++)
            c->epilogue.residual.block[i] = test_uniform(rng);
    }
    a->epilogue = c->epilogue.e;
    if (a->epilogue.residual.data) {
        c->card_residual = to_card(&c->epilogue.residual, types->residual);
        a->epilogue.residual = c->epilogue.residual.rows;
    }
    c->card.epilogue = a->epilogue;
    if (a->epilogue.residual.data)
        c->card.epilogue.residual = c->in_place ? c->card_dst.rows : c->card_residual.rows;
}

void matrix_case_random(uint64_t *rng, matrix_kind kind, const matrix_types *types, const matrix_sizes *sizes,
                        simt_direct *direct, matrix_case *c) {
    memset(c, 0, sizeof(*c));
    c->kind = kind;
    ms_conv2d_args *a = &c->host;
    const int64_t outer = test_range(rng, 1, sizes->outer);
    int64_t channels[2], n, all = 0;
    random_shape(rng, kind, sizes, a, channels, &n);
    for (int i = 0; i < a->n_src; i++) {
        c->src[i] = aligned_random(rng, outer, a->src_h * a->src_w, channels[i]);
        a->src[i] = c->src[i].rows;
        all += channels[i];
    }
    c->dst = aligned_random(rng, outer, a->dst_h * a->dst_w, n);
    test_tensor_fill_poison(&c->dst);
    a->dst = c->dst.rows;
    const ms_weight_layout layout = kind == MATRIX_GEGLU       ? MS_LAYOUT_GEGLU
                                    : kind == MATRIX_DEPTHWISE ? MS_LAYOUT_DEPTHWISE
                                                               : MS_LAYOUT_PANEL;
    c->weight = test_weight_random(rng, layout, types->weight, kind == MATRIX_GEGLU ? 2 * n : n,
                                   all / a->groups, a->kernel_h, a->kernel_w, a->groups);
    a->weight = c->weight.weight;
    a->prologue = test_prologue_random(rng, outer, all);

    c->card = *a;
    for (int i = 0; i < a->n_src; i++) {
        c->card_src[i] = to_card(&c->src[i], types->src[i]);
        c->card.src[i] = c->card_src[i].rows;
    }
    c->card_dst = to_card(&c->dst, types->dst);
    c->card.dst = c->card_dst.rows;
    random_epilogue(rng, types, c);
    size_t bytes = ms_cuda_weight_bytes(&c->weight.shape);
    c->card_weight = block_of(bytes);
    memset(c->card_weight, 0, bytes);
    assert_int_equal(cuda_weight_prepare(&direct->queue, &c->weight.shape, MS_F32, 0, c->weight.shape.n,
                                         c->weight.values, c->card_weight),
                     MS_OK);
    c->card.weight.data = c->card_weight;
}

void matrix_case_misalign(matrix_case *c) {
    for (int i = 0; i < c->card.n_src; i++) {
        card_tensor *t = &c->card_src[i];
        const size_t element = ms_dtype_bytes(t->rows.dtype);
        char *moved = block_of(t->bytes + element);
        memcpy(moved + element, t->block, t->bytes);
        free(t->block);
        t->block = moved;
        t->rows.data = moved + element;
        c->card.src[i] = t->rows;
    }
}

void matrix_case_free(matrix_case *c) {
    for (int i = 0; i < 2; i++) {
        test_tensor_free(&c->src[i]);
        free(c->card_src[i].block);
    }
    test_tensor_free(&c->dst);
    test_weight_free(&c->weight);
    test_epilogue_free(&c->epilogue);
    free(c->card_dst.block);
    free(c->card_residual.block);
    free(c->card_weight);
    free((void *)(uintptr_t)c->host.prologue.tables);
}

/* ---- running them ---- */

static ms_linear_args as_linear(const ms_conv2d_args *a) {
    return (ms_linear_args){.src = {a->src[0], a->src[1]},
                            .n_src = a->n_src,
                            .dst = a->dst,
                            .weight = a->weight,
                            .prologue = a->prologue,
                            .epilogue = a->epilogue};
}

void matrix_case_on_host(const ms_compute *compute, const matrix_case *c, const ms_conv2d_args *args) {
    /* Room for the direct way, whatever the layout that the processor would choose. */
    void *workspace = test_workspace((size_t)8 << 20);
    if (is_linear(c->kind)) {
        const ms_linear_args linear = as_linear(args);
        assert_int_equal(compute->dev->kernels->linear(compute->queue, &linear, workspace), MS_OK);
    } else {
        ms_cpu_conv2d(compute->dev, args, workspace);
    }
    free(workspace);
}

void matrix_case_reset(matrix_case *c) {
    memset(c->card_dst.block, 0xff, c->card_dst.bytes);
    const ms_rows *r = &c->card_dst.rows;
    if (!c->in_place)
        return;
    for (int64_t i = 0; i < r->outer; i++)
        for (int64_t j = 0; j < r->inner; j++)
            for (int64_t k = 0; k < r->channels; k++)
                test_element_set(r->data, r->dtype, i * r->outer_stride + j * r->inner_stride + k,
                                 test_at(&c->epilogue.residual.rows, i, j, k));
}

void matrix_case_on_card(simt_direct *d, const matrix_case *c, const ms_conv2d_args *args, cuda_tile tile) {
    const ms_linear_args linear = as_linear(args);
    const bool is = is_linear(c->kind);
    size_t bytes = is ? ms_cuda_linear_workspace(&d->dev, &linear) : ms_cuda_conv2d_workspace(&d->dev, args);
    void *workspace = bytes ? block_of(bytes) : NULL;
    ms_status status = is ? cuda_linear_in_tiles(&d->queue, &linear, workspace, tile)
                          : cuda_conv2d_in_tiles(&d->queue, args, workspace, tile);
    assert_int_equal(status, MS_OK);
    free(workspace);
}

static ms_rows rows_slice(ms_rows r, int64_t first, int64_t count) {
    r.data = ms_elements_at(r.data, r.dtype, first * r.outer_stride);
    r.outer = count;
    return r;
}

void matrix_case_sliced(simt_direct *d, const matrix_case *c, int64_t cut, cuda_tile tile) {
    for (int part = 0; part < 2; part++) {
        ms_conv2d_args a = c->card;
        const int64_t first = part ? cut : 0, count = part ? a.dst.outer - cut : cut;
        if (count == 0)
            continue;
        for (int i = 0; i < a.n_src; i++)
            a.src[i] = rows_slice(a.src[i], first, count);
        a.dst = rows_slice(a.dst, first, count);
        a.prologue.outer_first += first;
        if (a.epilogue.residual.data)
            a.epilogue.residual = rows_slice(a.epilogue.residual, first, count);
        matrix_case_on_card(d, c, &a, tile);
    }
}

/* Rows of images of w pixels. */
static ms_rows image_rows(ms_rows r, int64_t first, int64_t count, int64_t w) {
    r.data = ms_elements_at(r.data, r.dtype, first * w * r.inner_stride);
    r.inner = count * w;
    return r;
}

void matrix_case_striped(simt_direct *d, const matrix_case *c, uint64_t *rng, cuda_tile tile) {
    for (int64_t y = 0, count; y < c->card.dst_h; y += count) {
        ms_conv2d_args a = c->card;
        int64_t first = 0, last = 0;
        count = test_range(rng, 1, 4);
        count = count < a.dst_h - y ? count : a.dst_h - y;
        ms_conv2d_reads(&c->card, y, y + count - 1, &first, &last);
        first -= first > 0 && test_one_in(rng, 2);
        last += last + 1 < a.src_h && test_one_in(rng, 2);
        a.src_y = first;
        a.src_rows = last + 1 - first;
        a.dst_y = y;
        a.dst_rows = count;
        for (int i = 0; i < a.n_src; i++)
            a.src[i] = image_rows(a.src[i], first, a.src_rows, a.src_w);
        a.dst = image_rows(a.dst, y, count, a.dst_w);
        if (a.epilogue.residual.data)
            a.epilogue.residual = image_rows(a.epilogue.residual, y, count, a.dst_w);
        matrix_case_on_card(d, c, &a, tile);
    }
}

/* ---- comparing ---- */

static void describe(const matrix_case *c, const char *what, char text[400]) {
    const ms_conv2d_args *a = &c->card;
    snprintf(
        text, 400,
        "%s, kind %d: %d x %d rows, channels %d + %d to %d, types %d %d to %d, kernel %dx%d stride %dx%d "
        "pad %d,%d up %d,%d groups %d, images %dx%d to %dx%d, act %d, residual %d, prologue %d",
        what, c->kind, (int)a->dst.outer, (int)a->dst.inner, (int)a->src[0].channels,
        a->n_src == 2 ? (int)a->src[1].channels : 0, (int)a->dst.channels, a->src[0].dtype, a->weight.dtype,
        a->dst.dtype, a->kernel_h, a->kernel_w, a->stride_h, a->stride_w, a->pad_top, a->pad_left,
        (int)a->up_h, (int)a->up_w, a->groups, (int)a->src_h, (int)a->src_w, (int)a->dst_h, (int)a->dst_w,
        a->epilogue.act, a->epilogue.residual.data != NULL, a->prologue.tables != NULL);
}

void matrix_case_same_as_host(const matrix_case *c, const char *what) {
    const ms_rows *r = &c->card_dst.rows;
    char text[400];
    void *expected = block_of(c->card_dst.bytes);
    for (int64_t i = 0; i < r->outer; i++)
        for (int64_t j = 0; j < r->inner; j++)
            for (int64_t k = 0; k < r->channels; k++) {
                const float x = test_at(&c->dst.rows, i, j, k);
                test_element_set(expected, r->dtype, i * r->outer_stride + j * r->inner_stride + k, x);
                if (ms_float_bits(card_at(r, i, j, k)) != ms_float_bits(test_rounded(x, r->dtype))) {
                    describe(c, what, text);
                    fail_msg("%s: row %d,%d channel %d is %a, the processor has %a", text, (int)i, (int)j,
                             (int)k, (double)card_at(r, i, j, k), (double)test_rounded(x, r->dtype));
                }
            }
    describe(c, what, text);
    if (memcmp(expected, c->card_dst.block, c->card_dst.bytes) != 0)
        fail_msg("%s: something between rows was written", text);
    free(expected);
}

void *matrix_case_keep(const matrix_case *c) {
    void *kept = block_of(c->card_dst.bytes);
    memcpy(kept, c->card_dst.block, c->card_dst.bytes);
    return kept;
}

void matrix_case_same_as(const matrix_case *c, const void *kept, const char *what) {
    char text[400];
    describe(c, what, text);
    if (memcmp(kept, c->card_dst.block, c->card_dst.bytes) != 0)
        fail_msg("%s: other bits", text);
}
