#include "device_option.h"

ms_status cli_open_device(const char *device, int threads, cli_device_use use, size_t memory_bytes,
                          ms_compute *ret_compute, ms_error *err) {
    const ms_compute_params params = {.device = device,
                                      .threads = threads,
                                      .isa_limit = MS_ISA_COUNT - 1,
                                      .memory_bytes = memory_bytes,
                                      .must_compute = use == CLI_DEVICE_WORKS};
    return ms_compute_open(&params, ret_compute, err);
}
