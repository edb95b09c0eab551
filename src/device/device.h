/*
 * A back end is one table of functions; a device is one opened back end. `cpu` computes, `dummy` checks
 * arguments and counts bytes without computing (so that plans for a device that is not here can be made and
 * tested), plug-ins add more. The rest of the code reaches memory and kernels through these tables only.
 */
#ifndef MS_DEVICE_DEVICE_H
#define MS_DEVICE_DEVICE_H

#include "base/mem.h"
#include "base/pool.h"
#include "device/cards.h"
#include "device/kernels.h"

/* Instruction sets of the cpu back end, each including the ones before it. */
typedef enum ms_isa {
    MS_ISA_C,      /* plain C: what every other one is checked against */
    MS_ISA_AVX2,   /* AVX2, FMA, F16C */
    MS_ISA_AVX512, /* AVX-512 F, BW, DQ, VL */
    MS_ISA_COUNT
} ms_isa;

typedef struct ms_device_params {
    const char *backend; /* "cpu", "dummy", or a plug-in's name */
    int number;          /* which of the back end's devices */
    ms_mem *mem;         /* what its share of the host's memory is charged to; NULL = the process's */
    ms_mem *device_mem;  /* the same for memory of its own; NULL = it is not charged */
    ms_pool *pool;       /* cpu: computes on it; borrowed; NULL = on the calling thread */
    ms_isa isa_limit;    /* cpu: use nothing above this; MS_ISA_AVX512 for no limit */
    size_t memory_bytes; /* dummy: the size it claims to have */
    const ms_card *card; /* dummy: the card that it stands for; NULL = one of no make */
} ms_device_params;

/* A weight matrix as the checkpoint has it: n rows of [c_in / groups][kernel_h][kernel_w]. */
typedef struct ms_weight_shape {
    ms_weight_layout layout;
    ms_dtype dtype;  /* in memory: F32, F16 or BF16 */
    int64_t n, c_in; /* c_in: inputs of one output (already divided by the groups) */
    int kernel_h, kernel_w, groups;
} ms_weight_shape;

/* The row of the checkpoint's matrix that is output `lane` (0 to 15) of a panel; -1 where the panel is
   padding. GEGLU: even panels hold the first half of the rows (hidden), odd ones the second (gate). Groups
   are padded to whole panels each. */
static inline int64_t ms_weight_row(const ms_weight_shape *shape, int64_t panel, int lane) {
    if (shape->layout == MS_LAYOUT_GEGLU) {
        int64_t half = shape->n / 2, row = panel / 2 * 16 + lane;
        return row < half ? row + panel % 2 * half : -1;
    }
    int groups = shape->layout == MS_LAYOUT_DEPTHWISE ? 1 : shape->groups;
    int64_t n = shape->n / groups, panels = (n + 15) / 16, row = panel % panels * 16 + lane;
    return row < n ? panel / panels * n + row : -1;
}

/* The version of everything below and of kernels.h. A plug-in with another number is refused. */
#define MS_BACKEND_ABI 9

/*
 * Work of a device in the order in which it was given: kernels, copies, events. A call
 * may return before the work is done. Queues of one device run in any order that events
 * allow. One thread at a time gives work to a queue. The back end's own follows.
 *
 * An error of the device (MS_DEVICE_LOST) is told by any later call, at the latest by finish().
 */
struct ms_queue {
    ms_device *dev;
};

/* Work that was captured, to be given again as a whole. */
typedef struct ms_launches {
    ms_device *dev;
} ms_launches;

/* A moment in a queue: it has come when all that was given before record() is done. */
typedef struct ms_event {
    ms_device *dev;
} ms_event;

