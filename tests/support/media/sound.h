/* What a program hears: the sound of a file as a run reads it. */
#ifndef MS_TESTS_SUPPORT_MEDIA_SOUND_H
#define MS_TESTS_SUPPORT_MEDIA_SOUND_H

#include "media/read/audio_reader.h"
#include "test.h"

/* 16 kHz mono, at most `max` samples; returns how many there were. */
static inline int64_t test_hear(const char *path, float *samples, int64_t max) {
    ms_error err;
    int64_t got = 0;
    ms_audio_reader_params params = MS_AUDIO_READER_DEFAULTS;
    ms_audio_reader *reader = NULL;
    assert_ms_ok(ms_audio_reader_open(NULL, path, &params, &reader, &err), &err);
    assert_ms_ok(ms_audio_reader_read(reader, samples, max, &got, &err), &err);
    ms_audio_reader_close(&reader);
    return got;
}

#endif
