/*
 * What the allocator (memsafe/memory.h) offers besides, to the library itself.
 */
#ifndef MS_BASE_MEM_H
#define MS_BASE_MEM_H

#include "memsafe/memory.h"

#define MS_MEM_ALIGN 64
#define MS_MEM_LARGE_BYTES ((size_t)1 << 20)

static inline size_t ms_align_up(size_t bytes, size_t alignment) {
    return (bytes + alignment - 1) / alignment * alignment;
}

/* The unlimited default; what a NULL ms_mem stands for. Never destroyed. */
ms_mem *ms_mem_process(void);

/* count * bytes with overflow checked. */
void *ms_alloc_array(ms_mem *mem, ms_ledger ledger, size_t count, size_t bytes);

/* Keeps the block's ms_mem and ledger; block must not be NULL. On failure the old block stays valid. */
void *ms_realloc(void *block, size_t bytes);

/* Gives freed memory that the C library keeps for later back to the system, where the C library can. */
void ms_mem_trim(void);

/* What a block of that size is charged with. */
size_t ms_mem_charged_bytes(size_t bytes);

char *ms_strdup(ms_mem *mem, const char *text);
char *ms_strndup(ms_mem *mem, const char *text, size_t length);
char *ms_asprintf(ms_mem *mem, const char *fmt, ...) MS_PRINTF(2, 3);

/* MS_HOST_MEMORY with a message that says how much was asked for, for what, and what the ledgers hold. */
ms_status ms_fail_alloc(ms_error *err, const ms_mem *mem, size_t bytes, const char *what);
#ifdef __clang_analyzer__ /* as ms_fail() in base/error.h */
#define ms_fail_alloc(err, mem, bytes, what) ((void)(ms_fail_alloc)(err, mem, bytes, what), MS_HOST_MEMORY)
#endif

#endif
