/* Workspaces of the cpu back end's kernels by arguments and thread count; the dummy back end asks here too.
   Blocking follows from them and never shows in the results. */
#ifndef MS_DEVICE_CPU_PLAN_H
#define MS_DEVICE_CPU_PLAN_H

#include "device/device.h"

size_t ms_linear_workspace_bytes(const ms_linear_args *args, int threads);
size_t ms_conv2d_workspace_bytes(const ms_conv2d_args *args, int threads);
size_t ms_attention_workspace_bytes(const ms_attention_args *args, int threads);

static inline int64_t ms_ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static inline int64_t ms_round_up(int64_t a, int64_t to) {
    return ms_ceil_div(a, to) * to;
}

static inline int64_t ms_min(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static inline int64_t ms_max(int64_t a, int64_t b) {
    return a > b ? a : b;
}

#endif
