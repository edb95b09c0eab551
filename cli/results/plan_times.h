/* Whose times a plan's are. */
#ifndef MS_CLI_PLAN_TIMES_H
#define MS_CLI_PLAN_TIMES_H

#include "memsafe/plan.h"

/* "predicted for this machine, corrected by 3 earlier runs", or by a card's published figures, or by
   measurements of one. Returns ret_text. */
#define CLI_WHOSE_TIMES_BYTES 192
const char *cli_whose_times(const ms_plan_report *report, char ret_text[CLI_WHOSE_TIMES_BYTES]);

#endif
