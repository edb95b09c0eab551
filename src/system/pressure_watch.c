/* Pressure as the public interface shows it: a monitor and the script that it may follow. */
#include "memsafe/pressure.h"

#include "base/error.h"
#include "system/monitor.h"

struct ms_pressure_watch {
    ms_pressure_trace *trace;
    ms_monitor *monitor;
    int64_t safe_points; /* passed */
};

ms_status ms_pressure_watch_create(ms_mem *mem, const ms_device *device, const char *trace,
                                   ms_pressure_watch **ret_watch, ms_error *err) {
    ms_status status;
    ms_monitor_params params;
    ms_error_clear(err);
    MS_NEED(ret_watch, err);
    ms_pressure_watch *w = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*w));
    if (!w)
        return ms_fail_alloc(err, mem, sizeof(*w), "the pressure watch");
    ms_monitor_params_init(&params);
    params.mem = mem;
    params.device = device;
    if (trace)
        MS_GOTO(ms_pressure_trace_load(mem, trace, &w->trace, err));
    params.trace = w->trace;
    MS_GOTO(ms_monitor_create(&params, &w->monitor, err));
    *ret_watch = w;
    return MS_OK;
fail:
    ms_pressure_watch_destroy(&w);
    return status;
}

void ms_pressure_watch_destroy(ms_pressure_watch **watch) {
    if (!watch || !*watch)
        return;
    ms_monitor_destroy(&(*watch)->monitor);
    ms_pressure_trace_destroy(&(*watch)->trace);
    ms_mem_free(*watch);
    *watch = NULL;
}

int ms_pressure_watch_level(const ms_pressure_watch *watch) {
    return watch ? (int)ms_monitor_level(watch->monitor) : 0;
}

int ms_pressure_watch_step(ms_pressure_watch *watch) {
    if (!watch)
        return 0;
    /* Safe points are counted here, so they come in order: the one error there is cannot happen. */
    (void)ms_monitor_step(watch->monitor, watch->safe_points++, NULL);
    return ms_pressure_watch_level(watch);
}

const char *ms_pressure_level_name(int level) {
    return level >= 0 && level < MS_PRESSURE_LEVELS ? ms_pressure_name((ms_pressure_level)level) : "unknown";
}
