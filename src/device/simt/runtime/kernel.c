#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/simt/runtime/runtime.h"

#define MOST_PARAM_BYTES 4096

static _Atomic uint64_t loaded_late;

uint64_t simt_loaded_late(void) {
    return loaded_late;
}

/* ---- functions ---- */

/* Its code is loaded when it is touched for the first time. NULL: there is no memory for it. */
static card_function *function_of(const void *entry, bool by_launch) {
    card *c = &the_card;
    for (size_t i = 0; i < c->functions; i++)
        if (c->function[i].entry == entry)
            return &c->function[i];
    if (c->functions == c->function_room) {
        size_t room = 2 * c->function_room + 64;
        card_function *more = realloc(c->function, room * sizeof(*more));
        if (!more)
            return NULL;
        c->function = more;
        c->function_room = room;
    }
    if (!card_take(CARD_KERNEL_BYTES))
        return NULL;
    loaded_late += by_launch;
    c->function[c->functions] = (card_function){.entry = entry, .most_shared_bytes = 48 << 10};
    return &c->function[c->functions++];
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *func) {
    cudaError_t error = card_enter();
    const card_function *f = error == cudaSuccess ? function_of(func, false) : NULL;
    if (f)
        *attributes = (struct cudaFuncAttributes){.maxThreadsPerBlock = 1024,
                                                  .maxDynamicSharedSizeBytes = f->most_shared_bytes};
    card_leave();
    return f ? cudaSuccess : error != cudaSuccess ? error : cudaErrorMemoryAllocation;
}

cudaError_t cudaFuncSetAttribute(const void *func, enum cudaFuncAttribute attribute, int value) {
    cudaError_t error = card_enter();
    card_function *f = error == cudaSuccess ? function_of(func, false) : NULL;
    if (error == cudaSuccess && !f)
        error = cudaErrorMemoryAllocation;
    else if (error == cudaSuccess && (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
                                      value > card_most_shared_bytes(the_card.arch)))
        error = cudaErrorInvalidValue;
    else if (f)
        f->most_shared_bytes = value;
    card_leave();
    return error;
}

/* ---- launches ---- */

static __thread const char *launching;

void simt_watch_launch(const char *kernel) {
    launching = kernel;
}

/* Programs, the heap and what is mapped lie above this on every system that is run on; below it are numbers
   side by side, and shadows of sanitizers. */
#define LOWEST_HOST_ADDRESS ((uintptr_t)0x500000000000)

/* Whether the host has that page: such a number among a kernel's parameters is one of its addresses. */
static bool is_host_address(uintptr_t word) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    return word >= LOWEST_HOST_ADDRESS && !(word >> 48) &&
           msync((void *)(word / page * page), page, MS_ASYNC) == 0;
}

/* Each word that is an address; what lies between the fields was cleared. */
static void check_addresses(const char *param, size_t bytes, const char *name) {
    for (size_t at = 0; at + sizeof(uintptr_t) <= bytes; at += sizeof(uintptr_t)) {
        uintptr_t word;
        memcpy(&word, param + at, sizeof(word));
        if (card_is_given(word)) {
            if (!card_is_of_block((const void *)word, 1))
                card_die("kernel %s is given %p, which is of no block of the card's memory", name,
                         (void *)word);
        } else if (is_host_address(word)) {
            card_die("kernel %s is given the host's address %p", name, (void *)word);
        }
    }
}

static bool fits(dim3 grid, dim3 block) {
    return grid.x >= 1 && grid.x <= INT32_MAX && grid.y >= 1 && grid.y <= 65535 && grid.z >= 1 &&
           grid.z <= 65535 && block.x >= 1 && block.x <= 1024 && block.y == 1 && block.z == 1;
}

static _Atomic uint64_t launched;

uint64_t simt_launched(void) {
    return launched;
}

bool simt_was_launched(const char *kernel) {
    bool was = false;
    pthread_mutex_lock(&card_lock);
    for (size_t i = 0; i < the_card.functions && !was; i++)
        was = the_card.function[i].launched_as && strcmp(the_card.function[i].launched_as, kernel) == 0;
    card_leave();
    return was;
}

static cudaError_t launch(const simt_entry *entry, dim3 grid, dim3 block, const void *given, size_t shared,
                          cudaStream_t stream) {
    static _Atomic long count;
    card_function *f = function_of(entry, true);
    if (!f || card_fails("MEMSAFE_SIMT_FAIL_LAUNCH", &count))
        return cudaErrorMemoryAllocation;
    if (!fits(grid, block))
        return cudaErrorInvalidConfiguration;
    if (shared > (size_t)f->most_shared_bytes || entry->param_bytes > MOST_PARAM_BYTES)
        return cudaErrorInvalidValue;
    const char *name = launching ? launching : "?";
    char param[MOST_PARAM_BYTES] __attribute__((aligned(16)));
    memcpy(param, given, entry->param_bytes);
    if (entry->clear_padding) {
        entry->clear_padding(param);
        check_addresses(param, entry->param_bytes, name);
    }
    const card_command c = {.kind = CARD_KERNEL,
                            .param_bytes = entry->param_bytes,
                            .launch = {.name = name,
                                       .entry = entry,
                                       .grid = {grid.x, grid.y, grid.z},
                                       .threads = block.x,
                                       .shared_bytes = shared,
                                       .arch = the_card.arch}};
    launched++;
    f->launched_as = name;
    return card_give(stream, &c, param);
}

cudaError_t cudaLaunchKernel(const void *func, dim3 grid, dim3 block, void **args, size_t shared_bytes,
                             cudaStream_t stream) {
    cudaError_t error = card_enter();
    if (error == cudaSuccess)
        error = launch(func, grid, block, args[0], shared_bytes, stream);
    card_leave();
    launching = NULL;
    return error;
}
