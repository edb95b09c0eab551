/* Weights that the CUDA back end's kernels pack, against places that are worked out one by one. */
#include "support/device/simt_direct.h"

#include "device/cuda/sizes/weight_layout.h"
#include "device/cuda/weight_prepare.h"

#define ROUNDS 60

static int64_t range(uint64_t *rng, int64_t low, int64_t high) {
    return low + (int64_t)(test_rand(rng) % (uint64_t)(high - low + 1));
}

static ms_weight_shape random_shape(uint64_t *rng, bool bf16) {
    static const ms_weight_layout layouts[] = {MS_LAYOUT_PANEL, MS_LAYOUT_GEGLU, MS_LAYOUT_DEPTHWISE};
    ms_weight_shape s = {layouts[range(rng, 0, 2)], (ms_dtype)range(rng, 0, bf16 ? 2 : 1), 0, 1, 1, 1, 1};
    s.c_in = range(rng, 1, 40);
    if (s.layout != MS_LAYOUT_GEGLU) {
        s.kernel_h = (int)range(rng, 1, 4);
        s.kernel_w = (int)range(rng, 1, 3);
    }
    if (s.layout == MS_LAYOUT_PANEL)
        s.groups = (int)range(rng, 1, 4);
    s.n = s.groups * range(rng, 1, 37);
    if (s.layout == MS_LAYOUT_GEGLU)
        s.n *= 2;
    if (s.layout == MS_LAYOUT_DEPTHWISE) {
        s.groups = (int)s.n;
        s.c_in = 1;
    }
    return s;
}

static int64_t up(int64_t a, int64_t to) {
    return (a + to - 1) / to * to;
}

/* The element at which the matrix's (row, channel, tap) belongs. */
static int64_t place(const ms_weight_shape *s, int64_t row, int64_t c, int64_t tap) {
    const int64_t taps = s->kernel_h * s->kernel_w, k_pad = up(taps * up(s->c_in, 8), 32);
    const int64_t n = s->n / s->groups, half = s->n / 2;
    if (s->layout == MS_LAYOUT_DEPTHWISE)
        return tap * s->n + row;
    if (s->layout == MS_LAYOUT_GEGLU)
        row = row < half ? row / 8 * 16 + row % 8 : (row - half) / 8 * 16 + 8 + (row - half) % 8;
    else
        row = row / n * up(n, 8) + row % n;
    return row * k_pad + tap * up(s->c_in, 8) + c;
}

static int64_t elements(const ms_weight_shape *s) {
    const int64_t taps = s->kernel_h * s->kernel_w, k_pad = up(taps * up(s->c_in, 8), 32);
    if (s->layout == MS_LAYOUT_DEPTHWISE)
        return taps * s->n;
    if (s->layout == MS_LAYOUT_GEGLU)
        return 2 * up(s->n / 2, 8) * k_pad;
    return s->groups * up(s->n / s->groups, 8) * k_pad;
}

static void put(void *p, ms_dtype dtype, int64_t at, float x) {
    if (dtype == MS_F32)
        ((float *)p)[at] = x;
    else
        ((uint16_t *)p)[at] = dtype == MS_F16 ? ms_f32_to_f16(x) : ms_f32_to_bf16(x);
}

/* Of every size that halves tell apart: subnormals, halfway between two of them, too large. */
static float value(uint64_t *rng) {
    float x = test_uniform(rng);
    switch (test_rand(rng) % 8) {
    case 0:
        return ldexpf(x, -20);
    case 1:
        return ms_bits_float(ms_float_bits(x) & ~0xfffu);
    case 2:
        return ms_bits_float((ms_float_bits(x) & ~0xffffu) | 0x8000u);
    case 3:
        return x * 70000.0f;
    }
    return x;
}

static void *aligned(size_t bytes) {
    void *p = NULL;
    assert_int_equal(posix_memalign(&p, 64, up((int64_t)bytes, 64)), 0);
    return p;
}

