/* What this machine has: memory that this process may use, and the processor. Read from /proc, cgroup v2 and
 * rlimits. */
#ifndef MS_MEMORY_HOST_H
#define MS_MEMORY_HOST_H

#include <stddef.h>
#include <stdint.h>

typedef struct ms_host {
    size_t total_bytes;     /* MemTotal */
    size_t available_bytes; /* MemAvailable */
    size_t swap_free_bytes;
    size_t cgroup_max_bytes;     /* memory.max, the least on the way to the root; SIZE_MAX = no limit */
    size_t cgroup_current_bytes; /* memory.current of the cgroup with that limit */
    size_t rlimit_bytes;         /* RLIMIT_AS or RLIMIT_DATA, the lesser; SIZE_MAX = no limit */
    int cpus;                    /* that this process may run on */
    char cpu_name[96];
} ms_host;

/* Fields that cannot be read are 0 (limits: SIZE_MAX); never fails. */
void ms_host_read(ms_host *ret_host);

/* The most that this process may come to hold now: the least of what is available and what the limits leave.
 */
size_t ms_host_free_bytes(const ms_host *host);

/* Resident set of this process, now and at most so far. */
size_t ms_host_resident_bytes(void);
size_t ms_host_peak_resident_bytes(void);

#endif
