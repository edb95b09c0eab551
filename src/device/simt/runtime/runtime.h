/*
 * The emulated card: what stands in for the CUDA runtime, so that the CUDA back end's host code runs
 * unchanged on any machine. What a card would punish silently ends the program with a message.
 *
 * Memory is apart. Nobody may touch its pages but for as long as the card works. Whatever among a kernel's
 * parameters is an address is looked at when it is launched: the program ends where it is the host's, or of a
 * block that is no more.
 *
 * Streams run late: nothing is done before somebody waits, and then they take turns by a seed, in any order
 * that events allow. The host's side of a copy is read or written when the copy is done.
 *
 *   MEMSAFE_SIMT=8G,sm_86,SEED       the card's memory, its architecture, the order of streams and of what
 *                                    the emulator draws; each may be left out from behind. "none": there is
 *                                    no card; "old": the driver is too old
 *   MEMSAFE_SIMT_PROCESSORS=132      how many multiprocessors it says it has; the sizes of tiles go by it
 *   MEMSAFE_SIMT_VMM=0               the driver does not map memory to reserved addresses
 *   MEMSAFE_SIMT_ADDRESSES=MIB       and reserves no more addresses than that at once
 *   MEMSAFE_SIMT_SKIP=1              work is given and looked at as ever, nothing is computed or written:
 *                                    what comes back is zeros. A run comes to its end in no time
 *   MEMSAFE_SIMT_UUID=TEXT           which card it is, up to 16 letters; then it is one that the self-test is
 *                                    made of when it is first opened
 *   MEMSAFE_SIMT_FAIL_ALLOC=N        the N-th block of device memory fails; counted, like all that follow,
 *                                    over the process from 1
 *   MEMSAFE_SIMT_FAIL_CREATE=N       the N-th piece of physical memory: the card has no more than it said
 *   MEMSAFE_SIMT_FAIL_HOST_ALLOC=N   the N-th block of page-locked memory
 *   MEMSAFE_SIMT_FAIL_LAUNCH=N       the N-th launch of a kernel, for want of memory
 *   MEMSAFE_SIMT_FAIL_STREAM=N       the N-th stream, _EVENT the N-th event, _GRAPH the N-th graph that is
 *                                    made ready to be launched
 *   MEMSAFE_SIMT_LOSE_AFTER=N        the card is lost after so many commands
 *
 * The first three say what the card is until nothing of it is held any more; then they are read anew.
 */
#ifndef MS_DEVICE_SIMT_RUNTIME_RUNTIME_H
#define MS_DEVICE_SIMT_RUNTIME_RUNTIME_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "device/simt/emulator.h"
#include "device/simt/runtime/cuda.h"
#include "device/simt/runtime/cuda_runtime_api.h"
#include "device/simt/runtime/watch.h"

#define CARD_GRANULE ((size_t)2 << 20)
#define CARD_CONTEXT_BYTES ((size_t)8 << 20)
#define CARD_KERNEL_BYTES ((size_t)64 << 10) /* of code, taken when a kernel is first touched */
#define CARD_NODE_BYTES ((size_t)64 << 10)   /* of an instantiated graph */

typedef struct card_block {
    size_t offset, bytes;
} card_block;

typedef struct card_physical {
    size_t bytes;
    int users; /* its handle, and its mapping */
} card_physical;

typedef struct card_memory {
    char *base;
    size_t space_bytes; /* of addresses */
    size_t malloc_from; /* from there on they are cudaMalloc()'s */
    size_t reserved_to;
    int reservations;
    card_physical **mapped; /* of each granule of the space */
    bool *accessible;       /* of each: the card was let at what is mapped there */
    card_block *block;      /* in the order of addresses */
    size_t blocks, block_room;
    card_block *pinned; /* offset: the address */
    size_t pins, pin_room;
} card_memory;

typedef struct card_function {
    const void *entry;
    int most_shared_bytes;
    const char *launched_as; /* NULL: not yet */
} card_function;

