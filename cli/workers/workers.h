/*
 * A run on several devices: its faces are found, then processes of the same program, one for each device,
 * make the segments that nobody else is making (memsafe/run.h, `share`), and what they made is joined. A
 * process that fails or dies gives its segment back, and the others go on.
 */
#ifndef CLI_WORKERS_H
#define CLI_WORKERS_H

#include "options/run_options.h"
#include "workers/device_list.h"
#include "workers/workers_report.h"

/* In place of ms_run(), with its errors. The whole job, or with work MS_RUN_WORK_PART its segments alone. */
ms_status cli_workers_run(const cli_run_state *s, const cli_device_list *devices, ms_run_report *ret_report,
                          cli_workers_report *ret_workers, ms_error *err);

#endif
