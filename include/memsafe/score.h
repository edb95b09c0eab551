/*
 * How good a lip-synced video is, in numbers. What each means, and its limits, is
 * in docs/score.md. Reads frame by frame: memory does not grow with the length.
 */
#ifndef MEMSAFE_SCORE_H
#define MEMSAFE_SCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memsafe/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, text): parts of a frame, by the place that they have in the square that a run gives to its
   model. A strip around each border belongs to none, because blending and codecs mix both sides there. */
#define MS_REGION_MAP(X)                                                                                     \
    X(MOUTH, "mouth")   /* redrawn by the model */                                                           \
    X(FACE, "face")     /* the rest of the aligned face: pasted back, resampled twice */                     \
    X(AROUND, "around") /* never touched by a run */

typedef enum ms_region_kind {
#define X(name, text) MS_REGION_##name,
    MS_REGION_MAP(X)
#undef X
        MS_REGION_COUNT
} ms_region_kind;
#define MS_REGION_ROOM 8 /* elements of arrays that have one for each region, so that there may be more */

MS_API const char *ms_region_name(ms_region_kind region); /* "mouth"; "?" for none */

typedef struct ms_score_params {
    const char *video; /* to be judged */
    const char *audio; /* what it should say; NULL = the sound of the video itself */
    const char *truth; /* or NULL: a track with mouth_opening (its first character is a brace), or a video */
    const char *input; /* or NULL: the video that the run was given */
    /* Or NULL: faces; else they are detected in the input, the truth or the video,
       the first of these that there is. */
    const char *track;
    const char *model, *faces; /* model folder, or the folder of the ONNX files: the landmark net is needed */
    int window;                /* frames of the run's windows, 2 to 1000 */
    int64_t frames;            /* judge so many only; 0 = all */
    int64_t start_us;   /* where in the input the run began: its start_us. A track counts as the input does */
    int threads;        /* 0 = all */
    const char *device; /* where the face nets run: as ms_run_params has it */
    size_t budget_bytes; /* of memory that the process may come to hold; 0 = as ms_run() */
    void (*progress)(void *arg, int64_t frames_done, int64_t frames_total); /* total 0 = not known */
    bool (*cancelled)(void *arg);
    void *arg;
} ms_score_params;

/* Windows of 16 frames, otherwise all zero. */
MS_API void ms_score_params_init_sized(ms_score_params *ret_params, size_t params_bytes);
static inline void ms_score_params_init(ms_score_params *ret_params) {
    ms_score_params_init_sized(ret_params, sizeof(*ret_params));
}

/* Likeness to another video. NAN: not known. The PSNR of equal pictures is infinite. */
typedef struct ms_score_likeness {
    int64_t frames;
    double psnr_db[MS_REGION_ROOM], ssim[MS_REGION_ROOM];
    double psnr_outside_db, ssim_outside; /* face and around together */
} ms_score_likeness;

/* With fewer frames that have a face, the widest shifts leave less than a second to
   compare, and the numbers of lip sync say nothing. */
#define MS_SCORE_LEAST_FRAMES 40

typedef struct ms_score_report {
    int64_t frames, frames_with_face;
    int64_t frames_lost; /* of a damaged video */
    double fps;
    bool has_truth, truth_is_video, has_input;

    /* Opening of the mouth against the speech's envelope, at shifts of up to 15 frames. */
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

/* MS_INVALID_ARGUMENT: something is missing, a number is none, or two videos differ in size. MS_NO_FACE:
   in no frame. MS_UNSUPPORTED: made without FFmpeg. Other errors as ms_run(). ret_report may be NULL. */
MS_API ms_status ms_score_sized(const ms_score_params *params, size_t params_bytes,
                                ms_score_report *ret_report, size_t report_bytes, ms_error *err);
static inline ms_status ms_score(const ms_score_params *params, ms_score_report *ret_report, ms_error *err) {
    return ms_score_sized(params, sizeof(*params), ret_report, sizeof(*ret_report), err);
}

/* ---- frames that a program has, in builds without FFmpeg too ---- */

/*
 * The same of frames that are pushed, one after the other:
 *
 *   ms_scorer_create(&p, &scorer, &err);
 *   while (frame_is_there)
 *       ms_scorer_push(scorer, &(ms_score_frame){.video = made, .input = given}, &err);
 *   ms_scorer_get_report(scorer, &report, &err);
 *   ms_scorer_destroy(&scorer);
 *
 * One thread at a time.
 */
typedef struct ms_scorer ms_scorer;

typedef struct ms_scorer_params {
    const char *model, *faces, *track, *device; /* as ms_score_params; text is not needed afterwards */
    int threads;
    size_t budget_bytes;
    int width, height;    /* of all frames, pixels */
    int fps_num, fps_den; /* of the video, 0.01 to 1000 */
    int window;           /* frames of the run's windows, 2 to 1000 */
    bool input, truth;    /* frames of the run's input and of the truth will come, too */
    /* What it should say: 16 kHz, one channel, -1 to 1. Borrowed until destroy. */
    const float *speech;
    int64_t speech_samples;
    int64_t first_frame; /* of the input that is pushed first: a track counts as the input does */
} ms_scorer_params;

/* Windows of 16 frames, 25 frames a second, otherwise all zero. */
MS_API void ms_scorer_params_init_sized(ms_scorer_params *ret_params, size_t params_bytes);
static inline void ms_scorer_params_init(ms_scorer_params *ret_params) {
    ms_scorer_params_init_sized(ret_params, sizeof(*ret_params));
}

/* MS_INVALID_ARGUMENT, MS_BAD_MODEL, MS_BUDGET, MS_UNSUPPORTED (the device), MS_IO, MS_HOST_MEMORY. */
MS_API ms_status ms_scorer_create_sized(const ms_scorer_params *params, size_t params_bytes,
                                        ms_scorer **ret_scorer, ms_error *err);
static inline ms_status ms_scorer_create(const ms_scorer_params *params, ms_scorer **ret_scorer,
                                         ms_error *err) {
    return ms_scorer_create_sized(params, sizeof(*params), ret_scorer, err);
}
MS_API void ms_scorer_destroy(ms_scorer **scorer);

/* [height][width][3] of RGB, rows tight. */
typedef struct ms_score_frame {
    const uint8_t *video;
    const uint8_t *input, *truth; /* NULL = that has no such frame: it has none from then on */
    bool has_opening;             /* the true mouth's opening is known, in pixels, from elsewhere */
    double truth_opening;
} ms_score_frame;

/* MS_INVALID_ARGUMENT: no video, or frames that were not announced. */
MS_API ms_status ms_scorer_push_sized(ms_scorer *scorer, const ms_score_frame *frame, size_t frame_bytes,
                                      ms_error *err);
static inline ms_status ms_scorer_push(ms_scorer *scorer, const ms_score_frame *frame, ms_error *err) {
    return ms_scorer_push_sized(scorer, frame, sizeof(*frame), err);
}

/* Of the frames so far. MS_NO_FACE: in none of them. */
MS_API ms_status ms_scorer_get_report_sized(const ms_scorer *scorer, ms_score_report *ret_report,
                                            size_t report_bytes, ms_error *err);
static inline ms_status ms_scorer_get_report(const ms_scorer *scorer, ms_score_report *ret_report,
                                             ms_error *err) {
    return ms_scorer_get_report_sized(scorer, ret_report, sizeof(*ret_report), err);
}

#ifdef __cplusplus
}
#endif
#endif
