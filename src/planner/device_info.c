/* Devices as the public interface shows them. */
#include "memsafe/device.h"

#include "base/sized.h"
#include "device/device.h"
#include "system/host.h"

ms_status ms_device_create_sized(const ms_device_options *options, size_t options_bytes,
                                 ms_device **ret_device, ms_error *err) {
    ms_device_options o = {0};
    ms_error_clear(err);
    MS_NEED(ret_device, err);
    if (options)
        MS_READ_SIZED(&o, options, options_bytes, err);
    const ms_device_params params = {
        .backend = o.backend, .mem = o.mem, .memory_bytes = o.memory_bytes, .isa_limit = MS_ISA_COUNT - 1};
    return ms_device_open(&params, ret_device, err);
}

void ms_device_destroy(ms_device **device) {
    ms_device_close(device);
}

/* Of the host as a device: what control groups and limits leave, too. */
static void host_sizes(const ms_device *device, ms_device_info *info) {
    ms_host host;
    ms_mem_usage usage;
    ms_host_read(&host);
    ms_mem_get_usage(device->mem, &usage);
    info->total_bytes = ms_host_nominal_bytes(&host);
    info->free_bytes = ms_host_free_bytes(&host);
    if (!usage.budget_bytes)
        return;
    size_t left = usage.budget_bytes > usage.current_bytes ? usage.budget_bytes - usage.current_bytes : 0;
    if (usage.budget_bytes < info->total_bytes)
        info->total_bytes = usage.budget_bytes;
    if (left < info->free_bytes)
        info->free_bytes = left;
}

void ms_device_get_info_sized(const ms_device *device, ms_device_info *ret_info, size_t info_bytes) {
    ms_device_info info = {.backend = "", .description = ""};
    if (device) {
        info.backend = device->backend->name;
        info.description = device->description;
        if (device->caps.host_memory)
            host_sizes(device, &info);
        else
            device->backend->memory(device, &info.free_bytes, &info.total_bytes);
    }
    ms_sized_fill(ret_info, info_bytes, &info, sizeof(info));
}