typedef struct ms_backend {
    uint32_t abi; /* MS_BACKEND_ABI */
    const char *name;
    ms_status (*open)(const ms_device_params *params, ms_device **ret_dev, ms_error *err);
    void (*close)(ms_device **dev); /* when its queues and events are gone */

    /* Device memory, 64-byte aligned or better. NULL when there is none left, or the
       ledgers' budget has no room. What uses a block must be done before it is freed. */
    void *(*alloc)(ms_device *dev, ms_ledger ledger, size_t bytes);
    void (*free)(ms_device *dev, void *block);
    /* Memory of the host that copies reach without a detour (page-locked). It is
       charged to params.mem. NULL when there is none left. */
    void *(*host_alloc)(ms_device *dev, ms_ledger ledger, size_t bytes);
    void (*host_free)(ms_device *dev, void *block);
    void (*memory)(const ms_device *dev, size_t *ret_free_bytes, size_t *ret_total_bytes);

    ms_status (*queue_create)(ms_device *dev, ms_queue **ret_queue);
    void (*queue_destroy)(ms_queue **queue); /* what is left in it is done or dropped */
    ms_status (*event_create)(ms_device *dev, ms_event **ret_event);
    void (*event_destroy)(ms_event **event);
    ms_status (*record)(ms_queue *queue, ms_event *event);
    /* what is given later begins after the event as last recorded */
    ms_status (*wait)(ms_queue *queue, ms_event *event);
    ms_status (*finish)(ms_event *event); /* the caller waits for the event; never recorded: at once */

    /* Copies between host and device. Until an event after the copy is finished,
       the host's side must not be changed, freed or read. */
    ms_status (*upload)(ms_queue *queue, void *dst, const void *src, size_t bytes);
    ms_status (*download)(ms_queue *queue, void *dst, const void *src, size_t bytes);
    ms_status (*fill)(ms_queue *queue, void *dst, int byte, size_t bytes);

    /*
     * Where caps.capture is set: what is given to the queue between begin and end is noted and not
     * done. launch() gives all of it, as often as wanted, as long as what its arguments point at is
     * there. Only kernels and fill() can be captured; other calls are MS_INVALID_ARGUMENT meanwhile.
     */
    ms_status (*capture_begin)(ms_queue *queue);
    ms_status (*capture_end)(ms_queue *queue, ms_launches **ret_launches);
    ms_status (*launch)(ms_queue *queue, const ms_launches *launches);
    void (*launches_destroy)(ms_launches **launches);

    /*
     * Weights. weight_bytes: what a matrix takes on the device as the kernels read
     * it; 0 for a shape that makes no sense.
     *
     * Where caps.raw_weights is set the device makes that itself: src is on the device, `rows`
     * rows of the checkpoint's matrix from first_row on, [rows][c_in][kernel_h][kernel_w] of
     * type `raw` (F32, or the shape's). Values are rounded to the shape's type (to nearest
     * even). A matrix may come in any pieces; dst was filled with zeros before the first.
     */
    size_t (*weight_bytes)(const ms_weight_shape *shape);
    ms_status (*weight_prepare)(ms_queue *queue, const ms_weight_shape *shape, ms_dtype raw,
                                int64_t first_row, int64_t rows, const void *src, void *dst);
    /*
     * Elsewhere the host does it, into memory that it sees. Weights are packed 16 output channels (a panel)
     * at a time. rows[i] is the float32 row of the panel's i-th output channel (ms_weight_row) in the
     * checkpoint's order, NULL where the panel is padding; base is where the whole matrix begins. Panels
     * may be packed in any order and by several threads. Values are rounded to the dtype (to nearest even).
     */
    int64_t (*weight_panels)(const ms_weight_shape *shape);
    void (*weight_pack)(const ms_weight_shape *shape, int64_t panel, const float *const rows[16], void *base);

    /* The hash that the self-test (self_test.h) must find of a family's result on a device of this class of
       arithmetic; 0 = it was not predicted. NULL: nothing was. */
    uint64_t (*predicted_bits)(const ms_device *dev, const char *family, ms_dtype dtype);
    /* Where caps.forms is set: calls of linear, conv2d and attention are done in that way, from 1 to
       caps.forms; 0: in the one that is done first. For the self-test, whose inputs are small. */
    void (*choose_form)(ms_device *dev, int form);
} ms_backend;

/* What a device is, for whoever has to act on it. Nobody asks for a back end's name. */
typedef struct ms_device_caps {
    /* Within one class equal arguments give equal bits; between classes they agree
       within tolerances. Part of every key under which results are kept. */
    const char *arithmetic;
    /* What a self-test's result is worth: the card, its driver, the back end's build. While it is the same,
       the test is not made again; "" = the device needs no test. */
    char identity[160];
    bool host_memory;     /* its memory is the host's: one budget, and the host reads and writes it */
    unsigned activations; /* types in which it can keep activations, 1 << dtype each; F32 always */
    bool capture;
    /* What each captured call takes of its memory, and what one that has a workspace takes besides, because
       a kernel of its own fills that. */
    size_t launch_bytes, workspace_launch_bytes;
    size_t granularity; /* a block takes a multiple of so many bytes of its memory; a power of two */
    size_t own_bytes;   /* what it takes itself of its memory once it is open: a context, the kernels' code */
    int forms;          /* ways in which it may do one call, by the call's size; the bits are the same */
    bool raw_weights;   /* it wants weights as the checkpoint has them */
    bool computes;      /* false: only sizes can be asked for */
    int arch;           /* compute capability of a CUDA card, 86; 0 = it is none */
} ms_device_caps;

struct ms_device {
    const ms_backend *backend;
    ms_device_caps caps;
    const ms_kernels *kernels;
    ms_mem *mem;        /* of ms_device_params */
    ms_mem *device_mem; /* what own_bytes are charged to; set by ms_device_open() */
    char description[128];
    char own_arithmetic[24]; /* for the self-test, which may find it to be a class of its own; else "" */
    size_t total_bytes;      /* dummy: nominal size */
    void *impl;              /* the back end's own */
};

/* Finds the back end by name and opens it. MS_UNSUPPORTED names the ones that
   exist, or what is wrong with this one. What the device takes itself is charged to
   params->device_mem. MS_DEVICE_MEMORY: there is no room for it. */
ms_status ms_device_open(const ms_device_params *params, ms_device **ret_dev, ms_error *err);
void ms_device_close(ms_device **dev);

/* For back ends: MS_INVALID_ARGUMENT when there is no device of that number among so many. */
ms_status ms_device_only_number(const ms_device_params *params, int count, ms_error *err);

/* What a block of so many bytes takes of the device's memory. Where that is the
   host's, the allocator's headers and page ends are included. */
static inline size_t ms_device_block_bytes(const ms_device *dev, size_t bytes) {
    return dev->caps.host_memory ? ms_mem_charged_bytes(bytes) : ms_align_up(bytes, dev->caps.granularity);
}

/* The back end's alloc(), which says no more than NULL, with an error: MS_DEVICE_MEMORY, or MS_HOST_MEMORY
   where the memory is the host's. what: names it in the message. *ret_block is NULL after a failure. */
ms_status ms_device_alloc(ms_device *dev, ms_ledger ledger, size_t bytes, const char *what, void **ret_block,
                          ms_error *err);
/* block may be NULL. What uses it must be done. */
void ms_device_free(ms_device *dev, void *block);

const ms_backend *const *ms_backends(void);              /* NULL-terminated */
const ms_backend *ms_backend_built_in(const char *name); /* the one of that name; NULL = there is none */
const char *ms_isa_name(ms_isa isa);
ms_isa ms_isa_detect(void); /* the best that this machine has */

#endif
