/*
 * The budget of work that is no run and has no plan: detecting faces, judging a
 * video. Everything is charged to one ms_mem from its first allocation on, the
 * process itself included. Runs at the same time in the process count (run_share.h).
 */
#ifndef MS_PLANNER_OWN_BUDGET_H
#define MS_PLANNER_OWN_BUDGET_H

#include "media/media.h"
#include "planner/run_share.h"

typedef struct ms_own_budget {
    ms_mem *mem;
    /* base: of the process as it was and of runs beside this, charged to mem */
    size_t budget_bytes, base_bytes;
    ms_run_share share;
} ms_own_budget;

/* budget_bytes 0 = as a run's: by MEMSAFE_* variables, else what is free now less the tier's
   margin. MS_BUDGET: less than the process has already, or than runs beside this may come to
   hold. The struct must not move until it is closed, which it must be after a failure too. */
ms_status ms_own_budget_open(size_t budget_bytes, ms_own_budget *ret_budget, ms_error *err);

/* All that was allocated from mem must have been freed. */
void ms_own_budget_close(ms_own_budget *budget);

ms_picture_room ms_own_budget_room(const ms_own_budget *budget);

#endif
