/* A kernel for each primitive of simt.h; every one says what its threads saw in words of 32 bits. */
#ifndef MS_TESTS_SIMT_PRIMITIVES_H
#define MS_TESTS_SIMT_PRIMITIVES_H

#include "device/simt/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct seen_args {
    const void *in, *more;
    const float *sum;
    uint32_t *out;
} seen_args;

#define SEEN_THREADS 96

/* Of thread, lane, warp, block x, y, z, blocks along x: 7 words a thread. */
extern const simt_kernel seen_places;

/* in: a word a thread. simt_shuffle_xor() by each mask; then of a word, an int, a float, a double from lane
   (7 * lane + 3) % 32, and a double by mask 9: 32 + 3 + 2 + 2 words a thread. */
#define SEEN_SHUFFLES 39
extern const simt_kernel seen_shuffles;

/* in: 4 matrices of 8x8 16-bit values for each warp. x4, x2, x4_transposed, x2_transposed: 12 words a
   thread. */
#define SEEN_MATRICES 12
extern const simt_kernel seen_matrices;

/* in: a[16][k], more: b[k][8], 16-bit values, sum: c[16][8], for each warp. out: d[16][8] of each warp,
   floats. */
extern const simt_kernel seen_mma_16816_f16, seen_mma_16816_bf16, seen_mma_1688_f16, seen_mma_1688_bf16;

/* in: 3 times 16 bytes for each thread; the second are not copied by odd threads. The first words of the
   three places when all are under way, and after each wait: 12 words a thread. */
#define SEEN_COPIES 12
extern const simt_kernel seen_copies;

/* in: a word a thread. Eight times x = 3 x + the x of a neighbour: 37 threads on by barriers of the block, 5
   lanes on by those of the warp. */
extern const simt_kernel seen_barriers, seen_warp_barriers;

/* A place in out[0], then who comes in which order: phases of SEEN_STEPS collectives, barriers between them;
   a word a thread for each step: block << 24 | phase << 16 | step << 12 | thread. */
#define SEEN_PHASES 3
#define SEEN_STEPS 4
extern const simt_kernel seen_order;

/* The first word of shared memory that nobody has written: a word a thread. */
extern const simt_kernel seen_nothing;

/* in: 16 bytes a thread, x y z as floats and a word. fma and sqrt of float and double, bits there and back,
   pack; the 16 bytes: 12 words a thread. */
#define SEEN_ARITHMETIC 12
extern const simt_kernel seen_arithmetic;

/* For each 16-bit pattern its float as fp16 and as bf16, and that one rounded back; two words and one. Blocks
   share the patterns. */
#define SEEN_PATTERNS 65536
extern const simt_kernel seen_conversions;

#ifdef __cplusplus
}
#endif

#endif
