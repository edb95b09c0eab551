/*
 * A device that is asked for its memory. For a device that is not one of ours (a GPU under somebody
 * else's runtime), state its sizes in ms_optimizer_params instead, or open "dummy" with them.
 */
#ifndef MEMSAFE_DEVICE_H
#define MEMSAFE_DEVICE_H

#include "memsafe/memory.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ms_device ms_device;

typedef struct ms_device_options {
    const char *backend; /* "cpu"; "dummy": memory_bytes that are counted but not there; NULL = "cpu" */
    size_t memory_bytes; /* of "dummy" */
    ms_mem *mem; /* what the device's own allocations are charged to; must outlive it; NULL = the process's */
} ms_device_options;

/* options NULL = all zero. MS_UNSUPPORTED names the back ends of this build; MS_HOST_MEMORY. */
MS_API ms_status ms_device_create_sized(const ms_device_options *options, size_t options_bytes,
                                        ms_device **ret_device, ms_error *err);
static inline ms_status ms_device_create(const ms_device_options *options, ms_device **ret_device,
                                         ms_error *err) {
    return ms_device_create_sized(options, sizeof(*options), ret_device, err);
}
MS_API void ms_device_destroy(ms_device **device);

typedef struct ms_device_info {
    const char *backend;
    const char *description; /* "AMD EPYC 7763, avx2"; valid as long as the device */
    /* For cpu: those of the host, or of the budget of ms_device_options.mem. free: at this moment. */
    size_t total_bytes, free_bytes;
} ms_device_info;

/* Any thread may ask. */
MS_API void ms_device_get_info_sized(const ms_device *device, ms_device_info *ret_info, size_t info_bytes);
static inline void ms_device_get_info(const ms_device *device, ms_device_info *ret_info) {
    ms_device_get_info_sized(device, ret_info, sizeof(*ret_info));
}

#ifdef __cplusplus
}
#endif
#endif
