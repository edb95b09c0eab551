/*
 * What this machine has: memory that this process may use, and the processor. Read from /proc, cgroup v2 and
 * the process's limits.
 */
#ifndef MS_SYSTEM_HOST_H
#define MS_SYSTEM_HOST_H

#include <stddef.h>
#include <stdint.h>

#include "system/cgroup.h"

typedef struct ms_host {
    size_t total_bytes;     /* MemTotal */
    size_t available_bytes; /* MemAvailable */
    size_t swap_free_bytes;
    ms_cgroup cgroup;
    /* Soft limits of the process (setrlimit(2)), SIZE_MAX = no limit, and what counts against them so far. */
    size_t address_limit_bytes, address_bytes; /* RLIMIT_AS: all mappings */
    size_t data_limit_bytes, data_bytes;       /* RLIMIT_DATA: private writable mappings */
    size_t locked_limit_bytes;                 /* RLIMIT_MEMLOCK: pinned staging buffers */
    int cpus;                                  /* that this process may run on */
    char cpu_name[96];
} ms_host;

/* Fields that cannot be read are 0 (limits: SIZE_MAX); never fails. */
void ms_host_read(ms_host *ret_host);

/* The same, read from other folders than /proc and the cgroup mount. The number of
   CPUs is the running system's. */
void ms_host_read_from(const ms_host_paths *paths, ms_host *ret_host);

/* The most that this process may come to hold besides what it has: the least of what is available and what
   the limits leave. */
size_t ms_host_free_bytes(const ms_host *host);

/* The size of the host as a device: its memory, or the least limit where that is smaller. */
size_t ms_host_nominal_bytes(const ms_host *host);

/* Resident set of this process, now and at most so far. */
size_t ms_host_resident_bytes(void);
size_t ms_host_peak_resident_bytes(void);

#endif
