/*
 * How alike two pictures are, by region: squared errors of RGB for PSNR, and SSIM of luma (Wang, Bovik,
 * Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity",
 * 2004): Gaussian window of 11 x 11, sigma 1.5, K1 0.01, K2 0.03, range 255; only windows that lie
 * whole in the picture count, each for the region of its middle. Luma is 0.299 R + 0.587 G + 0.114 B.
 */
#ifndef MS_SCORE_LIKENESS_H
#define MS_SCORE_LIKENESS_H

#include "base/mem.h"
#include "pictures/image.h"
#include "score/regions.h"

#define MS_SSIM_TAPS 11
#define MS_SSIM_SIGMA 1.5

typedef struct ms_likeness_sums {
    int64_t pixels; /* of the error */
    double squares; /* summed over three channels */
    int64_t windows;
    double ssim;
} ms_likeness_sums;

/* Decibels, of the mean over all pixels that were added; INFINITY for equal pictures, NAN without pixels. */
double ms_likeness_psnr(const ms_likeness_sums *sums);

/* The mean; NAN without windows. */
double ms_likeness_ssim(const ms_likeness_sums *sums);

typedef struct ms_likeness ms_likeness;

/* For pictures of this size; holds a few dozen rows. MS_INVALID_ARGUMENT for sizes no picture has. */
ms_status ms_likeness_create(ms_mem *mem, int width, int height, ms_likeness **ret_likeness, ms_error *err);
void ms_likeness_destroy(ms_likeness **likeness);

/* a, b: tight RGB. regions: [height][width] of ms_region_kind. Adds to sums[MS_REGION_COUNT]. */
void ms_likeness_add(ms_likeness *likeness, const uint8_t *a, const uint8_t *b, const uint8_t *regions,
                     ms_likeness_sums *sums);

#endif
