#include "device/cuda/memory/memory.h"

#include <cuda_runtime_api.h>

#include "device/cuda/memory/watch.h"

#define SMALL_BYTES ((size_t)256 << 10)
#define MOST_SMALL_BYTES ((size_t)1 << 30)   /* of addresses for all of them */
#define MALLOC_GRANULARITY ((size_t)2 << 20) /* of cudaMalloc() */

/* ---- addresses ---- */

static size_t begin_of(const cuda_memory *m, int region) {
    return region == CUDA_REGION_SMALL
               ? 0
               : m->small_bytes + (size_t)(region - CUDA_REGION_WEIGHTS) * m->region_bytes;
}

static size_t end_of(const cuda_memory *m, int region) {
    return begin_of(m, region) + (region == CUDA_REGION_SMALL ? m->small_bytes : m->region_bytes);
}

/* Twice the card, so that there is room for a block where smaller ones lie between. Some systems give a
   process fewer addresses (Windows' subsystem, limits of a batch system): half the card at the least, and
   what is larger is refused like what does not fit. */
static bool reserve(cuda_memory *m, int device, size_t total_bytes) {
    const size_t half = ms_align_up(total_bytes / 2, MALLOC_GRANULARITY);
    for (size_t halves = 4; halves > 0; halves /= 2) {
        m->region_bytes = halves * half;
        m->small_bytes = m->region_bytes < MOST_SMALL_BYTES ? m->region_bytes : MOST_SMALL_BYTES;
        if (cuda_vmm_open(&m->vmm, device, end_of(m, CUDA_REGIONS - 1)))
            return true;
    }
    m->region_bytes = 4 * half; /* blocks that lie anywhere are kept in order as if they lay there */
    return false;
}

void cuda_memory_open(cuda_memory *m, int device, size_t total_bytes, ms_mem *mem, ms_mem *host_mem) {
    *m = (cuda_memory){.mem = mem, .host_mem = host_mem};
    m->mapped = reserve(m, device, total_bytes);
}

void cuda_memory_close(cuda_memory *m) {
    for (int r = 0; r < CUDA_REGIONS; r++)
        while (m->first[r])
            cuda_memory_free(m, m->first[r]->pointer);
    if (m->mapped)
        cuda_vmm_close(&m->vmm);
    m->mapped = false;
}

size_t cuda_memory_granularity(const cuda_memory *m) {
    return m->mapped ? CUDA_GRANULARITY : MALLOC_GRANULARITY;
}

/* ---- charges ---- */

/* What granules hold that no block does, above what was charged at opening. A block that is freed may leave
   its granule there for another: what is charged in all becomes no more by that. false: no room. */
static bool charge_beside(cuda_memory *m) {
    size_t beside = m->mapped_bytes - m->block_bytes, due = 0;
    if (beside > CUDA_SLACK_BYTES)
        due = beside - CUDA_SLACK_BYTES;
    if (!m->mem || due == m->charged_beside_bytes)
        return true;
    if (due < m->charged_beside_bytes)
        cuda_host->release(m->mem, MS_LEDGER_GENERAL, m->charged_beside_bytes - due);
    else if (!cuda_host->charge(m->mem, MS_LEDGER_GENERAL, due - m->charged_beside_bytes))
        return false;
    m->charged_beside_bytes = due;
    return true;
}

/* ---- blocks ---- */

static int region_of(const cuda_memory *m, ms_ledger ledger, size_t bytes) {
    if (!m->mapped)
        return CUDA_REGION_REST;
    if (bytes < SMALL_BYTES)
        return CUDA_REGION_SMALL;
    return ledger == MS_LEDGER_WEIGHTS ? CUDA_REGION_WEIGHTS : CUDA_REGION_REST;
}

/* The granules that a block between these two has for itself. */
static void own_granules(const cuda_memory *m, const cuda_block *before, const cuda_block *b,
                         size_t *ret_first, size_t *ret_end) {
    const size_t granule = m->vmm.granule_bytes;
    size_t first = b->offset / granule, end = (b->offset + b->room - 1) / granule + 1;
    if (before && (before->offset + before->room - 1) / granule == first)
        first++;
    if (b->next && b->next->offset / granule < end)
        end = b->next->offset / granule;
    *ret_first = first;
    *ret_end = end > first ? end : first;
}

