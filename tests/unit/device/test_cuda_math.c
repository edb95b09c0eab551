/* Functions of the CUDA back end's kernels: exp, erf and the activations have the processor's bits. */
#include "test.h"

#define MS_SIMD_ISA 0
#include "device/cpu/simd/vmath.h"
#include "support/device/cuda_math.h"

typedef struct math_function {
    const char *name;
    v16 (*cpu)(v16 x);
    float (*gpu)(float x);
} math_function;

#define ACT(name, act)                                                                                       \
    static v16 cpu_##name(v16 x) {                                                                           \
        return v16_act(x, act, v16_set1(0.3f));                                                              \
    }                                                                                                        \
    static float gpu_##name(float x) {                                                                       \
        return cuda_math_act(x, act, 0.3f);                                                                  \
    }

ACT(silu, MS_ACT_SILU)
ACT(gelu, MS_ACT_GELU)
ACT(relu, MS_ACT_RELU)
ACT(prelu, MS_ACT_PRELU)
ACT(sigmoid, MS_ACT_SIGMOID)
ACT(none, MS_ACT_NONE)

static v16 cpu_exp(v16 x) {
    return v16_exp(x);
}

static v16 cpu_erf(v16 x) {
    return v16_erf(x);
}

static const math_function functions[] = {
    {"exp", cpu_exp, cuda_math_exp}, {"erf", cpu_erf, cuda_math_erf},      {"silu", cpu_silu, gpu_silu},
    {"gelu", cpu_gelu, gpu_gelu},    {"relu", cpu_relu, gpu_relu},         {"prelu", cpu_prelu, gpu_prelu},
    {"none", cpu_none, gpu_none},    {"sigmoid", cpu_sigmoid, gpu_sigmoid}};

static void compare(const math_function *f, const v16 *x) {
    v16 expected = f->cpu(*x);
    for (int i = 0; i < 16; i++) {
        float got = f->gpu((*x)[i]);
        /* The processor's exp makes numbers of NaNs that no instruction gives. */
        bool nan = isnan(expected[i]) || isnan((*x)[i]);
        if (nan ? !isnan(got) : ms_float_bits(got) != ms_float_bits(expected[i]))
            fail_msg("%s(%a) is %a, the processor has %a", f->name, (double)(*x)[i], (double)got,
                     (double)expected[i]);
    }
}

/* Every 997-th float of both signs, infinities and what is no number among them. */
static void bits_are_the_processors(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        uint32_t bits = 0;
        for (int block = 0; block < (int)(0x7fc00000u / 997 / 8); block++) {
            v16 x;
            for (int j = 0; j < 16; j++) {
                x[j] = ms_bits_float(bits | (uint32_t)(j & 1) << 31);
                bits += j & 1 ? 997 : 0;
            }
            compare(&functions[i], &x);
        }
    }
}

/* Where the polynomials begin and end, and every float around these. */
static void bits_at_the_borders(void **state) {
    (void)state;
    static const float borders[] = {0.0f,   -87.3f, 88.37f, 87.3f,   -88.37f,  0.92f,     -0.92f,
                                    4.0f,   -4.0f,  1.3f,   -126.0f, INFINITY, -INFINITY, NAN,
                                    0.346f, 0.347f, 5.656f, 1e-38f,  1e-44f,   3.4e38f,   -3.4e38f};
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        for (size_t b = 0; b < sizeof(borders) / sizeof(borders[0]); b++)
            for (int first = -512; first < 512; first += 16) {
                v16 x;
                for (int j = 0; j < 16; j++)
                    x[j] = ms_bits_float(ms_float_bits(borders[b]) + (uint32_t)(first + j));
                compare(&functions[i], &x);
            }
}

/* A card's NaN has all bits set; the processor's has one. */
static void what_is_no_number_stays_none(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        assert_true(isnan(functions[i].gpu(ms_bits_float(0x7fffffffu))));
        assert_true(isnan(functions[i].gpu(ms_bits_float(0xffffffffu))));
    }
}

/* ---- double ---- */

/* Distance in units of the last place of the exact value. */
static double ulps64(double got, long double exact) {
    int e;
    frexpl(exact, &e);
    return (double)(fabsl((long double)got - exact) / ldexpl(1.0L, e - 53));
}

/* Over `low` to `high`, and over values near `low` of all magnitudes. */
static double worst_ulps64(double (*f)(double), long double (*exact)(long double), double low, double high) {
    uint64_t rng = 7;
    double worst = 0;
    for (int i = 0; i < 400000; i++) {
        double part = ((double)test_rand(&rng) + 0.5) * 0x1p-32;
        part = i % 4 == 0 ? ldexp(part, -(int)(test_rand(&rng) % 30)) : part;
        const double x = low + part * (high - low), u = ulps64(f(x), exact(x));
        if (!(u <= worst))
            worst = u;
    }
    return worst;
}

static void doubles_are_within_an_ulp(void **state) {
    (void)state;
    const double two_pi = 6.283185307179586476925286766559;
    const double l = worst_ulps64(cuda_math_log64, logl, 0x1p-33, 1),
                 s = worst_ulps64(cuda_math_sin64, sinl, 0, two_pi);
    const double near = worst_ulps64(cuda_math_log64, logl, 1, 0.5),
                 c = worst_ulps64(cuda_math_cos64, cosl, 0, two_pi);
    const double e = worst_ulps64(cuda_math_exp64, expl, -20, 20);
    print_message("log %.3f, near 1 %.3f, sin %.3f, cos %.3f, exp %.3f ulp\n", l, near, s, c, e);
    assert_true(l < 1 && near < 1 && s < 1 && c < 1 && e < 1);
    /* Next to where the sine or the cosine is 0. */
    for (int quarter = 1; quarter <= 4; quarter++)
        for (int i = -1000; i <= 1000; i++) {
            const double x = two_pi / 4 * quarter * (1 + i * 0x1p-52);
            assert_true(ulps64(cuda_math_sin64(x), sinl(x)) < 1 && ulps64(cuda_math_cos64(x), cosl(x)) < 1);
        }
    assert_true(cuda_math_exp64(0) == 1 && cuda_math_log64(1) == 0 && cuda_math_cos64(0) == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_are_the_processors),
        cmocka_unit_test(bits_at_the_borders),
        cmocka_unit_test(what_is_no_number_stays_none),
        cmocka_unit_test(doubles_are_within_an_ulp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
