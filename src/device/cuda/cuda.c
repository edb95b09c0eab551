#include "device/cuda/cuda.h"

#include <stdio.h>

#include "base/error.h"
#include "device/cuda/launch.h"
#include "device/cuda/predicted.h"
#include "device/cuda/table.h"
#include "device/cuda/sizes/sizes.h"
#include "device/cuda/weight_prepare.h"

/* In front of a page-locked block. */
typedef struct host_block {
    size_t charged_bytes;
    ms_ledger ledger;
} host_block;

_Static_assert(sizeof(host_block) <= MS_MEM_ALIGN, "it has room");

const ms_host_services *cuda_host;

/* ---- memory ---- */

static void *device_alloc(ms_device *dev, ms_ledger ledger, size_t bytes) {
    cuda_device *d = cuda_of(dev);
    if (cuda_enter(d) != MS_OK)
        return NULL;
    pthread_mutex_lock(&d->lock);
    void *block = cuda_memory_alloc(&d->memory, ledger, bytes);
    pthread_mutex_unlock(&d->lock);
    return block;
}

static void device_free(ms_device *dev, void *block) {
    cuda_device *d = cuda_of(dev);
    cuda_enter(d); /* of a card that is lost, what the host knows of the block goes all the same */
    pthread_mutex_lock(&d->lock);
    cuda_memory_free(&d->memory, block);
    pthread_mutex_unlock(&d->lock);
}

static void *host_alloc(ms_device *dev, ms_ledger ledger, size_t bytes) {
    cuda_device *d = cuda_of(dev);
    const size_t all = ms_align_up(MS_MEM_ALIGN + bytes, 4096);
    void *block = NULL;
    if (bytes > SIZE_MAX / 2 || cuda_enter(d) != MS_OK || !cuda_host->charge(dev->mem, ledger, all))
        return NULL;
    if (cuda_told(d, cudaHostAlloc(&block, all, cudaHostAllocPortable)) != MS_OK) {
        cuda_host->release(dev->mem, ledger, all);
        return NULL;
    }
    *(host_block *)block = (host_block){all, ledger};
    return (char *)block + MS_MEM_ALIGN;
}

static void host_free(ms_device *dev, void *block) {
    if (!block)
        return;
    host_block *head = (host_block *)((char *)block - MS_MEM_ALIGN);
    const host_block kept = *head;
    cuda_enter(cuda_of(dev));
    cudaFreeHost(head);
    cuda_host->release(dev->mem, kept.ledger, kept.charged_bytes);
}

static void memory_sizes(const ms_device *dev, size_t *ret_free_bytes, size_t *ret_total_bytes) {
    cuda_device *d = cuda_of(dev);
    size_t free_bytes = 0, total_bytes = 0;
    if (cuda_enter(d) != MS_OK || cuda_told(d, cudaMemGetInfo(&free_bytes, &total_bytes)) != MS_OK)
        free_bytes = 0;
    *ret_free_bytes = free_bytes;
    *ret_total_bytes = d->base.total_bytes;
}

static void choose_form(ms_device *dev, int form) {
    cuda_of(dev)->form = form;
}

/* ---- opening ---- */

static void device_close(ms_device **dev) {
    cuda_device *d = cuda_of(*dev);
    cuda_enter(d);
    cuda_memory_close(&d->memory);
    pthread_mutex_destroy(&d->lock);
    cuda_host->free(d);
    *dev = NULL;
}

static const ms_backend backend;

/* The tensor cores of Hopper and later add sixteen products at a time, those before eight. */
static const char *arithmetic_of(int arch) {
    return arch < 90 ? "cuda-sm7x8x" : "cuda-sm9x";
}

static ms_status device_open(const ms_device_params *params, ms_device **ret_dev, ms_error *err) {
    cuda_card card;
    size_t own = 0;
#if defined(MS_CUDA_EMULATED) && defined(__x86_64__)
    if (ms_isa_detect() < MS_ISA_AVX2)
        return ms_fail(err, MS_UNSUPPORTED,
                       "the emulated card needs a processor with AVX2, which this one has not");
#endif
    MS_TRY(cuda_find_card(params, &card, err));
    MS_TRY(cuda_make_context(&card, &own, err));
    cuda_device *d = cuda_host->alloc(params->mem, MS_LEDGER_GENERAL, sizeof(*d));
    if (!d)
        return ms_fail(err, MS_HOST_MEMORY, "cannot allocate %zu bytes for %s", sizeof(*d), card.name);
    *d = (cuda_device){.number = card.number, .arch = card.arch, .processors = card.processors};
    pthread_mutex_init(&d->lock, NULL);
    cuda_memory_open(&d->memory, card.number, card.total_bytes, params->device_mem, params->mem);
    const unsigned bf16 = card.arch >= 80 ? 1u << MS_BF16 : 0;
    d->base = (ms_device){.backend = &backend,
                          .kernels = &cuda_kernels,
                          .caps = {.arithmetic = arithmetic_of(card.arch),
                                   .activations = 1u << MS_F32 | 1u << MS_F16 | bf16,
                                   .capture = true,
                                   .launch_bytes = CUDA_NODE_BYTES,
                                   .workspace_launch_bytes = CUDA_NODE_BYTES,
                                   .granularity = cuda_memory_granularity(&d->memory),
                                   .own_bytes = own + CUDA_SLACK_BYTES,
                                   .forms = CUDA_FORMS,
                                   .raw_weights = true,
                                   .computes = true,
                                   .arch = card.arch},
                          .mem = params->mem,
                          .total_bytes = card.total_bytes,
                          .impl = d};
    snprintf(d->base.description, sizeof(d->base.description), "%s (sm_%d, %.1f GiB)", card.name, card.arch,
             (double)card.total_bytes / (1 << 30));
    cuda_identify(&card, d->base.caps.identity, sizeof(d->base.caps.identity));
    *ret_dev = &d->base;
    return MS_OK;
}

#ifdef MS_CUDA_EMULATED
#define NAME "simt"
#else
#define NAME "cuda"
#endif

static const ms_backend backend = {
    .abi = MS_BACKEND_ABI,
    .name = NAME,
    .open = device_open,
    .close = device_close,
    .alloc = device_alloc,
    .free = device_free,
    .host_alloc = host_alloc,
    .host_free = host_free,
    .memory = memory_sizes,
    .queue_create = cuda_queue_create,
    .queue_destroy = cuda_queue_destroy,
    .event_create = cuda_event_create,
    .event_destroy = cuda_event_destroy,
    .record = cuda_record,
    .wait = cuda_wait,
    .finish = cuda_finish,
    .upload = cuda_upload,
    .download = cuda_download,
    .fill = cuda_fill,
    .capture_begin = cuda_capture_begin,
    .capture_end = cuda_capture_end,
    .launch = cuda_launch_captured,
    .launches_destroy = cuda_launches_destroy,
    .weight_bytes = ms_cuda_weight_bytes,
    .weight_prepare = cuda_weight_prepare,
    .predicted_bits = cuda_predicted_bits,
    .choose_form = choose_form,
};

__attribute__((visibility("default"))) const ms_backend *ms_plugin_backend(uint32_t abi,
                                                                           const ms_host_services *host);

const ms_backend *ms_plugin_backend(uint32_t abi, const ms_host_services *host) {
    if (abi != MS_BACKEND_ABI)
        return NULL;
    cuda_host = host;
    return &backend;
}
