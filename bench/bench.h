/* What the benchmarks of `memsafe-bench` share: time, memory, and where the time of a network goes. */
#ifndef MS_BENCH_BENCH_H
#define MS_BENCH_BENCH_H

#include "device/compute.h"
#include "options/device_option.h"
#include "graph/network.h"
#include "models/synthesize/synthesize.h"
#include "options/options.h"

typedef struct bench_state {
    const char *device;
    int shape;     /* ms_synthetic */
    int precision; /* index of fp32|fp16|bf16 */
    int isa;       /* index of c|avx2|avx512: the best that kernels may use */
    int images;    /* of a kernel's case; 0 = the case's */
    int threads, frames, repeat, batch, steps;
    int slice_frames, slice_pixels, stripe_rows;
    bool profile, serial, deepcache, no_graphs;
    double guidance, seconds;
} bench_state;

double bench_now_s(void);

/* Largest resident set of the process so far. */
size_t bench_peak_rss_bytes(void);

ms_dtype bench_precision(const bench_state *state);
/* ms_cpu_peak_flops(); 0 on a device that is not the processor. */
double bench_peak_flops(const ms_compute *compute, double seconds);
ms_status bench_open_compute(const bench_state *state, ms_compute *ret_compute, ms_error *err);

/* Time spent in each operation, by hooking into the executor. */
typedef struct bench_profile {
    const ms_graph *graph;
    double *seconds; /* per node */
    int current;     /* node that runs, -1 = none */
    double since;
} bench_profile;

ms_status bench_profile_start(bench_profile *profile, const ms_graph *graph, ms_exec_params *ret_exec,
                              ms_error *err);

/* Ends the last operation. */
void bench_profile_stop(bench_profile *profile);

/* Prints one line for each kind of operation and layer shape and frees what the profile holds. */
void bench_profile_finish(bench_profile *profile, double peak_flops);

#endif
