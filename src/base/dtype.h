/* Element types of tensors and their scalar conversions (round to nearest even). */
#ifndef MS_BASE_DTYPE_H
#define MS_BASE_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* X(name, bytes, text, safetensors name) */
#define MS_DTYPE_MAP(X)                                                                                      \
    X(F32, 4, "float32", "F32")                                                                              \
    X(F16, 2, "float16", "F16")                                                                              \
    X(BF16, 2, "bfloat16", "BF16")                                                                           \
    X(F64, 8, "float64", "F64")                                                                              \
    X(I64, 8, "int64", "I64")                                                                                \
    X(I32, 4, "int32", "I32")                                                                                \
    X(I16, 2, "int16", "I16")                                                                                \
    X(I8, 1, "int8", "I8")                                                                                   \
    X(U8, 1, "uint8", "U8")                                                                                  \
    X(BOOL, 1, "bool", "BOOL")

typedef enum ms_dtype {
#define X(name, bytes, text, st) MS_##name,
    MS_DTYPE_MAP(X)
#undef X
        MS_DTYPE_COUNT
} ms_dtype;

static inline size_t ms_dtype_bytes(ms_dtype dtype) {
    static const uint8_t bytes[MS_DTYPE_COUNT] = {
#define X(name, size, text, st) size,
        MS_DTYPE_MAP(X)
#undef X
    };
    return bytes[dtype];
}

static inline const char *ms_dtype_name(ms_dtype dtype) {
    static const char *const names[MS_DTYPE_COUNT] = {
#define X(name, size, text, st) text,
        MS_DTYPE_MAP(X)
#undef X
    };
    return dtype < MS_DTYPE_COUNT ? names[dtype] : "unknown";
}

static inline int ms_dtype_is_float(ms_dtype dtype) {
    return dtype == MS_F32 || dtype == MS_F16 || dtype == MS_BF16 || dtype == MS_F64;
}

static inline uint32_t ms_float_bits(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof(u));
    return u;
}

static inline float ms_bits_float(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof(x));
    return x;
}

static inline float ms_bf16_to_f32(uint16_t h) {
    return ms_bits_float((uint32_t)h << 16);
}

static inline uint16_t ms_f32_to_bf16(float x) {
    uint32_t u = ms_float_bits(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) /* keep a NaN a NaN */
        return (uint16_t)((u >> 16) | 0x40);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1)) >> 16);
}

/* No branches, so that loops over it become vector code. For normal numbers the
   exponent's bias goes from 15 to 127; for infinity and NaN it goes there twice;
   subnormals are the mantissa of 2^-14 without its leading 1. */
static inline float ms_f16_to_f32(uint16_t h) {
    uint32_t u = (uint32_t)(h & 0x7fffu) << 13, sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t subnormal = -(uint32_t)(u < 0x00800000u), special = -(uint32_t)(u >= 0x0f800000u);
    uint32_t small = ms_float_bits(ms_bits_float(u | 0x38800000u) - 0x1p-14f);
    uint32_t other = u + 0x38000000u + (special & 0x38000000u);
    return ms_bits_float(sign | (small & subnormal) | (other & ~subnormal));
}

static inline uint16_t ms_f32_to_f16(float x) {
    uint32_t u = ms_float_bits(x), sign = (u >> 16) & 0x8000u;
    u &= 0x7fffffffu;
    if (u > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (u >= 0x477ff000u) /* rounds to 65536 or more */
        return (uint16_t)(sign | 0x7c00u);
    if (u < 0x38800000u) { /* subnormal or zero: let the FPU round at the subnormal's last place */
        float magic = ms_bits_float(u) + 0.5f;
        return (uint16_t)(sign | (ms_float_bits(magic) - 0x3f000000u));
    }
    u += 0xfffu + ((u >> 13) & 1);
    return (uint16_t)(sign | ((u - 0x38000000u) >> 13));
}

#endif
