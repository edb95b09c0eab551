/*
 * The one allocator. Every byte the library holds is charged to a ledger of an ms_mem; the sum of the ledgers
 * is held against the ms_mem's budget at each charge, so that a budget is a hard cap and not an estimate.
 *
 * A block remembers its ms_mem and ledger: ms_free() needs only the pointer. All blocks are aligned to 64
 * bytes. Blocks of MS_MEM_LARGE_BYTES and more are mapped from the system, charged by whole pages and given
 * back on free.
 *
 * Fault injection: MEMSAFE_FAIL_ALLOC=n[,repeat] (read once) or ms_mem_fail_after() makes the n-th allocation
 * of the process (1 = the next one) fail, once or from then on.
 */
#ifndef MS_BASE_MEM_H
#define MS_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memsafe/status.h"

#define MS_MEM_ALIGN 64
#define MS_MEM_LARGE_BYTES ((size_t)1 << 20)

#define MS_LEDGER_MAP(X)                                                                                     \
    X(WEIGHTS, "weights")                                                                                    \
    X(ACTIVATIONS, "activations")                                                                            \
    X(WORKSPACE, "workspace")                                                                                \
    X(STAGING, "staging")                                                                                    \
    X(CACHES, "caches")                                                                                      \
    X(FRAMES, "frames")                                                                                      \
    X(CODEC, "codec")                                                                                        \
    X(GENERAL, "general")

static inline size_t ms_align_up(size_t bytes, size_t alignment) {
    return (bytes + alignment - 1) / alignment * alignment;
}

typedef enum ms_ledger {
#define X(name, text) MS_LEDGER_##name,
    MS_LEDGER_MAP(X)
#undef X
        MS_LEDGER_COUNT
} ms_ledger;

typedef struct ms_mem ms_mem;

/* The unlimited default; what a NULL ms_mem stands for. Never destroyed. */
ms_mem *ms_mem_process(void);

/* budget_bytes: 0 = unlimited. */
ms_status ms_mem_create(size_t budget_bytes, ms_mem **ret_mem);

/* From now on. false, and nothing changes, when more than that is held already. 0 = unlimited. */
bool ms_mem_set_budget(ms_mem *mem, size_t budget_bytes);

/* All blocks must have been freed; returns the number of bytes that were not (0 = clean) and nulls the
 * pointer. */
size_t ms_mem_destroy(ms_mem **mem);

/* NULL when the budget, the system or a fault injection says no. bytes == 0 gives a valid block. */
void *ms_alloc(ms_mem *mem, ms_ledger ledger, size_t bytes);
void *ms_calloc(ms_mem *mem, ms_ledger ledger, size_t count, size_t bytes);

/* count * bytes with overflow checked. */
void *ms_alloc_array(ms_mem *mem, ms_ledger ledger, size_t count, size_t bytes);

/* Keeps the block's ms_mem and ledger; block must not be NULL. On failure the old block stays valid. */
void *ms_realloc(void *block, size_t bytes);
void ms_free(void *block);

char *ms_strdup(ms_mem *mem, const char *text);
char *ms_strndup(ms_mem *mem, const char *text, size_t length);
char *ms_asprintf(ms_mem *mem, const char *fmt, ...) MS_PRINTF(2, 3);

/* Charges bytes that somebody else holds on our behalf (a codec's memory, a mapped file); false when over
 * budget. */
bool ms_mem_charge(ms_mem *mem, ms_ledger ledger, size_t bytes);
void ms_mem_release(ms_mem *mem, ms_ledger ledger, size_t bytes);

typedef struct ms_mem_usage {
    size_t budget_bytes;
    size_t current_bytes, peak_bytes;
    size_t ledger_current[MS_LEDGER_COUNT], ledger_peak[MS_LEDGER_COUNT];
    uint64_t allocations, failures;
} ms_mem_usage;

void ms_mem_get_usage(const ms_mem *mem, ms_mem_usage *ret_usage);
void ms_mem_reset_peaks(ms_mem *mem);
const char *ms_ledger_name(ms_ledger ledger);

/* n = 0 switches fault injection off. Returns how many allocations the process has made so far. */
uint64_t ms_mem_fail_after(uint64_t n, bool repeat);
uint64_t ms_mem_allocation_count(void);

/* MS_HOST_MEMORY with a message that says how much was asked for, for what, and what the ledgers hold. */
ms_status ms_fail_alloc(ms_error *err, const ms_mem *mem, size_t bytes, const char *what);

#endif
