/*
 * A run's latent cache: whether it has one, how large, and what became of it. Caches are the ladder's
 * first rung: a cache gets memory that the chosen plan leaves over and is given up first under pressure.
 */
#ifndef MS_PLANNER_RUN_LATENTS_H
#define MS_PLANNER_RUN_LATENTS_H

#include "latents/latent_cache.h"
#include "latents/latent_key.h"
#include "memsafe/run.h"

/* More than this is not taken for blocks in memory: 25 s of faces at 256 px, 6 s at 512 px. */
#define MS_RUN_LATENTS_MOST_BYTES ((size_t)64 << 20)
#define MS_RUN_LATENTS_DIR_BYTES ((uint64_t)2 << 30)

typedef struct ms_run_latents_params {
    ms_compute compute;
    const ms_run_params *run; /* mode, folder, its size, rank */
    const ms_model_files *files;
    ms_dtype precision;
    int resolution;
    int tier_rank_percent;
    int64_t clip_frames;   /* 0 = not known */
    int64_t output_frames; /* that the audio asks for */
    size_t room_bytes;     /* that the plan leaves of the budget */
} ms_run_latents_params;

typedef struct ms_run_latents {
    ms_latent_cache_params params; /* window_frames 0 = the run has none */
    ms_latent_cache *cache;        /* NULL = none, or given up for now */
    ms_latent_cache_stats past;    /* of caches that were given up */
    size_t bytes;                  /* that the cache may come to hold; 0 without one */
    const char *state;             /* see ms_run_latents_report */
} ms_run_latents;

/* Decides and makes it. MS_INVALID_ARGUMENT, MS_UNSUPPORTED, MS_IO (the folder).
   Without room there is no cache, which is no error. */
ms_status ms_run_latents_open(const ms_run_latents_params *params, ms_run_latents *ret_latents,
                              ms_error *err);
/* What such a cache would come to hold, as ms_run_latents_open() decides it; 0 = there would be none. */
size_t ms_run_latents_bytes(const ms_run_latents_params *params);
void ms_run_latents_close(ms_run_latents *latents);

/* At a change of pressure: given up while there is any, begun anew when there is none. */
void ms_run_latents_follow(ms_run_latents *latents, bool pressure);

void ms_run_latents_fill_report(const ms_run_latents *latents, ms_run_latents_report *ret_report);

#endif
