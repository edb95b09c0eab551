/*
 * What this machine has, and what a build of the library can do on it: memory that this process may use, the
 * processor, devices, plug-ins, encoders, and how fast bytes move and kernels are.
 *
 *   ms_probe_create(NULL, &probe, &err);
 *   ms_probe_get_host(probe, &host);
 *   ... host.free_bytes ...
 *   ms_probe_destroy(&probe);
 */
#ifndef MEMSAFE_PROBE_H
#define MEMSAFE_PROBE_H

#include "memsafe/run.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ms_probe ms_probe;

typedef struct ms_probe_params {
    const char *device;  /* to look at, as ms_run_params has it; NULL = the host alone */
    int threads;         /* of measurements; 0 = all */
    size_t memory_bytes; /* of a device that is not here ("dummy") */
    bool must_compute;   /* a device that computes nothing is MS_UNSUPPORTED */
} ms_probe_params;

/*
 * Looks once; what the probe says stays as it was then. params NULL = all zero. Text in it is copied or not
 * needed afterwards. What cannot be read has no limit and 0 bytes. MS_INVALID_ARGUMENT, MS_UNSUPPORTED (the
 * device), MS_HOST_MEMORY.
 */
MS_API ms_status ms_probe_create_sized(const ms_probe_params *params, size_t params_bytes,
                                       ms_probe **ret_probe, ms_error *err);
static inline ms_status ms_probe_create(const ms_probe_params *params, ms_probe **ret_probe, ms_error *err) {
    return ms_probe_create_sized(params, sizeof(*params), ret_probe, err);
}
MS_API void ms_probe_destroy(ms_probe **probe);

/* Limits: SIZE_MAX = there is none. Texts are valid as long as the probe. */
typedef struct ms_probe_host {
    const char *cpu_name;
    int cpus; /* that this process may run on */
    size_t total_bytes, available_bytes, swap_free_bytes;
    size_t address_limit_bytes, data_limit_bytes, locked_limit_bytes; /* of the process (setrlimit(2)) */
    /* Control groups (cgroup v2): the least limit, and the least that one leaves. */
    size_t cgroup_limit_bytes, cgroup_left_bytes;
    int cgroup_levels;    /* from the process's own group up to the root; 0 = there is no hierarchy */
    int cgroup_binding;   /* the level that leaves least; -1 = none has a limit */
    size_t free_bytes;    /* the most that this process may come to hold besides what it has */
    size_t nominal_bytes; /* of the host as a device: its memory, or the least limit where that is smaller */
} ms_probe_host;

/* NULL: all zero, the text "". */
MS_API void ms_probe_get_host_sized(const ms_probe *probe, ms_probe_host *ret_host, size_t host_bytes);
static inline void ms_probe_get_host(const ms_probe *probe, ms_probe_host *ret_host) {
    ms_probe_get_host_sized(probe, ret_host, sizeof(*ret_host));
}

typedef struct ms_probe_cgroup {
    const char *dir;
    size_t dir_chars;             /* its folder is the first so many characters of dir */
    size_t max_bytes, high_bytes; /* SIZE_MAX = no limit */
    size_t left_bytes;            /* the lesser limit less what is used and not reclaimable; SIZE_MAX = all */
    size_t current_bytes;         /* page cache included; 0 = not known */
    size_t reclaimable_bytes;     /* of it page cache that the kernel drops before it refuses */
    uint64_t high_events, max_events, oom_events, oom_kill_events; /* how often it ran into its limits */
} ms_probe_cgroup;

/* false, and all zero: there is no such level. */
MS_API bool ms_probe_get_cgroup_sized(const ms_probe *probe, int level, ms_probe_cgroup *ret_cgroup,
                                      size_t cgroup_bytes);
static inline bool ms_probe_get_cgroup(const ms_probe *probe, int level, ms_probe_cgroup *ret_cgroup) {
    return ms_probe_get_cgroup_sized(probe, level, ret_cgroup, sizeof(*ret_cgroup));
}

typedef struct ms_probe_device {
    const char *backend;     /* "cpu" */
    const char *description; /* as it describes itself. Both valid as long as the probe */
    int threads;             /* of the host that work for it */
    bool computes;           /* false: only sizes can be asked for */
    bool own_memory;         /* false: it is the host's */
    bool bf16;               /* it keeps activations in bfloat16 */
    /* of its memory; nominal 0: it is not here, and its size was not stated */
    size_t nominal_bytes, free_bytes;
    int arch; /* compute capability of a CUDA card, 86; 0 = it is none */
} ms_probe_device;

/* false, and all zero: no device was named. */
MS_API bool ms_probe_get_device_sized(const ms_probe *probe, ms_probe_device *ret_device,
                                      size_t device_bytes);
static inline bool ms_probe_get_device(const ms_probe *probe, ms_probe_device *ret_device) {
    return ms_probe_get_device_sized(probe, ret_device, sizeof(*ret_device));
}

/* An NVIDIA card, as the driver's management library (NVML) knows it without a context on it. */
typedef struct ms_probe_card {
    const char *name;    /* "NVIDIA GeForce RTX 3090" */
    const char *problem; /* NULL = none; else why nothing is known of it. Both valid as long as the probe */
    int arch;            /* compute capability: 86 */
    size_t nominal_bytes, free_bytes;
} ms_probe_card;

/*
 * By NVML's numbers, whatever device was named; false behind the last, and all zero, the name "". A library
 * that is there and cannot be used is one card with a problem; none is no card.
 */
MS_API bool ms_probe_get_card_sized(const ms_probe *probe, int index, ms_probe_card *ret_card,
                                    size_t card_bytes);
