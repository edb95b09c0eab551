/* SHA-256 (FIPS 180-4), HMAC of it (RFC 2104), and how they are written. */
#ifndef SERVE_SHA256_H
#define SERVE_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32
#define SHA256_HEX_BYTES 65
#define SHA256_BASE64_BYTES 45

void sha256(const void *data, size_t bytes, uint8_t ret[SHA256_BYTES]);

/* Two texts one after the other are what is signed, so that none has to be copied. */
void sha256_hmac(const void *key, size_t key_bytes, const char *first, const char *second,
                 uint8_t ret[SHA256_BYTES]);

void sha256_hex(const uint8_t hash[SHA256_BYTES], char ret[SHA256_HEX_BYTES]);
void sha256_base64(const uint8_t hash[SHA256_BYTES], char ret[SHA256_BASE64_BYTES]);

/* Whether two texts are the same, in a time that says nothing of where they differ. */
bool sha256_same_text(const char *a, const char *b);

#endif
