/* Finding faces in a video: the first stage of a run on its own. */
#ifndef MEMSAFE_DETECT_H
#define MEMSAFE_DETECT_H

#include <stdbool.h>
#include <stddef.h>

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

#ifdef __cplusplus
}
#endif
#endif
