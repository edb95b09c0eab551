/* simt.h for the host's compiler: what a lane does by itself is here, what lanes do together in
   emulator.h. */
#ifndef MS_DEVICE_SIMT_SIMT_HOST_H
#define MS_DEVICE_SIMT_SIMT_HOST_H

#include <math.h>
#include <string.h>

#include "base/dtype.h"
#include "device/simt/emulator.h"

#define SIMT_FN static inline
#define SIMT_SPECIAL inline
#define SIMT_KERNEL(threads) static void
#define SIMT_PARAM(type, name) const type &name
#define SIMT_DESCRIBE(kernel, type, threads, shared_bytes)                                                   \
    { #kernel, &simt_entry_of < type, kernel> ::entry, threads, sizeof(type), shared_bytes }
#define SIMT_SHARED(type, name)                                                                              \
    type &name = *reinterpret_cast<type *>(simt_shared_memory(sizeof(type), alignof(type)))
#define SIMT_UNROLL
#define SIMT_ON_HOST 1

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11
#define SIMT_CLEARS 1
#define SIMT_CLEAR_PADDING(param) __builtin_clear_padding(param)
#else
#define SIMT_CLEARS 0
#define SIMT_CLEAR_PADDING(param) (void)(param)
#endif

template <class P, void (*kernel)(const P &)> struct simt_entry_of {
    static void run(const void *param) {
        kernel(*static_cast<const P *>(param));
    }
    /* So that bytes which are of no field cannot look like something. */
    static void clear_padding(void *param) {
        SIMT_CLEAR_PADDING(static_cast<P *>(param));
    }
    static const simt_entry entry;
};

template <class P, void (*kernel)(const P &)>
const simt_entry simt_entry_of<P, kernel>::entry = {run, sizeof(P), alignof(P),
                                                    SIMT_CLEARS ? clear_padding : nullptr};

SIMT_FN int simt_thread() {
    return simt_self->thread;
}

SIMT_FN int simt_block_x() {
    return simt_self->block->at[0];
}

SIMT_FN int simt_block_y() {
    return simt_self->block->at[1];
}

SIMT_FN int simt_block_z() {
    return simt_self->block->at[2];
}

SIMT_FN int simt_blocks_x() {
    return simt_self->block->grid[0];
}

template <class T> SIMT_FN T simt_shuffle(T value, int lane) {
    static_assert(sizeof(T) <= 8, "a shuffle moves up to 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(value));
    bits = simt_exchange(bits, lane & 31);
    memcpy(&value, &bits, sizeof(value));
    return value;
}

template <class T> SIMT_FN T simt_shuffle_xor(T value, int mask) {
    return simt_shuffle(value, (simt_self->thread & 31) ^ mask);
}

template <int N> SIMT_FN void simt_copy_wait() {
    simt_copy_wait_for(N);
}

SIMT_FN simt_words simt_load16(const void *p) {
    if ((uintptr_t)p % 16)
        simt_check_aligned(p, "simt_load16");
    return *(const simt_words *)p;
}

SIMT_FN void simt_store16(void *p, simt_words v) {
    if ((uintptr_t)p % 16)
        simt_check_aligned(p, "simt_store16");
    *(simt_words *)p = v;
}

/* The row is read here, where the sanitizers see it. */
SIMT_FN void simt_read_row(const void *row, uint16_t ret_values[8]) {
    simt_check_aligned(row, "ldmatrix");
    memcpy(ret_values, row, 16);
}

SIMT_FN void simt_load_matrix(uint32_t *r, const void *row, int matrices, bool transposed) {
    uint16_t values[8] = {0};
    if ((simt_self->thread & 31) < 8 * matrices)
        simt_read_row(row, values);
    simt_exchange_matrix(r, values, matrices, transposed);
}

SIMT_FN void simt_load_matrix_x4(uint32_t r[4], const void *row) {
    simt_load_matrix(r, row, 4, false);
}

SIMT_FN void simt_load_matrix_x2(uint32_t r[2], const void *row) {
    simt_load_matrix(r, row, 2, false);
}

SIMT_FN void simt_load_matrix_x4_transposed(uint32_t r[4], const void *row) {
    simt_load_matrix(r, row, 4, true);
}

SIMT_FN void simt_load_matrix_x2_transposed(uint32_t r[2], const void *row) {
    simt_load_matrix(r, row, 2, true);
}

template <class T> struct simt_is_bf16 { static const bool value = false; };

template <> struct simt_is_bf16<simt_bf16> { static const bool value = true; };

/* Where they are not, the first of them ends the program (emulator.h). */
template <class T> SIMT_FN bool simt_multiplies() {
    return true;
}

template <class T> SIMT_FN void simt_mma_16816(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    simt_multiply(d, a, b, 16, simt_is_bf16<T>::value);
}

template <class T> SIMT_FN void simt_mma_1688(float d[4], const uint32_t a[2], const uint32_t b[1]) {
    simt_multiply(d, a, b, 8, simt_is_bf16<T>::value);
}

SIMT_FN float simt_fma(float a, float b, float c) {
    return fmaf(a, b, c);
}

SIMT_FN double simt_fma(double a, double b, double c) {
    return fma(a, b, c);
}

SIMT_FN float simt_sqrt(float x) {
    return sqrtf(x);
}

SIMT_FN double simt_sqrt(double x) {
    return sqrt(x);
}

SIMT_FN uint32_t simt_bits(float x) {
    return ms_float_bits(x);
}

SIMT_FN float simt_float(uint32_t u) {
    return ms_bits_float(u);
}

SIMT_FN uint64_t simt_bits64(double x) {
    uint64_t u;
    memcpy(&u, &x, sizeof(u));
    return u;
}

SIMT_FN double simt_double(uint64_t u) {
    double x;
    memcpy(&x, &u, sizeof(x));
    return x;
}

SIMT_FN float simt_to_float(float x) {
    return x;
}

SIMT_FN float simt_to_float(simt_f16 x) {
    return ms_f16_to_f32(x.bits);
}

SIMT_FN float simt_to_float(simt_bf16 x) {
    return ms_bf16_to_f32(x.bits);
}

template <class T> SIMT_SPECIAL T simt_from_float(float x);

template <> SIMT_SPECIAL float simt_from_float<float>(float x) {
    return x;
}

template <> SIMT_SPECIAL simt_f16 simt_from_float<simt_f16>(float x) {
    simt_f16 h = {ms_f32_to_f16(x)};
    return h;
}

template <> SIMT_SPECIAL simt_bf16 simt_from_float<simt_bf16>(float x) {
    simt_bf16 h = {ms_f32_to_bf16(x)};
    return h;
}

#endif
