/*
 * The dummy back end: memory that counts but is not there, kernels that check their arguments and compute
 * nothing. Blocks are reserved address space that no access is allowed to, so addresses are unique, pointer
 * arithmetic stays inside a block, and a kernel that touched one by mistake would crash at once.
 */
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/error.h"
#include "device/backends.h"
#include "device/cuda/sizes/sizes.h"
#include "device/immediate.h"
#include "device/shape.h"

/* What a CUDA context and its modules take, about; a tenth of a device that is smaller than any real one. */
#define CONTEXT_BYTES ((size_t)400 << 20)
/* cudaMalloc()'s. */
#define GRANULARITY ((size_t)512)

typedef struct dummy_block {
    struct dummy_block *next;
    char *address;
    size_t bytes, taken, mapped; /* taken: of the device's memory */
    ms_ledger ledger;
} dummy_block;

typedef struct dummy_device {
    ms_device base;
    pthread_mutex_t lock;
    dummy_block *blocks;
    size_t used_bytes;
    ms_mem *ledgers; /* device_mem */
} dummy_device;

static dummy_device *self(const ms_device *dev) {
    return dev->impl;
}

static void *dummy_alloc(ms_device *dev, ms_ledger ledger, size_t bytes) {
    dummy_device *d = self(dev);
    if (bytes > dev->total_bytes)
        return NULL;
    size_t mapped = (bytes + 4096) / 4096 * 4096; /* never empty */
    dummy_block *block = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, 1, sizeof(*block));
    if (!block)
        return NULL;
    void *address = mmap(NULL, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (address == MAP_FAILED)
        goto fail;
    pthread_mutex_lock(&d->lock);
    size_t taken = ms_device_block_bytes(dev, bytes);
    bool fits = taken <= dev->total_bytes - dev->caps.own_bytes - d->used_bytes &&
                (!d->ledgers || ms_mem_charge(d->ledgers, ledger, taken));
    if (fits) {
        *block = (dummy_block){d->blocks, address, bytes, taken, mapped, ledger};
        d->blocks = block;
        d->used_bytes += taken;
    }
    pthread_mutex_unlock(&d->lock);
    if (fits)
        return address;
    munmap(address, mapped);
fail:
    ms_mem_free(block);
    return NULL;
}

static void release(ms_device *dev, dummy_block *block) {
    self(dev)->used_bytes -= block->taken;
    if (self(dev)->ledgers)
        ms_mem_release(self(dev)->ledgers, block->ledger, block->taken);
    munmap(block->address, block->mapped);
    ms_mem_free(block);
}

static void dummy_free(ms_device *dev, void *address) {
    dummy_device *d = self(dev);
    pthread_mutex_lock(&d->lock);
    for (dummy_block **at = &d->blocks; *at; at = &(*at)->next) {
        dummy_block *block = *at;
        if (block->address == address) {
            *at = block->next;
            release(dev, block);
            break;
        }
    }
    pthread_mutex_unlock(&d->lock);
}

/* Whether all of the range lies in one block. */
static bool inside(ms_device *dev, const void *address, size_t bytes) {
    dummy_device *d = self(dev);
    bool found = false;
    pthread_mutex_lock(&d->lock);
    for (const dummy_block *b = d->blocks; b && !found; b = b->next) {
        uintptr_t offset = (uintptr_t)address - (uintptr_t)b->address;
        found =
            (uintptr_t)address >= (uintptr_t)b->address && offset <= b->bytes && bytes <= b->bytes - offset;
    }
    pthread_mutex_unlock(&d->lock);
    return found;
}

static ms_status dummy_upload(ms_queue *queue, void *dst, const void *src, size_t bytes) {
    return src && inside(queue->dev, dst, bytes) ? MS_OK : MS_INVALID_ARGUMENT;
}

/* What comes back is zeros. */
static ms_status dummy_download(ms_queue *queue, void *dst, const void *src, size_t bytes) {
    if (!dst || !inside(queue->dev, src, bytes))
        return MS_INVALID_ARGUMENT;
    memset(dst, 0, bytes);
    return MS_OK;
}

