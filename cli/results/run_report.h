/* The file that `memsafe run --report` writes: a page for people, or JSON. */
#ifndef CLI_RUN_REPORT_H
#define CLI_RUN_REPORT_H

#include "options/run_options.h"
#include "workers/workers_report.h"

/* Before the run, which may take hours: a report that cannot be written, or that
   would replace what the run reads or writes. */
ms_status cli_run_report_check(cli_run_state *s, ms_error *err);

/* workers: NULL = there were none. */
ms_status cli_run_report_write(const cli_run_state *s, const ms_run_report *report,
                               const cli_workers_report *workers, ms_error *err);

#endif
