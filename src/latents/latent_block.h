/*
 * A block of float32 rows [frames][values], compressed: rows that are neighbours in time are
 * predicted together (block_basis.h), and what the prediction misses is kept as an integer
 * difference of the floats' places in their order, entropy-coded (block_bytes.h). Every bit
 * comes back: NaN, infinity, -0 and denormals too. A lossy block leaves the differences out.
 *
 * The format, all integers little-endian:
 *
 *     0   "MSLB"
 *     4   u16 version (1)          6   u8 flags: 1 = lossy     7   u8 0
 *     8   u32 frames               12  u32 components, below frames
 *     16  u64 values of a row      24  f32 step (0 without components)
 *     28  u32 CRC-32 of the 28 bytes before and of the basis
 *     32  u64 bytes of the whole block
 *     40  f32 basis [frames][components]
 *     then for every chunk of ms_latent_block_chunk(frames) values, the last one shorter:
 *         u32 bytes of coefficients, u32 bytes of differences (0 if lossy), u32 CRC-32 of the decoded chunk
 *         coefficients [components][chunk], differences [frames][chunk], each as block_bytes.h writes them
 *
 * The checksum of the decoded values stands for "the same bits": a block that would
 * decode to anything else, wherever it was written, is refused.
 */
#ifndef MS_LATENTS_LATENT_BLOCK_H
#define MS_LATENTS_LATENT_BLOCK_H

#include "base/mem.h"
#include "memsafe/latents.h"

#define MS_LATENT_BLOCK_MAX_FRAMES MS_LATENTS_FRAMES
#define MS_LATENT_BLOCK_MAX_VALUES MS_LATENTS_VALUES

typedef struct ms_latent_codec ms_latent_codec;

/* All memory for blocks of up to max_frames rows; coding allocates nothing. */
ms_status ms_latent_codec_create(ms_mem *mem, int max_frames, ms_latent_codec **ret_codec, ms_error *err);
void ms_latent_codec_destroy(ms_latent_codec **codec);
size_t ms_latent_codec_bytes(int max_frames);

/* Values of a row that are coded together: a plane of them is one of zstd's blocks of 128 KiB. */
int64_t ms_latent_block_chunk(int frames);

/* The most bytes that a block may need. */
size_t ms_latent_block_bound(int frames, int64_t values);

typedef struct ms_latent_block_params {
    int frames; /* 1 to the codec's */
    int64_t values;
    /* Of the frames: the most components that are kept; 0 or 100 = none are, rows are not predicted */
    int rank_percent;
    /* Leaves out the differences and takes the whole rank. Ignored where there is
       no prediction or where a value is not finite: then the block is exact */
    bool lossy;
} ms_latent_block_params;

typedef struct ms_latent_block_stats {
    size_t raw_bytes, bytes;
    int components;
    bool lossy;
    double squared_error; /* lossy: sum over all values */
    float low, high;      /* of the finite values */
} ms_latent_block_stats;

/* rows: [frames] pointers to [values]. dst: ms_latent_block_bound() bytes. ret_stats may be NULL. */
ms_status ms_latent_block_encode(ms_latent_codec *codec, const ms_latent_block_params *params,
                                 const float *const *rows, void *dst, ms_latent_block_stats *ret_stats,
                                 ms_error *err);

typedef struct ms_latent_block_info {
    int frames, components;
    int64_t values;
    bool lossy;
} ms_latent_block_info;

/* Checks the header and the basis. MS_BAD_MEDIA for whatever is no such block. */
ms_status ms_latent_block_info_read(const void *block, size_t bytes, ms_latent_block_info *ret_info,
                                    ms_error *err);

/* ret_rows: [frames] pointers to [values]; NULL for a row that is not wanted. On failure
   the rows hold anything. MS_BAD_MEDIA (damaged), MS_UNSUPPORTED (needs zstd). */
ms_status ms_latent_block_decode(ms_latent_codec *codec, const void *block, size_t bytes,
                                 float *const *ret_rows, ms_error *err);

#endif