typedef enum card_kind {
    CARD_UPLOAD,
    CARD_DOWNLOAD,
    CARD_FILL,
    CARD_KERNEL,
    CARD_RECORD,
    CARD_WAIT,
} card_kind;

typedef struct card_command {
    struct card_command *next;
    card_kind kind;
    void *dst;
    const void *src;
    size_t bytes;
    int byte;
    cudaEvent_t event;
    uint64_t generation;
    simt_launch launch; /* param: behind the command */
    size_t param_bytes;
} card_command;

typedef struct card_list {
    card_command *first, *last;
    size_t count;
} card_list;

struct CUstream_st {
    struct CUstream_st *next;
    card_list list;
    bool destroyed;          /* what is left in it is done all the same */
    bool capturing, invalid; /* invalid: the capture can only be ended, and has no graph */
    pthread_t capturer;
    card_list captured;
};

struct CUevent_st {
    uint64_t given, done; /* how often it was recorded, and how often that was reached */
    int awaited;          /* commands that name it */
    bool destroyed;
};

struct CUgraph_st {
    card_list list;
};

struct CUgraphExec_st {
    card_list list;
};

typedef struct card {
    bool there; /* it was read what the card is */
    bool none, old, vmm, skips;
    bool context;
    int arch;
    uint64_t seed, random;
    size_t limit_bytes, used_bytes;
    card_memory memory;
    cudaStream_t streams;
    int stream_count, event_count, graph_count;
    card_function *function;
    size_t functions, function_room;
    cudaError_t lost; /* cudaSuccess: it is there */
} card;

/* There is one. */
extern card the_card;
extern pthread_mutex_t card_lock; /* of all of it */

/* The N-th event of a kind, counted over the process, that a variable asks for. */
bool card_fails(const char *variable, _Atomic long *count);
void card_count_failure(void); /* another one happened */
void card_die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Takes the lock, makes the context; what a lost card answers to everything (the lock is held even then). */
cudaError_t card_enter(void);
void card_leave(void);
/* Whether the calling thread has the context: some call of the runtime came before. */
bool card_is_bound(void);
/* Under the lock. */
bool card_take(size_t bytes);
int card_most_shared_bytes(int arch); /* of a block */

/* ---- memory ---- */

bool card_memory_open(void);
void card_memory_close(void);
bool card_memory_is_idle(void);
/* Whether so many bytes from there on are of one block. */
bool card_is_of_block(const void *address, size_t bytes);
/* For as long as the card works its memory can be read and written. */
void card_memory_access(bool open);
/* Whether an address is of those that are given out, of a block or not. */
bool card_is_given(uintptr_t address);
void *card_driver_function(const char *name);

/* ---- commands ---- */

/* A copy of the command at the stream's end, or in what it captures. */
cudaError_t card_give(cudaStream_t stream, const card_command *command, const void *param);
void card_list_clear(card_list *list);
cudaError_t card_list_give(cudaStream_t stream, const card_list *list);
/* Whether the calling thread captures: then what it asks for fails, and so do its captures. */
bool card_breaks_capture(void);
/* Whether work that is not done has to do with bytes of the card's or of the host's memory. */
bool card_is_awaited(const void *begin, size_t bytes);

/* ---- for tests, which find these by dlsym() ---- */

#define CARD_EXPORT __attribute__((visibility("default")))
/* Since the plug-in was loaded: bytes that crossed; kernels and fills that graphs were made of; kernels that
   were launched; kernels whose code was loaded by a launch, when memory had been counted already. */
CARD_EXPORT void simt_traffic(uint64_t *ret_uploaded_bytes, uint64_t *ret_downloaded_bytes);
CARD_EXPORT uint64_t simt_captured(void);
CARD_EXPORT uint64_t simt_failures(void); /* of those that were asked for, the loss of the card included */
CARD_EXPORT uint64_t simt_launched(void);
CARD_EXPORT uint64_t simt_limits(void); /* how often the context's were changed */
CARD_EXPORT uint64_t simt_loaded_late(void);
CARD_EXPORT bool simt_was_launched(const char *kernel); /* on the card that was stated last */
#endif
