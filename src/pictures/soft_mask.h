/*
 * The soft edge of the pasted face: a mask is eroded by twice edge_px (cv2.erode) and blurred over
 * 2 edge_px + 1 pixels (kornia.filters.gaussian_blur2d), row by row with a window of rows in memory, never
 * the whole picture (AlignRestore.restore_img in latentsync/utils/affine_transform.py).
 *
 * Outside a region the mask is known to be zero. The region's border column or row must be zero too, unless
 * it is the picture's own border.
 */
#ifndef MS_PICTURES_SOFT_MASK_H
#define MS_PICTURES_SOFT_MASK_H

#include "pictures/scratch.h"

typedef struct ms_soft_mask {
    int image_width, image_height;
    int x0, y0, x1, y1;         /* the region, x1 and y1 excluded */
    int edge_px;                /* less than either side of the picture */
    int erode_px, erode_anchor; /* the window is [x - anchor, x - anchor + erode_px) */
    int taps;                   /* of the Gaussian, odd */
    float *kernel;              /* [taps] */
} ms_soft_mask;

/* One worker's rows. */
typedef struct ms_soft_mask_rows {
    float *source;   /* a mask row, padded for the erosion */
    float *suffix;   /* [erode_px][width], see soft_mask.c */
    float *prefix;   /* [width] */
    float *eroded;   /* [width + 2 edge_px] */
    float *blurred;  /* [taps][width], slot = row mod taps */
    uint8_t *filled; /* [taps]: the slot's row is not all zero */
    float *soft;     /* [width] */
} ms_soft_mask_rows;

/* Writes mask values x0 .. x1-1 of row y. Rows are asked for in rising order, each once. */
typedef void (*ms_mask_row_fn)(void *arg, int y, float *ret_row);

/* Takes soft values x0 .. x1-1 of row y, in rising order; rows that are all zero are passed over. */
typedef void (*ms_soft_row_fn)(void *arg, int y, const float *soft);

/* Edge width for a mask that sums to `area`: whole root of the area, a twentieth of that. */
int ms_soft_mask_edge_px(double area);

/* Fills in everything but kernel from the picture's size, the region and edge_px. */
void ms_soft_mask_init(ms_soft_mask *mask);

/* kernel: [mask->taps], the caller's. */
void ms_soft_mask_kernel(ms_soft_mask *mask, float *kernel);

/* Needs init only. */
ms_soft_mask_rows ms_soft_mask_lay_out(ms_scratch *scratch, const ms_soft_mask *mask);

/* Soft rows first .. end-1 of the region. */
void ms_soft_mask_run(const ms_soft_mask *mask, const ms_soft_mask_rows *rows, int first, int end,
                      ms_mask_row_fn source, ms_soft_row_fn sink, void *arg);

#endif
