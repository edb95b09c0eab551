#include "base/region.h"

#include <string.h>

/* The first block serves small files whole; doubling up to the last size keeps the number of blocks low
   without overshooting a tight budget by more than that. */
#define FIRST_BLOCK_BYTES ((size_t)4032)
#define LAST_BLOCK_BYTES ((size_t)262080)

struct ms_region_block {
    struct ms_region_block *below;
    size_t bytes;
};

void ms_region_init(ms_region *region, ms_mem *mem, size_t limit_bytes) {
    *region = (ms_region){.mem = mem, .limit_bytes = limit_bytes};
}

void ms_region_free(ms_region *region) {
    while (region->blocks) {
        struct ms_region_block *block = region->blocks;
        region->blocks = block->below;
        ms_mem_free(block);
    }
    ms_region_init(region, region->mem, region->limit_bytes);
}

size_t ms_region_held_bytes(const ms_region *region) {
    size_t sum = 0;
    for (const struct ms_region_block *b = region->blocks; b; b = b->below)
        sum += ms_mem_charged_bytes(sizeof(*b) + b->bytes);
    return sum;
}

static bool add_block(ms_region *region, size_t bytes) {
    size_t want = FIRST_BLOCK_BYTES;
    if (region->blocks)
        want = region->blocks->bytes < LAST_BLOCK_BYTES / 2 ? region->blocks->bytes * 2 : LAST_BLOCK_BYTES;
    if (want < bytes)
        want = bytes;
    struct ms_region_block *block = ms_mem_alloc(region->mem, MS_LEDGER_GENERAL, sizeof(*block) + want);
    if (!block)
        return false;
    block->bytes = want;
    block->below = region->blocks;
    region->blocks = block;
    region->next = (char *)(block + 1);
    region->left_bytes = want;
    return true;
}

void *ms_region_alloc(ms_region *region, size_t bytes) {
    if (bytes > SIZE_MAX / 2 || bytes > region->limit_bytes - region->used_bytes) {
        region->over_limit = true;
        return NULL;
    }
    size_t rounded = bytes ? (bytes + 7) & ~(size_t)7 : 8; /* also nothing has an address */
    if (rounded > region->left_bytes && !add_block(region, rounded))
        return NULL;
    void *piece = region->next;
    region->next += rounded;
    region->left_bytes -= rounded;
    region->used_bytes += bytes;
    return piece;
}

void *ms_region_alloc_array(ms_region *region, size_t count, size_t bytes) {
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total))
        total = SIZE_MAX;
    return ms_region_alloc(region, total);
}

char *ms_region_strndup(ms_region *region, const char *text, size_t length) {
    char *copy = ms_region_alloc(region, length + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}
