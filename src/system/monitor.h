/*
 * The monitor: follows memory pressure while a run goes on, by a thread that samples a
 * few times a second, or by a scripted trace that is stepped from safe point to safe
 * point. A run asks for the level, or takes the changes one by one, at its safe points.
 */
#ifndef MS_SYSTEM_MONITOR_H
#define MS_SYSTEM_MONITOR_H

#include "system/pressure_source.h"
#include "system/pressure_trace.h"

typedef struct ms_monitor ms_monitor;

typedef struct ms_monitor_params {
    ms_mem *mem;
    ms_pressure_roots roots;
    const ms_device *device; /* must outlive the monitor; NULL = none */
    bool host_only;          /* what a trace says of a device is not judged */
    ms_pressure_thresholds thresholds;
    double samples_per_s; /* above 0, up to 1000 */

    /* A trace in place of the thread; it must outlive the monitor. Then roots, device and samples_per_s
       are not used. A safe point counts as so many seconds, for the hold and for traces in seconds. */
    const ms_pressure_trace *trace;
    double safe_point_s; /* above 0 */
} ms_monitor_params;

/* The documented thresholds, 4 samples a second, 1 s a safe point. */
void ms_monitor_params_init(ms_monitor_params *ret_params);

#define MS_MONITOR_MAX_CHANGES 32

/* The first sample is taken before this returns. The thread allocates nothing, and no signal is delivered to
   it. MS_INVALID_ARGUMENT for parameters out of range. */
ms_status ms_monitor_create(const ms_monitor_params *params, ms_monitor **ret_monitor, ms_error *err);

/* Returns at once, whatever the sampling rate; the thread is joined. */
void ms_monitor_destroy(ms_monitor **monitor);

/* An atomic load; NULL has no pressure. */
ms_pressure_level ms_monitor_level(const ms_monitor *monitor);

/* False when the level never changed. */
bool ms_monitor_last_change(ms_monitor *monitor, ms_pressure_change *ret_change);

/* The oldest change that was not yet taken; false when there is none. When nobody takes them, the
   MS_MONITOR_MAX_CHANGES latest are kept. */
bool ms_monitor_poll(ms_monitor *monitor, ms_pressure_change *ret_change);
uint64_t ms_monitor_dropped(ms_monitor *monitor); /* changes that were not kept */

/* The latest sample. */
void ms_monitor_sample(ms_monitor *monitor, ms_pressure_sample *ret_sample);

/* With a trace: goes on to a safe point, counted from 0, through all that lie between, so that the
   levels do not depend on which are asked for. MS_INVALID_ARGUMENT when it lies before the last
   one. Does nothing with a thread, so that a run need not know which kind of monitor it has. */
ms_status ms_monitor_step(ms_monitor *monitor, int64_t safe_point, ms_error *err);

#endif
