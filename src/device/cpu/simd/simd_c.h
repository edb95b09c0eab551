/* v16 in plain C: what the other two are checked against. */
#ifndef MS_DEVICE_CPU_SIMD_SIMD_C_H
#define MS_DEVICE_CPU_SIMD_SIMD_C_H

typedef struct v16 {
    float f[16];
} v16;

#define V16_EACH(expr)                                                                                       \
    v16 r;                                                                                                   \
    for (int i = 0; i < 16; i++)                                                                             \
        r.f[i] = (expr);                                                                                     \
    return r

V16_INLINE v16 v16_load(const float *p) {
    v16 r;
    memcpy(&r, p, sizeof(r));
    return r;
}

V16_INLINE v16 v16_load_n(const float *p, int n) {
    V16_EACH(i < n ? p[i] : 0.0f);
}

V16_INLINE void v16_store(float *p, v16 x) {
    memcpy(p, &x, sizeof(x));
}

V16_INLINE void v16_store_n(float *p, v16 x, int n) {
    for (int i = 0; i < n; i++)
        p[i] = x.f[i];
}

V16_INLINE v16 v16_load_f16(const uint16_t *p) {
    V16_EACH(ms_f16_to_f32(p[i]));
}

V16_INLINE v16 v16_load_bf16(const uint16_t *p) {
    V16_EACH(ms_bf16_to_f32(p[i]));
}

V16_INLINE v16 v16_set1(float x) {
    V16_EACH(x);
}

V16_INLINE v16 v16_zero(void) {
    V16_EACH(0.0f);
}

V16_INLINE v16 v16_add(v16 a, v16 b) {
    V16_EACH(a.f[i] + b.f[i]);
}

V16_INLINE v16 v16_sub(v16 a, v16 b) {
    V16_EACH(a.f[i] - b.f[i]);
}

V16_INLINE v16 v16_mul(v16 a, v16 b) {
    V16_EACH(a.f[i] * b.f[i]);
}

V16_INLINE v16 v16_div(v16 a, v16 b) {
    V16_EACH(a.f[i] / b.f[i]);
}

V16_INLINE v16 v16_fma(v16 a, v16 b, v16 c) {
    V16_EACH(fmaf(a.f[i], b.f[i], c.f[i]));
}

/* c - a * b */
V16_INLINE v16 v16_fnma(v16 a, v16 b, v16 c) {
    V16_EACH(fmaf(-a.f[i], b.f[i], c.f[i]));
}

V16_INLINE v16 v16_max(v16 a, v16 b) {
    V16_EACH(a.f[i] > b.f[i] ? a.f[i] : b.f[i]);
}

V16_INLINE v16 v16_min(v16 a, v16 b) {
    V16_EACH(a.f[i] < b.f[i] ? a.f[i] : b.f[i]);
}

V16_INLINE v16 v16_abs(v16 a) {
    V16_EACH(fabsf(a.f[i]));
}

/* The magnitude of a, the sign of b. */
V16_INLINE v16 v16_copysign(v16 a, v16 b) {
    V16_EACH(copysignf(a.f[i], b.f[i]));
}

/* a < b ? x : y */
V16_INLINE v16 v16_select_lt(v16 a, v16 b, v16 x, v16 y) {
    V16_EACH(a.f[i] < b.f[i] ? x.f[i] : y.f[i]);
}

/* The first n lanes, zero elsewhere. */
V16_INLINE v16 v16_keep(v16 a, int64_t n) {
    V16_EACH(i < n ? a.f[i] : 0.0f);
}

/* Adds the low bits of t, taken as an integer, to the exponent of x. */
V16_INLINE v16 v16_add_exponent(v16 x, v16 t) {
    V16_EACH(ms_bits_float(ms_float_bits(x.f[i]) + (ms_float_bits(t.f[i]) << 23)));
}

/* Lane i with i + 8, then + 4, + 2, + 1. */
V16_INLINE float v16_sum(v16 a) {
    for (int step = 8; step; step /= 2)
        for (int i = 0; i < step; i++)
            a.f[i] = a.f[i] + a.f[i + step];
    return a.f[0];
}

V16_INLINE void v16_transpose(v16 r[16]) {
    for (int i = 0; i < 16; i++) {
        for (int j = 0; j < i; j++) {
            float t = r[i].f[j];
            r[i].f[j] = r[j].f[i];
            r[j].f[i] = t;
        }
    }
}

#undef V16_EACH
#endif
