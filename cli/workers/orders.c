#include "workers/orders.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "memsafe/plan.h"
#include "memsafe/probe.h"

static bool is_processor(const char *device) {
    return strcmp(device, "cpu") == 0;
}

/* What a run would take of the host: as asked for, else what is free less the tier's margin. The library is
   asked in either case: it knows how many threads there may be. */
static ms_status find_host_budget(const ms_run_params *p, bool cpu_alone, size_t *ret_bytes, ms_error *err) {
    ms_plan_params plan;
    ms_plan_params_init(&plan);
    plan.device = "cpu";
    plan.profile = p->profile;
    plan.threads = p->threads;
    MS_TRY(ms_plan_budget(&plan, ret_bytes, err));
    if (p->host_budget_bytes)
        *ret_bytes = p->host_budget_bytes;
    if (cpu_alone && p->budget_bytes && (!p->host_budget_bytes || p->budget_bytes < *ret_bytes))
        *ret_bytes = p->budget_bytes; /* the lesser of the two holds */
    return MS_OK;
}

static int count_cpus(void) {
    const ms_probe_params params = {.device = "cpu"};
    ms_probe *probe = NULL;
    ms_probe_host host = {.cpus = 1};
    if (ms_probe_create(&params, &probe, NULL) == MS_OK)
        ms_probe_get_host(probe, &host);
    ms_probe_destroy(&probe);
    return host.cpus;
}

ms_status cli_make_orders(const ms_run_params *p, const cli_device_list *l,
                          cli_worker_order order[CLI_MAX_WORKERS], ms_error *err) {
    size_t host = 0;
    MS_TRY(find_host_budget(p, l->cpus == l->count, &host, err));
    int threads = p->threads ? p->threads : count_cpus();
    for (int i = 0; i < l->count; i++) {
        cli_worker_order *o = &order[i];
        *o = (cli_worker_order){.threads = threads / l->count + (i < threads % l->count)};
        snprintf(o->device, sizeof(o->device), "%s", l->name[i]);
        if (o->threads == 0)
            o->threads = 1;
        uint64_t share = host / (uint64_t)l->count;
        o->budget_bytes = is_processor(o->device) ? share : p->budget_bytes;
        o->host_budget_bytes = is_processor(o->device) ? 0 : share;
    }
    return MS_OK;
}
