/*
 * Live pressure during a run: before each window it says how much of its budgets the
 * run should use from here on. For the host the system's pressure decides
 * (system/pressure.h). A device with memory of its own is asked for what it has free.
 */
#ifndef MS_SESSION_PRESSURE_BUDGET_H
#define MS_SESSION_PRESSURE_BUDGET_H

#include "system/monitor.h"

/* A device with memory of its own; all zero where it is the host's. */
typedef struct ms_run_pressure_device {
    const ms_device *dev;
    const ms_mem *mem;   /* what the run holds of it */
    size_t budget_bytes; /* at the run's beginning */
    double share; /* of what is free and the run's own that it may take; 1 = the user named the budget */
} ms_run_pressure_device;

typedef struct ms_run_pressure {
    ms_pressure_trace *trace;
    ms_monitor *monitor;
    ms_pressure_level level; /* that the run follows */
    int64_t safe_points;     /* passed */
    ms_run_pressure_device device;
    size_t device_bytes; /* of the device's budget, that the run follows */
} ms_run_pressure;

/* trace: a scripted one's file, or NULL for the system's. */
ms_status ms_run_pressure_open(ms_mem *mem, const char *trace, const ms_run_pressure_device *device,
                               ms_run_pressure *ret_pressure, ms_error *err);
void ms_run_pressure_close(ms_run_pressure *pressure);

/* At a safe point. *ret_changed: the level is another one than before; reason says why. */
ms_status ms_run_pressure_check(ms_run_pressure *pressure, bool *ret_changed, char *ret_reason,
                                size_t reason_bytes, ms_error *err);

/*
 * To be called after that, for a device with memory of its own. Its budget becomes what the
 * device has free now and what the run holds. Where nobody named the budget, the margin is
 * taken off. It is never more than at the beginning. True when the run, which takes held_bytes,
 * has to become smaller, or when an eighth more than it followed so far has become free.
 */
bool ms_run_pressure_check_device(ms_run_pressure *pressure, size_t held_bytes, char *ret_reason,
                                  size_t reason_bytes);

/* The part of the budget that is used at a level: all, three quarters, half, and 0
   for the least that works. */
double ms_run_pressure_share(ms_pressure_level level);

#endif
