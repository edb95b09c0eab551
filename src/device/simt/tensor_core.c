#include "device/simt/tensor_core.h"

#include <math.h>
#include <string.h>

#include "base/dtype.h"

/* A zero has an exponent below all others, so that it never is the largest. */
#define OF_ZERO (-4096)
/* The largest exponent is no less. */
#define LEAST_TOP (-132)

#define NAN_BITS 0x7fffffffu /* what a tensor core gives for all that is no number */

/* value = mantissa * 2^exponent, the mantissa from 1 to below 2, or less of a subnormal number. */
typedef struct operand {
    float mantissa;
    int exponent;
} operand;

static bool split(uint16_t h, bool bf16, operand *ret) {
    int bits = bf16 ? 7 : 10, bias = bf16 ? 127 : 15, most = bf16 ? 255 : 31;
    int field = h >> bits & most, fraction = h & ((1 << bits) - 1);
    int whole = field ? fraction | 1 << bits : fraction;
    float mantissa = (float)whole / (float)(1 << bits);
    ret->mantissa = h >> 15 ? -mantissa : mantissa;
    ret->exponent = whole == 0 ? OF_ZERO : (field ? field : 1) - bias;
    return field != most;
}

static operand split_sum(float x) {
    uint32_t u = ms_float_bits(x);
    int field = (int)(u >> 23 & 255);
    uint32_t whole = (u & 0x7fffff) | (field ? 0x800000u : 0);
    float mantissa = (float)whole / (float)0x800000;
    return (operand){u >> 31 ? -mantissa : mantissa, whole == 0 ? OF_ZERO : (field ? field : 1) - 127};
}

static float power(int exponent) {
    return ms_bits_float((uint32_t)((exponent < -126 ? -126 : exponent) + 127) << 23);
}

static double power64(int exponent) {
    uint64_t u = (uint64_t)(exponent + 1023) << 52;
    double x;
    memcpy(&x, &u, sizeof(x));
    return x;
}

/* sum * 2^exponent, truncated to float32. */
static float truncate_small(int64_t sum, int exponent) {
    if (sum == 0)
        return 0;
    uint64_t size = sum < 0 ? (uint64_t)-sum : (uint64_t)sum;
    int bits = 64 - __builtin_clzll(size);
    int least = -149 - exponent; /* places below the last one of a subnormal number */
    int drop = bits - 24 > least ? bits - 24 : least;
    if (drop >= bits)
        return sum < 0 ? -0.0f : 0.0f;
    if (drop > 0)
        size = size >> drop << drop;
    float value = (float)ldexp((double)size, exponent);
    return sum < 0 ? -value : value;
}

/* The sum has less than 53 bits, so that a double holds it, and 24 of its bits are a float's. */
static float truncate(int64_t sum, int exponent) {
    double x = (double)sum;
    uint64_t u;
    memcpy(&u, &x, sizeof(u));
    u &= ~(((uint64_t)1 << 29) - 1);
    memcpy(&x, &u, sizeof(x));
    x *= power64(exponent);
    return fabs(x) < 0x1p-126 ? truncate_small(sum, exponent) : (float)x;
}

typedef struct split_tile {
    float am[16][16], bm[16][8];
    int ae[16][16], be[16][8];
    bool finite;
} split_tile;

static void split_operands(const simt_tile *t, int k, bool bf16, split_tile *s) {
    operand o;
    s->finite = true;
    for (int row = 0; row < 16; row++)
        for (int i = 0; i < k; i++) {
            s->finite &= split(t->a[row][i], bf16, &o);
            s->am[row][i] = o.mantissa;
            s->ae[row][i] = o.exponent;
        }
    for (int i = 0; i < k; i++)
        for (int column = 0; column < 8; column++) {
            s->finite &= split(t->b[i][column], bf16, &o);
            s->bm[i][column] = o.mantissa;
            s->be[i][column] = o.exponent;
        }
    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 8; column++)
            s->finite &= isfinite(t->d[row][column]) != 0;
}

/* A group of terms of one row. The products' sum stays within 32 bits: 16 * 4 * 2^25, less what mantissas lack
   of 2. */
static void add_group(const split_tile *s, int row, int first, int terms, int f, float d[8]) {
    int top[8];
    int32_t sum[8] = {0};
    operand c[8];
    for (int column = 0; column < 8; column++) {
        c[column] = split_sum(d[column]);
        top[column] = c[column].exponent > LEAST_TOP ? c[column].exponent : LEAST_TOP;
    }
    for (int i = first; i < first + terms; i++)
        for (int column = 0; column < 8; column++) {
            int e = s->ae[row][i] + s->be[i][column];
            top[column] = e > top[column] ? e : top[column];
        }
    for (int i = first; i < first + terms; i++)
        for (int column = 0; column < 8; column++) {
            float product = s->am[row][i] * s->bm[i][column];
            int shift = s->ae[row][i] + s->be[i][column] - top[column] + f;
            shift = shift < -126 ? -126 : shift;
            sum[column] += (int32_t)(product * ms_bits_float((uint32_t)(shift + 127) << 23));
        }
    for (int column = 0; column < 8; column++) {
        int32_t own = (int32_t)(c[column].mantissa * power(c[column].exponent - top[column] + f));
        d[column] = truncate((int64_t)sum[column] + own, top[column] - f);
    }
}

/* Infinities and what is no number: the sign of an infinity if all agree, else not a number. */
static void add_specials(simt_tile *t, int k, bool bf16) {
    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 8; column++) {
            float sum = t->d[row][column];
            bool special = !isfinite(sum);
            for (int i = 0; i < k; i++) {
                float a = bf16 ? ms_bf16_to_f32(t->a[row][i]) : ms_f16_to_f32(t->a[row][i]);
                float b = bf16 ? ms_bf16_to_f32(t->b[i][column]) : ms_f16_to_f32(t->b[i][column]);
                if (isfinite(a) && isfinite(b))
                    continue;
                float product = a * b;
                sum = special ? sum + product : product;
                special = true;
            }
            if (special)
                t->d[row][column] = isnan(sum) ? ms_bits_float(NAN_BITS) : sum;
        }
}

void simt_tensor_core(simt_tile *t, int k, bool bf16, int arch) {
    split_tile s;
    int terms = arch >= 90 && k == 16 ? 16 : 8, f = arch >= 90 ? 25 : 24;
    simt_tile before;
    split_operands(t, k, bf16, &s);
    if (!s.finite)
        before = *t;
    for (int row = 0; row < 16; row++)
        for (int first = 0; first < k; first += terms)
            add_group(&s, row, first, terms, f, t->d[row]);
    if (!s.finite) {
        simt_tile specials = before;
        add_specials(&specials, k, bf16);
        for (int row = 0; row < 16; row++)
            for (int column = 0; column < 8; column++)
                if (!isfinite(specials.d[row][column]))
                    t->d[row][column] = specials.d[row][column];
    }
}
