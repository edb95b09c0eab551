/*
 * The tensor core's sums by vectors of eight columns. Values and their powers of two are float32, in which
 * products of either type are exact: the product of two powers is the exponent that terms are aligned to, and
 * the conversion to an integer is the truncation.
 */
#include <string.h>

#include "device/simt/tensor_core.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

typedef float v8f __attribute__((vector_size(32)));
typedef int32_t v8i __attribute__((vector_size(32)));
typedef uint16_t v8h __attribute__((vector_size(16)));
typedef float v4f __attribute__((vector_size(16)));
typedef int32_t v4i __attribute__((vector_size(16)));
typedef double v4d __attribute__((vector_size(32)));
typedef int64_t v4l __attribute__((vector_size(32)));

/* Exponent fields of float32 for the largest of a group of terms, between which products are float32 and the
   result is neither subnormal nor infinite. */
#define LEAST_TOP 27
#define MOST_TOP 240

typedef struct operands {
    _Alignas(32) float a[16][16], a_power[16][16];
    _Alignas(32) float b[16][8], b_power[16][8];
} operands;

/* Of all operands. */
typedef struct range {
    v8i least; /* power but 0, as bits of float32 */
    v8i wrong; /* not a finite number */
} range;

/* Where compilers make too much of it by themselves. */
#ifdef __AVX2__
static inline v8i larger(v8i x, v8i y) {
    return (v8i)_mm256_max_epi32((__m256i)x, (__m256i)y);
}

static inline bool any(v8i x) {
    return !_mm256_testz_si256((__m256i)x, (__m256i)x);
}

static inline v8i joined(v4f low, v4f high) {
    return (v8i)_mm256_set_m128((__m128)high, (__m128)low);
}
#else
static inline v8i larger(v8i x, v8i y) {
    v8i m = x > y;
    return (x & m) | (y & ~m);
}

static inline bool any(v8i x) {
    v4l w = (v4l)x;
    return (w[0] | w[1] | w[2] | w[3]) != 0;
}

static inline v8i joined(v4f low, v4f high) {
    union {
        v4f half[2];
        v8i whole;
    } r = {{low, high}};
    return r.whole;
}
#endif

static inline v8i smaller(v8i x, v8i y) {
    return ~larger(~x, ~y);
}

/* Eight numbers of 16 bits: a sign, an exponent, a fraction of `bits` bits. */
static inline void split(const uint16_t *from, int bits, float *ret_value, float *ret_power, range *r) {
    v8h packed;
    memcpy(&packed, from, sizeof(packed));
    v8i h = __builtin_convertvector(packed, v8i), size = h & 0x7fff;
    v8i field = size >> bits, small = field == 0, zero = size == 0; /* -1 where it is so */
    int least = bits == 7 ? 0 : 127 - 15;                           /* what fields begin with in float32 */
    v8i power = ((field - small + least) << 23) & ~zero, value = h << 16;
    if (bits == 10) {
        v8i whole = (size & ((1 << bits) - 1)) | (~small & 1 << bits);
        v8f size_of = __builtin_convertvector(whole, v8f) * (v8f)(power - ((bits << 23) & ~zero));
        value = (v8i)size_of | (h << 16 & ~0x7fffffff);
    }
    memcpy(ret_value, &value, sizeof(value));
    memcpy(ret_power, &power, sizeof(power));
    r->wrong |= field == (0x7fff >> bits);
    r->least = smaller(r->least, power | (zero & 0x7fffffff));
}

static int least_exponent(const range *r) {
    int least = r->least[0];
    for (int i = 1; i < 8; i++)
        least = r->least[i] < least ? r->least[i] : least;
    return (least >> 23) - 127;
}

/* False: an operand is no number. Very small products become 0 in float32, which they count for beside
   anything larger; ret_small says that there may be any. */
static inline bool split_operands(const simt_tile *t, int k, int bits, operands *o, bool *ret_small) {
    range of_a = {.least = (v8i){0} + 0x7fffffff}, of_b = of_a;
    for (int row = 0; row < 16; row++)
        for (int i = 0; i < k; i += 8)
            split(&t->a[row][i], bits, &o->a[row][i], &o->a_power[row][i], &of_a);
    for (int i = 0; i < k; i++)
        split(t->b[i], bits, o->b[i], o->b_power[i], &of_b);
    *ret_small = bits == 7 && least_exponent(&of_a) + least_exponent(&of_b) < -100;
    return !any(of_a.wrong | of_b.wrong);
}

static inline v8i load(const float *p) {
    v8i v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* sum * 2^(top - f), the sum truncated to 24 bits. */
static inline v4f result(v4i sum, v4i own, v4i top, int f) {
    v4d total = __builtin_convertvector(sum, v4d) + __builtin_convertvector(own, v4d);
    v4l power = (__builtin_convertvector(top, v4l) + (1023 - 127 - f)) << 52;
    total = (v4d)((v4l)total & ~(((int64_t)1 << 29) - 1)) * (v4d)power;
    return __builtin_convertvector(total, v4f);
}

/* A group of terms of one row; the products' sum stays within 32 bits: 16 * 4 * 2^25, less what mantissas
   lack of 2. False: to be added by the other half. */
static inline bool add_group(const operands *o, int row, int first, int terms, int f, bool small, v8i *d) {
    v8i field = (*d & 0x7fffffff) >> 23, top = field << 23, sum = {0};
    for (int i = first; i < first + terms; i++)
        top = larger(top, (v8i)(o->a_power[row][i] * (v8f)load(o->b_power[i])));
    v8i most = top >> 23;
    v8i beyond = (most < LEAST_TOP) | (most > MOST_TOP), nothing = (most == 0) & ((*d & 0x7fffffff) == 0);
    if (any(small ? beyond : beyond & ~nothing))
        return false;
    v8i shift = 254 + f - most;
    v8f scale = (v8f)(smaller(shift, (v8i){0} + 254) << 23);
    for (int i = first; i < first + terms; i++)
        sum += __builtin_convertvector(o->a[row][i] * (v8f)load(o->b[i]) * scale, v8i);
    v8i own = __builtin_convertvector((v8f)*d * scale, v8i);
    union {
        v8i whole;
        v4i half[2];
    } s = {sum}, c = {own}, t = {most};
    *d = joined(result(s.half[0], c.half[0], t.half[0], f), result(s.half[1], c.half[1], t.half[1], f));
    return true;
}

static inline uint32_t add(simt_tile *t, int k, int terms, int f, int bits) {
    operands o;
    uint32_t left = 0;
    bool small;
    if (!split_operands(t, k, bits, &o, &small))
        return 0xffff;
    for (int row = 0; row < 16; row++) {
        v8i d = load(t->d[row]);
        bool done = true;
        for (int first = 0; first < k && done; first += terms)
            done = add_group(&o, row, first, terms, f, small, &d);
        if (done)
            memcpy(t->d[row], &d, sizeof(d));
        else
            left |= 1u << row;
    }
    return left;
}

/* The numbers written out, so that the compiler unrolls by them. */
uint32_t simt_add_fast(simt_tile *t, const simt_sum *sum) {
    if (sum->terms == 16)
        return sum->bf16 ? add(t, 16, 16, 25, 7) : add(t, 16, 16, 25, 10);
    return sum->bf16 ? add(t, sum->k, 8, sum->f, 7) : add(t, sum->k, 8, sum->f, 10);
}
