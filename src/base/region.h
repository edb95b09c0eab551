/* Many small pieces with one lifetime: handed out from growing blocks, all given back at once. */
#ifndef MS_BASE_REGION_H
#define MS_BASE_REGION_H

#include "base/mem.h"

typedef struct ms_region {
    ms_mem *mem;
    struct ms_region_block *blocks;
    char *next;
    size_t left_bytes;  /* behind next */
    size_t used_bytes;  /* handed out so far */
    size_t limit_bytes; /* never hand out more; SIZE_MAX = no limit of its own */
    bool over_limit;    /* a request was refused because of the limit, not for want of memory */
} ms_region;

void ms_region_init(ms_region *region, ms_mem *mem, size_t limit_bytes);
void ms_region_free(ms_region *region);

/* What its blocks are charged with. */
size_t ms_region_held_bytes(const ms_region *region);

/* Aligned to 8 bytes, not cleared; NULL when memory or the limit says no. */
void *ms_region_alloc(ms_region *region, size_t bytes);
void *ms_region_alloc_array(ms_region *region, size_t count, size_t bytes);
char *ms_region_strndup(ms_region *region, const char *text, size_t length);

#endif
