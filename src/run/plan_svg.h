/* A drawing of a plan: what a run holds from the bottom up, and in the arena every
   tensor as a box over the operations during which it lives. */
#ifndef MS_RUN_PLAN_SVG_H
#define MS_RUN_PLAN_SVG_H

#include "engine/engine.h"
#include "memsafe/plan.h"

/* ret_svg: text, to be freed with ms_mem_free(). engine: as planned, need not be loaded. */
ms_status ms_plan_draw(const ms_plan_report *report, const ms_engine *engine,
                       const ms_engine_program *program, char **ret_svg, ms_error *err);

#endif
