/* Checks of what ms_run(), ms_detect(), ms_score() and ms_plan_run() are given, for what they have in
   common. All errors are MS_INVALID_ARGUMENT and name the field, the number and what is allowed. */
#ifndef MS_PLANNER_PARAMS_CHECK_H
#define MS_PLANNER_PARAMS_CHECK_H

#include "memsafe/run.h"

/* 0 = all. */
ms_status ms_check_frames(int64_t frames, ms_error *err);

/* Frames of a run's windows, where pictures are judged. */
ms_status ms_check_window(int window, ms_error *err);

/* A rate of frames; num 0 = the video's own, den is then not looked at. */
ms_status ms_check_rate(int num, int den, ms_error *err);

/* Of frames that a program has, pixels. */
ms_status ms_check_size(int width, int height, ms_error *err);

ms_status ms_check_max_gap(int max_gap, ms_error *err);

/* Number of a track; -1 = the largest face. */
ms_status ms_check_face(int face, ms_error *err);

/* Side of the redrawn face; 0 = the model's. */
ms_status ms_check_resolution(int resolution, ms_error *err);

ms_status ms_check_denoising(int steps, double guidance, ms_error *err);

/* An enumeration with the values 0 to count-1. */
ms_status ms_check_choice(const char *name, int value, int count, ms_error *err);

#define MS_PRECISION_CHOICES (MS_PRECISION_BF16 + 1)
#define MS_OUTPUT_CODEC_CHOICES (MS_OUTPUT_FFV1 + 1)
#define MS_LOOP_MODE_CHOICES (MS_LOOP_MODE_NONE + 1)
#define MS_AUDIO_OUTPUT_CHOICES (MS_AUDIO_OUTPUT_NONE + 1)
#define MS_LATENT_CACHE_CHOICES (MS_LATENT_CACHE_LOSSY + 1)

#endif
