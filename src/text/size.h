/* Sizes in bytes as people write them. */
#ifndef MS_TEXT_SIZE_H
#define MS_TEXT_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MS_SIZE_EXAMPLES "a size like 8G, 1500M or 1.5GiB"
#define MS_SIZE_TEXT_BYTES 32

/*
 * "8G", "512M", "1.5 GiB", "64kb", plain bytes: digits, with a decimal point if need be, and a unit in any
 * case, which may end in B or iB. Units are powers of 1024 however they are written, as memory is sold: 8 GB
 * of it are 8 GiB. Parts of a byte are dropped. False for anything else, below 0, and from 2^63 on; the
 * process's locale does not matter.
 */
bool ms_size_parse(const char *text, uint64_t *ret_bytes);

/* "1.50 GiB", "23.5 GiB", "512 MiB", "17 bytes": three digits of the largest unit that
   gives at least 1. What people are told of memory is written so. Returns ret_text. */
const char *ms_size_format(char ret_text[MS_SIZE_TEXT_BYTES], uint64_t bytes);

/* A budget that was too small, rounded down to whole MiB ("427 MiB" where 428 are needed), below ten to
   hundredths, below one MiB as ms_size_format(). Returns ret_text. */
const char *ms_size_format_budget(char ret_text[MS_SIZE_TEXT_BYTES], uint64_t bytes);

/* Rounded up to whole MiB, so that what a message names as enough is enough when it
   is given back as "489M". */
uint64_t ms_size_whole_mib(uint64_t bytes);

#endif