static ms_status dummy_fill(ms_queue *queue, void *dst, int byte, size_t bytes) {
    (void)byte;
    return inside(queue->dev, dst, bytes) ? MS_OK : MS_INVALID_ARGUMENT;
}

static void dummy_memory(const ms_device *dev, size_t *ret_free_bytes, size_t *ret_total_bytes) {
    dummy_device *d = self(dev);
    pthread_mutex_lock(&d->lock);
    *ret_free_bytes = dev->total_bytes - dev->caps.own_bytes - d->used_bytes;
    pthread_mutex_unlock(&d->lock);
    *ret_total_bytes = dev->total_bytes;
}

static ms_status dummy_prepare(ms_queue *queue, const ms_weight_shape *shape, ms_dtype raw, int64_t first_row,
                               int64_t rows, const void *src, void *dst) {
    size_t bytes = ms_cuda_weight_bytes(shape),
           row = bytes ? (size_t)(shape->c_in * shape->kernel_h * shape->kernel_w) : 0;
    bool fits =
        first_row >= 0 && rows > 0 && first_row <= shape->n - rows && (raw == MS_F32 || raw == shape->dtype);
    return bytes && fits && inside(queue->dev, src, (size_t)rows * row * ms_dtype_bytes(raw)) &&
                   inside(queue->dev, dst, bytes)
               ? MS_OK
               : MS_INVALID_ARGUMENT;
}

static ms_status dummy_capture_begin(ms_queue *queue) {
    (void)queue;
    return MS_OK;
}

static ms_status dummy_capture_end(ms_queue *queue, ms_launches **ret_launches) {
    ms_launches *launches = ms_mem_alloc(queue->dev->mem, MS_LEDGER_GENERAL, sizeof(*launches));
    if (!launches)
        return MS_HOST_MEMORY;
    launches->dev = queue->dev;
    *ret_launches = launches;
    return MS_OK;
}

static ms_status dummy_launch(ms_queue *queue, const ms_launches *launches) {
    return queue->dev == launches->dev ? MS_OK : MS_INVALID_ARGUMENT;
}

static void dummy_launches_destroy(ms_launches **launches) {
    ms_mem_free(*launches);
    *launches = NULL;
}

/* Layouts and workspaces are the CUDA back end's. */
static size_t linear_workspace(const ms_device *dev, const ms_linear_args *args) {
    return ms_cuda_linear_workspace(dev, args);
}

static size_t conv2d_workspace(const ms_device *dev, const ms_conv2d_args *args) {
    return ms_cuda_conv2d_workspace(dev, args);
}

static size_t attention_workspace(const ms_device *dev, const ms_attention_args *args) {
    return ms_cuda_attention_workspace(dev, args);
}

