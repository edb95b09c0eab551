/*
 * SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT
 * 2012): a keyed hash, so that a file made for the purpose cannot fill one bucket
 * of a table. Not for file digests that must withstand an attack.
 */
#ifndef MS_BASE_HASH_H
#define MS_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t ms_siphash(const uint64_t key[2], const void *data, size_t bytes);

/* The variant of 128 bits, at the same speed: long enough to stand for the data
   itself where nobody makes it on purpose. */
void ms_siphash_128(const uint64_t key[2], const void *data, size_t bytes, uint64_t ret_hash[2]);

/* A key for a table that lives as long as this process: random where the system gives random bytes. */
void ms_siphash_random_key(uint64_t ret_key[2]);

#endif
