#include "device/simt/tensor_core.h"

#include <math.h>

#include "base/dtype.h"

#define NAN_BITS 0x7fffffffu /* what a tensor core gives for all that is no number */

/* value = mantissa * 2^exponent, the mantissa from 1 to below 2, or less of a subnormal number. */
typedef struct operand {
    double mantissa;
    int exponent;
} operand;

static operand split(uint32_t field, uint32_t fraction, int bits, int bias, bool negative) {
    double mantissa = ldexp(field ? fraction | 1u << bits : fraction, -bits);
    return (operand){negative ? -mantissa : mantissa, (field ? (int)field : 1) - bias};
}

static operand split_f16(uint16_t h) {
    return split(h >> 10 & 31, h & 0x3ff, 10, 15, h >> 15);
}

static operand split_bf16(uint16_t h) {
    return split(h >> 7 & 255, h & 0x7f, 7, 127, h >> 15);
}

static operand split_f32(float x) {
    uint32_t u = ms_float_bits(x);
    return split(u >> 23 & 255, u & 0x7fffff, 23, 127, u >> 31);
}

/* sum * 2^exponent, towards zero; a result of zero has no sign. */
static float truncated(double sum, int exponent) {
    if (sum == 0)
        return 0;
    int places = ilogb(sum) + exponent < -126 ? -149 - exponent : ilogb(sum) - 23;
    return (float)ldexp(trunc(ldexp(sum, -places)), places + exponent) + 0.0f;
}

/* Infinities and what is no number: the sign of an infinity if all agree, else not a number. */
static float add_specials(const float *product, int terms, float d) {
    for (int i = 0; i < terms; i++)
        d += isfinite(product[i]) ? 0 : product[i];
    return isnan(d) ? ms_bits_float(NAN_BITS) : d;
}

static float add_group(const simt_tile *t, int row, int column, int first, const simt_sum *sum) {
    operand term[17], c = split_f32(t->d[row][column]);
    float special[16];
    bool finite = isfinite(t->d[row][column]);
    int top = sum->least;
    for (int i = 0; i < sum->terms; i++) {
        uint16_t a = t->a[row][first + i], b = t->b[first + i][column];
        operand x = sum->bf16 ? split_bf16(a) : split_f16(a), y = sum->bf16 ? split_bf16(b) : split_f16(b);
        special[i] = sum->bf16 ? ms_bf16_to_f32(a) * ms_bf16_to_f32(b) : ms_f16_to_f32(a) * ms_f16_to_f32(b);
        /* Of finite bfloat16 values a product may be infinite in float32, and is none here. */
        if ((a & 0x7fff) < (sum->bf16 ? 0x7f80 : 0x7c00) && (b & 0x7fff) < (sum->bf16 ? 0x7f80 : 0x7c00))
            special[i] = 0;
        finite &= isfinite(special[i]) != 0;
        term[i] = (operand){x.mantissa * y.mantissa, x.exponent + y.exponent};
    }
    if (!finite)
        return add_specials(special, sum->terms, t->d[row][column]);
    term[sum->terms] = c;
    for (int i = 0; i <= sum->terms; i++)
        if (term[i].mantissa != 0 && term[i].exponent > top)
            top = term[i].exponent;
    double total = 0;
    for (int i = 0; i <= sum->terms; i++)
        total += trunc(ldexp(term[i].mantissa, term[i].exponent - top + sum->f));
    return truncated(total, top - sum->f);
}

void simt_add_row(simt_tile *t, int row, const simt_sum *sum) {
    for (int first = 0; first < sum->k; first += sum->terms)
        for (int column = 0; column < 8; column++)
            t->d[row][column] = add_group(t, row, column, first, sum);
}

void simt_tensor_core(simt_tile *t, int k, bool bf16, int arch) {
    bool hopper = arch >= 90;
    simt_sum sum = {k, hopper ? k : 8, hopper ? 25 : 24, hopper ? -133 : -132, bf16};
    uint32_t left = simt_add_fast(t, &sum);
    for (int row = 0; left; row++, left >>= 1)
        if (left & 1)
            simt_add_row(t, row, &sum);
}
