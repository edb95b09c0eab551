#include "base/mem.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/sized.h"

#define BLOCK_MAGIC 0x6d656d73u

struct ms_mem {
    atomic_size_t budget; /* 0 = none */
    atomic_size_t current, peak;
    atomic_size_t ledger_current[MS_LEDGER_COUNT], ledger_peak[MS_LEDGER_COUNT];
    atomic_uint_fast64_t allocations, failures;
};

/* Stands in front of every block. Its size is the alignment, so that the block behind it is aligned. */
typedef struct block_header {
    ms_mem *mem;
    size_t bytes;   /* asked for */
    size_t charged; /* header and page rounding included */
    uint32_t ledger;
    uint32_t magic;
    bool mapped;
} block_header;
_Static_assert(sizeof(block_header) <= MS_MEM_ALIGN, "header must fit in front of an aligned block");

static ms_mem process_mem;

static atomic_uint_fast64_t allocation_count;
static atomic_uint_fast64_t fail_at; /* 0 = off, else the count at which to fail */
static atomic_bool fail_repeat;
static pthread_once_t env_once = PTHREAD_ONCE_INIT;

_Static_assert(MS_LEDGER_COUNT <= MS_LEDGER_ROOM, "ledgers have outgrown the public structs");

static const char *const ledger_names[MS_LEDGER_COUNT] = {
#define X(name, text) text,
    MS_LEDGER_MAP(X)
#undef X
};

static void read_environment(void) {
    const char *text = getenv("MEMSAFE_FAIL_ALLOC");
    if (!text)
        return;
    char *end = NULL;
    unsigned long long n = strtoull(text, &end, 10);
    if (end == text || n == 0)
        return;
    atomic_store(&fail_repeat, strcmp(end, ",repeat") == 0);
    atomic_store(&fail_at, n);
}

uint64_t ms_mem_fail_after(uint64_t n, bool repeat) {
    pthread_once(&env_once, read_environment);
    uint64_t now = atomic_load(&allocation_count);
    atomic_store(&fail_repeat, repeat);
    atomic_store(&fail_at, n && n > UINT64_MAX - now ? UINT64_MAX : n ? now + n : 0);
    return now;
}

uint64_t ms_mem_allocation_count(void) {
    return atomic_load(&allocation_count);
}

static bool injected_failure(void) {
    pthread_once(&env_once, read_environment);
    uint64_t now = atomic_fetch_add(&allocation_count, 1) + 1;
    uint64_t at = atomic_load(&fail_at);
    return at && (atomic_load(&fail_repeat) ? now >= at : now == at);
}

ms_mem *ms_mem_process(void) {
    return &process_mem;
}

static ms_mem *resolve(ms_mem *mem) {
    return mem ? mem : &process_mem;
}

ms_status ms_mem_create(size_t budget_bytes, ms_mem **ret_mem) {
    MS_NEED(ret_mem, NULL);
    ms_mem *mem = calloc(1, sizeof(*mem));
    if (!mem)
        return MS_HOST_MEMORY;
    atomic_init(&mem->budget, budget_bytes);
    *ret_mem = mem;
    return MS_OK;
}

size_t ms_mem_destroy(ms_mem **mem) {
    if (!mem || !*mem || *mem == &process_mem)
        return 0;
    size_t left = atomic_load(&(*mem)->current);
    free(*mem);
    *mem = NULL;
    return left;
}

static void raise_peak(atomic_size_t *peak, size_t value) {
    size_t seen = atomic_load_explicit(peak, memory_order_relaxed);
    while (value > seen && !atomic_compare_exchange_weak(peak, &seen, value)) {
    }
}

bool ms_mem_set_budget(ms_mem *mem, size_t budget_bytes) {
    if (!mem)
        return budget_bytes == 0; /* the process's has none */
    if (budget_bytes && atomic_load(&mem->current) > budget_bytes)
        return false;
    atomic_store(&mem->budget, budget_bytes);
    return true;
}

static bool is_ledger(ms_ledger ledger) {
    return ledger >= 0 && ledger < MS_LEDGER_COUNT;
}

bool ms_mem_charge(ms_mem *mem, ms_ledger ledger, size_t bytes) {
    mem = resolve(mem);
    if (!is_ledger(ledger))
        return false;
    /* Compared before it is added: a sum that wraps round would be within any budget,
       and one that is taken back later would fail other threads meanwhile. */
    size_t before = atomic_load(&mem->current), now;
    do {
        size_t budget = atomic_load(&mem->budget);
        if (__builtin_add_overflow(before, bytes, &now) || (budget && now > budget)) {
            atomic_fetch_add(&mem->failures, 1);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&mem->current, &before, now));
    raise_peak(&mem->peak, now);
    size_t part = atomic_fetch_add(&mem->ledger_current[ledger], bytes) + bytes;
    raise_peak(&mem->ledger_peak[ledger], part);
    return true;
}

void ms_mem_release(ms_mem *mem, ms_ledger ledger, size_t bytes) {
    mem = resolve(mem);
    if (!is_ledger(ledger))
        return;
    size_t held = atomic_load(&mem->ledger_current[ledger]), given;
    do
        given = bytes < held ? bytes : held; /* giving back more than was charged would wrap round */
    while (!atomic_compare_exchange_weak(&mem->ledger_current[ledger], &held, held - given));
    atomic_fetch_sub(&mem->current, given);
}

static size_t round_up(size_t value, size_t to) {
    return (value + to - 1) / to * to;
}

