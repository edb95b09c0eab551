/*
 * Latents made smaller, as the latent cache does it (docs/latent_cache.md): rows of floats that are
 * neighbours in time, [frames][values]. Every bit comes back, NaN, infinity and -0 too, unless a lossy block
 * is asked for.
 *
 *   ms_latents_compress(&(ms_latents_params){.frames = 16, .values = 4096, .rank_percent = 90}, rows, &block,
 *                       &report, &err);
 *   ... keep report.block_bytes of block ...
 *   ms_mem_free(block);
 *
 * A block is decoded to the same bits on every machine. How small it is depends on zstd (ms_has_feature()).
 * Any number of threads may call these functions.
 */
#ifndef MEMSAFE_LATENTS_H
#define MEMSAFE_LATENTS_H

#include "memsafe/memory.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MS_LATENTS_FRAMES 256                /* most rows of a block */
#define MS_LATENTS_VALUES ((int64_t)1 << 28) /* most values of a row */

typedef struct ms_latents_params {
    int frames;     /* rows, 1 to MS_LATENTS_FRAMES: those of a window are predicted from each other */
    int64_t values; /* of a row, 1 to MS_LATENTS_VALUES */
    /* The most components that are kept, of the rows, 1 to 99; 0 and 100: rows are not predicted */
    int rank_percent;
    /* Keeps the prediction of the whole rank and not what it misses. A block without a prediction, and one
       with values that are not finite, is exact all the same. */
    bool lossy;
    ms_mem *mem; /* of the block and of working memory; NULL = the process's */
} ms_latents_params;

typedef struct ms_latents_report {
    size_t raw_bytes, block_bytes;
    int components;       /* that the rows are predicted from; 0 = they are not */
    bool lossy;           /* something is lost */
    double squared_error; /* sum over all values; 0 unless lossy */
    float low, high;      /* of the finite values */
    double psnr_db;       /* against the range from low to high; infinite where nothing is lost */
} ms_latents_report;

/* rows: [frames][values]. ret_block: to be freed with ms_mem_free(); it has report.block_bytes, and may take
   more memory. MS_INVALID_ARGUMENT, MS_HOST_MEMORY. */
MS_API ms_status ms_latents_compress_sized(const ms_latents_params *params, size_t params_bytes,
                                           const float *rows, void **ret_block, ms_latents_report *ret_report,
                                           size_t report_bytes, ms_error *err);
static inline ms_status ms_latents_compress(const ms_latents_params *params, const float *rows,
                                            void **ret_block, ms_latents_report *ret_report, ms_error *err) {
    return ms_latents_compress_sized(params, sizeof(*params), rows, ret_block, ret_report,
                                     sizeof(*ret_report), err);
}

typedef struct ms_latents_info {
    int frames;
    int64_t values;
    int components;
    bool lossy;
} ms_latents_info;

/* Of a block: what its header says, whose checksum is looked at. MS_BAD_MEDIA for whatever is no such
   block. */
MS_API ms_status ms_latents_read_sized(const void *block, size_t block_bytes, ms_latents_info *ret_info,
                                       size_t info_bytes, ms_error *err);
static inline ms_status ms_latents_read(const void *block, size_t block_bytes, ms_latents_info *ret_info,
                                        ms_error *err) {
    return ms_latents_read_sized(block, block_bytes, ret_info, sizeof(*ret_info), err);
}

/* ret_rows: [frames][values], as many as ms_latents_read() says; n_values: frames x values that there is room
   for. On failure they hold anything. MS_BAD_MEDIA: damaged, or of another size; MS_UNSUPPORTED: needs zstd;
   MS_HOST_MEMORY. mem: for working memory; NULL = the process's. */
MS_API ms_status ms_latents_decompress(ms_mem *mem, const void *block, size_t block_bytes, float *ret_rows,
                                       int64_t n_values, ms_error *err);

#ifdef __cplusplus
}
#endif
#endif
