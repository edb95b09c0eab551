/* Judges a lip-synced video frame by frame, wherever its frames come from: what ms_score() and ms_scorer
   share. */
#ifndef MS_SCORE_JUDGE_H
#define MS_SCORE_JUDGE_H

#include "base/mem.h"
#include "memsafe/score.h"

/* The videos that are looked at side by side. */
enum { MS_JUDGE_VIDEO, MS_JUDGE_INPUT, MS_JUDGE_TRUTH, MS_JUDGE_PICTURES };

typedef struct ms_judge ms_judge;

typedef struct ms_judge_params {
    ms_mem *mem;
    const char *model, *faces, *device, *track; /* as ms_score_params has them */
    int threads;
    int width, height;
    double fps;
    int window;
    int64_t first; /* frame of the input that the video begins with: a track counts as the input does */
    bool given[MS_JUDGE_PICTURES]; /* of which there are frames, at the beginning at least */
    /* The next samples of the speech, fewer than max at its end alone. */
    ms_status (*read_speech)(void *arg, float *dst, int64_t max, int64_t *ret_count, ms_error *err);
    void *arg;
} ms_judge_params;

ms_status ms_judge_create(const ms_judge_params *params, ms_judge **ret_judge, ms_error *err);
void ms_judge_destroy(ms_judge **judge);

/* The next frame of each: tight RGB; NULL where there is none, or no more. truth_opening: of the true mouth,
   in pixels, where it is known without pictures; NAN else. */
ms_status ms_judge_frame(ms_judge *judge, const uint8_t *const rgb[MS_JUDGE_PICTURES], double truth_opening,
                         ms_error *err);

int64_t ms_judge_frames(const ms_judge *judge);
int64_t ms_judge_frames_with_face(const ms_judge *judge);

/* What the frames alone say: all but frames_lost, has_truth and seconds. */
ms_score_report ms_judge_report(const ms_judge *judge);

#endif
