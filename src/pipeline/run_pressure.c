#include "pipeline/run_pressure.h"

#include <stdio.h>

#include "base/error.h"

ms_status ms_run_pressure_open(ms_mem *mem, const char *trace, ms_run_pressure *ret_pressure, ms_error *err) {
    ms_run_pressure p = {0};
    ms_monitor_params params;
    ms_monitor_params_init(&params);
    params.mem = mem;
    if (trace)
        MS_TRY(ms_pressure_trace_load(mem, trace, &p.trace, err));
    params.trace = p.trace;
    ms_status status = ms_monitor_create(&params, &p.monitor, err);
    if (status != MS_OK) {
        ms_run_pressure_close(&p);
        return status;
    }
    *ret_pressure = p;
    return MS_OK;
}

void ms_run_pressure_close(ms_run_pressure *p) {
    ms_monitor_destroy(&p->monitor);
    ms_pressure_trace_destroy(&p->trace);
}

ms_status ms_run_pressure_check(ms_run_pressure *p, bool *ret_changed, char *ret_reason, size_t reason_bytes,
                                ms_error *err) {
    ms_pressure_change change;
    MS_TRY(ms_monitor_step(p->monitor, p->safe_points++, err));
    ms_pressure_level level = ms_monitor_level(p->monitor);
    *ret_changed = level != p->level;
    if (*ret_changed && ms_monitor_last_change(p->monitor, &change))
        snprintf(ret_reason, reason_bytes, "%s", change.reason);
    p->level = level;
    return MS_OK;
}

double ms_run_pressure_share(ms_pressure_level level) {
    static const double shares[MS_PRESSURE_LEVELS] = {[MS_PRESSURE_NONE] = 1,
                                                      [MS_PRESSURE_LOW] = 0.75,
                                                      [MS_PRESSURE_HIGH] = 0.5,
                                                      [MS_PRESSURE_CRITICAL] = 0};
    return shares[level];
}
