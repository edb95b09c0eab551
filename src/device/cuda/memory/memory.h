/*
 * Memory of a card. Addresses are reserved once; physical memory is mapped to them in granules of 2 MiB as
 * blocks come to lie there, and is given back at once when the last one goes. So blocks of any size lie
 * side by side, which cudaMalloc() would round up. Three regions keep apart what comes and goes
 * differently: small blocks (vectors, which stay), weights, and the rest (arenas, states, slots).
 *
 * A driver that cannot map memory gives each block by cudaMalloc().
 */
#ifndef MS_DEVICE_CUDA_MEMORY_MEMORY_H
#define MS_DEVICE_CUDA_MEMORY_MEMORY_H

#include "device/cuda/memory/vmm.h"
#include "device/plugin.h"

/* Of the program that loaded the plug-in. */
extern const ms_host_services *cuda_host;

#define CUDA_GRANULARITY ((size_t)512)
/* What granules that are not full may take, beside what blocks are charged with: part of own_bytes. Where
   freed blocks leave more, that is charged besides. */
#define CUDA_SLACK_BYTES ((size_t)8 << 20)

typedef struct cuda_block {
    struct cuda_block *next; /* in the order of addresses */
    size_t offset, room;     /* what lies between it and the next one included */
    size_t charged_bytes;
    void *pointer;
    ms_ledger ledger;
} cuda_block;

enum { CUDA_REGION_SMALL, CUDA_REGION_WEIGHTS, CUDA_REGION_REST, CUDA_REGIONS };

typedef struct cuda_memory {
    ms_mem *mem;      /* what blocks are charged to; NULL = nothing */
    ms_mem *host_mem; /* for the list of them */
    cuda_vmm vmm;
    bool mapped;                      /* there is vmm */
    size_t small_bytes, region_bytes; /* of addresses: for small blocks, for each of the other regions */
    cuda_block *first[CUDA_REGIONS];
    size_t block_bytes, mapped_bytes, charged_beside_bytes;
} cuda_memory;

/* total_bytes: of the card. */
void cuda_memory_open(cuda_memory *memory, int device, size_t total_bytes, ms_mem *mem, ms_mem *host_mem);
void cuda_memory_close(cuda_memory *memory);
size_t cuda_memory_granularity(const cuda_memory *memory);
/* NULL: there is no room. */
void *cuda_memory_alloc(cuda_memory *memory, ms_ledger ledger, size_t bytes);
void cuda_memory_free(cuda_memory *memory, void *pointer);

#endif
