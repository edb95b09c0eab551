#include <stdio.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "system/monitor.h"

const fuzz_seeds fuzz_golden_seeds = {NULL, NULL};

size_t fuzz_own_seed(size_t index, uint8_t *ret_data, size_t room) {
    static const char *const texts[] = {
        "{\"at\":0,\"total\":\"16G\",\"available\":17179869184}\n{\"at\":3,\"available\":\"1.5GiB\"}\n",
        "{\"t\":0.5,\"level\":\"high\",\"psi_some\":12.5,\"psi_full\":3}\n\n{\"t\":2,\"level\":null}",
        ("{\"at\":1,\"cgroup_max\":\"max\",\"cgroup_high\":\"2G\",\"cgroup_current\":1,\"cgroup_cache\":0}\n"
         "{\"at\":2,\"events_high\":1,\"events_max\":2,\"events_oom\":3}\n{\"at\":9,\"events_oom\":4}\r\n"),
        "{\"at\":5,\"device_total\":\"8G\",\"device_free\":\"100M\"}\n{\"at\":6,\"device_free\":null}\n",
    };
    if (index >= sizeof(texts) / sizeof(*texts))
        return 0;
    return (size_t)snprintf((char *)ret_data, room, "%s", texts[index]);
}

/* What is accepted is in order, and can be followed. */
static void parse(ms_mem *mem, const uint8_t *data, size_t size) {
    ms_pressure_trace *trace = NULL;
    ms_error err;
    ms_status status = ms_pressure_trace_parse(mem, "trace", (const char *)data, size, &trace, &err);
    fuzz_require(status == MS_OK || status == MS_INVALID_ARGUMENT || status == MS_HOST_MEMORY,
                 "the status is one of three");
    if (status != MS_OK) {
        fuzz_require(!trace && strlen(err.message) > 6, "a refusal has a message and no trace");
        return;
    }
    fuzz_require(ms_pressure_trace_count(trace) > 0, "a trace has a line");
    for (size_t i = 1; i < ms_pressure_trace_count(trace); i++)
        fuzz_require(ms_pressure_trace_get(trace, i - 1)->at < ms_pressure_trace_get(trace, i)->at,
                     "lines are in order");
    ms_monitor_params params;
    ms_monitor_params_init(&params);
    params.mem = mem;
    params.trace = trace;
    ms_monitor *m = NULL;
    if (ms_monitor_create(&params, &m, &err) == MS_OK) {
        fuzz_require(ms_monitor_step(m, 50, &err) == MS_OK, "a trace can be stepped");
        ms_pressure_level level = ms_monitor_level(m);
        fuzz_require(level < MS_PRESSURE_LEVELS, "the level is one of the four");
        ms_monitor_destroy(&m);
    }
    ms_pressure_trace_destroy(&trace);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_run(parse, data, size);
}
