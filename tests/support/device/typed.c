#include "support/device/typed.h"

#define POISON 0x7fc00bad

void typed_set(typed *t, size_t element, float x) {
    const ms_dtype dtype = t->rows.dtype;
    test_element_set(t->block, dtype, (int64_t)element, x);
    t->widened[element] = test_element(t->block, dtype, (int64_t)element);
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
        const uint32_t expected = test_rounded_bits(t->widened[i], t->rows.dtype);
        const uint32_t got = test_element_bits(t->block, t->rows.dtype, (int64_t)i);
        const float value = test_element(t->block, t->rows.dtype, (int64_t)i);
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
