/*
 * Where pressure samples come from: /proc/meminfo, cgroup v2, PSI and the device. What the system does not
 * have (no cgroup v2, a kernel without PSI) is normal, and unknown in the sample.
 */
#ifndef MS_SYSTEM_PRESSURE_SOURCE_H
#define MS_SYSTEM_PRESSURE_SOURCE_H

#include "device/device.h"
#include "system/pressure.h"

#define MS_PRESSURE_MAX_PATH 1024

typedef struct ms_pressure_roots {
    const char *proc;   /* NULL = "/proc" */
    const char *cgroup; /* where cgroup v2 is mounted; NULL = as <proc>/self/mountinfo says */
} ms_pressure_roots;

typedef struct ms_pressure_source {
    char proc[MS_PRESSURE_MAX_PATH];
    char cgroup[MS_PRESSURE_MAX_PATH]; /* the mount point; empty = there is no cgroup v2 */
    /* The cgroup that is mounted there; empty = the hierarchy's root */
    char cgroup_root[MS_PRESSURE_MAX_PATH];
    const ms_device *device; /* NULL = none */
} ms_pressure_source;

/* roots NULL = the machine's. device: NULL, or what to ask for its free memory; the
   cpu back end's is the host's (and its budget full by plan), so it is not asked.
   MS_INVALID_ARGUMENT for a path that is too long. */
ms_status ms_pressure_source_init(const ms_pressure_roots *roots, const ms_device *device,
                                  ms_pressure_source *ret_source, ms_error *err);

/* Allocates nothing and never fails; about 50 us on a machine with two levels of cgroups. */
void ms_pressure_sample_read(const ms_pressure_source *source, ms_pressure_sample *ret_sample);

#endif