static inline bool ms_probe_get_card(const ms_probe *probe, int index, ms_probe_card *ret_card) {
    return ms_probe_get_card_sized(probe, index, ret_card, sizeof(*ret_card));
}

/* ---- measurements: of the device that was named, else MS_INVALID_ARGUMENT ---- */

typedef struct ms_probe_bandwidth {
    double bytes_per_s;
    size_t bytes; /* moved in the measurement */
    double seconds;
    bool direct; /* a file: read past the page cache; else its cached pages were dropped before */
} ms_probe_bandwidth;

/* Reads a file for half a second, from its start again at its end. A small one may come from a cache of the
   drive; a checkpoint does not. MS_IO: it cannot be read, or is empty. */
MS_API ms_status ms_probe_disk_sized(const ms_probe *probe, const char *file,
                                     ms_probe_bandwidth *ret_bandwidth, size_t bandwidth_bytes,
                                     ms_error *err);
static inline ms_status ms_probe_disk(const ms_probe *probe, const char *file,
                                      ms_probe_bandwidth *ret_bandwidth, ms_error *err) {
    return ms_probe_disk_sized(probe, file, ret_bandwidth, sizeof(*ret_bandwidth), err);
}

/* From the host to the device, for half a second; where the memory is the host's it is a copy.
   MS_DEVICE_MEMORY. */
MS_API ms_status ms_probe_upload_sized(const ms_probe *probe, ms_probe_bandwidth *ret_bandwidth,
                                       size_t bandwidth_bytes, ms_error *err);
static inline ms_status ms_probe_upload(const ms_probe *probe, ms_probe_bandwidth *ret_bandwidth,
                                        ms_error *err) {
    return ms_probe_upload_sized(probe, ret_bandwidth, sizeof(*ret_bandwidth), err);
}

/* X(rate): what the kernels reach, each a second, all threads at once, fp16 weights. */
#define MS_RATE_MAP(X)                                                                                       \
    X(conv_flops)      /* a convolution: operations of the direct computation */                             \
    X(linear_flops)    /* a linear layer */                                                                  \
    X(attention_flops) /* attention */                                                                       \
    X(moved_bytes)     /* sums and norms, read and written */                                                \
    X(weight_bytes)    /* reading weights */                                                                 \
    X(pack_bytes)      /* packing them */                                                                    \
    X(disk_bytes)      /* reading the file */                                                                \
    X(passes)          /* operations started */

typedef struct ms_probe_rates {
#define X(rate) double rate;
    MS_RATE_MAP(X)
#undef X
} ms_probe_rates;

/*
 * Measures for some three seconds, and leaves the rates in a history (ms_run_params.history) for the
 * predictions of later runs; history NULL = nowhere. file: as ms_probe_disk(). MS_UNSUPPORTED: a history is
 * named and this build has no SQLite; errors of the history as ms_history_read().
 */
MS_API ms_status ms_probe_calibrate_sized(const ms_probe *probe, const char *file, const char *history,
                                          ms_probe_rates *ret_rates, size_t rates_bytes, ms_error *err);
static inline ms_status ms_probe_calibrate(const ms_probe *probe, const char *file, const char *history,
                                           ms_probe_rates *ret_rates, ms_error *err) {
    return ms_probe_calibrate_sized(probe, file, history, ret_rates, sizeof(*ret_rates), err);
}

/* What a device gave for one family of kernels. Text is valid during the call. */
typedef struct ms_probe_trial {
    const char *family;    /* "linear", "attention, 40", ... */
    const char *type;      /* "float32", "float16", "bfloat16": of the activations */
    double error, allowed; /* the largest difference from the processor's result, relative above 1 */
    uint64_t hash;         /* of the result's bytes */
    uint64_t predicted;    /* what it must be on a device of this kind; 0 = not compared with a prediction */
    bool agrees;           /* else: off by too much, not as predicted, or two ways of one call differ */
} ms_probe_trial;

/*
 * Tries every family of kernels on small inputs against the processor's results and the predicted bits, as is
 * done when a device is opened for the first time, with so many seeds (1 to 1000). told: after each; NULL =
 * not. One that fails is MS_UNSUPPORTED, and named.
 */
MS_API ms_status ms_probe_self_test(const ms_probe *probe, int seeds,
                                    void (*told)(void *arg, const ms_probe_trial *trial), void *arg,
                                    ms_error *err);

/* ---- without a probe ---- */

/* Instruction sets of this machine that kernels use, from plain C up ("c", "avx2", ...); NULL behind the
   last. */
MS_API const char *ms_probe_instruction_set(int index);

/* Back ends that are compiled in ("cpu", "dummy"); NULL behind the last. */
MS_API const char *ms_probe_backend(int index);

/* Whether outputs can be encoded so here. */
MS_API bool ms_probe_has_encoder(ms_output_codec codec);

/*
 * Folders in which plug-ins (memsafe-NAME.so) are looked for, the first first: MEMSAFE_PLUGIN_DIR; the folder
 * of the file that this library is in, which is the program's where it is linked statically; memsafe/ in
 * LIBDIR, beside a shared library and from a program in BINDIR by the way that leads from there; memsafe/ in
 * LIBDIR as it was configured. Into ret_folder; false behind the last, or when it does not fit into
 * folder_bytes (4096 always do).
 */
MS_API bool ms_plugin_folder(int index, char *ret_folder, size_t folder_bytes);

/*
 * Calls tell for every plug-in file that there is: its path, and NULL or why it cannot be used. Each is
 * loaded in a process of its own, so that none is in this one whom nobody asked for, and one that crashes
 * says so. While there are no other threads.
 */
MS_API void ms_plugin_list(void (*tell)(void *arg, const char *path, const char *problem), void *arg);

#ifdef __cplusplus
}
#endif
#endif
