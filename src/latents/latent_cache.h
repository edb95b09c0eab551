/*
 * The latent cache: what the VAE's encoder made of a face is kept, compressed, and found again when the
 * same face comes once more: in a looped clip, or in a later run over the same video with other speech.
 *
 * Kept are the moments (mean and log variance) of the masked and of the whole face: a row. They depend on
 * the aligned face's bytes and the encoder alone; the latent that is sampled from them also depends on
 * the output frame's number and is drawn anew each time. A row is found by a 128-bit hash of the aligned
 * face. Rows of a window that were computed are compressed together (latents/latent_block.h): a block.
 *
 * In memory, what is in stays in, and once a block does not fit nothing more is kept: the
 * passes of a loop come round in order, and throwing out the oldest would throw out exactly
 * what comes next. In a folder blocks are files, found by later runs (latent_files.h).
 *
 * The cache is a help and nothing else: whatever goes wrong in it (no memory, a
 * full disk, a damaged file) is a row that is not found, never an error of the run.
 */
#ifndef MS_LATENTS_LATENT_CACHE_H
#define MS_LATENTS_LATENT_CACHE_H

#include "latents/latent_files.h"

typedef struct ms_latent_cache ms_latent_cache;

typedef struct ms_latent_cache_params {
    ms_mem *mem;
    int window_frames; /* most rows at a time */
    int64_t values;    /* of a row: moments of the masked face, then of the whole one */
    size_t face_bytes; /* of an aligned face */
    int rank_percent;  /* see ms_latent_block_params */
    bool lossy;
    size_t capacity_bytes;      /* in memory: for blocks */
    const char *dir;            /* keep blocks in this folder in place of memory; NULL = in memory */
    uint64_t dir_bytes;         /* most that the folder's blocks may take, those of other models too */
    uint64_t model_key[2];      /* of encoder and settings (latent_key.h); only needed with dir */
    bool (*stopped)(void *arg); /* asked while the folder is looked through or emptied; NULL = never */
    void *arg;
} ms_latent_cache_params;

/* Errors: MS_HOST_MEMORY, MS_IO (the folder cannot be made, read or written). */
ms_status ms_latent_cache_create(const ms_latent_cache_params *params, ms_latent_cache **ret_cache,
                                 ms_error *err);
void ms_latent_cache_destroy(ms_latent_cache **cache);

/* The most that it may come to hold. */
size_t ms_latent_cache_bytes(const ms_latent_cache_params *params);

/* Begins a window and looks its faces up. faces: [frames][face_bytes]. ret_missing: [frames], the
   numbers of the frames whose rows the caller has to fill in, ascending; returns how many. */
int ms_latent_cache_begin(ms_latent_cache *cache, const uint8_t *faces, int frames, int *ret_missing);

/* The frame's row, [values]; equal faces share one. Valid until the next window. */
float *ms_latent_cache_row(ms_latent_cache *cache, int frame);

/* To be called when all missing rows are filled in: keeps them. */
void ms_latent_cache_finish(ms_latent_cache *cache);

typedef struct ms_latent_cache_stats {
    int64_t hits, misses;             /* faces, each of a window's frames */
    int64_t blocks;                   /* kept by this run or found in the folder and used */
    int64_t dropped;                  /* blocks that did not fit, could not be written or were damaged */
    uint64_t raw_bytes, stored_bytes; /* of those blocks */
    double seconds;                   /* spent in the cache */
    /* Of the lossy blocks; values 0 = none. */
    double squared_error;
    uint64_t lossy_values;
    float low, high;
} ms_latent_cache_stats;

void ms_latent_cache_get_stats(const ms_latent_cache *cache, ms_latent_cache_stats *ret_stats);

/* 10 log10(range^2 / mean square error), with the range of all values; infinite where nothing is lost. */
double ms_latent_cache_psnr_db(const ms_latent_cache_stats *stats);

#endif
