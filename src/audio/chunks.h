/*
 * Which audio features belong to which output frame, and how long the output is. Follows the reference's
 * latentsync/whisper/audio2feature.py and lipsync_pipeline.py to the last rounding: where the two disagree
 * with what one would expect (two frames more than the audio has, a sample less than the frames last), the
 * comment says so.
 *
 * Features are rows at 50 Hz, two mel columns (20 ms) each. A rate in frames per second is a double as it is
 * in Python: 30000 / 1001 is the quotient, rounded once.
 */
#ifndef MS_AUDIO_CHUNKS_H
#define MS_AUDIO_CHUNKS_H

#include <stdint.h>

#define MS_FEATURE_HZ 50
#define MS_SEGMENT_COLUMNS 3000 /* mel columns of one Whisper segment: 30 s */

/* How many feature frames before and after the video frame's own one are gathered ("audio_feat_length" in the
   model's config); each counts two rows. */
typedef struct ms_chunk_params {
    double fps;
    int left, right;
} ms_chunk_params;

#define MS_CHUNK_DEFAULTS ((ms_chunk_params){.fps = 25, .left = 2, .right = 2})

/* Whisper segments of a log-mel of so many columns, and the feature rows that segment gives: half its
   columns, rounded down, though the encoder always returns 1500. */
int64_t ms_segment_count(int64_t mel_columns);
int64_t ms_segment_rows(int64_t mel_columns, int64_t segment);

/* The sum over all segments. An odd column is lost at the end only: all other segments are even. */
int64_t ms_feature_rows(int64_t mel_columns);

/* Output frames that `rows` feature rows give: one more than the first i with int(i * (50 / fps)) > rows, so
   rows / 2 + 2 at 25 fps. 0 when there are no rows. */
int64_t ms_chunk_frames(const ms_chunk_params *params, int64_t rows);

/* Rows per frame: (left + right + 1) * 2. */
int ms_chunk_rows(const ms_chunk_params *params);

/* The rows that video frame `frame` gathers: with centre = int(frame * 50 / fps) they go from centre - 2 left
   to centre + 2 right + 1, each clamped to [0, rows). rows must be positive. ret_rows holds ms_chunk_rows()
   numbers. */
void ms_chunk_indices(const ms_chunk_params *params, int64_t frame, int64_t rows, int64_t *ret_rows);

/* Audio samples of an output of so many frames: int(frames / fps * rate) in double, which is one less than
   expected for some lengths (201 frames at 25 fps, 16 kHz: 128639). */
int64_t ms_output_samples(int64_t frames, double fps, int rate);

/* What to show when the audio outlasts the video. */
typedef enum ms_loop {
    MS_LOOP_PINGPONG, /* forward, backward, forward ...: the frames at the turns come twice, as in the
                         reference */
    MS_LOOP_REPEAT,   /* forward again from the first frame */
    MS_LOOP_HOLD,     /* the last frame stays */
    MS_LOOP_NONE,     /* the output ends with the video */
} ms_loop;

/* Output frames when the audio asks for `wanted` and the video has `video_frames`. */
int64_t ms_loop_frames(ms_loop loop, int64_t wanted, int64_t video_frames);

/* The video frame that output frame `frame` uses; -1 when there is none. */
int64_t ms_loop_index(ms_loop loop, int64_t frame, int64_t video_frames);

#endif
