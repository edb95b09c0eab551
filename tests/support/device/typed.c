#include "support/device/typed.h"

#define POISON 0x7fc00bad

uint32_t typed_round(float x, ms_dtype dtype) {
    if (dtype == MS_F32)
        return ms_float_bits(x);
    return dtype == MS_F16 ? ms_f32_to_f16(x) : ms_f32_to_bf16(x);
}

uint32_t typed_bits(const void *block, ms_dtype dtype, size_t element) {
    return dtype == MS_F32 ? ((const uint32_t *)block)[element] : ((const uint16_t *)block)[element];
}

float typed_value(const void *block, ms_dtype dtype, size_t element) {
    const uint32_t bits = typed_bits(block, dtype, element);
    if (dtype == MS_F32)
        return ms_bits_float(bits);
    return dtype == MS_F16 ? ms_f16_to_f32((uint16_t)bits) : ms_bf16_to_f32((uint16_t)bits);
}

void typed_set(typed *t, size_t element, float x) {
    const uint32_t bits = typed_round(x, t->rows.dtype);
    if (t->rows.dtype == MS_F32)
        ((uint32_t *)t->block)[element] = bits;
    else
        ((uint16_t *)t->block)[element] = (uint16_t)bits;
    t->widened[element] = typed_value(t->block, t->rows.dtype, element);
}

void typed_fill_poison(typed *t) {
    for (size_t i = 0; i < t->elements; i++)
        typed_set(t, i, ms_bits_float(POISON));
}

typed typed_poison(uint64_t *rng, int64_t outer, int64_t inner, int64_t channels, ms_dtype dtype) {
    const bool plain = test_one_in(rng, 2);
    typed t = {.offset = plain ? 0 : (size_t)test_range(rng, 0, 3)};
    t.rows = (ms_rows){.outer = outer, .inner = inner, .channels = channels, .dtype = dtype};
    t.rows.inner_stride = channels + (plain ? 0 : test_range(rng, 0, 9));
    t.rows.outer_stride = inner * t.rows.inner_stride + (plain ? 0 : test_range(rng, 0, 1) * 13);
    t.elements =
        t.offset + (size_t)((outer - 1) * t.rows.outer_stride + (inner - 1) * t.rows.inner_stride + channels);
    t.block = malloc(t.elements * ms_dtype_bytes(dtype));
    t.widened = malloc(t.elements * sizeof(float));
    assert_true(t.block && t.widened);
    t.rows.data = ms_elements_at(t.block, dtype, (int64_t)t.offset);
    t.floats = t.rows;
    t.floats.dtype = MS_F32;
    t.floats.data = t.widened + t.offset;
    typed_fill_poison(&t);
    return t;
}

typed typed_random(uint64_t *rng, int64_t outer, int64_t inner, int64_t channels, ms_dtype dtype) {
    typed t = typed_poison(rng, outer, inner, channels, dtype);
    for (int64_t i = 0; i < outer; i++)
        for (int64_t j = 0; j < inner; j++)
            for (int64_t c = 0; c < channels; c++)
                typed_set(&t, t.offset + (size_t)(i * t.rows.outer_stride + j * t.rows.inner_stride + c),
                          test_uniform(rng));
    return t;
}

void typed_free(typed *t) {
    free(t->block);
    free(t->widened);
    *t = (typed){0};
}

void typed_assert_same(const typed *t, const char *what) {
    for (size_t i = 0; i < t->elements; i++) {
        const uint32_t expected = typed_round(t->widened[i], t->rows.dtype);
        const uint32_t got = typed_bits(t->block, t->rows.dtype, i);
        const float value = typed_value(t->block, t->rows.dtype, i);
        if (got != expected && !(isnan(value) && isnan(t->widened[i])))
            fail_msg("%s: element %zu of %zu (type %d) is %#x (%g), the processor has %#x (%g)", what, i,
                     t->elements, (int)t->rows.dtype, got, (double)value, expected, (double)t->widened[i]);
    }
}

/* ---- devices ---- */

int typed_devices_open(void **state) {
    static const int archs[TYPED_ARCHS] = {75, 86, 90};
    typed_devices *d = calloc(1, sizeof(*d));
    ms_compute_params params = {.device = "cpu", .threads = 1, .isa_limit = MS_ISA_AVX512};
    ms_error err;
    if (!d || ms_compute_open(&params, &d->cpu, &err) != MS_OK)
        return -1;
    for (int i = 0; i < TYPED_ARCHS; i++)
        simt_direct_open(&d->card[i], archs[i], 0);
    *state = d;
    return 0;
}

int typed_devices_close(void **state) {
    typed_devices *d = *state;
    for (int i = 0; i < TYPED_ARCHS; i++)
        simt_direct_close(&d->card[i]);
    ms_compute_close(&d->cpu);
    free(d);
    return 0;
}

simt_direct *typed_card(typed_devices *d, uint64_t *rng) {
    simt_direct *card = &d->card[test_range(rng, 0, TYPED_ARCHS - 1)];
    card->seed = test_one_in(rng, 4) ? 0 : test_rand(rng);
    return card;
}

ms_dtype typed_dtype(const simt_direct *card, uint64_t *rng) {
    return test_dtypes[test_range(rng, 0, card->arch < 80 ? 1 : 2)];
}
