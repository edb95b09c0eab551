/* Pictures and lossless video of the golden data as RGB24, without any conversion that could round. */
#ifndef MS_TESTS_SUPPORT_MEDIA_PICTURE_H
#define MS_TESTS_SUPPORT_MEDIA_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct test_video {
    int width, height, frames;
    uint8_t *rgb; /* [frames][height][width][3] */
} test_video;

/* A picture is a video of one frame. Reads RGB24, planar RGB and grey (three equal channels). False when the
   file is not there, is none of these, or the build has no FFmpeg. */
bool test_video_read(const char *path, test_video *ret_video);
void test_video_free(test_video *video);

static inline uint8_t *test_video_frame(const test_video *video, int frame) {
    return video->rgb + (size_t)frame * (size_t)video->width * (size_t)video->height * 3;
}

#endif
