#include "base/hash.h"

#include <string.h>
#include <sys/random.h>

static inline uint64_t rotate_left(uint64_t x, int bits) {
    return x << bits | x >> (64 - bits);
}

static inline void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[3];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[2] = rotate_left(v[2], 32);
}

static uint64_t little_endian(const unsigned char *p, size_t bytes) {
    uint64_t word = 0;
    for (size_t i = 0; i < bytes; i++)
        word |= (uint64_t)p[i] << (8 * i);
    return word;
}

static void absorb(uint64_t v[4], uint64_t word) {
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

static void begin(uint64_t v[4], const uint64_t key[2]) {
    v[0] = key[0] ^ 0x736f6d6570736575u;
    v[1] = key[1] ^ 0x646f72616e646f6du;
    v[2] = key[0] ^ 0x6c7967656e657261u;
    v[3] = key[1] ^ 0x7465646279746573u;
}

static void absorb_all(uint64_t v[4], const void *data, size_t bytes) {
    const unsigned char *p = data;
    size_t left = bytes;
    for (; left >= 8; left -= 8, p += 8)
        absorb(v, little_endian(p, 8));
    absorb(v, (uint64_t)(bytes & 0xff) << 56 | little_endian(p, left));
}

static uint64_t finish(uint64_t v[4]) {
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t ms_siphash(const uint64_t key[2], const void *data, size_t bytes) {
    uint64_t v[4];
    begin(v, key);
    absorb_all(v, data, bytes);
    v[2] ^= 0xff;
    return finish(v);
}

void ms_siphash_128(const uint64_t key[2], const void *data, size_t bytes, uint64_t ret_hash[2]) {
    uint64_t v[4];
    begin(v, key);
    v[1] ^= 0xee;
    absorb_all(v, data, bytes);
    v[2] ^= 0xee;
    ret_hash[0] = finish(v);
    v[1] ^= 0xdd;
    ret_hash[1] = finish(v);
}

void ms_siphash_random_key(uint64_t ret_key[2]) {
    uint64_t key[2];
    if (getrandom(key, sizeof(key), GRND_NONBLOCK) != (ssize_t)sizeof(key)) {
        /* Early in boot there may be none yet; addresses are still unknown to whoever made the file. */
        key[0] = (uintptr_t)ret_key;
        key[1] = (uintptr_t)&ms_siphash;
    }
    memcpy(ret_key, key, sizeof(key));
}
