/* Finding faces in a video: the first stage of a run on its own. */
#ifndef MEMSAFE_DETECT_H
#define MEMSAFE_DETECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memsafe/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ms_detect_params {
    const char *video;
    const char *output;        /* JSON lines: {"frame":0,"bbox":[x1,y1,x2,y2],"landmarks106":[[x,y],...]} */
    const char *model, *faces; /* model folder, or the folder of the ONNX files */
    int face;                  /* number of the track to follow, -1 = the largest face */
    int max_gap;               /* frames without a face that are bridged */
    int fps_num, fps_den;      /* rate that frames are numbered at; num 0 = the video's own */
    int64_t frames;            /* look at so many only; 0 = all */
    int threads;
    const char *device; /* where the face nets run: as ms_run_params has it */
    /* Of memory that the process may come to hold, runs beside this too; 0 = as ms_run() */
    size_t budget_bytes;
    bool force;           /* replace an existing output */
    bool allow_truncated; /* take a video that is cut off as far as it goes, in place of MS_BAD_MEDIA */
    void (*progress)(void *arg, int64_t frames_done, int64_t frames_total); /* total 0 = not known */
    bool (*cancelled)(void *arg);
    void *arg;
} ms_detect_params;

MS_API void ms_detect_params_init_sized(ms_detect_params *ret_params, size_t params_bytes);
static inline void ms_detect_params_init(ms_detect_params *ret_params) {
    ms_detect_params_init_sized(ret_params, sizeof(*ret_params));
}

typedef struct ms_detect_report {
    int64_t frames, frames_with_face, frames_interpolated;
    int64_t frames_lost; /* frames of the video that could not be decoded or are not there */
    double seconds;
} ms_detect_report;

/* MS_NO_FACE when no frame has one; then no file is written. MS_BUDGET: the video's pictures are too large
   for it, or runs beside this may take all of it. Other errors as ms_run(). ret_report may be NULL. */
MS_API ms_status ms_detect_sized(const ms_detect_params *params, size_t params_bytes,
                                 ms_detect_report *ret_report, size_t report_bytes, ms_error *err);
static inline ms_status ms_detect(const ms_detect_params *params, ms_detect_report *ret_report,
                                  ms_error *err) {
    return ms_detect_sized(params, sizeof(*params), ret_report, sizeof(*ret_report), err);
}

/* ---- frames that a program has, in builds without FFmpeg too ---- */

/*
 * The same of frames that are pushed, one after the other:
 *
 *   ms_finder_create(&p, &finder, &err);
 *   do {
 *       status = frame_is_there ? ms_finder_push(finder, rgb, 0, &err) : ms_finder_end(finder, &err);
 *       while (status == MS_OK && (status = ms_finder_take(finder, &face, &got, &err)) == MS_OK && got)
 *           use(&face);
 *   } while (status == MS_OK && frame_is_there);
 *   ms_finder_destroy(&finder);
 *
 * What is known of a frame comes out at most max_gap frames later. One thread at a time.
 */
typedef struct ms_finder ms_finder;

typedef struct ms_finder_params {
    const char *model, *faces, *device; /* as ms_detect_params; text is not needed afterwards */
    int threads;
    size_t budget_bytes;
    int width, height; /* of all frames, pixels */
    int face;          /* number of the track to follow, -1 = the largest face */
    int max_gap;       /* frames without a face that are bridged */
} ms_finder_params;

/* The largest face, gaps of 12, otherwise all zero. */
MS_API void ms_finder_params_init_sized(ms_finder_params *ret_params, size_t params_bytes);
static inline void ms_finder_params_init(ms_finder_params *ret_params) {
    ms_finder_params_init_sized(ret_params, sizeof(*ret_params));
}

/* MS_INVALID_ARGUMENT, MS_BAD_MODEL, MS_IO, MS_BUDGET, MS_UNSUPPORTED (the device), MS_HOST_MEMORY. */
MS_API ms_status ms_finder_create_sized(const ms_finder_params *params, size_t params_bytes,
                                        ms_finder **ret_finder, ms_error *err);
static inline ms_status ms_finder_create(const ms_finder_params *params, ms_finder **ret_finder,
                                         ms_error *err) {
    return ms_finder_create_sized(params, sizeof(*params), ret_finder, err);
}
MS_API void ms_finder_destroy(ms_finder **finder);

/* [height][width][3] of RGB, looked at in this call alone. stride_bytes: from a row to the next; 0 = tight.
   MS_INVALID_ARGUMENT: no pixels, after the end, or what is known was not taken. */
MS_API ms_status ms_finder_push(ms_finder *finder, const uint8_t *rgb, ptrdiff_t stride_bytes, ms_error *err);

/* There are no more. */
MS_API ms_status ms_finder_end(ms_finder *finder, ms_error *err);

typedef struct ms_found_face {
    int64_t frame;
    bool present;
    bool interpolated;       /* bridged */
    bool begins;             /* not the face of the frame before, or of another scene */
    float box[4];            /* left, top, right, bottom; pixels */
    float landmarks[106][2]; /* pixels */
} ms_found_face;

/* What is known of the next frame, in order; *ret_got false: more must be pushed, or it has ended. */
MS_API ms_status ms_finder_take_sized(ms_finder *finder, ms_found_face *ret_face, size_t face_bytes,
                                      bool *ret_got, ms_error *err);
static inline ms_status ms_finder_take(ms_finder *finder, ms_found_face *ret_face, bool *ret_got,
                                       ms_error *err) {
    return ms_finder_take_sized(finder, ret_face, sizeof(*ret_face), ret_got, err);
}

#ifdef __cplusplus
}
#endif
#endif
