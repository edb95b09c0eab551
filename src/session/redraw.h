/*
 * Redraws windows on a loaded model within its budget. It has the engine of a session or
 * run and the plan that the engine follows, and changes the plan between windows: to a
 * smaller one when other programs take memory or an allocation failed, to a larger one when
 * that is over. The next layout is planned beside the one that runs, which stays when the
 * change cannot be had. Weights that both keep are not read again. The bits stay the same.
 */
#ifndef MS_SESSION_REDRAW_H
#define MS_SESSION_REDRAW_H

#include "engine/engine.h"
#include "planner/run_latents.h"
#include "planner/run_plan.h"
#include "session/loaded_model.h"
#include "session/pressure_budget.h"

/* Its owner fills in the first part, in the order of the functions below. The rest
   belongs to the functions. */
typedef struct ms_redraw {
    ms_model *model; /* borrowed, taken */
    ms_rung rung;
    double started; /* ms_now_s() */
    /* What is held besides the engine: of the device's memory, and of the host's beside a device with memory
       of its own. */
    size_t other_bytes, host_other_bytes;
    void (*layout_changed)(void *arg); /* the plan is another one now; may be NULL */
    void *arg;

    ms_engine_params engine_params;
    ms_engine *engine;
    ms_run_plan plan;
    ms_run_pressure pressure;
    ms_run_latents latents;
    uint64_t weights_before; /* bytes that were read before it began */
    uint64_t kept_bytes;     /* ms_engine_kept_bytes() at the last change */
    int failures;            /* to get memory, since the layout was last as large as the budget allows */
    int good, wait;          /* windows since then, and how many there must be */
    int recoveries;          /* allocations that failed and were got over */
    int n_changes;           /* the first MS_RUN_MAX_CHANGES are kept */
    ms_run_change change[MS_RUN_MAX_CHANGES];
} ms_redraw;

/* To be called once there is a budget. trace: as ms_run_params.pressure_trace. */
ms_status ms_redraw_watch(ms_redraw *redraw, const char *trace, ms_error *err);

/* To be called once engine and others are known. Chooses a plan, or says what would be enough (MS_BUDGET). */
ms_status ms_redraw_choose(ms_redraw *redraw, ms_error *err);

/* To be called before the first window. Loads the weights. If memory is not to be had after
   all, it takes the least plan, which is noted as a change before output frame `frame`. */
ms_status ms_redraw_begin(ms_redraw *redraw, int64_t frame, ms_error *err);

/* To be called at a safe point, before the window whose first output frame is given.
   The layout follows memory pressure, and grows again some time after failures. */
ms_status ms_redraw_follow(ms_redraw *redraw, int64_t frame, ms_error *err);

/* To be called when a window ended with `status`. For out of memory it gives up caches and changes
   the layout to one with half of the memory, at last to the least there is; MS_OK then says that
   the window may begin again. It returns any other status, and out of memory that stays. */
ms_status ms_redraw_recover(ms_redraw *redraw, int64_t frame, ms_status status, ms_error *err);

/* Bytes of weights that were read to stay in memory since it began. */
uint64_t ms_redraw_read_bytes(const ms_redraw *redraw);

void ms_redraw_end(ms_redraw *redraw);

#endif
