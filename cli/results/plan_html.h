/* A plan as one page that needs nothing else: what the run will be, where its
   memory goes, how long it takes. */
#ifndef MS_CLI_PLAN_HTML_H
#define MS_CLI_PLAN_HTML_H

#include "memsafe/plan.h"
#include "text/json.h"

/* svg: of ms_plan_run(). Appends to out. */
void cli_plan_html(const ms_plan_params *params, const ms_plan_report *report, const char *svg, ms_buf *out);

#endif
