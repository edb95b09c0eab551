/* How long a run will take, stage by stage: work counted from the graphs, over the
   rates that were measured. */
#ifndef MS_PLANNER_RUN_TIME_H
#define MS_PLANNER_RUN_TIME_H

#include "engine/engine.h"
#include "predict/history.h"

/* Speech is heard in pieces of so many seconds. */
#define MS_RUN_SEGMENT_S 30.0

/* The machine's rates, and how much longer earlier runs took than these say. */
typedef struct ms_run_speed {
    ms_calibration rates;
    bool roofline; /* a layer takes the longer of computing and moving: of devices with memory of their own */
    double ratio[MS_RUNG_COUNT][MS_STAGE_COUNT]; /* ms_history_get_ratios() */
    int runs;                                    /* earlier ones that corrected denoising; 0 = none */
    int64_t calibration;                         /* in the history; 0 = not kept */
    double host_flops; /* of the processor, which finds faces, beside another device; 0 = the rates are its */
} ms_run_speed;

/* What a thread of the host reaches in convolutions, before anything was measured: operations a second. */
#define MS_HOST_THREAD_FLOPS 100e9

/* ms_run_speed.host_flops beside a device of its own. */
static inline double ms_run_host_flops(const ms_compute *compute) {
    return MS_HOST_THREAD_FLOPS * ms_pool_threads(compute->pool);
}

/* The proportions of a device that is not here. They serve for choosing among
   layouts, and say nothing in seconds. */
ms_run_speed ms_run_speed_nominal(void);

/* Seconds by the rates alone (ms_network_get_work()): load once, audio for each 30 s segment, encode,
   denoise and decode for each window; faces and write stay 0. */
void ms_run_compute_window(const ms_run_speed *speed, const ms_engine *engine,
                           const ms_engine_program *program, double ret_s[MS_STAGE_COUNT]);

/* What a cached step of DeepCache takes, in full ones; 1 without it. */
double ms_run_cached_step(const ms_run_speed *speed, const ms_engine *engine,
                          const ms_engine_program *program);

/* The sum over all stages. It is more than a run takes, since faces and write go on beside the rest. */
double ms_run_sum_seconds(const double stage_s[MS_STAGE_COUNT]);

/* What is to be done. */
typedef struct ms_run_extent {
    double frames, windows; /* windows: full ones; a shorter one counts as the part of one that it is */
    double speech_s;
    int width, height;
    bool tracked;
    int threads;
} ms_run_extent;

/* From the seconds of a window to those of the run, by the rates alone; with the
   starting values of docs/memory.md for what is not a network. */
void ms_run_compute(const ms_run_speed *speed, const double window_s[MS_STAGE_COUNT],
                    const ms_run_extent *extent, double ret_s[MS_STAGE_COUNT]);

/* The same, corrected by the history. */
void ms_run_predict(const ms_run_speed *speed, ms_rung rung, const double computed_s[MS_STAGE_COUNT],
                    double ret_s[MS_STAGE_COUNT]);

/* The time of the whole run. The model waits for the first window's faces, and the last
   window's frames are written after it; otherwise the three go on side by side. */
double ms_run_total_seconds(const double stage_s[MS_STAGE_COUNT], double windows);

/* Encode, denoise and decode of a window, corrected alike for all rungs: what layouts are chosen by. */
double ms_run_window_seconds(const ms_run_speed *speed, const double window_s[MS_STAGE_COUNT]);

#endif
