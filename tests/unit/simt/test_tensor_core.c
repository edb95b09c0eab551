/* The model of tensor cores against a second one that was written apart, in whole numbers. All bits count. */
#include "test.h"

#include "base/dtype.h"
#include "device/device.h"
#include "device/simt/tensor_core.h"

typedef struct model {
    int arch, f, terms, least;
} model;

static const model models[] = {{75, 24, 8, -132},  {80, 24, 8, -132},   {86, 24, 8, -132},  {89, 24, 8, -132},
                               {90, 25, 16, -133}, {100, 25, 16, -133}, {120, 25, 16, -133}};

/* ---- numbers: whole * 2^last; exponent is that of the place before the binary point ---- */

typedef struct number {
    int64_t whole;
    int last, exponent;
    bool negative, infinite, none;
} number;

static number take_apart(uint32_t bits, int fraction_bits, int exponent_bits) {
    uint32_t most = (1u << exponent_bits) - 1, field = bits >> fraction_bits & most;
    uint32_t fraction = bits & ((1u << fraction_bits) - 1);
    number n = {.whole = fraction, .negative = bits >> (fraction_bits + exponent_bits)};
    if (field == most) {
        n.infinite = fraction == 0;
        n.none = fraction != 0;
        return n;
    }
    if (field)
        n.whole += 1 << fraction_bits;
    n.exponent = (field ? (int)field : 1) - (int)(most / 2);
    n.last = n.exponent - fraction_bits;
    return n;
}

static number product(number x, number y) {
    number n = {.negative = x.negative != y.negative};
    bool zero = (!x.infinite && x.whole == 0) || (!y.infinite && y.whole == 0);
    n.infinite = x.infinite || y.infinite;
    n.none = x.none || y.none || (n.infinite && zero);
    n.whole = x.whole * y.whole;
    n.last = x.last + y.last;
    n.exponent = x.exponent + y.exponent;
    return n;
}

/* whole * 2^by, without what lies behind the binary point. */
static __int128 shifted(__int128 whole, int by) {
    if (whole == 0 || by < -100)
        return 0;
    return by >= 0 ? whole << by : whole >> -by;
}

static uint32_t put_together(__int128 sum, int last) {
    uint32_t sign = sum < 0 ? 1u << 31 : 0, fraction;
    __int128 whole = sum < 0 ? -sum : sum;
    int top = 0;
    if (whole == 0)
        return 0;
    while (whole >> (top + 1))
        top++;
    if (top + last > 127)
        return sign | 255u << 23;
    if (top + last >= -126) {
        fraction = (uint32_t)shifted(whole, 23 - top) & 0x7fffff;
        return sign | (uint32_t)(top + last + 127) << 23 | fraction;
    }
    fraction = (uint32_t)shifted(whole, last + 149);
    return fraction ? sign | fraction : 0;
}

static uint32_t add_terms(const number *term, int count, const model *m) {
    int top = m->least;
    bool plus = false, minus = false, none = false;
    __int128 sum = 0;
    for (int i = 0; i < count; i++) {
        none |= term[i].none;
        plus |= term[i].infinite && !term[i].negative;
        minus |= term[i].infinite && term[i].negative;
        if (term[i].whole && term[i].exponent > top)
            top = term[i].exponent;
    }
    if (none || (plus && minus))
        return 0x7fffffff;
    if (plus || minus)
        return (uint32_t)minus << 31 | 255u << 23;
    for (int i = 0; i < count; i++) {
        __int128 part = shifted(term[i].whole, term[i].last - (top - m->f));
        sum += term[i].negative ? -part : part;
    }
    return put_together(sum, top - m->f);
}

static uint32_t expected(const simt_tile *t, int row, int column, int k, bool bf16, const model *m) {
    uint32_t d = ms_float_bits(t->d[row][column]);
    int terms = k < m->terms ? k : m->terms;
    for (int first = 0; first < k; first += terms) {
        number term[17];
        for (int i = 0; i < terms; i++) {
            uint16_t a = t->a[row][first + i], b = t->b[first + i][column];
            term[i] = bf16 ? product(take_apart(a, 7, 8), take_apart(b, 7, 8))
                           : product(take_apart(a, 10, 5), take_apart(b, 10, 5));
        }
        term[terms] = take_apart(d, 23, 8);
        d = add_terms(term, terms + 1, m);
    }
    return d;
}

