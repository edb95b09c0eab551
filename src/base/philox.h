/*
 * The project's random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
 * SC 2011) with Box-Muller. A number depends on (seed, stream, frame, element) alone, so any part of any
 * window can be made again in any order.
 */
#ifndef MS_BASE_PHILOX_H
#define MS_BASE_PHILOX_H

#include <stdint.h>

/* Streams of normals that a run draws from; element is the C,H,W index in one frame's latent. */
enum {
    MS_NOISE_START = 0,        /* the start noise, frame 0 for all frames */
    MS_NOISE_MASKED = 1,       /* posterior sample of the masked image */
    MS_NOISE_REFERENCE = 2,    /* posterior sample of the reference image */
    MS_NOISE_WEIGHTS = 0x5745, /* synthetic weights; frame is the tensor's number */
};

void ms_philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t ret_words[4]);

/* Normals first .. first+count-1 of (seed, stream, frame). Words x0..x3 of counter (element / 4, frame,
   stream, 0) give, with u_i = (x_i + 0.5) 2^-32 in double: sqrt(-2 ln u0) cos(2 pi u1),
   sqrt(-2 ln u0) sin(2 pi u1), and the same of u2, u3; each rounded to float. */
void ms_noise_normals(uint64_t seed, uint32_t stream, uint32_t frame, uint64_t first, uint64_t count,
                      float *ret_normals);

#endif
