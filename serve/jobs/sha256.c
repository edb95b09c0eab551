#include "jobs/sha256.h"

#include <string.h>

#define BLOCK 64

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

typedef struct state {
    uint32_t h[8];
    uint8_t block[BLOCK];
    size_t filled;
    uint64_t bytes;
} state;

static uint32_t turn(uint32_t x, int n) {
    return x >> n | x << (32 - n);
}

static void mix(state *s) {
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)s->block[4 * i] << 24 | (uint32_t)s->block[4 * i + 1] << 16 |
               (uint32_t)s->block[4 * i + 2] << 8 | s->block[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] + (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3) +
               (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(v, s->h, sizeof(v));
    for (int i = 0; i < 64; i++) {
        uint32_t a = v[7] + (turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25)) +
                     ((v[4] & v[5]) ^ (~v[4] & v[6])) + K[i] + w[i];
        uint32_t b = (turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22)) +
                     ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof(*v));
        v[4] += a;
        v[0] = a + b;
    }
    for (int i = 0; i < 8; i++)
        s->h[i] += v[i];
    s->filled = 0;
}

static void begin(state *s) {
    static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memset(s, 0, sizeof(*s));
    memcpy(s->h, first, sizeof(first));
}

static void add(state *s, const void *data, size_t bytes) {
    const uint8_t *p = data;
    s->bytes += bytes;
    for (size_t i = 0; i < bytes; i++) {
        s->block[s->filled++] = p[i];
        if (s->filled == BLOCK)
            mix(s);
    }
}

static void end(state *s, uint8_t ret[SHA256_BYTES]) {
    uint64_t bits = s->bytes * 8;
    add(s, "\x80", 1);
    while (s->filled != BLOCK - 8)
        add(s, "", 1);
    for (int i = 7; i >= 0; i--)
        s->block[s->filled++] = (uint8_t)(bits >> (8 * i));
    mix(s);
    for (int i = 0; i < SHA256_BYTES; i++)
        ret[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256(const void *data, size_t bytes, uint8_t ret[SHA256_BYTES]) {
    state s;
    begin(&s);
    add(&s, data, bytes);
    end(&s, ret);
}

void sha256_hmac(const void *key, size_t key_bytes, const char *first, const char *second,
                 uint8_t ret[SHA256_BYTES]) {
    uint8_t pad[BLOCK] = {0}, inner[SHA256_BYTES];
    state s;
    if (key_bytes > BLOCK)
        sha256(key, key_bytes, pad);
    else
        memcpy(pad, key, key_bytes);
    for (int i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36;
    begin(&s);
    add(&s, pad, BLOCK);
    add(&s, first, strlen(first));
    add(&s, second, strlen(second));
    end(&s, inner);
    for (int i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    begin(&s);
    add(&s, pad, BLOCK);
    add(&s, inner, sizeof(inner));
    end(&s, ret);
}

void sha256_hex(const uint8_t hash[SHA256_BYTES], char ret[SHA256_HEX_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < SHA256_BYTES; i++) {
        ret[2 * i] = digits[hash[i] >> 4];
        ret[2 * i + 1] = digits[hash[i] & 15];
    }
    ret[2 * SHA256_BYTES] = 0;
}

void sha256_base64(const uint8_t hash[SHA256_BYTES], char ret[SHA256_BASE64_BYTES]) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    int n = 0;
    for (int i = 0; i < SHA256_BYTES; i += 3) {
        uint32_t three =
            (uint32_t)hash[i] << 16 | (uint32_t)hash[i + 1] << 8 | (i + 2 < SHA256_BYTES ? hash[i + 2] : 0);
        for (int k = 0; k < 4; k++)
            ret[n++] = digits[three >> (18 - 6 * k) & 63];
    }
    ret[n - 1] = '='; /* of the last three, one was not there */
    ret[n] = 0;
}

bool sha256_same_text(const char *a, const char *b) {
    uint8_t x[SHA256_BYTES], y[SHA256_BYTES], differs = 0;
    sha256(a, strlen(a), x);
    sha256(b, strlen(b), y);
    for (int i = 0; i < SHA256_BYTES; i++)
        differs |= x[i] ^ y[i];
    return differs == 0;
}