/* First fit. before: NULL = the region's first. */
static bool place(cuda_memory *m, int region, cuda_block *b, cuda_block **ret_before) {
    cuda_block *before = NULL, *next = m->first[region];
    size_t offset = begin_of(m, region);
    while (next && next->offset - offset < b->room) {
        offset = next->offset + next->room;
        before = next;
        next = next->next;
    }
    if (b->room > end_of(m, region) - offset)
        return false;
    b->offset = offset;
    b->next = next;
    *ret_before = before;
    return true;
}

/* Under its own addresses, or where the driver says. */
static bool back(cuda_memory *m, const cuda_block *before, cuda_block *b, size_t bytes) {
    if (!m->mapped) {
        if (cudaMalloc(&b->pointer, bytes ? bytes : 1) == cudaSuccess)
            return true;
        cudaGetLastError();
        return false;
    }
    size_t first, end;
    own_granules(m, before, b, &first, &end);
    if (!cuda_vmm_map(&m->vmm, first, end))
        return false;
    b->pointer = (void *)(uintptr_t)(m->vmm.base + b->offset);
    if (!simt_watch_hold(b->pointer, bytes)) {
        cuda_vmm_unmap(&m->vmm, first, end);
        return false;
    }
    m->mapped_bytes += (end - first) * m->vmm.granule_bytes;
    return true;
}

static void unback(cuda_memory *m, const cuda_block *before, const cuda_block *b) {
    if (!m->mapped) {
        if (cudaFree(b->pointer) != cudaSuccess)
            cudaGetLastError();
        return;
    }
    size_t first, end;
    own_granules(m, before, b, &first, &end);
    simt_watch_drop(b->pointer);
    cuda_vmm_unmap(&m->vmm, first, end);
    m->mapped_bytes -= (end - first) * m->vmm.granule_bytes;
}

static void give_back(cuda_memory *m, cuda_block *b) {
    if (m->mem)
        cuda_host->release(m->mem, b->ledger, b->charged_bytes);
    cuda_host->free(b);
}

static void unlink_block(cuda_memory *m, int region, cuda_block *before, cuda_block *b) {
    unback(m, before, b);
    *(before ? &before->next : &m->first[region]) = b->next;
    m->block_bytes -= b->charged_bytes;
    m->mapped_bytes -= m->mapped ? 0 : b->charged_bytes;
    give_back(m, b);
    charge_beside(m); /* where another thread has taken what was given back, at the next call */
}

void *cuda_memory_alloc(cuda_memory *m, ms_ledger ledger, size_t bytes) {
    if (bytes > m->region_bytes)
        return NULL;
    const int region = region_of(m, ledger, bytes);
    const size_t taken = ms_align_up(bytes ? bytes : 1, cuda_memory_granularity(m));
    cuda_block *before = NULL, *b = cuda_host->alloc(m->host_mem, MS_LEDGER_GENERAL, sizeof(*b));
    if (!b)
        return NULL;
    *b = (cuda_block){.charged_bytes = taken, .room = taken + CUDA_GAP_BYTES, .ledger = ledger};
    if (m->mem && !cuda_host->charge(m->mem, ledger, taken)) {
        cuda_host->free(b);
        return NULL;
    }
    if (!place(m, region, b, &before) || !back(m, before, b, bytes)) {
        give_back(m, b);
        return NULL;
    }
    *(before ? &before->next : &m->first[region]) = b;
    m->block_bytes += taken;
    m->mapped_bytes += m->mapped ? 0 : taken;
    if (charge_beside(m))
        return b->pointer;
    unlink_block(m, region, before, b);
    return NULL;
}

void cuda_memory_free(cuda_memory *m, void *pointer) {
    for (int r = 0; r < CUDA_REGIONS; r++) {
        cuda_block *before = NULL;
        for (cuda_block *b = m->first[r]; b; before = b, b = b->next)
            if (b->pointer == pointer) {
                unlink_block(m, r, before, b);
                return;
            }
    }
}
