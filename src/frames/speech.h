/* A speech file opened for a run: its samples at 16 kHz, and what the log-mel needs to know of the whole
   file. Needs FFmpeg's libraries; without them opening says MS_UNSUPPORTED. */
#ifndef MS_FRAMES_SPEECH_H
#define MS_FRAMES_SPEECH_H

#include "engine/features.h"
#include "media/media.h"

typedef struct ms_speech ms_speech;

typedef struct ms_speech_params {
    ms_mem *mem;
    const char *path;
    int64_t skip;                 /* so many samples at its beginning count as not there */
    ms_picture_room room;         /* for the file's pictures */
    bool (*cancelled)(void *arg); /* asked while it is read; NULL = never */
    void *arg;
} ms_speech_params;

/* Reads the file once to find its length and loudest moment. MS_INVALID_ARGUMENT:
   it has no more than is skipped; MS_CANCELLED. */
ms_status ms_speech_open(const ms_speech_params *params, ms_speech **ret_speech, ms_error *err);
void ms_speech_close(ms_speech **speech);

/* MS_BAD_MEDIA: there was at least half a second less to read than the file
   announces. path is for the message. */
ms_status ms_speech_check_whole(const ms_speech *speech, const char *path, ms_error *err);

/* FFmpeg's name of the sound's codec; its language ("eng"), empty when the file does not say. */
const char *ms_speech_codec(const ms_speech *speech);
const char *ms_speech_language(const ms_speech *speech);

ms_mel_stats ms_speech_stats(const ms_speech *speech);

/* Valid as long as the speech is open. */
ms_sample_source ms_speech_source(ms_speech *speech);

#endif
