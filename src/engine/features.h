/*
 * Speech features of a whole file, made as they are needed: log-mel columns of a 30 s
 * segment, Whisper's states for them, the rows that a video frame attends to. One segment is
 * kept and as much of the one before it as a frame reaches back, whatever the file's length.
 */
#ifndef MS_ENGINE_FEATURES_H
#define MS_ENGINE_FEATURES_H

#include "audio/chunks.h"
#include "audio/log_mel.h"
#include "graph/network.h"
#include "models/whisper.h"

/* Where samples come from: 16 kHz mono. read gives samples first .. first+count-1,
   all of them inside the file. */
typedef struct ms_sample_source {
    int64_t samples; /* in the file */
    ms_status (*read)(void *arg, int64_t first, int64_t count, float *ret_samples, ms_error *err);
    void *arg;
} ms_sample_source;

typedef struct ms_features ms_features;

typedef struct ms_features_params {
    ms_compute compute;
    ms_params *params; /* Whisper's */
    ms_whisper_config config;
    ms_chunk_params chunks;
    ms_mel_stats stats; /* of the whole file */
    ms_sample_source source;
} ms_features_params;

/* ret_arena_bytes: what gathering needs. */
ms_status ms_features_create(const ms_features_params *params, ms_features **ret_features,
                             size_t *ret_arena_bytes, ms_error *err);
void ms_features_destroy(ms_features **features);

/* Takes other speech from here on. */
void ms_features_set_speech(ms_features *features, ms_mel_stats stats, ms_sample_source source);

int64_t ms_features_rows(const ms_features *features);   /* at 50 Hz */
int64_t ms_features_frames(const ms_features *features); /* video frames that the audio asks for */
int64_t ms_features_tokens(const ms_features *features); /* of one frame: rows x (layers + 1) */

/* context: with Whisper's weights, loaded, in an arena of ret_arena_bytes. Tokens of frames
   first .. first+count-1: [count][tokens][width]. Frames past the end repeat the last rows. */
ms_status ms_features_gather(ms_features *features, const ms_context *context, int64_t first, int64_t count,
                             float *ret_tokens, ms_error *err);

/* Row `row`: [layers + 1][width], good until the next call. */
ms_status ms_features_row(ms_features *features, const ms_context *context, int64_t row,
                          const float **ret_row, ms_error *err);

/* Gives back what is kept for a context's memory. */
void ms_features_leave(ms_features *features);

const ms_network *ms_features_network(const ms_features *features); /* Whisper's encoder */

#endif
