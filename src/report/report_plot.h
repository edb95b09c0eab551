/* The parts of a report's page that are drawn, and the text helpers that all of it is written with. */
#ifndef MS_REPORT_REPORT_PLOT_H
#define MS_REPORT_REPORT_PLOT_H

#include "memsafe/run.h"
#include "text/json.h"

/* Text from outside as it may stand between tags and in attributes: valid XML whatever it is. */
void ms_html_text(ms_buf *out, const char *text);

/* Of what the process holds: beside a device with memory of its own that has another plan and budget. */
size_t ms_report_process_plan(const ms_run_report *report);
size_t ms_report_process_budget(const ms_run_report *report);

/* Memory over time: ledgers as areas, the resident set as a line, plan and budget.
   Nothing without two samples. */
void ms_report_memory_plot(ms_buf *out, const ms_run_report *report);

#endif
