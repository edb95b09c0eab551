/* `memsafe plan --compare`: budgets of 8 to 80 GiB against lengths of 50 to 500 frames. */
#ifndef MS_CLI_PLAN_COMPARE_H
#define MS_CLI_PLAN_COMPARE_H

#include <stdbool.h>

#include "memsafe/plan.h"

/* params: everything but budget (or device memory) and frames. Prints the table. */
ms_status cli_plan_compare(const ms_plan_params *params, bool json, ms_error *err);

#endif
