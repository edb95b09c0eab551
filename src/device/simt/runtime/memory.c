#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "device/simt/fiber.h"
#include "device/simt/runtime/runtime.h"

#if SIMT_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(begin, bytes) __asan_poison_memory_region(begin, bytes)
#define UNPOISON(begin, bytes) __asan_unpoison_memory_region(begin, bytes)
#else
#define POISON(begin, bytes) ((void)(begin), (void)(bytes))
#define UNPOISON(begin, bytes) ((void)(begin), (void)(bytes))
#endif

static card_memory *const m = &the_card.memory;

static size_t round_up(size_t bytes) {
    return (bytes + CARD_GRANULE - 1) / CARD_GRANULE * CARD_GRANULE;
}

/* ---- the space of addresses ---- */

/* Of no other memory's kind, so that no numbers side by side among a kernel's parameters look like an
   address. The thread sanitizer knows no memory there. */
#define BASE ((void *)0x4d5300000000)

/* Addresses, in memories of the card: for reservations of eight devices that are open at a time, six memories
   each, and after them for cudaMalloc(). */
#define RESERVATIONS 48
#define SPACE (RESERVATIONS + 8)

bool card_memory_open(void) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    m->malloc_from = RESERVATIONS * round_up(the_card.limit_bytes);
    m->space_bytes = SPACE * round_up(the_card.limit_bytes);
    void *at =
        SIMT_TSAN ? MAP_FAILED : mmap(BASE, m->space_bytes, PROT_NONE, flags | MAP_FIXED_NOREPLACE, -1, 0);
    if (at == MAP_FAILED)
        at = mmap(NULL, m->space_bytes + CARD_GRANULE, PROT_NONE, flags, -1, 0);
    m->mapped = calloc(m->space_bytes / CARD_GRANULE, sizeof(*m->mapped));
    m->accessible = calloc(m->space_bytes / CARD_GRANULE, sizeof(*m->accessible));
    if (at == MAP_FAILED || !m->mapped || !m->accessible)
        return false;
    m->base = (char *)round_up((uintptr_t)at);
    return true;
}

void card_memory_close(void) {
    if (m->base)
        munmap(m->base, m->space_bytes);
    free(m->mapped);
    free(m->accessible);
    free(m->block);
    free(m->pinned);
    *m = (card_memory){0};
}

bool card_memory_is_idle(void) {
    return m->reservations == 0 && m->blocks == 0 && m->pins == 0;
}

bool card_is_given(uintptr_t address) {
    return m->base && address >= (uintptr_t)m->base && address - (uintptr_t)m->base < m->space_bytes;
}

static size_t offset_of(const void *given) {
    return (size_t)((uintptr_t)given - (uintptr_t)m->base);
}

