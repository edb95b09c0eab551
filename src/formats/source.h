/* Where a reader's bytes come from: a file, or memory (tests and fuzzers). Reads are positional, so that
   several threads may read at once. */
#ifndef MS_FORMATS_SOURCE_H
#define MS_FORMATS_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "memsafe/status.h"

typedef struct ms_source {
    int fd;                      /* when memory is NULL */
    const unsigned char *memory; /* borrowed */
    uint64_t bytes;
} ms_source;

/* MS_IO for what cannot be opened or is no regular file; the message has no path in it. */
ms_status ms_source_open(const char *path, ms_source *ret_source, ms_error *err);
ms_source ms_source_from_memory(const void *data, size_t bytes);
void ms_source_close(ms_source *source);

/* All of the bytes or MS_IO. */
ms_status ms_source_read(const ms_source *source, uint64_t offset, void *dst, size_t bytes, ms_error *err);

#endif
