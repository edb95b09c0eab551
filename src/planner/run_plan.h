/*
 * Choosing how a run is cut up so that it fits its memory: the ladder. Each rung gives the same bits
 * as the ones before it, in less memory and more time; what is chosen is the fastest layout that fits.
 */
#ifndef MS_PLANNER_RUN_PLAN_H
#define MS_PLANNER_RUN_PLAN_H

#include "planner/run_policy.h"
#include "planner/run_time.h"

/* What a run holds besides its engine. */
typedef struct ms_run_others {
    size_t process_bytes; /* the program, its libraries, stacks */
    size_t codec_bytes;   /* FFmpeg's: decoder, encoder, muxer */
    size_t frame_bytes;   /* pictures on their way, aligned faces, work space of warps */
} ms_run_others;

/* Text and data of the program and its libraries that are touched only once a run
   is under way; what a codec brings with it is part of the codec's bound. */
#define MS_RUN_PROCESS_BYTES ((size_t)1 << 20)

/* How far the resident sets of equal processes lie apart: which pages of libraries are mapped depends on
   where these are loaded and on what the system has kept of them. */
#define MS_RUN_DRIFT_BYTES ((size_t)2 << 20)

/* Pages of FFmpeg's libraries that both the decoder's bound and the encoder's have
   in them: each was measured in a process that had used none of them. */
#define MS_RUN_SHARED_BYTES ((size_t)4 << 20)

/* Lists, queues and journal that are made with the stages, and the buffer of a segment's file. */
#define MS_RUN_LIST_BYTES ((size_t)768 << 10)

/* Places of the queues between decode and faces, engine, and restore and encode. */
#define MS_RUN_READY_FRAMES 8
#define MS_RUN_REDRAWN_FRAMES 4
/* Faces: in a queue, and in the hands of the threads at its ends. */
#define MS_RUN_ALIGNED_FACES (MS_RUN_READY_FRAMES + 2)
#define MS_RUN_REDRAWN_FACES (MS_RUN_REDRAWN_FRAMES + 2)

typedef struct ms_run_clip {
    int width, height;
    int resolution; /* of a face */
    int window_frames, max_gap;
    bool deep;  /* pictures have their signal of 16 bits beside RGB24 */
    bool turns; /* it will be read backwards: a block of it is then kept */
    bool mouth; /* only the mouth is pasted: its region is kept */
    int threads;
} ms_run_clip;

/* Pictures that a run holds at most: a window's, those in the queues and in the
   threads' hands, and those held back until a gap is known to end. */
int64_t ms_run_frame_buffers(const ms_run_clip *clip);

/* Of those, of the block for reading backwards, of the faces in the queues and of a window, and of the
   warps' work space: what a run and its prediction count alike. 0 work space for pictures out of range. */
size_t ms_run_frame_bytes(const ms_run_clip *clip);

/* Of them the block alone, which is there when the clip turns. */
size_t ms_run_turns_bytes(int width, int height, bool deep);

/* By estimate, before a file is opened; 0 in a build without FFmpeg. */
size_t ms_run_codec_bytes(int width, int height, ms_output_codec codec, int64_t frames);

typedef struct ms_run_plan {
    ms_rung rung;
    ms_engine_layout layout;
    ms_engine_memory engine;
    int64_t window_frames;
    size_t other_bytes;             /* what the run holds besides the engine */
    size_t peak_bytes;              /* engine and others */
    size_t host_bytes;              /* of the host, beside a device with memory of its own; else 0 */
    size_t whole_bytes;             /* the same with all weights in memory */
    double stage_s[MS_STAGE_COUNT]; /* ms_run_compute_window() */
    double window_s;                /* ms_run_window_seconds() */
    double cached_step;             /* ms_run_cached_step() */
    int n_choices;                  /* layouts that were looked at; of a forced rung the one */
    ms_run_choice choice[MS_RUN_MAX_CHOICES];
} ms_run_plan;

typedef struct ms_run_plan_params {
    ms_engine *engine;                     /* programs are made for it, and what it runs is not touched */
    const ms_engine_params *engine_params; /* that it was made with */
    const ms_run_speed *speed;
    const ms_profile *profile; /* batches, attention slices, whether weights may be streamed */
    size_t other_bytes;        /* what everything else will hold at its peak */
    size_t budget_bytes;       /* 0 = no limit */
    /* The same of the host, beside a device with memory of its own: other_bytes and
       budget_bytes are then the device's. */
    size_t host_other_bytes, host_budget_bytes;
    ms_rung forced; /* or MS_RUNG_AUTO: its layout is taken whether or not more would fit */
    bool pressed;   /* by other tenants: offload `under_pressure` is then allowed */
} ms_run_plan_params;

/*
 * The fastest layout that fits. MS_BUDGET when none does: ret_plan is the least, and the message says it.
 * MS_INVALID_ARGUMENT: a forced rung streams weights and the user's weight_offload is off.
 */
ms_status ms_run_plan_choose(const ms_run_plan_params *params, ms_run_plan *ret_plan, ms_error *err);

/* The smallest memory that works; budget and forced are not looked at. */
ms_status ms_run_plan_least(const ms_run_plan_params *params, ms_run_plan *ret_plan, ms_error *err);

/*
 * The budget to ask the user for, in bytes, whole MiB: of what is planned for this process. The host's has
 * the drift on top, so that it is enough for the next process, too. A device with memory of its own is exact.
 */
size_t ms_run_asked_bytes(const ms_run_plan *plan);      /* of the memory that is planned: peak_bytes */
size_t ms_run_asked_host_bytes(const ms_run_plan *plan); /* of the host beside a device: host_bytes */

#endif