/* The first block that ends behind the offset. */
static size_t find(size_t offset) {
    size_t low = 0, high = m->blocks;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (m->block[middle].offset + m->block[middle].bytes > offset)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

bool card_is_of_block(const void *address, size_t bytes) {
    if (!card_is_given((uintptr_t)address))
        return false;
    const size_t offset = offset_of(address), i = find(offset);
    const card_block *b = i < m->blocks ? &m->block[i] : NULL;
    return b && offset >= b->offset && bytes <= b->offset + b->bytes - offset;
}

static void protect(size_t offset, size_t bytes, bool open) {
    if (bytes && mprotect(m->base + offset, bytes, open ? PROT_READ | PROT_WRITE : PROT_NONE) != 0)
        card_die("cannot protect %zu bytes", bytes);
}

/* Runs of granules that the card was let at, and what cudaMalloc() gave. */
void card_memory_access(bool open) {
    const size_t end = m->reserved_to / CARD_GRANULE;
    for (size_t g = 0; g < end;) {
        size_t first = g;
        while (g < end && m->accessible[g])
            g++;
        protect(first * CARD_GRANULE, (g - first) * CARD_GRANULE, open);
        g += g == first;
    }
    for (size_t i = find(m->malloc_from); i < m->blocks; i++)
        protect(m->block[i].offset, round_up(m->block[i].bytes), open);
}

/* What was there is gone, and the system has its pages back. */
static void forget(size_t offset, size_t bytes) {
    UNPOISON(m->base + offset, bytes);
    if (mmap(m->base + offset, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
             0) == MAP_FAILED)
        card_die("cannot give %zu bytes back", bytes);
}

/* ---- blocks ---- */

static bool room_for(card_block **list, size_t count, size_t *room) {
    if (count < *room)
        return true;
    card_block *more = realloc(*list, (2 * *room + 64) * sizeof(**list));
    if (!more)
        return false;
    *list = more;
    *room = 2 * *room + 64;
    return true;
}

/* Not-a-numbers, whatever is read from it. */
static void spoil(size_t offset, size_t bytes) {
    if (the_card.skips)
        return;
    const size_t first = offset / 4096 * 4096, end = (offset + bytes + 4095) / 4096 * 4096;
    protect(first, end - first, true);
    memset(m->base + offset, 0xff, bytes);
    protect(first, end - first, false);
}

/* Of reserved addresses the card reaches those that it was let at; all of cudaMalloc()'s. */
static bool is_reached(size_t offset, size_t end) {
    if (offset >= m->malloc_from)
        return true;
    for (size_t g = offset / CARD_GRANULE; g * CARD_GRANULE < end; g++)
        if (!m->accessible[g])
            return false;
    return true;
}

/* A block of no bytes has one, so that its address is its own. */
static bool hold(const void *given, size_t bytes) {
    static _Atomic long count;
    const size_t offset = offset_of(given), end = offset + (bytes ? bytes : 1), i = find(offset);
    if (card_fails("MEMSAFE_SIMT_FAIL_ALLOC", &count) || !room_for(&m->block, m->blocks, &m->block_room))
        return false;
    if (!card_is_given((uintptr_t)given) || (i < m->blocks && m->block[i].offset < end))
        card_die("a block of %zu bytes at %p lies over another one", bytes, given);
    if (!is_reached(offset, end))
        card_die("a block of %zu bytes at %p lies where no memory is mapped, or the card was not let at it",
                 bytes, given);
    memmove(m->block + i + 1, m->block + i, (m->blocks - i) * sizeof(*m->block));
    m->block[i] = (card_block){offset, end - offset};
    m->blocks++;
    UNPOISON(m->base + offset, end - offset);
    spoil(offset, end - offset);
    return true;
}

/* Its size. */
static size_t drop(const void *given) {
    const size_t offset = card_is_given((uintptr_t)given) ? offset_of(given) : SIZE_MAX;
    const size_t i = offset == SIZE_MAX ? m->blocks : find(offset);
    if (i == m->blocks || m->block[i].offset != offset)
        card_die("%p is freed, which is no block", given);
    const size_t bytes = m->block[i].bytes;
    if (the_card.lost == cudaSuccess && card_is_awaited(given, bytes))
        card_die("a block of %zu bytes is freed while work that was given to a stream touches it", bytes);
    spoil(offset, bytes);
    POISON(m->base + offset, bytes);
    m->blocks--;
    memmove(m->block + i, m->block + i + 1, (m->blocks - i) * sizeof(*m->block));
    return bytes;
}

bool simt_watch_hold(const void *block, size_t bytes) {
    pthread_mutex_lock(&card_lock);
    bool held = hold(block, bytes);
    card_leave();
    return held;
}

void simt_watch_drop(const void *block) {
    pthread_mutex_lock(&card_lock);
    drop(block);
    card_leave();
}

/* ---- the runtime's ---- */

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
    cudaError_t error = card_enter();
    *free_bytes = the_card.limit_bytes - the_card.used_bytes;
    *total_bytes = the_card.limit_bytes;
    card_leave();
    return error;
}

/* Whole granules, with one between blocks that is nobody's. First fit in the upper half of the space. */
static cudaError_t allocate(void **pointer, size_t bytes) {
    size_t offset = m->malloc_from, taken = round_up(bytes ? bytes : 1);
    for (size_t i = find(offset); i < m->blocks && m->block[i].offset - offset < taken + CARD_GRANULE; i++)
        offset = round_up(m->block[i].offset + m->block[i].bytes) + CARD_GRANULE;
    if (taken > m->space_bytes - offset || !card_take(taken))
        return cudaErrorMemoryAllocation;
    POISON(m->base + offset, taken);
    if (!hold(m->base + offset, bytes)) {
        forget(offset, taken);
        the_card.used_bytes -= taken;
        return cudaErrorMemoryAllocation;
    }
    *pointer = m->base + offset;
    return cudaSuccess;
}

