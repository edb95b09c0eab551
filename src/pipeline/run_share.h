/*
 * Runs at the same time in one process. A budget is of what the whole process may come to hold, so a run that begins counts the
 * budgets of those that are under way as held: it gets what its own budget leaves beside them, or is refused.
 */
#ifndef MS_PIPELINE_RUN_SHARE_H
#define MS_PIPELINE_RUN_SHARE_H

#include <stdbool.h>
#include <stddef.h>

#include "memsafe/status.h"

typedef struct ms_run_share {
    size_t budget_bytes;
    size_t others_bytes; /* that the process may hold without this run; 0 = it began alone */
    bool joined;
    struct ms_run_share *next;
} ms_run_share;

/* The struct must not move until it leaves. MS_BUDGET: others may take all of the budget; the message has both numbers. */
ms_status ms_run_share_join(ms_run_share *share, size_t budget_bytes, ms_error *err);

/* Does nothing when it has not joined. */
void ms_run_share_leave(ms_run_share *share);

#endif
