/*
 * Live pressure during a run: before each window it is asked how much of the budget the run should use from here on.
 */
#ifndef MS_PIPELINE_RUN_PRESSURE_H
#define MS_PIPELINE_RUN_PRESSURE_H

#include "memory/monitor.h"

typedef struct ms_run_pressure {
    ms_pressure_trace *trace;
    ms_monitor *monitor;
    ms_pressure_level level; /* that the run follows */
    int64_t safe_points;     /* passed */
} ms_run_pressure;

/* trace: a scripted one's file, or NULL for the system's. */
ms_status ms_run_pressure_open(ms_mem *mem, const char *trace, ms_run_pressure *ret_pressure, ms_error *err);
void ms_run_pressure_close(ms_run_pressure *pressure);

/* At a safe point. *ret_changed: the level is another one than before; reason says why. */
ms_status ms_run_pressure_check(ms_run_pressure *pressure, bool *ret_changed, char *ret_reason,
                                size_t reason_bytes, ms_error *err);

/* The part of the budget that is used at a level: all, three quarters, half, and 0 for the least that works. */
double ms_run_pressure_share(ms_pressure_level level);

#endif
