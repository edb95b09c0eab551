#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "device/remote/remote.h"

#define PAGE ((size_t)4096)

/* Blocks have a page between them that belongs to none, so that what runs over a block's end hits nobody. */
static size_t room_of(size_t bytes) {
    return ms_align_up(bytes ? bytes : 1, PAGE) + PAGE;
}

ms_status remote_memory_open(remote_memory *m, ms_mem *mem, size_t limit_bytes, ms_error *err) {
    *m = (remote_memory){.mem = mem, .limit_bytes = limit_bytes, .file = -1};
    m->space_bytes = ms_align_up(2 * limit_bytes, PAGE) + ((size_t)64 << 20);
    m->file = memfd_create("memsafe-remote", MFD_CLOEXEC);
    if (m->file < 0 || ftruncate(m->file, (off_t)m->space_bytes) != 0)
        return ms_fail(err, MS_DEVICE_MEMORY, "remote: cannot make %zu bytes of memory", m->space_bytes);
    m->given = mmap(NULL, m->space_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    m->real = mmap(NULL, m->space_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, m->file, 0);
    if (m->given == MAP_FAILED || m->real == MAP_FAILED)
        return ms_fail(err, MS_DEVICE_MEMORY, "remote: cannot map %zu bytes of memory", m->space_bytes);
    return MS_OK;
}

void remote_memory_close(remote_memory *m) {
    while (m->blocks)
        remote_memory_free(m, m->given + m->blocks->offset);
    if (m->given && m->given != MAP_FAILED)
        munmap(m->given, m->space_bytes);
    if (m->real && m->real != MAP_FAILED)
        munmap(m->real, m->space_bytes);
    if (m->file >= 0)
        close(m->file);
}

static bool is_the_failing_one(void) {
    static _Atomic long count;
    const char *wanted = getenv("MEMSAFE_REMOTE_FAIL_ALLOC");
    return wanted && ++count == strtol(wanted, NULL, 10);
}

/* First fit. */
void *remote_memory_alloc(remote_memory *m, ms_ledger ledger, size_t bytes) {
    size_t taken = ms_align_up(bytes, REMOTE_GRANULARITY);
    if (taken > m->limit_bytes - m->used_bytes || is_the_failing_one())
        return NULL;
    remote_block **at = &m->blocks;
    size_t offset = PAGE;
    for (; *at && (*at)->offset - offset < room_of(bytes); at = &(*at)->next)
        offset = (*at)->offset + room_of((*at)->bytes);
    if (offset + room_of(bytes) > m->space_bytes)
        return NULL;
    remote_block *block = malloc(sizeof(*block));
    if (!block)
        return NULL;
    if (m->mem && !remote_host->charge(m->mem, ledger, taken)) {
        free(block);
        return NULL;
    }
    *block = (remote_block){.next = *at, .offset = offset, .bytes = bytes, .ledger = ledger};
    *at = block;
    m->used_bytes += taken;
    memset(m->real + offset, 0xff, bytes); /* NaNs, whatever is read from it */
    return m->given + offset;
}

void remote_memory_free(remote_memory *m, void *given) {
    size_t offset = (size_t)((char *)given - m->given);
    for (remote_block **at = &m->blocks; *at; at = &(*at)->next) {
        remote_block *block = *at;
        if (block->offset != offset)
            continue;
        *at = block->next;
        memset(m->real + offset, 0xff, block->bytes);
        fallocate(m->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                  (off_t)ms_align_up(block->bytes, PAGE));
        size_t taken = ms_align_up(block->bytes, REMOTE_GRANULARITY);
        m->used_bytes -= taken;
        if (m->mem)
            remote_host->release(m->mem, block->ledger, taken);
        free(block);
        return;
    }
}

size_t remote_memory_bytes(const remote_memory *m, const void *given) {
    size_t offset = (size_t)((const char *)given - m->given);
    for (const remote_block *b = m->blocks; b; b = b->next)
        if (b->offset == offset)
            return b->bytes;
    return 0;
}

void *remote_memory_real(const remote_memory *m, const void *given, size_t bytes) {
    uintptr_t at = (uintptr_t)given - (uintptr_t)m->given;
    if ((uintptr_t)given < (uintptr_t)m->given || at >= m->space_bytes)
        return NULL;
    for (const remote_block *b = m->blocks; b && b->offset <= at; b = b->next)
        if (at - b->offset < b->bytes && bytes <= b->bytes - (at - b->offset))
            return m->real + at;
    return NULL;
}
