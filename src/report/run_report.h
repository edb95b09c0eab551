/* What a run tells besides its frames: its plan, its memory over time, and the
   frames themselves to a sink. */
#ifndef MS_REPORT_RUN_REPORT_H
#define MS_REPORT_RUN_REPORT_H

#include "planner/run_plan.h"
#include "system/sampler.h"

/* Fills in what was chosen and why, and how the work is cut up. Leaves ret_report's other fields alone. */
void ms_run_report_plan(ms_run_report *ret_report, const ms_run_params *params, const ms_profile *profile,
                        const ms_run_plan *plan);

/* Fills in how the work is cut up and what that takes, for another plan than the first. */
void ms_run_report_layout(ms_run_report *ret_report, const ms_run_plan *plan);

/* Fills in the memory at the end. sampler NULL = memory over time was not recorded. */
void ms_run_report_memory(ms_run_report *ret_report, const ms_mem *mem, ms_sampler *sampler);

/* Bytes of a run's frames that the sink keeps. */
size_t ms_run_sink_bytes(const ms_run_params *params, int width, int height);

/* Gives a frame to params' frame_sink, when there is one. */
ms_status ms_run_give_frame(const ms_run_params *params, int64_t frame, const uint8_t *rgb, int width,
                            int height, ms_error *err);

#endif
