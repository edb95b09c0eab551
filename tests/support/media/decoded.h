/* What a video file decodes to, as a number. */
#ifndef MS_TESTS_SUPPORT_MEDIA_DECODED_H
#define MS_TESTS_SUPPORT_MEDIA_DECODED_H

#include "media/read/video_reader.h"
#include "support/media/drawn.h"
#include "test.h"

/* Of all frames in order; ret_frames: how many there are, may be NULL. */
static inline uint64_t test_hash_video(const char *path, int *ret_frames) {
    ms_video_reader *reader = NULL;
    ms_error err;
    ms_video_reader_params params = MS_VIDEO_READER_DEFAULTS;
    assert_ms_ok(ms_video_reader_open(NULL, path, &params, &reader, &err), &err);
    const ms_video_info *info = ms_video_reader_info(reader);
    size_t bytes = (size_t)info->width * (size_t)info->height * 3;
    uint8_t *rgb = malloc(bytes);
    assert_non_null(rgb);
    uint64_t hash = 0;
    int frames = 0;
    for (bool got = true;; frames++) {
        assert_ms_ok(ms_video_reader_read(reader, rgb, 0, &got, &err), &err);
        if (!got)
            break;
        hash = hash * 31 + test_fnv1a(rgb, bytes);
    }
    free(rgb);
    ms_video_reader_close(&reader);
    if (ret_frames)
        *ret_frames = frames;
    return hash;
}

#endif
