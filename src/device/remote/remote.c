#include "device/remote/remote.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

const ms_host_services *remote_host;

/* ---- memory ---- */

static void *remote_alloc(ms_device *dev, ms_ledger ledger, size_t bytes) {
    remote_device *d = remote_of(dev);
    pthread_mutex_lock(&d->lock);
    void *block = d->lost ? NULL : remote_memory_alloc(&d->memory, ledger, bytes);
    pthread_mutex_unlock(&d->lock);
    return block;
}

/* Of a block that a command still waits to touch: the error is long over when a GPU would
   show it, so the program ends here. A device that is lost does nothing any more. */
static void remote_free(ms_device *dev, void *block) {
    remote_device *d = remote_of(dev);
    pthread_mutex_lock(&d->lock);
    size_t bytes = remote_memory_bytes(&d->memory, block);
    if (!d->lost && bytes && remote_is_awaited(d, remote_memory_real(&d->memory, block, 1), bytes)) {
        fprintf(stderr,
                "remote: a block of %zu bytes is freed while work that was given to a queue touches it\n",
                bytes);
        abort();
    }
    remote_memory_free(&d->memory, block);
    pthread_mutex_unlock(&d->lock);
}

static void *remote_host_alloc(ms_device *dev, ms_ledger ledger, size_t bytes) {
    return remote_host->alloc(dev->mem, ledger, bytes);
}

static void remote_host_free(ms_device *dev, void *block) {
    (void)dev;
    remote_host->free(block);
}

static void remote_memory_sizes(const ms_device *dev, size_t *ret_free_bytes, size_t *ret_total_bytes) {
    remote_device *d = remote_of(dev);
    pthread_mutex_lock(&d->lock);
    *ret_free_bytes = d->memory.limit_bytes - d->memory.used_bytes;
    pthread_mutex_unlock(&d->lock);
    *ret_total_bytes = d->memory.limit_bytes + REMOTE_OWN_BYTES;
}

static void *real_of(ms_queue *queue, const void *given, size_t bytes) {
    remote_device *d = remote_of(queue->dev);
    pthread_mutex_lock(&d->lock);
    void *real = remote_memory_real(&d->memory, given, bytes);
    pthread_mutex_unlock(&d->lock);
    return real;
}

/* ---- copies ---- */

static ms_status upload(ms_queue *queue, void *dst, const void *src, size_t bytes) {
    remote_command c = {.kind = REMOTE_UPLOAD, .dst = real_of(queue, dst, bytes), .src = src, .bytes = bytes};
    return c.dst && src ? remote_give(queue, &c) : MS_INVALID_ARGUMENT;
}

static ms_status download(ms_queue *queue, void *dst, const void *src, size_t bytes) {
    remote_command c = {
        .kind = REMOTE_DOWNLOAD, .dst = dst, .src = real_of(queue, src, bytes), .bytes = bytes};
    if (!c.src || !dst)
        return MS_INVALID_ARGUMENT;
    memset(dst, 0xff, bytes); /* whoever reads it too early reads NaNs */
    return remote_give(queue, &c);
}

static ms_status fill(ms_queue *queue, void *dst, int byte, size_t bytes) {
    remote_command c = {.kind = REMOTE_FILL, .dst = real_of(queue, dst, bytes), .byte = byte, .bytes = bytes};
    return c.dst ? remote_give(queue, &c) : MS_INVALID_ARGUMENT;
}

static ms_status prepare(ms_queue *queue, const ms_weight_shape *shape, ms_dtype raw, int64_t first_row,
                         int64_t rows, const void *src, void *dst) {
    size_t bytes = ms_weight_bytes(shape);
    if (!bytes || rows < 1 || first_row < 0 || first_row > shape->n - rows ||
        (raw != MS_F32 && raw != shape->dtype))
        return MS_INVALID_ARGUMENT;
    size_t row = (size_t)(shape->c_in * shape->kernel_h * shape->kernel_w) * ms_dtype_bytes(raw);
    remote_command c = {.kind = REMOTE_PREPARE,
                        .dst = real_of(queue, dst, bytes),
                        .src = real_of(queue, src, (size_t)rows * row),
                        .args.prepare = {*shape, raw, first_row, rows}};
    return c.dst && c.src ? remote_give(queue, &c) : MS_INVALID_ARGUMENT;
}

/* ---- opening ---- */

static void remote_close(ms_device **dev) {
    remote_device *d = remote_of(*dev);
    ms_device_close(&d->cpu);
    remote_memory_close(&d->memory);
    pthread_mutex_destroy(&d->lock);
    remote_host->free(d);
    *dev = NULL;
}

static const ms_backend backend;

static ms_status remote_open(const ms_device_params *params, ms_device **ret_dev, ms_error *err) {
    MS_TRY(ms_device_only_number(params, 1, err));
    remote_device *d = remote_host->alloc(params->mem, MS_LEDGER_GENERAL, sizeof(*d));
    if (!d)
        return ms_fail(err, MS_HOST_MEMORY, "cannot allocate %zu bytes for the remote device", sizeof(*d));
    const size_t limit = params->memory_bytes ? params->memory_bytes : (size_t)8 << 30;
    *d = (remote_device){0};
    d->base = (ms_device){.backend = &backend,
                          .kernels = &remote_kernels,
                          .caps = {.arithmetic = "cpu",
                                   .activations = 1u << MS_F32,
                                   .capture = true,
                                   .granularity = REMOTE_GRANULARITY,
                                   .own_bytes = REMOTE_OWN_BYTES,
                                   .raw_weights = true,
                                   .computes = true},
                          .mem = params->mem,
                          .total_bytes = limit,
                          .impl = d};
    pthread_mutex_init(&d->lock, NULL);
    const char *seed = getenv("MEMSAFE_REMOTE_SEED");
    d->random = seed ? strtoull(seed, NULL, 10) : 0;
    snprintf(d->base.description, sizeof(d->base.description), "remote test device of %zu bytes", limit);
    const ms_device_params cpu = {.backend = "cpu", .isa_limit = params->isa_limit};
    ms_status status = remote_memory_open(&d->memory, params->device_mem, limit, err);
    if (status == MS_OK)
        status = ms_device_open(&cpu, &d->cpu, err);
    if (status != MS_OK) {
        ms_device *dev = &d->base;
        remote_close(&dev);
        return status;
    }
    *ret_dev = &d->base;
    return MS_OK;
}

static const ms_backend backend = {
    .abi = MS_BACKEND_ABI,
    .name = "remote",
    .open = remote_open,
    .close = remote_close,
    .alloc = remote_alloc,
    .free = remote_free,
    .host_alloc = remote_host_alloc,
    .host_free = remote_host_free,
    .memory = remote_memory_sizes,
    .queue_create = remote_queue_create,
    .queue_destroy = remote_queue_destroy,
    .event_create = remote_event_create,
    .event_destroy = remote_event_destroy,
    .record = remote_record,
    .wait = remote_wait,
    .finish = remote_finish,
    .capture_begin = remote_capture_begin,
    .capture_end = remote_capture_end,
    .launch = remote_launch,
    .launches_destroy = remote_launches_destroy,
    .upload = upload,
    .download = download,
    .fill = fill,
    .weight_bytes = ms_weight_bytes,
    .weight_prepare = prepare,
};

__attribute__((visibility("default"))) const ms_backend *ms_plugin_backend(uint32_t abi,
                                                                           const ms_host_services *host);

const ms_backend *ms_plugin_backend(uint32_t abi, const ms_host_services *host) {
    if (abi != MS_BACKEND_ABI)
        return NULL;
    remote_host = host;
    return &backend;
}
