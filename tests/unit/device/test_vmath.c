/* The polynomials of exp, erf and the activations against libm in double, on a dense sample of all floats.
   The plain C ones are looked at here; test_kernels_rows checks that every instruction set gives their
   bits. */
#include "test.h"

#define MS_SIMD_ISA 0
#include "device/cpu/simd/vmath.h"

/* Distance in units of the last place of the exact value (as a float). */
static double ulps(double got, double exact) {
    int e;
    frexp(exact, &e);
    if (e < -125)
        e = -125;
    return fabs(got - exact) / ldexp(1.0, e - 24);
}

/* Every `step`-th float of both signs up to `most`. */
static double worst_ulps(v16 (*f)(v16), double (*exact)(double), float low, float high, uint32_t step) {
    double worst = 0;
    for (uint32_t bits = 0; bits < 0x7f800000u; bits += 16 * step) {
        for (int sign = 0; sign < 2; sign++) {
            v16 x, y;
            for (uint32_t i = 0; i < 16; i++) {
                float value = ms_bits_float((bits + i * step) | (uint32_t)sign << 31);
                x[i] = value >= low && value <= high ? value : 0.5f;
            }
            y = f(x);
            for (int i = 0; i < 16; i++) {
                double u = ulps(y[i], exact(x[i]));
                if (!(u <= worst))
                    worst = u;
            }
        }
    }
    return worst;
}

static v16 call_exp(v16 x) {
    return v16_exp(x);
}

static v16 call_erf(v16 x) {
    return v16_erf(x);
}

static v16 call_silu(v16 x) {
    return v16_silu(x);
}

static v16 call_sigmoid(v16 x) {
    return v16_sigmoid(x);
}

static double silu_exact(double x) {
    return x / (1 + exp(-x));
}

static double sigmoid_exact(double x) {
    return 1 / (1 + exp(-x));
}

static void are_accurate(void **state) {
    (void)state;
    const uint32_t step = 997;
    double e = worst_ulps(call_exp, exp, -87.2f, 88.3f, step),
           r = worst_ulps(call_erf, erf, -1e30f, 1e30f, step);
    double s = worst_ulps(call_silu, silu_exact, -80.0f, 1e30f, step);
    double g = worst_ulps(call_sigmoid, sigmoid_exact, -80.0f, 1e30f, step);
    print_message("exp %.3f, erf %.3f, silu %.3f, sigmoid %.3f ulp\n", e, r, s, g);
    assert_true(e < 1.0 && r < 1.5 && s < 2.5 && g < 2.5);
}

static void gelu_is_accurate(void **state) {
    (void)state;
    for (float x = -12; x < 12; x += 0x1p-12f) {
        double exact = 0.5 * x * erfc(-(double)x / sqrt(2.0));
        double got = v16_gelu(v16_set1(x))[0];
        /* 1 + erf cancels on the left: the error is absolute there, as in the reference. */
        assert_true(fabs(got - exact) <= 1.5e-7 * fabs(exact) + 6e-8 * fabs(x) * (x < 0));
    }
}

static void ends_of_the_range(void **state) {
    (void)state;
    v16 x = v16_set1(0);
    x[0] = -INFINITY;
    x[1] = INFINITY;
    x[2] = NAN;
    x[3] = -1e30f;
    x[4] = -87.4f;
    x[5] = 0;
    v16 y = v16_exp(x);
    assert_true(y[0] == 0 && y[1] > 2e38f && isnan(y[2]) && y[3] == 0 && y[4] == 0 && y[5] == 1);
    y = v16_erf(x);
    assert_true(y[0] == -1 && y[1] == 1 && isnan(y[2]) && y[3] == -1 && y[5] == 0);
    y = v16_silu(x);
    assert_true(isnan(y[2]) && y[5] == 0 && fabsf(y[3]) < 1e-7f);
    assert_true(isnan(v16_relu(x)[2]) && v16_relu(x)[0] == 0);
    assert_true(isnan(v16_gelu(x)[2]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(are_accurate),
        cmocka_unit_test(gelu_is_accurate),
        cmocka_unit_test(ends_of_the_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
