/* Reading clips (support/media/clip.h) frame by frame. */
#ifndef MS_TESTS_SUPPORT_MEDIA_VIDEO_H
#define MS_TESTS_SUPPORT_MEDIA_VIDEO_H

#include "test.h"

#include <libavutil/log.h>

#include "media/read/video_reader.h"
#include "memsafe/libav_log.h"
#include "support/media/clip.h"

static inline ms_video_reader *open_reader(const char *path, const ms_video_reader_params *params) {
    ms_error err;
    ms_video_reader *r;
    assert_ms_ok(ms_video_reader_open(NULL, path, params, &r, &err), &err);
    return r;
}

static inline size_t frame_bytes(const ms_video_reader *r) {
    const ms_video_info *info = ms_video_reader_info(r);
    return (size_t)info->width * (size_t)info->height * 3;
}

/* All frames from where the reader stands, one after the other; *ret_count how many. */
static inline uint8_t *read_all(ms_video_reader *r, int64_t *ret_count) {
    ms_error err;
    size_t n = frame_bytes(r), room = 0;
    uint8_t *all = NULL;
    int64_t count = 0;
    for (;;) {
        if ((size_t)count == room) {
            room = room ? room * 2 : 16;
            all = realloc(all, room * n);
        }
        bool got;
        assert_ms_ok(ms_video_reader_read(r, all + (size_t)count * n, 0, &got, &err), &err);
        if (!got)
            break;
        count++;
    }
    *ret_count = count;
    return all;
}

static inline uint8_t *read_file(const char *path, const ms_video_reader_params *params, int64_t *ret_count) {
    ms_video_reader *r = open_reader(path, params);
    uint8_t *all = read_all(r, ret_count);
    ms_video_reader_close(&r);
    return all;
}

static inline void assert_picture(const uint8_t *rgb, int width, int height, int64_t number) {
    size_t n = (size_t)width * (size_t)height * 3;
    uint8_t *expected = malloc(n);
    clip_picture(expected, width, height, number);
    assert_memory_equal(rgb, expected, n);
    free(expected);
}

static inline int remove_folder(void **state) {
    (void)state;
    clip_remove_folder();
    return 0;
}

#endif
