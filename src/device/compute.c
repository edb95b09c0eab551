#include "device/compute.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

/* "NAME" or "NAME:N". The processor is what every machine has. */
static ms_status read_name(const char *device, char name[32], int *ret_number, ms_error *err) {
    if (!device || strcmp(device, "auto") == 0)
        device = "cpu";
    size_t length = strcspn(device, ":");
    char *end = "";
    long number = device[length] ? strtol(device + length + 1, &end, 10) : 0;
    bool digits = !device[length] || (device[length + 1] >= '0' && device[length + 1] <= '9');
    if (length == 0 || length >= 32 || !digits || *end || number < 0 || number > 1023)
        return ms_fail(
            err, MS_INVALID_ARGUMENT,
            "\"%s\" is no device: it must be auto, cpu, or a back end's name, with :N for its N-th device",
            device);
    snprintf(name, 32, "%.*s", (int)length, device);
    *ret_number = (int)number;
    return MS_OK;
}

static ms_status make_queue(ms_compute *c, ms_error *err) {
    ms_status status = c->dev->backend->queue_create(c->dev, &c->queue);
    if (status == MS_OK)
        status = c->dev->backend->event_create(c->dev, &c->done);
    return status == MS_OK ? MS_OK
                           : ms_fail(err, status, "%s: cannot make a queue: %s", c->dev->description,
                                     ms_status_text(status));
}

/* With a queue of its own it is whole; what cannot be made whole is closed. */
static ms_status end_opening(ms_compute *c, ms_status status, ms_compute *ret_compute, ms_error *err) {
    if (status == MS_OK)
        status = make_queue(c, err);
    if (status == MS_OK)
        *ret_compute = *c;
    else
        ms_compute_close(c);
    return status;
}

ms_status ms_compute_open(const ms_compute_params *params, ms_compute *ret_compute, ms_error *err) {
    ms_compute c = {.mem = params->mem};
    char name[32];
    int number = 0;
    MS_TRY(read_name(params->device, name, &number, err));
    MS_TRY(ms_pool_create(params->mem, params->threads, &c.pool, err));
    ms_device_params device = {.backend = name,
                               .number = number,
                               .mem = params->mem,
                               .device_mem = params->device_mem,
                               .pool = c.pool,
                               .isa_limit = params->isa_limit,
                               .memory_bytes = params->memory_bytes,
                               .card = params->card};
    ms_status status = ms_device_open(&device, &c.dev, err);
    if (status == MS_OK && params->must_compute && !c.dev->caps.computes)
        status = ms_fail(err, MS_UNSUPPORTED, "%s computes nothing: it is for plans", c.dev->description);
    return end_opening(&c, status, ret_compute, err);
}

void ms_compute_close(ms_compute *c) {
    if (c->done)
        c->dev->backend->event_destroy(&c->done);
    if (c->queue)
        c->dev->backend->queue_destroy(&c->queue);
    if (!c->borrows_device)
        ms_device_close(&c->dev);
    if (!c->borrows_pool)
        ms_pool_destroy(&c->pool);
    *c = (ms_compute){0};
}

ms_status ms_compute_fork(const ms_compute *compute, ms_compute *ret_fork, ms_error *err) {
    ms_compute c = {.mem = compute->mem,
                    .pool = compute->pool,
                    .dev = compute->dev,
                    .activation = compute->activation,
                    .replay = compute->replay,
                    .borrows_device = true,
                    .borrows_pool = true};
    return end_opening(&c, MS_OK, ret_fork, err);
}

ms_status ms_compute_open_host(const ms_compute *compute, ms_compute *ret_host, ms_error *err) {
    if (compute->dev->caps.host_memory)
        return ms_compute_fork(compute, ret_host, err);
    ms_compute c = {.mem = compute->mem, .pool = compute->pool, .borrows_pool = true};
    const ms_device_params cpu = {
        .backend = "cpu", .mem = c.mem, .pool = c.pool, .isa_limit = MS_ISA_COUNT - 1};
    ms_status status = ms_device_open(&cpu, &c.dev, err);
    return end_opening(&c, status, ret_host, err);
}

ms_status ms_compute_finish(const ms_compute *c) {
    MS_TRY(c->dev->backend->record(c->queue, c->done));
    return c->dev->backend->finish(c->done);
}

ms_status ms_compute_upload(const ms_compute *c, void *dst, const void *src, size_t bytes) {
    MS_TRY(c->dev->backend->upload(c->queue, dst, src, bytes));
    return ms_compute_finish(c);
}

ms_status ms_compute_download(const ms_compute *c, void *dst, const void *src, size_t bytes) {
    MS_TRY(c->dev->backend->download(c->queue, dst, src, bytes));
    return ms_compute_finish(c);
}