/* ---- values ---- */

typedef enum kind {
    ORDINARY,
    ANY,       /* finite, all exponents alike */
    SMALL,     /* subnormal or nearly */
    SUBNORMAL, /* half of them */
    ZEROS,     /* more than half of them, of both signs */
    LOW,       /* products near the least of float32 */
    LARGE,
    OVERFLOWING, /* products near the largest of float32, or of fp16 */
    SPECIAL,     /* a few infinities, and what is no number */
    CANCELLING,
    KINDS,
} kind;

static uint32_t below(uint64_t *rng, int n) {
    return test_rand(rng) % (uint32_t)n;
}

static uint32_t with_exponent(uint64_t *rng, int from, int to, int fraction_bits, int exponent_bits) {
    int most = (1 << exponent_bits) - 2;
    from = from < 0 ? 0 : from;
    to = to > most ? most : to;
    uint32_t field = (uint32_t)from + below(rng, to - from + 1);
    return below(rng, 2) << (fraction_bits + exponent_bits) | field << fraction_bits |
           below(rng, 1 << fraction_bits);
}

static uint32_t draw(uint64_t *rng, kind what, int fraction_bits, int exponent_bits) {
    int most = (1 << exponent_bits) - 1, middle = most / 2;
    uint32_t sign = below(rng, 2) << (fraction_bits + exponent_bits);
    switch (what) {
    case ORDINARY:
        return with_exponent(rng, middle - 8, middle + 3, fraction_bits, exponent_bits);
    case SMALL:
        return with_exponent(rng, 0, 2, fraction_bits, exponent_bits);
    case SUBNORMAL:
        return below(rng, 2) ? with_exponent(rng, 0, 0, fraction_bits, exponent_bits)
                             : with_exponent(rng, middle - 4, middle + 4, fraction_bits, exponent_bits);
    case ZEROS:
        if (below(rng, 5) < 3)
            return sign;
        break;
    case LOW:
        return with_exponent(rng, middle / 2 - 8, middle / 2 + 4, fraction_bits, exponent_bits);
    case LARGE:
        return with_exponent(rng, most - 6, most, fraction_bits, exponent_bits);
    case OVERFLOWING:
        return with_exponent(rng, middle + middle / 2 - 4, middle + middle / 2 + 2, fraction_bits,
                             exponent_bits);
    case SPECIAL:
        if (below(rng, 25) == 0)
            return sign | (uint32_t)most << fraction_bits |
                   (below(rng, 3) ? 0 : 1 + below(rng, (1 << fraction_bits) - 1));
        if (below(rng, 10) == 0)
            return sign;
        break;
    case CANCELLING:
        return with_exponent(rng, middle - 1, middle + 1, fraction_bits, exponent_bits);
    default:
        break;
    }
    return with_exponent(rng, 0, most - 1, fraction_bits, exponent_bits);
}

static void draw_tile(uint64_t *rng, simt_tile *t, kind operands, kind sums, int k, bool bf16) {
    int fraction = bf16 ? 7 : 10, exponent = bf16 ? 8 : 5;
    memset(t, 0, sizeof(*t));
    for (int i = 0; i < k; i++)
        for (int row = 0; row < 16; row++)
            t->a[row][i] = (uint16_t)draw(rng, operands, fraction, exponent);
    for (int i = 0; i < k; i++)
        for (int column = 0; column < 8; column++)
            t->b[i][column] = (uint16_t)draw(rng, operands, fraction, exponent);
    for (int i = k / 2; i < k && operands == CANCELLING; i++) {
        for (int row = 0; row < 16; row++)
            t->a[row][i] = t->a[row][i - k / 2] ^ 0x8000 ^ (i == k / 2 ? below(rng, 2) : 0);
        memcpy(t->b[i], t->b[i - k / 2], sizeof(t->b[i]));
    }
    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 8; column++)
            t->d[row][column] = ms_bits_float(draw(rng, sums, 23, 8));
}