#define CHECK_ONLY_WITH_WORKSPACE(name)                                                                      \
    static ms_status name(ms_queue *queue, const ms_##name##_args *args, void *workspace) {                  \
        MS_TRY(ms_check_##name(args));                                                                       \
        return workspace || name##_workspace(queue->dev, args) == 0 ? MS_OK : MS_INVALID_ARGUMENT;           \
    }
CHECK_ONLY_WITH_WORKSPACE(linear)
CHECK_ONLY_WITH_WORKSPACE(attention)

static ms_status conv2d(ms_queue *queue, const ms_conv2d_args *args, void *workspace) {
    MS_TRY(ms_check_conv2d_as(args, ms_cuda_conv2d_layout(args)));
    return workspace || conv2d_workspace(queue->dev, args) == 0 ? MS_OK : MS_INVALID_ARGUMENT;
}

#define CHECK_ONLY(name)                                                                                     \
    static ms_status name(ms_queue *queue, const ms_##name##_args *args) {                                   \
        (void)queue;                                                                                         \
        return ms_check_##name(args);                                                                        \
    }
CHECK_ONLY(norm_partials)
CHECK_ONLY(norm_tables)
CHECK_ONLY(norm_apply)
CHECK_ONLY(layer_norm)
CHECK_ONLY(binary)
CHECK_ONLY(unary)
CHECK_ONLY(pool)
CHECK_ONLY(resize)
CHECK_ONLY(copy)
CHECK_ONLY(noise)
CHECK_ONLY(posterior)
CHECK_ONLY(rescale)
CHECK_ONLY(guide)
CHECK_ONLY(ddim)
CHECK_ONLY(check_finite)

static const ms_kernels dummy_kernels = {MS_KERNELS(MS_KERNEL_BY_NAME).conv2d_layout = ms_cuda_conv2d_layout};

static size_t own_bytes(const ms_device_params *params) {
    const size_t context = params->card ? ms_card_context_bytes(params->card) : CONTEXT_BYTES,
                 most = params->card ? params->memory_bytes : params->memory_bytes / 10;
    return most < context ? most : context;
}

static unsigned activations(const ms_card *card) {
    unsigned all = 1u << MS_F32 | 1u << MS_F16 | 1u << MS_BF16;
    return card && card->arch < 80 ? all & ~(1u << MS_BF16) : all; /* Turing does not multiply bfloat16 */
}

static void describe(const ms_device_params *params, char *text, size_t size) {
    if (params->card)
        snprintf(text, size, "%s (sm_%d)", params->card->name, params->card->arch);
    else
        snprintf(text, size, "dummy device of %zu bytes", params->memory_bytes);
}

static ms_status dummy_open(const ms_device_params *params, ms_device **ret_dev, ms_error *err) {
    MS_TRY(ms_device_only_number(params, 1, err));
    dummy_device *d = ms_mem_calloc(params->mem, MS_LEDGER_GENERAL, 1, sizeof(*d));
    if (!d)
        return ms_fail_alloc(err, params->mem, sizeof(*d), "the dummy device");
    d->base = (ms_device){
        .backend = &ms_backend_dummy,
        .caps = {.arithmetic = "none",
                 .activations = activations(params->card),
                 .capture = true,
                 .launch_bytes = CUDA_NODE_BYTES,
                 .workspace_launch_bytes = CUDA_NODE_BYTES,
                 .granularity = GRANULARITY,
                 .own_bytes = own_bytes(params),
                 .raw_weights = true,
                 .arch = params->card ? params->card->arch : 0},
        .kernels = &dummy_kernels,
        .mem = params->mem,
        .total_bytes = params->memory_bytes,
        .impl = d,
    };
    d->ledgers = params->device_mem;
    pthread_mutex_init(&d->lock, NULL);
    describe(params, d->base.description, sizeof(d->base.description));
    *ret_dev = &d->base;
    return MS_OK;
}

static void dummy_close(ms_device **dev) {
    dummy_device *d = self(*dev);
    while (d->blocks) {
        dummy_block *block = d->blocks;
        d->blocks = block->next;
        release(*dev, block);
    }
    pthread_mutex_destroy(&d->lock);
    ms_mem_free(d);
    *dev = NULL;
}

const ms_backend ms_backend_dummy = {
    .abi = MS_BACKEND_ABI,
    .name = "dummy",
    .open = dummy_open,
    .close = dummy_close,
    .alloc = dummy_alloc,
    .free = dummy_free,
    .host_alloc = ms_plain_host_alloc,
    .host_free = ms_plain_host_free,
    .memory = dummy_memory,
    MS_IMMEDIATE_QUEUES,
    .capture_begin = dummy_capture_begin,
    .capture_end = dummy_capture_end,
    .launch = dummy_launch,
    .launches_destroy = dummy_launches_destroy,
    .upload = dummy_upload,
    .download = dummy_download,
    .fill = dummy_fill,
    .weight_bytes = ms_cuda_weight_bytes,
    .weight_prepare = dummy_prepare,
};
