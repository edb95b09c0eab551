/* For those inside who have a profile already: the planner, commands. */
#ifndef MS_PLANNER_OPTIMIZER_H
#define MS_PLANNER_OPTIMIZER_H

#include "base/mem.h"
#include "memsafe/optimizer.h"
#include "planner/profile.h"

/* Of params only the memory sizes, ask_free, cost, costs and arg are used. profile is copied. */
ms_status ms_optimizer_create_with(ms_mem *mem, const ms_profile *profile, const ms_optimizer_params *params,
                                   ms_optimizer **ret_optimizer, ms_error *err);

/* The field that holds a task's cap. */
ms_field_id ms_task_field(ms_task task);

/* What it decides by; valid as long as the optimizer. */
const ms_profile *ms_optimizer_profile(const ms_optimizer *optimizer);

#endif
