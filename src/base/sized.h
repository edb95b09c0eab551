/*
 * Structs of the public interface grow at their end (docs/library.md, "Structs that grow"): a
 * function that gets one from its caller also gets the size that it has there, which may be that
 * of an older version. Such functions are named ..._sized; here is all that they do about it.
 */
#ifndef MS_BASE_SIZED_H
#define MS_BASE_SIZED_H

#include <string.h>

#include "base/error.h"

/* MS_INVALID_ARGUMENT: a struct has no size, or one that is larger than what this library knows of it. */
ms_status ms_sized_check(const char *function, const char *name, size_t bytes, size_t known_bytes,
                         ms_error *err);

/* The caller's struct gets the front of `from`, which has known_bytes. What the
   caller's has behind that becomes zero. NULL: nothing is done. */
void ms_sized_fill(void *to, size_t bytes, const void *from, size_t known_bytes);

/* Copies what the caller gives, which must not be NULL, over the front of *to,
   which has the defaults already. */
#define MS_READ_SIZED(to, from, bytes, err)                                                                  \
    do {                                                                                                     \
        MS_NEED(from, err);                                                                                  \
        MS_TRY(ms_sized_check(__func__, #from, bytes, sizeof(*(to)), err));                                  \
        memcpy(to, from, bytes);                                                                             \
    } while (0)

/* Checks, before the work, the size of a struct that is filled in after it. NULL is allowed. */
#define MS_CHECK_SIZED(ret, bytes, err)                                                                      \
    do {                                                                                                     \
        if (ret)                                                                                             \
            MS_TRY(ms_sized_check(__func__, #ret, bytes, sizeof(*(ret)), err));                              \
    } while (0)

#endif
