/*
 * Choosing how a run is cut up so that it fits its memory: the ladder. Each rung gives the same bits as the ones
 * before it, in less memory and more time; what is chosen is the fastest layout that fits.
 */
#ifndef MS_PIPELINE_RUN_PLAN_H
#define MS_PIPELINE_RUN_PLAN_H

#include "memory/tier.h"
#include "memsafe/run.h"
#include "pipeline/run_time.h"

/* Where a run's policy comes from: this host's tier, and the budget that holds without one being given. */
typedef struct ms_run_policy {
    ms_tier tier;
    ms_dtype precision;
    size_t budget_bytes;
} ms_run_policy;
ms_run_policy ms_run_policy_of(ms_precision precision, size_t budget_bytes);

/* What a run holds besides its engine. */
typedef struct ms_run_others {
    size_t process_bytes; /* the program, its libraries, stacks */
    size_t codec_bytes;   /* FFmpeg's: decoder, encoder, muxer */
    size_t frame_bytes;   /* pictures on their way, aligned faces, work space of warps */
} ms_run_others;

/* Text and data of libraries that are touched only once a run is under way. */
#define MS_RUN_PROCESS_BYTES ((size_t)24 << 20)

/* Places of the queues between decode and faces, engine, and restore and encode. */
#define MS_RUN_READY_FRAMES 8
#define MS_RUN_REDRAWN_FRAMES 4

typedef struct ms_run_clip {
    int width, height;
    int resolution; /* of a face */
    int window_frames, max_gap;
    bool turns; /* it will be read backwards: a block of it is then kept */
} ms_run_clip;

/* Pictures and faces that a run holds at most: a window's, those in the queues and in the threads' hands, those held
   back until a gap is known to end, and the block for reading backwards. */
size_t ms_run_frame_bytes(const ms_run_clip *clip);

/* By estimate, before a file is opened; 0 in a build without FFmpeg. */
size_t ms_run_codec_bytes(int width, int height, ms_output_codec codec, int64_t frames);

typedef struct ms_run_plan {
    ms_rung rung;
    ms_engine_layout layout;
    ms_engine_memory engine;
    size_t other_bytes;             /* what the run holds besides the engine */
    size_t peak_bytes;              /* engine and others */
    double stage_s[MS_STAGE_COUNT]; /* ms_run_compute_window() */
    double window_s;                /* ms_run_window_seconds() */
    int n_choices;                  /* layouts that were looked at; none of a forced rung */
    ms_run_choice choice[MS_RUN_MAX_CHOICES];
} ms_run_plan;

/*
 * engine: everything but the layout. other_bytes: what everything else will hold at its peak. budget_bytes: 0 = no
 * limit. forced: MS_RUNG_AUTO, or the rung whose layout is to be taken whether or not more would fit.
 * MS_BUDGET when nothing fits: the message says the least that would.
 */
ms_status ms_run_plan_choose(const ms_engine_params *engine, const ms_run_speed *speed, size_t other_bytes,
                             size_t budget_bytes, ms_rung forced, ms_run_plan *ret_plan, ms_error *err);

/* The smallest memory that works. */
ms_status ms_run_plan_least(const ms_engine_params *engine, const ms_run_speed *speed, size_t other_bytes,
                            ms_run_plan *ret_plan, ms_error *err);

#endif
