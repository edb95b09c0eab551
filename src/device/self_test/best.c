/* Which device "auto" is. */
#include <string.h>

#include "base/log.h"
#include "device/plugin.h"
#include "device/self_test/self_test.h"

/* Plug-ins that are worth more than the processor, the best first. Others are used when they are named. */
static const char *const preferred[] = {"cuda"};

static ms_status open_named(const ms_compute_params *params, ms_compute *ret_compute, ms_error *err) {
    ms_compute c;
    MS_TRY(ms_compute_open(params, &c, err));
    ms_status status = ms_self_test_once(c.dev, err);
    if (status == MS_OK)
        *ret_compute = c;
    else
        ms_compute_close(&c);
    return status;
}

/* That there is no card, or no plug-in for one, is nothing to warn of. */
static bool open_preferred(const ms_compute_params *params, const char *name, ms_compute *ret_compute) {
    ms_compute_params named = *params;
    const ms_backend *backend;
    ms_error problem;
    named.device = name;
    ms_error_clear(&problem);
    if (ms_plugin_find(name, &backend, &problem) == MS_OK &&
        open_named(&named, ret_compute, &problem) == MS_OK)
        return true;
    ms_log_tell(problem.hints & MS_HINT_BIT(MS_HINT_DEVICE_AUTO) ? MS_LOG_DETAIL : MS_LOG_WARNING, "device",
                "the processor does the work: %s", problem.message);
    return false;
}

ms_status ms_compute_open_tested(const ms_compute_params *params, ms_compute *ret_compute, ms_error *err) {
    if (params->device && strcmp(params->device, "auto") != 0)
        return open_named(params, ret_compute, err);
    for (size_t i = 0; i < sizeof(preferred) / sizeof(preferred[0]); i++)
        if (open_preferred(params, preferred[i], ret_compute))
            return MS_OK;
    ms_compute_params cpu = *params;
    cpu.device = "cpu";
    return ms_compute_open(&cpu, ret_compute, err);
}
