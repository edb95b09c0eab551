/*
 * Runs at the same time in one process, and whatever else works within a budget. A budget is of what the
 * whole process may come to hold, so a run that begins counts the budgets of those that are under way as
 * held: it gets what its own budget leaves beside them, or is refused. A process that was forked begins with
 * none: its copies of what had entered are another process's runs, unless they enter here.
 */
#ifndef MS_PLANNER_RUN_SHARE_H
#define MS_PLANNER_RUN_SHARE_H

#include <stdbool.h>
#include <stddef.h>

#include "memsafe/status.h"

typedef struct ms_run_share {
    size_t budget_bytes; /* 0 = it has entered, but not joined, or it rests */
    size_t rest_bytes;   /* that it holds while it rests */
    size_t others_bytes; /* that the process may hold without this run; 0 = it joined before all others */
    size_t base_bytes;   /* what the process held when it joined, and the others may come to hold */
    bool entered, resting;
    bool alone; /* since it entered no other was there, but for some that rest */
    struct ms_run_share *next;
} ms_run_share;

/* Before the run's first large allocation, and again when a rest ends: from here on no other takes what the
   process holds for its own. The struct must not move until it leaves. */
void ms_run_share_enter(ms_run_share *share);

/* Nobody uses what has entered (a model that stays loaded): until it enters again it counts as what it holds,
   which does not grow, and not as its budget. */
void ms_run_share_rest(ms_run_share *share, size_t held_bytes);

/* Once it has entered and its budget is known. MS_BUDGET: others may take all of the budget; the message has
   both numbers. */
ms_status ms_run_share_join(ms_run_share *share, size_t budget_bytes, ms_error *err);

/* Adds to the message of a budget that was too small what others may take of it, if there are any. */
void ms_run_share_explain(const ms_run_share *share, ms_error *err);

/* What the process holds now, into *ret_bytes. False: another run may have part in it, so it says nothing of
   this one. */
bool ms_run_share_measure(const ms_run_share *share, size_t *ret_bytes);

/* Does nothing when it has not entered. */
void ms_run_share_leave(ms_run_share *share);

#endif
