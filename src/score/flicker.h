/*
 * How much the mouth's pixels change from a frame to the next, at the borders of a run's windows
 * against everywhere else. With a truth, what is measured is the change that the truth does not have:
 * the mean over the mouth of |(v_t - v_t-1) - (w_t - w_t-1)|; without, |v_t - v_t-1|. v and w are luma.
 */
#ifndef MS_SCORE_FLICKER_H
#define MS_SCORE_FLICKER_H

#include "base/mem.h"
#include "score/regions.h"

typedef struct ms_flicker {
    int width, height, window; /* frames of a window; its first frame is a border */
    float *before;             /* [height][width] of the last frame's v - w */
    bool have_before;
    double sum[2]; /* [1]: at borders */
    int64_t frames[2];
} ms_flicker;

ms_status ms_flicker_init(ms_mem *mem, int width, int height, int window, ms_flicker *ret_flicker,
                          ms_error *err);
void ms_flicker_release(ms_flicker *flicker);

/* rgb, truth: tight RGB, truth may be NULL (always or never). number: of the frame.
   begins: the picture does not go on from the last one, so there is nothing to compare. */
void ms_flicker_add(ms_flicker *flicker, const uint8_t *rgb, const uint8_t *truth, const uint8_t *regions,
                    int64_t number, bool begins);

/* Mean in levels of 0 to 255; NAN without frames. */
double ms_flicker_mean(const ms_flicker *flicker, bool at_borders);

#endif
