#include "support/device/kernel_test.h"

#include "device/weight.h"

int test_devices_open(void **state) {
    static const struct {
        ms_isa isa;
        int threads;
    } wanted[] = {{MS_ISA_C, 1},    {MS_ISA_C, 3},      {MS_ISA_AVX2, 1},
                  {MS_ISA_AVX2, 4}, {MS_ISA_AVX512, 1}, {MS_ISA_AVX512, 2}};
    test_devices *t = calloc(1, sizeof(*t));
    if (!t)
        return -1;
    ms_error err;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        ms_compute_params params = {
            .device = "cpu", .threads = wanted[i].threads, .isa_limit = wanted[i].isa};
        if (wanted[i].isa > ms_isa_detect())
            continue;
        if (ms_compute_open(&params, &t->computes[t->count], &err) != MS_OK)
            return -1;
        t->devices[t->count] = t->computes[t->count].dev;
        snprintf(t->name[t->count], sizeof(t->name[0]), "%s, %d threads", ms_isa_name(wanted[i].isa),
                 wanted[i].threads);
        t->count++;
    }
    *state = t;
    return 0;
}

int test_devices_close(void **state) {
    test_devices *t = *state;
    for (int i = 0; i < t->count; i++)
        ms_compute_close(&t->computes[i]);
    free(t);
    return 0;
}

int64_t test_range(uint64_t *rng, int64_t low, int64_t high) {
    return low + (int64_t)(test_rand(rng) % (uint64_t)(high - low + 1));
}

bool test_one_in(uint64_t *rng, int n) {
    return test_range(rng, 1, n) == 1;
}

static test_tensor make_tensor(uint64_t *rng, int64_t outer, int64_t inner, int64_t channels, bool gaps) {
    test_tensor t = {0};
    t.rows = (ms_rows){.outer = outer, .inner = inner, .channels = channels};
    t.rows.inner_stride = channels + (gaps ? test_range(rng, 0, 9) : 0);
    t.rows.outer_stride = inner * t.rows.inner_stride + (gaps ? test_range(rng, 0, 1) * 13 : 0);
    t.floats = (size_t)((outer - 1) * t.rows.outer_stride + (inner - 1) * t.rows.inner_stride + channels);
    t.block = malloc(t.floats * sizeof(float));
    assert_non_null(t.block);
    t.rows.data = t.block;
    return t;
}

test_tensor test_tensor_random(uint64_t *rng, int64_t outer, int64_t inner, int64_t channels, bool gaps) {
    test_tensor t = make_tensor(rng, outer, inner, channels, gaps);
    test_poison(t.block, t.floats);
    for (int64_t i = 0; i < outer; i++)
        for (int64_t j = 0; j < inner; j++)
            for (int64_t c = 0; c < channels; c++)
                t.block[i * t.rows.outer_stride + j * t.rows.inner_stride + c] = test_uniform(rng);
    return t;
}

void test_poison(float *p, size_t floats) {
    for (size_t i = 0; i < floats; i++)
        p[i] = ms_bits_float(0x7fc00bad);
}

test_tensor test_tensor_poison(uint64_t *rng, int64_t outer, int64_t inner, int64_t channels, bool gaps) {
    test_tensor t = make_tensor(rng, outer, inner, channels, gaps);
    test_poison(t.block, t.floats);
    return t;
}

test_tensor test_tensor_copy(const test_tensor *from) {
    test_tensor t = *from;
    t.block = malloc(t.floats * sizeof(float));
    assert_non_null(t.block);
    memcpy(t.block, from->block, t.floats * sizeof(float));
    t.rows.data = t.block;
    return t;
}

void test_tensor_fill_poison(test_tensor *t) {
    test_poison(t->block, t->floats);
}

void test_tensor_free(test_tensor *t) {
    free(t->block);
    t->block = NULL;
}

float test_at(const ms_rows *rows, int64_t outer, int64_t inner, int64_t channel) {
    return ((const float *)rows->data)[outer * rows->outer_stride + inner * rows->inner_stride + channel];
}

float *test_floats(uint64_t *rng, int64_t n) {
    float *p = malloc((size_t)n * sizeof(float));
    assert_non_null(p);
    for (int64_t i = 0; i < n; i++)
        p[i] = test_uniform(rng);
    return p;
}

void test_same_bits(const test_tensor *a, const test_tensor *b, const char *what, const char *device) {
    assert_int_equal(a->floats, b->floats);
    for (size_t i = 0; i < a->floats; i++) {
        if (ms_float_bits(a->block[i]) != ms_float_bits(b->block[i]))
            fail_msg("%s on %s: float %zu of %zu is %a, plain C has %a", what, device, i, a->floats,
                     (double)b->block[i], (double)a->block[i]);
    }
}

uint32_t test_element_bits(const void *block, ms_dtype dtype, int64_t at) {
    return dtype == MS_F32 ? ((const uint32_t *)block)[at] : ((const uint16_t *)block)[at];
}

uint32_t test_rounded_bits(float x, ms_dtype dtype) {
    if (dtype == MS_F32)
        return ms_float_bits(x);
    return dtype == MS_F16 ? ms_f32_to_f16(x) : ms_f32_to_bf16(x);
}

float test_element(const void *block, ms_dtype dtype, int64_t at) {
    const uint32_t bits = test_element_bits(block, dtype, at);
    if (dtype == MS_F32)
        return ms_bits_float(bits);
    return dtype == MS_F16 ? ms_f16_to_f32((uint16_t)bits) : ms_bf16_to_f32((uint16_t)bits);
}

