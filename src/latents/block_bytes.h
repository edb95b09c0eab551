/*
 * Arrays of 32-bit words as bytes that an entropy coder likes: small differences of either sign
 * become small numbers, and the words' lowest bytes lie together, then the next ones, and so on
 * (planes). Each array is one zstd frame, or the planes as they are where that is no longer.
 */
#ifndef MS_LATENTS_BLOCK_BYTES_H
#define MS_LATENTS_BLOCK_BYTES_H

#include "base/mem.h"

typedef struct ms_block_coder ms_block_coder;

/* False in a build without zstd: planes are then stored as they are. */
bool ms_block_has_zstd(void);

/* Allocates all that is ever needed for arrays of up to max_words, and nothing later. */
ms_status ms_block_coder_create(ms_mem *mem, size_t max_words, ms_block_coder **ret_coder, ms_error *err);
void ms_block_coder_destroy(ms_block_coder **coder);
size_t ms_block_coder_bytes(size_t max_words);

/* The words that are to be coded, and those that were decoded: [max_words]. */
uint32_t *ms_block_coder_words(ms_block_coder *coder);

/* The most bytes that count words may need. */
size_t ms_block_coder_bound(size_t count);

/* Codes the first count words to dst, which has room for ms_block_coder_bound(count)
   bytes. Returns the bytes written, at most 4 * count. */
size_t ms_block_coder_write(ms_block_coder *coder, size_t count, void *dst);

/* MS_BAD_MEDIA when src is not count words; MS_UNSUPPORTED when it needs zstd. */
ms_status ms_block_coder_read(ms_block_coder *coder, const void *src, size_t bytes, size_t count,
                              ms_error *err);

/* Order of floats as order of integers: neighbours differ by one, -0 lies just below 0. */
static inline uint32_t ms_float_order(uint32_t bits) {
    return bits ^ ((bits & 0x80000000u) ? 0xffffffffu : 0x80000000u);
}
static inline uint32_t ms_float_unorder(uint32_t order) {
    return order ^ ((order & 0x80000000u) ? 0x80000000u : 0xffffffffu);
}

/* 0, -1, 1, -2 ... to 0, 1, 2, 3 ... and back. */
static inline uint32_t ms_zigzag(uint32_t difference) {
    return (difference << 1) ^ (0u - (difference >> 31));
}
static inline uint32_t ms_unzigzag(uint32_t word) {
    return (word >> 1) ^ (0u - (word & 1u));
}

#endif
