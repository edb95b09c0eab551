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

ms_status ms_compute_open(const ms_compute_params *params, ms_compute *ret_compute, ms_error *err) {
    ms_compute c = {.mem = params->mem};
    char name[32];
    int number = 0;
    MS_TRY(read_name(params->device, name, &number, err));
    MS_TRY(ms_pool_create(params->mem, params->threads, &c.pool, err));
    ms_device_params device = {.backend = name,
                               .number = number,
                               .mem = params->mem,
                               .pool = c.pool,
                               .isa_limit = params->isa_limit,
                               .memory_bytes = params->memory_bytes};
    ms_status status = ms_device_open(&device, &c.dev, err);
    if (status != MS_OK) {
        ms_pool_destroy(&c.pool);
        return status;
    }
    *ret_compute = c;
    return MS_OK;
}

void ms_compute_close(ms_compute *compute) {
    ms_device_close(&compute->dev);
    ms_pool_destroy(&compute->pool);
    *compute = (ms_compute){0};
}
