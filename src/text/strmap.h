/* A table from text to pointer. Keys and values are borrowed and must outlive it; its memory is the
   region's. */
#ifndef MS_TEXT_STRMAP_H
#define MS_TEXT_STRMAP_H

#include "base/region.h"

typedef struct ms_strmap {
    ms_region *region;
    uint64_t key[2]; /* of the hash */
    struct ms_strmap_slot *slots;
    size_t count, capacity; /* capacity is 0 or a power of two */
} ms_strmap;

typedef enum ms_strmap_result { MS_STRMAP_ADDED, MS_STRMAP_PRESENT, MS_STRMAP_NO_MEMORY } ms_strmap_result;

void ms_strmap_init(ms_strmap *map, ms_region *region);

/* value must not be NULL. A name that is there already is left as it is. */
ms_strmap_result ms_strmap_add(ms_strmap *map, const char *name, size_t length, void *value);

/* NULL when absent. */
void *ms_strmap_find(const ms_strmap *map, const char *name, size_t length);

#endif
