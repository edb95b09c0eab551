/*
 * The test back end `remote`: what a GPU does to a program that is wrong, on a
 * machine without one. A plug-in for tests; it is not installed.
 *
 * Its memory is apart. Addresses that it gives out are of pages that nobody may touch; the same bytes are
 * mapped at a second place that only its kernels know. So the host faults where it reads or writes the
 * device's memory, and a host pointer among a kernel's arguments is refused. What is allocated, and what
 * was freed, is full of NaNs. A block that is freed while work that was given touches it ends the program.
 *
 * Its queues run late: nothing is done before somebody waits for it, and then
 * queues take turns by a seed, in any order that events allow. The host's side of
 * an upload is read when the copy is done; that of a download is NaNs until then.
 *
 * Its arithmetic is the cpu's, on one thread. Weights are prepared on it from what the checkpoint has.
 *
 *   MEMSAFE_REMOTE_SEED=N          the order in which queues take turns
 *   MEMSAFE_REMOTE_FAIL_ALLOC=N    the N-th allocation of device memory fails, counted over the process
 *   MEMSAFE_REMOTE_DELAY_US=N      each command takes so many microseconds more, in which no processor works
 *   MEMSAFE_REMOTE_FAIL_FILL=BYTE  a fill with that byte fails (MS_INTERNAL) when it is done
 *   MEMSAFE_REMOTE_LOSE_AFTER=N    the device is lost after so many commands, counted over the process
 */
#ifndef MS_DEVICE_REMOTE_REMOTE_H
#define MS_DEVICE_REMOTE_REMOTE_H

#include <pthread.h>

#include "device/plugin.h"
#include "device/shape.h"
#include "device/weight.h"

/* What it says of its memory: blocks take whole pages of it, and it takes some
   itself, beside what params.memory_bytes gives out. */
#define REMOTE_GRANULARITY ((size_t)4096)
#define REMOTE_OWN_BYTES ((size_t)3 << 20)

/* ---- memory apart (remote_memory.c) ---- */

typedef struct remote_block {
    struct remote_block *next; /* in the order of addresses */
    size_t offset, bytes;
    ms_ledger ledger;
} remote_block;

typedef struct remote_memory {
    ms_mem *mem; /* what blocks are charged to; NULL = nothing */
    int file;
    char *given; /* addresses that are given out */
    char *real;  /* where the bytes are */
    size_t space_bytes, limit_bytes, used_bytes;
    remote_block *blocks;
} remote_memory;

ms_status remote_memory_open(remote_memory *memory, ms_mem *mem, size_t limit_bytes, ms_error *err);
void remote_memory_close(remote_memory *memory);
void *remote_memory_alloc(remote_memory *memory, ms_ledger ledger, size_t bytes);
void remote_memory_free(remote_memory *memory, void *block);
/* Of a block; 0 = it is none. */
size_t remote_memory_bytes(const remote_memory *memory, const void *block);
/* Where the bytes of a given-out address are, `bytes` of them in one block; NULL when they are not. */
void *remote_memory_real(const remote_memory *memory, const void *given, size_t bytes);

/* ---- commands (remote_queue.c) ---- */

typedef struct remote_device remote_device;

typedef enum remote_kind {
    REMOTE_UPLOAD,
    REMOTE_DOWNLOAD,
    REMOTE_FILL,
    REMOTE_PREPARE,
    REMOTE_RECORD,
    REMOTE_WAIT,
    REMOTE_KERNEL,
} remote_kind;

typedef struct remote_event {
    ms_event base;
    uint64_t given, done; /* how often it was recorded, and how often that was reached */
    ms_status status;     /* of the work before it, as of `done` */
    uint64_t queue;       /* number of the one that it was recorded in last */
} remote_event;

typedef struct remote_prepare {
    ms_weight_shape shape;
    ms_dtype raw;
    int64_t first_row, rows;
} remote_prepare;

typedef struct remote_command {
    struct remote_command *next;
    remote_kind kind;
    void *dst;
    const void *src; /* of what is on the device: where the bytes are */
    size_t bytes;
    int byte;
    remote_event *event;
    uint64_t generation; /* of the event */
    ms_status (*run)(const remote_device *device, const struct remote_command *command);
    void *workspace;
    union {
        remote_prepare prepare;
        ms_linear_args linear;
        ms_conv2d_args conv2d;
        ms_attention_args attention;
        ms_norm_partials_args norm_partials;
        ms_norm_tables_args norm_tables;
        ms_norm_apply_args norm_apply;
        ms_layer_norm_args layer_norm;
        ms_binary_args binary;
        ms_unary_args unary;
        ms_pool_args pool;
        ms_resize_args resize;
        ms_copy_args copy;
        ms_noise_args noise;
        ms_posterior_args posterior;
        ms_rescale_args rescale;
        ms_guide_args guide;
        ms_ddim_args ddim;
        ms_check_finite_args check_finite;
    } args;
} remote_command;

typedef struct remote_list {
    remote_command *first, *last;
} remote_list;

/* When a command fails, what follows it in its queue is dropped, and who waits for
   an event of the queue is told, once. */
typedef struct remote_queue {
    ms_queue base;
    uint64_t number; /* from 1 */
    ms_status status;
    struct remote_queue *next;
    remote_list list;
    bool capturing;
    remote_list captured;
} remote_queue;

typedef struct remote_launches {
    ms_launches base;
    remote_list list;
} remote_launches;

/* Of the program that loaded the plug-in. */
extern const ms_host_services *remote_host;

struct remote_device {
    ms_device base;
    pthread_mutex_t lock; /* memory, queues, events */
    remote_memory memory;
    remote_queue *queues;
    uint64_t queues_made;
    uint64_t random;
    bool lost;
    ms_device *cpu; /* computes */
};

/* Puts a copy at the queue's end. */
ms_status remote_give(ms_queue *queue, const remote_command *command);

/* Under the lock: whether a command that is not done has to do with these bytes, where they are. */
bool remote_is_awaited(const remote_device *device, const char *begin, size_t bytes);

ms_status remote_queue_create(ms_device *dev, ms_queue **ret_queue);
void remote_queue_destroy(ms_queue **queue);
ms_status remote_event_create(ms_device *dev, ms_event **ret_event);
void remote_event_destroy(ms_event **event);
ms_status remote_record(ms_queue *queue, ms_event *event);
ms_status remote_wait(ms_queue *queue, ms_event *event);
ms_status remote_finish(ms_event *event);
ms_status remote_capture_begin(ms_queue *queue);
ms_status remote_capture_end(ms_queue *queue, ms_launches **ret_launches);
ms_status remote_launch(ms_queue *queue, const ms_launches *launches);
void remote_launches_destroy(ms_launches **launches);

/* Bytes that crossed, of all its devices since the plug-in was loaded. For tests,
   which find it by dlsym(). */
__attribute__((visibility("default"))) void remote_traffic(uint64_t *ret_uploaded_bytes,
                                                           uint64_t *ret_downloaded_bytes);

/* Calls that all lists had which were captured since then. */
__attribute__((visibility("default"))) uint64_t remote_captured(void);

/* ---- kernels (remote_kernels.c): arguments are checked and their addresses translated when given ---- */

extern const ms_kernels remote_kernels;

static inline remote_device *remote_of(const ms_device *dev) {
    return dev->impl;
}

#endif
