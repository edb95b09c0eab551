/* What each of several workers gets of the machine. */
#ifndef CLI_ORDERS_H
#define CLI_ORDERS_H

#include "memsafe/run.h"
#include "workers/device_list.h"
#include "workers/worker_process.h"

/* Threads and memory of the host are divided up. A device with memory of its own has the budget that was
   asked for to itself; on the processor the budget is the host's. Errors are those of ms_plan_budget(). */
ms_status cli_make_orders(const ms_run_params *params, const cli_device_list *devices,
                          cli_worker_order ret_order[CLI_MAX_WORKERS], ms_error *err);

#endif
