/*
 * Memory pressure by other programs on the machine, as one of four levels: 0 none, 1 low, 2 high, 3 critical.
 * A thread reads /proc, cgroup v2 and PSI a few times a second; docs/pressure.md has the thresholds.
 */
#ifndef MEMSAFE_PRESSURE_H
#define MEMSAFE_PRESSURE_H

#include "memsafe/device.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ms_pressure_watch ms_pressure_watch;

/*
 * device is asked for its free memory, too; it is borrowed; NULL = the host alone. trace: a
 * script in place of the machine (JSON lines, docs/pressure.md), for tests; NULL = the machine.
 * mem: NULL = the process's. MS_HOST_MEMORY; of a trace MS_IO and MS_INVALID_ARGUMENT.
 */
MS_API ms_status ms_pressure_watch_create(ms_mem *mem, const ms_device *device, const char *trace,
                                          ms_pressure_watch **ret_watch, ms_error *err);
MS_API void ms_pressure_watch_destroy(ms_pressure_watch **watch);

/* 0 to 3; an atomic load, from any thread. NULL has no pressure. */
MS_API int ms_pressure_watch_level(const ms_pressure_watch *watch);

/* The level at a safe point, between two pieces of work. A script goes on by one safe point. One thread. */
MS_API int ms_pressure_watch_step(ms_pressure_watch *watch);

/* "none", "low", "high", "critical"; never NULL. */
MS_API const char *ms_pressure_level_name(int level);

#ifdef __cplusplus
}
#endif
#endif
