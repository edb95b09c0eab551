/*
 * How good a lip-synced video is, in numbers: `memsafe score`. What each means, and its limits, is in
 * docs/score.md; the measures themselves are in src/score. Reads frame by frame: memory does not grow with the
 * length.
 */
#ifndef MS_SCORE_SCORE_H
#define MS_SCORE_SCORE_H

#include <stdbool.h>
#include <stdint.h>

#include "memsafe/status.h"
#include "score/regions.h"

typedef struct ms_score_params {
    const char *video; /* to be judged */
    const char *audio; /* what it should say; NULL = the sound of the video itself */
    const char *truth; /* or NULL: a track with mouth_opening (its first character is a brace), or a video */
    const char *input; /* or NULL: the video that the run was given */
    const char
        *track; /* or NULL: faces; else they are detected in the input, the truth or the video, the first
                          of these that there is */
    const char *model, *faces; /* model folder, or the folder of the ONNX files: the landmark net is needed */
    int window;                /* frames of the run's windows */
    int64_t frames;            /* judge so many only; 0 = all */
    int threads;
    const char *device;  /* where the face nets run: as ms_run_params has it */
    size_t budget_bytes; /* of memory that the process may come to hold; 0 = as ms_run() */
    void (*progress)(void *arg, int64_t frames_done, int64_t frames_total); /* total 0 = not known */
    bool (*cancelled)(void *arg);
    void *arg;
} ms_score_params;

void ms_score_params_init(ms_score_params *ret_params);

/* Against another video. NAN: not known. */
typedef struct ms_score_likeness {
    int64_t frames;
    double psnr_db[MS_REGION_COUNT], ssim[MS_REGION_COUNT];
    double psnr_outside_db, ssim_outside; /* face and around together */
} ms_score_likeness;

/* With fewer frames that have a face, the widest shifts leave less than a second to compare, and the numbers of lip sync say nothing. */
#define MS_SCORE_LEAST_FRAMES 40

typedef struct ms_score_report {
    int64_t frames, frames_with_face;
    int64_t frames_lost; /* of a damaged video */
    double fps;
    bool has_truth, truth_is_video, has_input;

    /* Opening of the mouth against the speech's envelope, at shifts of up to MS_LAG_MAX frames. */
    int sync_offset_frames; /* the mouth is so much later than the sound */
    double sync_r, sync_confidence;
    double sync_r_unshifted;
    int sync_truth_offset_frames; /* the same of the truth's mouth; 0 without a truth */
    double sync_truth_confidence;

    double mouth_r, mouth_rmse_px; /* opening against the truth's */
    double mouth_input_r;          /* against the input's, which said something else */

    ms_score_likeness truth, input;

    /* Mean distance of landmarks from those in the input (or else the truth's video), as a part of the face's
       width: of eyes, brows and nose; and of the outline from the truth's. */
    double identity_drift, outline_drift;

    double flicker_borders, flicker_elsewhere, flicker_ratio;
    double seconds;
} ms_score_report;

/* MS_INVALID_ARGUMENT: something is missing, or two videos differ in size. MS_NO_FACE: in no frame. Other errors as
   ms_run(). */
ms_status ms_score(const ms_score_params *params, ms_score_report *ret_report, ms_error *err);

#endif