void ms_mem_trim(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

static bool is_mapped(size_t bytes) {
    return bytes >= MS_MEM_LARGE_BYTES;
}

size_t ms_mem_charged_bytes(size_t bytes) {
    return round_up(bytes + MS_MEM_ALIGN, is_mapped(bytes) ? 4096 : MS_MEM_ALIGN);
}

static void *system_alloc(size_t total, bool mapped) {
    if (!mapped)
        return aligned_alloc(MS_MEM_ALIGN, total);
    void *base = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
#ifdef MADV_HUGEPAGE
    /* GEMM panels walk megabytes: with 4 KiB pages the TLB, not the cache, is the limit. */
    madvise(base, total, MADV_HUGEPAGE);
#endif
    return base;
}

void *ms_mem_alloc(ms_mem *mem, ms_ledger ledger, size_t bytes) {
    mem = resolve(mem);
    if (!is_ledger(ledger))
        return NULL;
    atomic_fetch_add(&mem->allocations, 1);
    if (injected_failure()) {
        atomic_fetch_add(&mem->failures, 1);
        return NULL;
    }
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bool mapped = is_mapped(bytes);
    size_t total = ms_mem_charged_bytes(bytes);
    if (!ms_mem_charge(mem, ledger, total))
        return NULL;
    char *base = system_alloc(total, mapped);
    if (!base) {
        ms_mem_release(mem, ledger, total);
        atomic_fetch_add(&mem->failures, 1);
        return NULL;
    }
    block_header *h = (block_header *)base;
    *h = (block_header){.mem = mem,
                        .bytes = bytes,
                        .charged = total,
                        .ledger = (uint32_t)ledger,
                        .magic = BLOCK_MAGIC,
                        .mapped = mapped};
    return base + MS_MEM_ALIGN;
}

void *ms_alloc_array(ms_mem *mem, ms_ledger ledger, size_t count, size_t bytes) {
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total))
        return NULL;
    return ms_mem_alloc(mem, ledger, total);
}

void *ms_mem_calloc(ms_mem *mem, ms_ledger ledger, size_t count, size_t bytes) {
    void *block = ms_alloc_array(mem, ledger, count, bytes);
    if (block && count * bytes < MS_MEM_LARGE_BYTES) /* mapped blocks come zeroed */
        memset(block, 0, count * bytes);
    return block;
}

static block_header *header_of(void *block) {
    return (block_header *)((char *)block - MS_MEM_ALIGN);
}

void *ms_realloc(void *block, size_t bytes) {
    block_header *h = header_of(block);
    void *fresh = ms_mem_alloc(h->mem, (ms_ledger)h->ledger, bytes);
    if (!fresh)
        return NULL;
    memcpy(fresh, block, bytes < h->bytes ? bytes : h->bytes);
    ms_mem_free(block);
    return fresh;
}

void ms_mem_free(void *block) {
    if (!block)
        return;
    block_header *h = header_of(block);
    ms_mem *mem = h->mem;
    ms_ledger ledger = (ms_ledger)h->ledger;
    size_t charged = h->charged;
    h->magic = 0;
    if (h->mapped)
        munmap(h, charged);
    else
        free(h);
    ms_mem_release(mem, ledger, charged);
}

char *ms_strndup(ms_mem *mem, const char *text, size_t length) {
    char *copy = ms_mem_alloc(mem, MS_LEDGER_GENERAL, length + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

char *ms_strdup(ms_mem *mem, const char *text) {
    return ms_strndup(mem, text, strlen(text));
}

char *ms_asprintf(ms_mem *mem, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *text = n < 0 ? NULL : ms_mem_alloc(mem, MS_LEDGER_GENERAL, (size_t)n + 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    return text;
}

void ms_mem_get_usage_sized(const ms_mem *mem, ms_mem_usage *ret_usage, size_t usage_bytes) {
    const ms_mem *m = mem ? mem : &process_mem;
    ms_mem_usage usage = {.budget_bytes = atomic_load(&m->budget),
                          .current_bytes = atomic_load(&m->current),
                          .peak_bytes = atomic_load(&m->peak),
                          .allocations = atomic_load(&m->allocations),
                          .failures = atomic_load(&m->failures)};
    for (int i = 0; i < MS_LEDGER_COUNT; i++) {
        usage.ledger_current[i] = atomic_load(&m->ledger_current[i]);
        usage.ledger_peak[i] = atomic_load(&m->ledger_peak[i]);
    }
    ms_sized_fill(ret_usage, usage_bytes, &usage, sizeof(usage));
}

void ms_mem_reset_peaks(ms_mem *mem) {
    mem = resolve(mem);
    atomic_store(&mem->peak, atomic_load(&mem->current));
    for (int i = 0; i < MS_LEDGER_COUNT; i++)
        atomic_store(&mem->ledger_peak[i], atomic_load(&mem->ledger_current[i]));
}

const char *ms_ledger_name(ms_ledger ledger) {
    return ledger >= 0 && ledger < MS_LEDGER_COUNT ? ledger_names[ledger] : "unknown";
}

ms_status(ms_fail_alloc)(ms_error *err, const ms_mem *mem, size_t bytes, const char *what) {
    ms_mem_usage u;
    ms_mem_get_usage(mem, &u);
    if (u.budget_bytes)
        return ms_fail(err, MS_HOST_MEMORY,
                       "cannot allocate %zu bytes for %s: %zu of the budget's %zu bytes are in use", bytes,
                       what, u.current_bytes, u.budget_bytes);
    return ms_fail(err, MS_HOST_MEMORY, "cannot allocate %zu bytes for %s (%zu bytes in use)", bytes, what,
                   u.current_bytes);
}
