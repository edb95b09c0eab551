/* v16 without intrinsics, in vectors as gcc and clang have them: what the other two are checked against. */
#ifndef MS_DEVICE_CPU_SIMD_SIMD_C_H
#define MS_DEVICE_CPU_SIMD_SIMD_C_H

/* How such vectors are handed over changes with the instruction set; these functions are of one file each. */
#pragma GCC diagnostic ignored "-Wpsabi"

typedef float v16 __attribute__((vector_size(64)));
typedef uint32_t v16_bits __attribute__((vector_size(64)));

#define V16_SIGNS ((v16_bits){0} + 0x80000000u)

#define V16_EACH(expr)                                                                                       \
    v16 r;                                                                                                   \
    for (int i = 0; i < 16; i++)                                                                             \
        r[i] = (expr);                                                                                       \
    return r

/* x where the mask is set, y elsewhere. */
V16_INLINE v16 v16_pick(v16_bits mask, v16 x, v16 y) {
    return (v16)((mask & (v16_bits)x) | (~mask & (v16_bits)y));
}

V16_INLINE v16 v16_load(const float *p) {
    v16 r;
    memcpy(&r, p, sizeof(r));
    return r;
}

V16_INLINE v16 v16_load_n(const float *p, int n) {
    v16 r = {0};
    memcpy(&r, p, (size_t)n * sizeof(float));
    return r;
}

V16_INLINE void v16_store(float *p, v16 x) {
    memcpy(p, &x, sizeof(x));
}

V16_INLINE void v16_store_n(float *p, v16 x, int n) {
    memcpy(p, &x, (size_t)n * sizeof(float));
}

V16_INLINE v16 v16_load_f16(const uint16_t *p) {
    V16_EACH(ms_f16_to_f32(p[i]));
}

V16_INLINE v16 v16_load_bf16(const uint16_t *p) {
    V16_EACH(ms_bf16_to_f32(p[i]));
}

V16_INLINE v16 v16_set1(float x) {
    return (v16){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}

V16_INLINE v16 v16_zero(void) {
    return (v16){0};
}

V16_INLINE v16 v16_add(v16 a, v16 b) {
    return a + b;
}

V16_INLINE v16 v16_sub(v16 a, v16 b) {
    return a - b;
}

V16_INLINE v16 v16_mul(v16 a, v16 b) {
    return a * b;
}

V16_INLINE v16 v16_div(v16 a, v16 b) {
    return a / b;
}

/* r = a * b + c. Where that is 16 calls of the C library it is a function: in line it made up most of a
   megabyte of code, which took more than a minute to compile. */
#ifdef __FP_FAST_FMAF
V16_INLINE void v16_fuse(const v16 *a, const v16 *b, const v16 *c, v16 *r) {
#else
static __attribute__((noinline)) void v16_fuse(const v16 *a, const v16 *b, const v16 *c, v16 *r) {
#endif
    for (int i = 0; i < 16; i++)
        (*r)[i] = fmaf((*a)[i], (*b)[i], (*c)[i]);
}

V16_INLINE v16 v16_fma(v16 a, v16 b, v16 c) {
    v16 r;
    v16_fuse(&a, &b, &c, &r);
    return r;
}

/* c - a * b */
V16_INLINE v16 v16_fnma(v16 a, v16 b, v16 c) {
    return v16_fma((v16)((v16_bits)a ^ V16_SIGNS), b, c);
}

V16_INLINE v16 v16_max(v16 a, v16 b) {
    return v16_pick((v16_bits)(a > b), a, b);
}

V16_INLINE v16 v16_min(v16 a, v16 b) {
    return v16_pick((v16_bits)(a < b), a, b);
}

V16_INLINE v16 v16_abs(v16 a) {
    return (v16)((v16_bits)a & ~V16_SIGNS);
}

/* The magnitude of a, the sign of b. */
V16_INLINE v16 v16_copysign(v16 a, v16 b) {
    return v16_pick(V16_SIGNS, b, a);
}

/* a < b ? x : y */
V16_INLINE v16 v16_select_lt(v16 a, v16 b, v16 x, v16 y) {
    return v16_pick((v16_bits)(a < b), x, y);
}

/* The first n lanes, zero elsewhere. */
V16_INLINE v16 v16_keep(v16 a, int64_t n) {
    V16_EACH(i < n ? a[i] : 0.0f);
}

/* Adds the low bits of t, taken as an integer, to the exponent of x. */
V16_INLINE v16 v16_add_exponent(v16 x, v16 t) {
    return (v16)((v16_bits)x + ((v16_bits)t << 23));
}

/* Lane i with i + 8, then + 4, + 2, + 1. */
V16_INLINE float v16_sum(v16 a) {
    for (int step = 8; step; step /= 2)
        for (int i = 0; i < step; i++)
            a[i] = a[i] + a[i + step];
    return a[0];
}

V16_INLINE void v16_transpose(v16 r[16]) {
    for (int i = 0; i < 16; i++) {
        for (int j = 0; j < i; j++) {
            float t = r[i][j];
            r[i][j] = r[j][i];
            r[j][i] = t;
        }
    }
}

#undef V16_EACH
#endif
