/* `Range: bytes=...` of RFC 9110, one range. */
#ifndef SERVE_RANGE_H
#define SERVE_RANGE_H

#include <stdint.h>

typedef enum range_kind {
    RANGE_WHOLE, /* no header, another unit, several ranges, or nonsense: all of it is sent */
    RANGE_PART,
    RANGE_OUTSIDE, /* nothing of it is there: 416 */
} range_kind;

/* header may be NULL. */
range_kind range_parse(const char *header, uint64_t bytes, uint64_t *ret_first, uint64_t *ret_count);

#endif