/* What is given and taken at once is no work of a stream, so a graph could not do it again: in the mode that
   captures are begun in, a thread that captures may not ask for it. */
static cudaError_t enter_outside_captures(void) {
    cudaError_t error = card_enter();
    return error == cudaSuccess && card_breaks_capture() ? cudaErrorStreamCaptureUnsupported : error;
}

cudaError_t cudaMalloc(void **pointer, size_t size) {
    cudaError_t error = enter_outside_captures();
    if (error == cudaSuccess)
        error = allocate(pointer, size);
    card_leave();
    return error;
}

cudaError_t cudaFree(void *pointer) {
    cudaError_t error = enter_outside_captures();
    if (pointer && error != cudaErrorStreamCaptureUnsupported) {
        size_t taken = round_up(drop(pointer));
        forget(offset_of(pointer), taken);
        the_card.used_bytes -= taken;
    }
    card_leave();
    return error;
}

cudaError_t cudaHostAlloc(void **pointer, size_t size, unsigned flags) {
    static _Atomic long count;
    (void)flags;
    cudaError_t error = enter_outside_captures();
    void *block = NULL;
    if (error == cudaSuccess &&
        (card_fails("MEMSAFE_SIMT_FAIL_HOST_ALLOC", &count) || !room_for(&m->pinned, m->pins, &m->pin_room) ||
         posix_memalign(&block, 4096, size ? size : 1) != 0))
        error = cudaErrorMemoryAllocation;
    if (error == cudaSuccess) {
        memset(block, 0xff, size);
        m->pinned[m->pins++] = (card_block){(size_t)(uintptr_t)block, size};
        *pointer = block;
    }
    card_leave();
    return error;
}

cudaError_t cudaFreeHost(void *pointer) {
    cudaError_t error = enter_outside_captures();
    size_t i = 0;
    if (error == cudaErrorStreamCaptureUnsupported) {
        card_leave();
        return error;
    }
    while (i < m->pins && m->pinned[i].offset != (size_t)(uintptr_t)pointer)
        i++;
    if (i == m->pins)
        card_die("%p is freed, which is no page-locked memory", pointer);
    if (error == cudaSuccess && card_is_awaited(pointer, m->pinned[i].bytes))
        card_die("page-locked memory is freed while a copy that was given to a stream needs it");
    m->pinned[i] = m->pinned[--m->pins];
    free(pointer);
    card_leave();
    return error;
}

/* ---- the driver's ---- */

static size_t most_addresses(void) {
    const char *mib = getenv("MEMSAFE_SIMT_ADDRESSES");
    return mib ? (size_t)strtoull(mib, NULL, 10) << 20 : SIZE_MAX;
}

static CUresult reserve(CUdeviceptr *pointer, size_t size, size_t alignment, CUdeviceptr address,
                        unsigned long long flags) {
    (void)alignment;
    (void)address;
    (void)flags;
    pthread_mutex_lock(&card_lock);
    CUresult result = CUDA_ERROR_INVALID_VALUE;
    if (size == 0 || size % CARD_GRANULE) {
        result = CUDA_ERROR_INVALID_VALUE;
    } else if (size > m->malloc_from - m->reserved_to || size > most_addresses()) {
        result = CUDA_ERROR_OUT_OF_MEMORY;
    } else {
        *pointer = (CUdeviceptr)(uintptr_t)m->base + m->reserved_to;
        m->reserved_to += size;
        m->reservations++;
        result = CUDA_SUCCESS;
    }
    card_leave();
    return result;
}

/* Of addresses only; they are given out again when all are free. */
static CUresult unreserve(CUdeviceptr pointer, size_t size) {
    pthread_mutex_lock(&card_lock);
    const size_t offset = (size_t)(pointer - (uintptr_t)m->base);
    for (size_t g = offset / CARD_GRANULE; g < (offset + size) / CARD_GRANULE; g++)
        if (m->mapped[g])
            card_die("addresses are freed that memory is mapped to");
    if (--m->reservations == 0)
        m->reserved_to = 0;
    card_leave();
    return CUDA_SUCCESS;
}

static CUresult granularity(size_t *ret_bytes, const CUmemAllocationProp *prop,
                            CUmemAllocationGranularity_flags option) {
    (void)prop;
    (void)option;
    *ret_bytes = CARD_GRANULE;
    return CUDA_SUCCESS;
}

