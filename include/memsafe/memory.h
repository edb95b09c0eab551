/*
 * The allocator. Every byte the library holds is charged to a ledger of an ms_mem; the sum of
 * the ledgers is held against the ms_mem's budget at each charge, so that a budget is a hard
 * cap and not an estimate. Pipelines that are not ours may draw their own buffers from it, or
 * charge what they hold elsewhere (a CUDA allocation), so that one budget holds for all.
 *
 * A block remembers its ms_mem and ledger: ms_mem_free() needs only the pointer. All blocks are aligned to 64
 * bytes. Blocks of 1 MiB and more are mapped from the system, charged by whole pages and given back on free.
 *
 * Fault injection: MEMSAFE_FAIL_ALLOC=n[,repeat] (read once) or ms_mem_fail_after() makes
 * the n-th allocation of the process (1 = the next one) fail, once or from then on.
 *
 * Any number of threads may allocate, free and charge at once. NULL stands for an
 * ms_mem without a budget that lasts as long as the process.
 */
#ifndef MEMSAFE_MEMORY_H
#define MEMSAFE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memsafe/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, text): what bytes are held for. */
#define MS_LEDGER_MAP(X)                                                                                     \
    X(WEIGHTS, "weights")                                                                                    \
    X(ACTIVATIONS, "activations")                                                                            \
    X(WORKSPACE, "workspace")                                                                                \
    X(STAGING, "staging")                                                                                    \
    X(CACHES, "caches")                                                                                      \
    X(FRAMES, "frames")                                                                                      \
    X(CODEC, "codec")                                                                                        \
    X(GENERAL, "general")

typedef enum ms_ledger {
#define X(name, text) MS_LEDGER_##name,
    MS_LEDGER_MAP(X)
#undef X
        MS_LEDGER_COUNT
} ms_ledger;
#define MS_LEDGER_ROOM 16 /* elements of arrays that have one for each ledger, so that there may be more */

typedef struct ms_mem ms_mem;

/* budget_bytes: 0 = unlimited. MS_INVALID_ARGUMENT: ret_mem is NULL; MS_HOST_MEMORY. */
MS_API ms_status ms_mem_create(size_t budget_bytes, ms_mem **ret_mem);

/* Changes the budget from now on; 0 = unlimited. False, and nothing changes, when
   more than that is held already, or when mem is NULL, which has no budget. */
MS_API bool ms_mem_set_budget(ms_mem *mem, size_t budget_bytes);

/* All blocks must have been freed; returns the number of bytes that were not (0 =
   clean) and nulls the pointer. */
MS_API size_t ms_mem_destroy(ms_mem **mem);

/* NULL when the budget, the system or a fault injection says no, or when there is
   no such ledger. bytes == 0 gives a valid block. */
MS_API void *ms_mem_alloc(ms_mem *mem, ms_ledger ledger, size_t bytes);

/* count * bytes, all zero. */
MS_API void *ms_mem_calloc(ms_mem *mem, ms_ledger ledger, size_t count, size_t bytes);

MS_API void ms_mem_free(void *block); /* NULL does nothing */

/* Charges bytes that somebody else holds on our behalf (a codec's memory, a mapped
   file). False when they are over the budget, when the sum would not fit size_t, or
   when there is no such ledger. Releasing never releases more than was charged. */
MS_API bool ms_mem_charge(ms_mem *mem, ms_ledger ledger, size_t bytes);
MS_API void ms_mem_release(ms_mem *mem, ms_ledger ledger, size_t bytes);

typedef struct ms_mem_usage {
    size_t budget_bytes;
    size_t current_bytes, peak_bytes;
    size_t ledger_current[MS_LEDGER_ROOM], ledger_peak[MS_LEDGER_ROOM];
    uint64_t allocations, failures;
} ms_mem_usage;

MS_API void ms_mem_get_usage_sized(const ms_mem *mem, ms_mem_usage *ret_usage, size_t usage_bytes);
static inline void ms_mem_get_usage(const ms_mem *mem, ms_mem_usage *ret_usage) {
    ms_mem_get_usage_sized(mem, ret_usage, sizeof(*ret_usage));
}
MS_API void ms_mem_reset_peaks(ms_mem *mem);
MS_API const char *ms_ledger_name(ms_ledger ledger);

/* One moment of a process that runs. */
typedef struct ms_memory_sample {
    double seconds;                      /* since the start */
    size_t resident_bytes;               /* all that the process holds */
    size_t ledger_bytes[MS_LEDGER_ROOM]; /* of an ms_mem */
} ms_memory_sample;
#define MS_MEMORY_SAMPLES 256 /* the most that a run keeps, however long it is */

/* n = 0 switches fault injection off. Returns how many allocations the process has made so far. */
MS_API uint64_t ms_mem_fail_after(uint64_t n, bool repeat);
MS_API uint64_t ms_mem_allocation_count(void);

#ifdef __cplusplus
}
#endif
#endif
