/* Numbers of the command line, for the programs in this folder: the whole word has to be one. */
#ifndef TOOLS_NUMBERS_H
#define TOOLS_NUMBERS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static inline bool whole_number(const char *text, int low, int high, int *ret_value) {
    char *end;
    long value = strtol(text, &end, 10);
    *ret_value = (int)value;
    return end != text && !*end && value >= low && value <= high;
}

static inline bool seed_number(const char *text, uint64_t *ret_value) {
    char *end;
    errno = 0;
    *ret_value = strtoull(text, &end, 0);
    return text[0] >= '0' && text[0] <= '9' && !*end && !errno;
}

#endif