static void prepare_in_pieces(simt_direct *d, uint64_t *rng, const ms_weight_shape *s, ms_dtype raw,
                              const float *values, void *dst) {
    const int64_t k = s->c_in * s->kernel_h * s->kernel_w;
    int64_t piece[200], pieces = 0;
    for (int64_t row = 0; row < s->n; row = piece[pieces++])
        piece[pieces] = row + range(rng, 1, s->n - row);
    /* The last of them first. */
    for (int64_t i = pieces - 1; i >= 0; i--) {
        const int64_t first = i ? piece[i - 1] : 0, rows = piece[i] - first;
        const size_t bytes = (size_t)(rows * k) * ms_dtype_bytes(raw);
        void *src = malloc(bytes); /* of exact size */
        assert_non_null(src);
        for (int64_t j = 0; j < rows * k; j++)
            put(src, raw, j, values[first * k + j]);
        assert_int_equal(cuda_weight_prepare(&d->queue, s, raw, first, rows, src, dst), MS_OK);
        free(src);
    }
}

static void check_shape(simt_direct *d, uint64_t *rng, const ms_weight_shape *s) {
    const int64_t taps = s->kernel_h * s->kernel_w, k = s->c_in * taps;
    const size_t bytes = ms_cuda_weight_bytes(s);
    assert_int_equal(bytes, (size_t)elements(s) * ms_dtype_bytes(s->dtype));
    float *values = malloc((size_t)(s->n * k) * sizeof(float));
    void *expected = aligned(bytes), *got = aligned(bytes);
    assert_non_null(values);
    memset(expected, 0, bytes);
    memset(got, 0, bytes);
    for (int64_t i = 0; i < s->n * k; i++) {
        values[i] = value(rng);
        put(expected, s->dtype, place(s, i / k, i % k / taps, i % taps), values[i]);
    }
    prepare_in_pieces(d, rng, s, range(rng, 0, 1) ? MS_F32 : s->dtype, values, got);
    if (memcmp(expected, got, bytes) != 0)
        fail_msg("layout %d, type %d, %d x %d, kernel %d x %d, groups %d", s->layout, s->dtype, (int)s->n,
                 (int)s->c_in, s->kernel_h, s->kernel_w, s->groups);
    free(values);
    free(expected);
    free(got);
}

static void any_shape_in_any_pieces(void **state) {
    (void)state;
    static const int archs[] = {75, 86, 90};
    for (int i = 0; i < 3; i++) {
        uint64_t rng = 100 + (uint64_t)i;
        simt_direct d;
        simt_direct_open(&d, archs[i], (uint64_t)i);
        for (int round = 0; round < ROUNDS; round++) {
            ms_weight_shape s = random_shape(&rng, true);
            check_shape(&d, &rng, &s);
        }
        simt_direct_close(&d);
    }
}

static void wrong_ones_are_refused(void **state) {
    (void)state;
    simt_direct d;
    float src[64] = {0}, *dst = aligned(4096);
    const ms_weight_shape good = {MS_LAYOUT_PANEL, MS_F16, 4, 3, 1, 1, 1};
    ms_weight_shape winograd = {MS_LAYOUT_WINOGRAD, MS_F16, 16, 16, 3, 3, 1}, odd = good, huge = good;
    simt_direct_open(&d, 86, 0);
    odd.layout = MS_LAYOUT_GEGLU;
    odd.n = 5;
    huge.n = huge.c_in = INT64_C(1) << 31;
    huge.kernel_h = 64;
    assert_int_equal(ms_cuda_weight_bytes(&winograd), 0);
    assert_int_equal(ms_cuda_weight_bytes(&odd), 0);
    assert_int_equal(ms_cuda_weight_bytes(&huge), 0);
    assert_int_equal(cuda_weight_prepare(&d.queue, &good, MS_F32, 0, 4, src, dst), MS_OK);
    assert_int_equal(cuda_weight_prepare(&d.queue, &good, MS_F32, 1, 4, src, dst), MS_INVALID_ARGUMENT);
    assert_int_equal(cuda_weight_prepare(&d.queue, &good, MS_F32, 0, 0, src, dst), MS_INVALID_ARGUMENT);
    assert_int_equal(cuda_weight_prepare(&d.queue, &good, MS_BF16, 0, 4, src, dst), MS_INVALID_ARGUMENT);
    assert_int_equal(cuda_weight_prepare(&d.queue, &winograd, MS_F32, 0, 4, src, dst), MS_INVALID_ARGUMENT);
    simt_direct_close(&d);
    free(dst);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_shape_in_any_pieces),
        cmocka_unit_test(wrong_ones_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