void test_element_set(void *block, ms_dtype dtype, int64_t at, float x) {
    const uint32_t bits = test_rounded_bits(x, dtype);
    if (dtype == MS_F32)
        ((uint32_t *)block)[at] = bits;
    else
        ((uint16_t *)block)[at] = (uint16_t)bits;
}

float test_rounded(float x, ms_dtype dtype) {
    uint32_t kept;
    test_element_set(&kept, dtype, 0, x);
    return test_element(&kept, dtype, 0);
}

test_weight test_weight_random(uint64_t *rng, ms_weight_layout layout, ms_dtype dtype, int64_t n,
                               int64_t c_in, int kernel_h, int kernel_w, int groups) {
    const ms_weight_shape shape = {layout, dtype, n, c_in, kernel_h, kernel_w, groups};
    const int64_t k = c_in * kernel_h * kernel_w;
    float *values = test_floats(rng, n * k);
    for (int64_t i = 0; i < n * k; i++)
        values[i] = test_rounded(values[i], dtype);
    return test_weight_of(&shape, values);
}

test_weight test_weight_of(const ms_weight_shape *shape, float *values) {
    test_weight w = {.values = values, .shape = *shape};
    const int64_t k = shape->c_in * shape->kernel_h * shape->kernel_w;
    size_t bytes = ms_weight_bytes(&w.shape);
    assert_true(bytes > 0);
    w.block = malloc(bytes);
    assert_non_null(w.block);
    memset(w.block, 0xff, bytes); /* NaN in every dtype */
    for (int64_t p = 0; p < ms_weight_panels(&w.shape); p++) {
        const float *rows[16];
        for (int i = 0; i < 16; i++) {
            int64_t row = ms_weight_row(&w.shape, p, i);
            rows[i] = row < 0 ? NULL : w.values + row * k;
        }
        ms_weight_pack(&w.shape, p, rows, w.block);
    }
    w.weight = (ms_weight){w.block, shape->dtype, shape->layout, shape->n, k};
    return w;
}

void test_weight_free(test_weight *w) {
    free(w->values);
    free(w->block);
}

void *test_workspace(size_t bytes) {
    void *p = NULL;
    if (bytes == 0)
        return NULL;
    assert_int_equal(posix_memalign(&p, 64, bytes), 0);
    test_poison(p, bytes / sizeof(float));
    return p;
}

ms_prologue test_prologue_random(uint64_t *rng, int64_t outer, int64_t channels) {
    ms_prologue p = {0};
    if (test_one_in(rng, 2))
        return p;
    p.outer_per_table = test_range(rng, 1, 3);
    p.outer_first = test_range(rng, 0, 4);
    p.act = test_one_in(rng, 2) ? MS_ACT_SILU : MS_ACT_NONE;
    p.tables = test_floats(rng, ((p.outer_first + outer - 1) / p.outer_per_table + 1) * 2 * channels);
    return p;
}

double test_prologue_value(const ms_prologue *p, int64_t outer, int64_t channel, int64_t channels, double x) {
    if (!p->tables)
        return x;
    const float *table = p->tables + (p->outer_first + outer) / p->outer_per_table * 2 * channels;
    return test_act_value(p->act, x * table[channel] + table[channels + channel], 0);
}

void test_epilogue_random(uint64_t *rng, test_epilogue *t, const ms_rows *dst, bool geglu) {
    static const ms_act acts[] = {MS_ACT_NONE, MS_ACT_NONE,  MS_ACT_SILU,   MS_ACT_GELU,
                                  MS_ACT_RELU, MS_ACT_PRELU, MS_ACT_SIGMOID};
    memset(t, 0, sizeof(*t));
    const int64_t n = dst->channels * (geglu ? 2 : 1);
    if (!test_one_in(rng, 3))
        t->e.bias = t->tables[0] = test_floats(rng, n);
    if (test_one_in(rng, 3))
        t->e.add = t->tables[1] = test_floats(rng, n);
    t->e.act = geglu ? MS_ACT_GEGLU : acts[test_range(rng, 0, 6)];
    if (t->e.act == MS_ACT_PRELU)
        t->e.slope = t->tables[2] = test_floats(rng, n);
    if (test_one_in(rng, 2)) {
        t->residual = test_tensor_random(rng, dst->outer, dst->inner, dst->channels, true);
        t->e.residual = t->residual.rows;
    }
    if (test_one_in(rng, 3))
        t->e.scale = test_uniform(rng);
}

void test_epilogue_free(test_epilogue *t) {
    test_tensor_free(&t->residual);
    for (int i = 0; i < 3; i++)
        free(t->tables[i]);
}

double test_act_value(ms_act act, double x, double slope) {
    switch (act) {
    case MS_ACT_SILU:
        return x / (1.0 + exp(-x));
    case MS_ACT_GELU:
        return 0.5 * x * (1.0 + erf(x / sqrt(2.0)));
    case MS_ACT_RELU:
        return x > 0 ? x : 0;
    case MS_ACT_PRELU:
        return x < 0 ? x * slope : x;
    case MS_ACT_SIGMOID:
        return 1.0 / (1.0 + exp(-x));
    case MS_ACT_NONE:
    case MS_ACT_GEGLU:
        break;
    }
    return x;
}

double test_epilogue_value(const ms_epilogue *e, int64_t outer, int64_t inner, int64_t n, double acc) {
    if (e->bias)
        acc += e->bias[n];
    if (e->add)
        acc += e->add[n];
    acc = test_act_value(e->act, acc, e->slope ? e->slope[n] : 0);
    if (e->residual.data)
        acc += test_at(&e->residual, outer, inner, n);
    return e->scale != 0.0f ? acc * e->scale : acc;
}