static CUresult create(CUmemGenericAllocationHandle *handle, size_t size, const CUmemAllocationProp *prop,
                       unsigned long long flags) {
    static _Atomic long count;
    (void)flags;
    if (!card_is_bound())
        return CUDA_ERROR_INVALID_CONTEXT;
    if (size == 0 || size % CARD_GRANULE || prop->type != CU_MEM_ALLOCATION_TYPE_PINNED ||
        prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&card_lock);
    card_physical *p = malloc(sizeof(*p));
    bool there = p && !card_fails("MEMSAFE_SIMT_FAIL_CREATE", &count) && card_take(size);
    card_leave();
    if (!there) {
        free(p);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *p = (card_physical){size, 1};
    *handle = (CUmemGenericAllocationHandle)(uintptr_t)p;
    return CUDA_SUCCESS;
}

static void let_go(card_physical *p) {
    if (--p->users == 0) {
        the_card.used_bytes -= p->bytes;
        free(p);
    }
}

static CUresult release(CUmemGenericAllocationHandle handle) {
    pthread_mutex_lock(&card_lock);
    let_go((card_physical *)(uintptr_t)handle);
    card_leave();
    return CUDA_SUCCESS;
}

static CUresult map(CUdeviceptr pointer, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
                    unsigned long long flags) {
    card_physical *p = (card_physical *)(uintptr_t)handle;
    const size_t at = (size_t)(pointer - (uintptr_t)m->base);
    if (!card_is_bound())
        return CUDA_ERROR_INVALID_CONTEXT;
    if (flags || offset || size != p->bytes || at % CARD_GRANULE || at + size > m->reserved_to)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&card_lock);
    for (size_t g = at / CARD_GRANULE; g < (at + size) / CARD_GRANULE; g++) {
        if (m->mapped[g])
            card_die("memory is mapped to addresses that have some");
        m->mapped[g] = p;
    }
    p->users++;
    card_leave();
    return CUDA_SUCCESS;
}

static CUresult set_access(CUdeviceptr pointer, size_t size, const CUmemAccessDesc *access, size_t count) {
    const size_t at = (size_t)(pointer - (uintptr_t)m->base);
    if (!card_is_bound())
        return CUDA_ERROR_INVALID_CONTEXT;
    if (count != 1 || access->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&card_lock);
    CUresult result = CUDA_SUCCESS;
    for (size_t g = at / CARD_GRANULE; g < (at + size) / CARD_GRANULE; g++)
        if (!m->mapped[g])
            result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS) {
        memset(m->accessible + at / CARD_GRANULE, true, size / CARD_GRANULE);
        POISON(m->base + at, size);
    }
    card_leave();
    return result;
}

/* A mapping as it was made, with no block in it. */
static CUresult unmap(CUdeviceptr pointer, size_t size) {
    const size_t at = (size_t)(pointer - (uintptr_t)m->base), first = at / CARD_GRANULE;
    pthread_mutex_lock(&card_lock);
    const size_t i = find(at);
    if (i < m->blocks && m->block[i].offset < at + size)
        card_die("memory is unmapped that a block lies in");
    card_physical *p = m->mapped[first];
    if (!p || p->bytes != size)
        card_die("memory is unmapped that is not mapped so");
    for (size_t g = first; g < first + size / CARD_GRANULE; g++)
        m->mapped[g] = NULL;
    memset(m->accessible + first, false, size / CARD_GRANULE);
    let_go(p);
    forget(at, size);
    card_leave();
    return CUDA_SUCCESS;
}

void *card_driver_function(const char *name) {
    static const struct {
        const char *name;
        void (*function)(void);
    } functions[] = {
        {"cuMemAddressReserve", (void (*)(void))reserve},
        {"cuMemAddressFree", (void (*)(void))unreserve},
        {"cuMemGetAllocationGranularity", (void (*)(void))granularity},
        {"cuMemCreate", (void (*)(void))create},
        {"cuMemRelease", (void (*)(void))release},
        {"cuMemMap", (void (*)(void))map},
        {"cuMemSetAccess", (void (*)(void))set_access},
        {"cuMemUnmap", (void (*)(void))unmap},
    };
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        if (strcmp(functions[i].name, name) != 0)
            continue;
        void *found;
        memcpy(&found, &functions[i].function, sizeof(found)); /* ISO C has no cast from a function */
        return found;
    }
    return NULL;
}
