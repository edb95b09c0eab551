#include "session/pressure_budget.h"

#include <stdio.h>

#include "base/error.h"

ms_status ms_run_pressure_open(ms_mem *mem, const char *trace, const ms_run_pressure_device *device,
                               ms_run_pressure *ret_pressure, ms_error *err) {
    ms_run_pressure p = {.device = *device, .device_bytes = device->budget_bytes};
    ms_monitor_params params;
    ms_monitor_params_init(&params);
    params.mem = mem;
    params.host_only = device->dev != NULL;
    if (trace)
        MS_TRY(ms_pressure_trace_load(mem, trace, &p.trace, err));
    params.trace = p.trace;
    ms_status status = ms_monitor_create(&params, &p.monitor, err);
    if (status != MS_OK) {
        ms_run_pressure_close(&p);
        return status;
    }
    *ret_pressure = p;
    return MS_OK;
}

void ms_run_pressure_close(ms_run_pressure *p) {
    ms_monitor_destroy(&p->monitor);
    ms_pressure_trace_destroy(&p->trace);
}

ms_status ms_run_pressure_check(ms_run_pressure *p, bool *ret_changed, char *ret_reason, size_t reason_bytes,
                                ms_error *err) {
    ms_pressure_change change;
    MS_TRY(ms_monitor_step(p->monitor, p->safe_points++, err));
    ms_pressure_level level = ms_monitor_level(p->monitor);
    *ret_changed = level != p->level;
    if (*ret_changed && ms_monitor_last_change(p->monitor, &change))
        snprintf(ret_reason, reason_bytes, "%s", change.reason);
    p->level = level;
    return MS_OK;
}

/* As of the last safe point; -1 = it says nothing of a device. */
static int64_t scripted_free(const ms_run_pressure *p) {
    int64_t found = -1;
    for (size_t i = 0; p->trace && i < ms_pressure_trace_count(p->trace); i++) {
        const ms_pressure_trace_entry *entry = ms_pressure_trace_get(p->trace, i);
        if (entry->at < (double)p->safe_points)
            found = entry->sample.device_free;
    }
    return found;
}

/* What of its budget the device can give now. */
static size_t device_bytes(const ms_run_pressure *p, size_t *ret_free) {
    const ms_run_pressure_device *d = &p->device;
    size_t total_bytes;
    ms_mem_usage usage;
    int64_t scripted = scripted_free(p);
    if (scripted >= 0)
        *ret_free = (size_t)scripted;
    else
        d->dev->backend->memory(d->dev, ret_free, &total_bytes);
    ms_mem_get_usage(d->mem, &usage);
    double bytes = d->share * ((double)*ret_free + (double)usage.current_bytes);
    return bytes < (double)d->budget_bytes ? (size_t)bytes : d->budget_bytes;
}

bool ms_run_pressure_check_device(ms_run_pressure *p, size_t held_bytes, char *ret_reason,
                                  size_t reason_bytes) {
    size_t free_bytes;
    if (!p->device.dev)
        return false;
    size_t bytes = device_bytes(p, &free_bytes), before = p->device_bytes;
    bool less = bytes < held_bytes && bytes < before;
    bool more = bytes > before && (bytes - before >= before / 8 || bytes == p->device.budget_bytes);
    if (!less && !more)
        return false;
    p->device_bytes = bytes;
    snprintf(ret_reason, reason_bytes, "device memory: %llu MiB free, the budget is now %llu MiB",
             (unsigned long long)free_bytes >> 20, (unsigned long long)bytes >> 20);
    return true;
}

double ms_run_pressure_share(ms_pressure_level level) {
    static const double shares[MS_PRESSURE_LEVELS] = {[MS_PRESSURE_NONE] = 1,
                                                      [MS_PRESSURE_LOW] = 0.75,
                                                      [MS_PRESSURE_HIGH] = 0.5,
                                                      [MS_PRESSURE_CRITICAL] = 0};
    return shares[level];
}
