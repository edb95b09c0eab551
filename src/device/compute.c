#include "device/compute.h"

#include "base/error.h"

ms_status ms_compute_open(const ms_compute_params *params, ms_compute *ret_compute, ms_error *err) {
    ms_compute c = {.mem = params->mem};
    MS_TRY(ms_pool_create(params->mem, params->threads, &c.pool, err));
    ms_device_params device = {.backend = params->backend,
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
