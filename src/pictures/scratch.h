/*
 * Carving a caller's workspace. A layout function takes its pieces in order; run with base NULL it only
 * counts, so that the size that a caller is told and the size that is used come from the same lines.
 */
#ifndef MS_PICTURES_SCRATCH_H
#define MS_PICTURES_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

#define MS_SCRATCH_ALIGN 64

typedef struct ms_scratch {
    uint8_t *base; /* NULL = count only */
    size_t used_bytes;
} ms_scratch;

/* base is rounded up to the alignment; the sum allows for that. */
static inline ms_scratch ms_scratch_begin(void *work) {
    uintptr_t at = (uintptr_t)work, up = (at + MS_SCRATCH_ALIGN - 1) / MS_SCRATCH_ALIGN * MS_SCRATCH_ALIGN;
    return (ms_scratch){work ? (uint8_t *)work + (up - at) : NULL, 0};
}

static inline void *ms_scratch_take(ms_scratch *scratch, size_t count, size_t bytes) {
    size_t at = scratch->used_bytes;
    scratch->used_bytes += (count * bytes + MS_SCRATCH_ALIGN - 1) / MS_SCRATCH_ALIGN * MS_SCRATCH_ALIGN;
    return scratch->base ? scratch->base + at : NULL;
}

static inline size_t ms_scratch_total(const ms_scratch *scratch) {
    return scratch->used_bytes + MS_SCRATCH_ALIGN;
}

#endif
