#include "http/range.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Digits up to 2^62; false: there are none, or too many. */
static bool take_number(const char **text, uint64_t *ret) {
    const char *t = *text;
    uint64_t value = 0;
    while (*t >= '0' && *t <= '9') {
        if (value > ((uint64_t)1 << 58))
            return false;
        value = value * 10 + (uint64_t)(*t++ - '0');
    }
    if (t == *text)
        return false;
    *text = t;
    *ret = value;
    return true;
}

range_kind range_parse(const char *header, uint64_t bytes, uint64_t *ret_first, uint64_t *ret_count) {
    uint64_t first = 0, last = 0;
    *ret_first = 0;
    *ret_count = bytes;
    if (!header || strncasecmp(header, "bytes=", 6) != 0)
        return RANGE_WHOLE;
    const char *t = header + 6;
    bool has_first = take_number(&t, &first);
    if (*t++ != '-')
        return RANGE_WHOLE;
    bool has_last = take_number(&t, &last);
    if (*t || (!has_first && !has_last) || (has_first && has_last && last < first))
        return RANGE_WHOLE;
    if (!has_first) { /* the last so many */
        if (last == 0 || bytes == 0)
            return RANGE_OUTSIDE;
        first = last < bytes ? bytes - last : 0;
        last = bytes - 1;
    } else if (first >= bytes) {
        return RANGE_OUTSIDE;
    } else if (!has_last || last >= bytes) {
        last = bytes - 1;
    }
    *ret_first = first;
    *ret_count = last - first + 1;
    return RANGE_PART;
}
