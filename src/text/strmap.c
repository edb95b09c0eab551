#include "text/strmap.h"

#include <string.h>

#include "base/hash.h"

#define FIRST_CAPACITY 32

struct ms_strmap_slot {
    uint64_t hash;
    const char *name;
    size_t length;
    void *value; /* NULL = free */
};

void ms_strmap_init(ms_strmap *map, ms_region *region) {
    *map = (ms_strmap){.region = region};
    ms_siphash_random_key(map->key);
}

/* The slot that holds the name, or the free one where it belongs. There is always a free one. */
static struct ms_strmap_slot *slot_of(const ms_strmap *map, uint64_t hash, const char *name, size_t length) {
    for (size_t i = hash & (map->capacity - 1);; i = (i + 1) & (map->capacity - 1)) {
        struct ms_strmap_slot *slot = &map->slots[i];
        if (!slot->value ||
            (slot->hash == hash && slot->length == length && memcmp(slot->name, name, length) == 0))
            return slot;
    }
}

static bool grow(ms_strmap *map) {
    ms_strmap bigger = *map;
    bigger.capacity = map->capacity ? map->capacity * 2 : FIRST_CAPACITY;
    bigger.slots = ms_region_alloc_array(map->region, bigger.capacity, sizeof(*bigger.slots));
    if (!bigger.slots)
        return false;
    memset(bigger.slots, 0, bigger.capacity * sizeof(*bigger.slots));
    for (size_t i = 0; i < map->capacity; i++) {
        const struct ms_strmap_slot *slot = &map->slots[i];
        if (slot->value)
            *slot_of(&bigger, slot->hash, slot->name, slot->length) = *slot;
    }
    *map = bigger;
    return true;
}

ms_strmap_result ms_strmap_add(ms_strmap *map, const char *name, size_t length, void *value) {
    uint64_t hash = ms_siphash(map->key, name, length);
    if (map->capacity && slot_of(map, hash, name, length)->value)
        return MS_STRMAP_PRESENT;
    if (map->count * 4 >= map->capacity * 3 && !grow(map))
        return MS_STRMAP_NO_MEMORY;
    struct ms_strmap_slot *slot = slot_of(map, hash, name, length);
    *slot = (struct ms_strmap_slot){.hash = hash, .name = name, .length = length, .value = value};
    map->count++;
    return MS_STRMAP_ADDED;
}

void *ms_strmap_find(const ms_strmap *map, const char *name, size_t length) {
    if (!map->capacity)
        return NULL;
    return slot_of(map, ms_siphash(map->key, name, length), name, length)->value;
}
