/* Types that the readers and writers of media files share; free of FFmpeg's headers. */
#ifndef MS_MEDIA_MEDIA_H
#define MS_MEDIA_MEDIA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

typedef struct ms_rational {
    int num, den;
} ms_rational;

typedef enum ms_video_codec {
    MS_VIDEO_H264, /* .mp4 .m4v .mov .mkv */
    MS_VIDEO_HEVC, /* the same */
    MS_VIDEO_FFV1, /* .mkv .mov .avi */
} ms_video_codec;

/*
 * What the numbers of a picture mean: code points of ITU-T H.273, 2 = unspecified. Those of `matrix`:
 * 1 = BT.709, 5 and 6 = BT.601 (625 and 525 lines), 9 = BT.2020, 0 = the samples are R, G, B themselves.
 * primaries and transfer are carried along, nothing is converted by them: RGB frames are in the source's
 * primaries and transfer curve.
 */
typedef struct ms_colour {
    int matrix, primaries, transfer;
    bool full_range; /* 0..255 rather than 16..235 */
} ms_colour;

#define MS_COLOUR_UNSPECIFIED ((ms_colour){2, 2, 2, false})

/* Of an HDR stream: the display that it was graded on, and its brightest pictures. */
typedef struct ms_hdr_light {
    bool has_display;
    unsigned primaries[3][2], white[2];    /* R, G, B; x and y in 1/50000 */
    unsigned max_luminance, min_luminance; /* in 1/10000 cd/m2 */
    unsigned max_content, max_average;     /* cd/m2; 0 = not said */
} ms_hdr_light;

/*
 * Memory for pictures before there is a plan: what the budget leaves. A file whose
 * pictures take more than that to be read is refused before a decoder has made one.
 * Whether they fit later on is for the plan to say. 0 = no bound.
 */
typedef struct ms_picture_room {
    size_t bytes;
} ms_picture_room;

/* Bytes that reading takes for a pixel: the RGB picture, the frames that a decoder
   has in hand, and its tables. */
#define MS_PICTURE_PIXEL_BYTES 13

/* Pictures that take no more are always read. If the budget is too small for them,
   the plan says so, with what would be enough. */
#define MS_PICTURE_LEAST_ROOM ((size_t)16 << 20)

static inline ms_picture_room ms_picture_room_in(size_t budget_bytes, size_t held_bytes) {
    size_t left = budget_bytes > held_bytes ? budget_bytes - held_bytes : 0;
    return (ms_picture_room){left > MS_PICTURE_LEAST_ROOM ? left : MS_PICTURE_LEAST_ROOM};
}

/* How far a video was read, and what is still to be counted there. Damage is counted beyond it. */
typedef struct ms_video_reach {
    int64_t packet, frame; /* a packet's place; a frame's timestamp */
    int64_t trouble_ts;    /* of the last packet at which demuxer or decoder complained */
    int64_t refused;       /* packets that failed and whose frames were not yet missed */
} ms_video_reach;

#define MS_VIDEO_REACH_NOTHING                                                                               \
    ((ms_video_reach){.packet = INT64_MIN, .frame = INT64_MIN, .trouble_ts = INT64_MIN})

/* The matrix of a stream that names none: BT.709 from 720 rows on, BT.601 (525 lines) below. */
int ms_colour_default_matrix(int height);

/* Short name of a matrix ("bt709", "rgb"); "unspecified" for what is not known here. */
const char *ms_colour_matrix_name(int matrix);

#endif