static void check(const simt_tile *before, int k, bool bf16, const model *m, kind operands, kind sums) {
    simt_tile after = *before;
    simt_tensor_core(&after, k, bf16, m->arch);
    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 8; column++) {
            uint32_t got = ms_float_bits(after.d[row][column]);
            uint32_t should = expected(before, row, column, k, bf16, m);
            if (got != should)
                fail_msg("sm_%d, k = %d, %s, kinds %d and %d: %08x in place of %08x", m->arch, k,
                         bf16 ? "bf16" : "fp16", operands, sums, got, should);
        }
}

static void skip_without_avx2(void) {
#if defined(__x86_64__)
    if (ms_isa_detect() < MS_ISA_AVX2)
        skip();
#endif
}

static void test_random(void **state) {
    uint64_t rng = 7;
    (void)state;
    skip_without_avx2();
    for (size_t i = 0; i < sizeof(models) / sizeof(*models); i++)
        for (int type = 0; type < (models[i].arch < 80 ? 1 : 2); type++)
            for (int k = 8; k <= 16; k += 8)
                for (kind operands = 0; operands < KINDS; operands++)
                    for (kind sums = 0; sums < CANCELLING; sums++)
                        for (int times = 0; times < 4; times++) {
                            simt_tile t;
                            draw_tile(&rng, &t, operands, sums, k, type == 1);
                            check(&t, k, type == 1, &models[i], operands, sums);
                        }
}

/* A row of products as powers of two, and what they are added to. */
static uint32_t add_powers(int arch, float d, const int *exponent, const int *sign, int count) {
    simt_tile t = {0};
    for (int i = 0; i < count; i++) {
        t.a[3][i] = ms_f32_to_f16(ldexpf((float)sign[i], exponent[i] / 2));
        t.b[i][5] = ms_f32_to_f16(ldexpf(1, exponent[i] - exponent[i] / 2));
    }
    t.d[3][5] = d;
    simt_tensor_core(&t, 16, false, arch);
    return ms_float_bits(t.d[3][5]);
}

/* What tells the classes of cards apart, by hand. */
static void test_classes(void **state) {
    static const int same[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const int quarters[4] = {-25, -25, -25, -25}, halves[4] = {-24, -24};
    static const int both[9] = {12, 12, 0, 0, 0, 0, 0, 0, -14}, undone[9] = {1, -1, 0, 0, 0, 0, 0, 0, 1};
    (void)state;
    skip_without_avx2();
    /* Beside 1, a product of 2^-24 is kept by all, one of 2^-25 from Hopper on: four of them are the last
       place. */
    assert_int_equal(add_powers(86, 1, halves, same, 2), 0x3f800001);
    assert_int_equal(add_powers(86, 1, quarters, same, 4), 0x3f800000);
    assert_int_equal(add_powers(90, 1, quarters, same, 4), 0x3f800001);
    /* 4096 - 4096 in the first eight, 2^-14 in the last: lost where all sixteen are one group. */
    assert_int_equal(add_powers(89, 0, both, undone, 9), ms_float_bits(0x1p-14f));
    assert_int_equal(add_powers(120, 0, both, undone, 9), 0);
}

/* Products of bfloat16 whose sum is float32's least number to the last bit, kept only where the largest
   exponent may be -133. Eight of them would be kept by Ampere as well if it went as far. */
static void check_least(int terms) {
    simt_tile t = {0};
    for (int i = 0; i < terms; i++) {
        float part = i < 2 ? 1 + 0x1p-5f : i == 2 ? 1 - 0x1p-4f : 1;
        t.a[0][i] = ms_f32_to_bf16(ldexpf(part, -76));
        t.b[i][0] = ms_f32_to_bf16(ldexpf(16.0f / (float)terms, -77));
    }
    for (size_t i = 1; i < sizeof(models) / sizeof(*models); i++) {
        simt_tile sum = t;
        simt_tensor_core(&sum, 16, true, models[i].arch);
        assert_int_equal(ms_float_bits(sum.d[0][0]), models[i].arch >= 90);
    }
}

static void test_least(void **state) {
    (void)state;
    skip_without_avx2();
    check_least(16);
    check_least(8);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_classes),
                                       cmocka_unit_test(test_least)};
    return cmocka_run_group_tests_name("tensor_core", tests, NULL, NULL);
}
