/* The CUDA back end's linear layers and convolutions in float32: any types, any shapes, the processor's
   bits. */
#include "support/device/matrix_case.h"

static const int archs[] = {75, 86, 90};

static ms_dtype any_type(uint64_t *rng, int arch) {
    return test_dtypes[test_range(rng, 0, arch >= 80 ? 2 : 1)];
}

/* Not what goes to the tensor cores. */
static matrix_types types_of(uint64_t *rng, int arch) {
    matrix_types t = {{any_type(rng, arch), any_type(rng, arch)}, any_type(rng, 90), any_type(rng, arch), 0};
    t.residual = test_one_in(rng, 2) ? t.dst : any_type(rng, arch);
    if (t.src[0] == t.weight || test_one_in(rng, 3))
        t.src[0] = t.src[1] = MS_F32;
    return t;
}

static void has_the_bits_of_the_processor(void **state) {
    const test_devices *t = *state;
    const ms_compute *compute = &t->computes[t->count - 1];
    static const matrix_sizes small = {3, 6, 40, 50, 1}, large = {2, 12, 24, 150, 4};
    for (int arch = 0; arch < 3; arch++) {
        simt_direct d;
        uint64_t rng = 1000 + (uint64_t)arch;
        simt_direct_open(&d, archs[arch], 0);
        for (int trial = 0; trial < 100; trial++) {
            const matrix_types types = types_of(&rng, archs[arch]);
            const cuda_tile tile = test_one_in(&rng, 2) ? CUDA_TILE_128X128 : CUDA_TILE_64X64;
            matrix_case c;
            matrix_case_random(&rng, (matrix_kind)(trial % MATRIX_KINDS), &types,
                               trial % 10 < 9 ? &small : &large, &d, &c);
            matrix_case_on_host(compute, &c, &c.host);
            d.seed = (uint64_t)trial;
            matrix_case_reset(&c);
            matrix_case_on_card(&d, &c, &c.card, tile);
            matrix_case_same_as_host(&c, d.last);
            matrix_case_reset(&c);
            matrix_case_sliced(&d, &c, test_range(&rng, 0, c.card.dst.outer), CUDA_TILE_COUNT);
            matrix_case_same_as_host(&c, "in slices");
            if (c.kind >= MATRIX_CONV) {
                matrix_case_reset(&c);
                matrix_case_striped(&d, &c, &rng, CUDA_TILE_COUNT);
                matrix_case_same_as_host(&c, "in stripes");
            }
            matrix_case_free(&c);
        }
        simt_direct_close(&d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_bits_of_the_processor),
    };
    return cmocka_run_group_tests(tests, test_devices_open, test_devices_close);
}
