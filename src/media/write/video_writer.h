/*
 * Writing RGB24 frames to a video file, with sound if wanted.
 *
 * The file is written under a temporary name in the target's folder and renamed when it is finished; a writer
 * that is aborted or fails leaves nothing. The same frames and parameters give the same bytes (and the number
 * of encoder threads is one of the parameters: x264 and x265 make other, equally good decisions with another
 * number).
 *
 * Sizes: H.264 and HEVC are written as 4:2:0; an odd width or height is made even by repeating the last
 * column or row. FFV1 is lossless RGB of any size: the file holds exactly the frames given.
 */
#ifndef MS_MEDIA_WRITE_VIDEO_WRITER_H
#define MS_MEDIA_WRITE_VIDEO_WRITER_H

#include <stddef.h>

#include "media/media.h"

/* "h264", "hevc", "ffv1". */
const char *ms_video_codec_name(ms_video_codec codec);
bool ms_video_codec_from_name(const char *name, ms_video_codec *ret_codec);

/* Where the sound comes from, if it comes from the caller: the next `max` samples of all channels,
   interleaved; fewer only at the end. Has the shape of ms_audio_reader_read(). Called as the video advances,
   so neither side has to hold much. */
typedef struct ms_audio_feed {
    ms_status (*read)(void *context, float *dst, int64_t max, int64_t *ret_count, ms_error *err);
    void *context;
    int rate, channels;
} ms_audio_feed;

typedef enum ms_audio_mode {
    MS_AUDIO_NONE,
    MS_AUDIO_FEED, /* encoded: AAC in mp4 and mov, FLAC in mkv, 16-bit PCM in avi */
    /* a file's track as it is where the container can hold its codec, else encoded at its own rate and
       channels at a high bit rate */
    MS_AUDIO_ORIGINAL,
} ms_audio_mode;

struct AVFormatContext;

/* The first word of a comment that a run wrote: one of before is replaced, not added to. */
#define MS_TAGS_COMMENT_BEGINS "memsafe "

/* What the file says of itself (media/write/tags.h); all 0: nothing. */
typedef struct ms_tags {
    const struct AVFormatContext *source; /* title and such and the chapters are its; borrowed. NULL = none */
    int source_video;                     /* stream of it whose language and title the picture has */
    double from_s;                        /* of the source, where the output begins */
    double seconds;             /* of the output: chapters are cut there. 0 = as long as the source */
    const char *sound_language; /* borrowed; NULL or "" = not said */
    const char *comment;        /* borrowed; begins with MS_TAGS_COMMENT_BEGINS. NULL = none */
} ms_tags;

typedef struct ms_video_writer_params {
    int width, height;
    ms_rational fps;
    ms_rational pixel_aspect; /* 0/x = not said */
    ms_video_codec codec;
    int crf;            /* 0..51, H.264 and HEVC; smaller is better */
    const char *preset; /* of x264 and x265: "ultrafast" .. "veryslow" */
    int threads;        /* of the encoder, 1..64. Changes the bits, so it must not follow the machine */
    int lookahead;      /* frames that the encoder looks ahead and so holds, 0..250; changes the bits */
    /* what the RGB frames are; unspecified: the matrix by ms_colour_default_matrix(), primaries and transfer
       those that go with it. full_range: of the encoded YUV */
    ms_colour colour;
    bool deep;          /* frames have 16 bits a colour and are encoded with 10: HEVC only */
    ms_hdr_light light; /* of HDR, written into the stream */
    bool force;         /* replace an existing file */
    /* what messages call the file when its path is a temporary one; borrowed. NULL = the path */
    const char *shown_as;
    ms_audio_mode audio;
    ms_audio_feed feed;         /* MS_AUDIO_FEED */
    const char *audio_path;     /* MS_AUDIO_ORIGINAL */
    int64_t audio_skip_us;      /* of audio_path, left out at its beginning; it is then encoded */
    ms_picture_room audio_room; /* for pictures of that file */
    int audio_stream;           /* of audio_path, -1 = the one that ffmpeg would take */
    int audio_bits;             /* AAC bits per second, 0 = 64k a channel for a feed, 128k for an original */
    ms_tags tags;               /* looked at when the writer is opened */
    /* for the memory estimate: mp4 and mov hold their index until the end; 0 for mkv and avi */
    int64_t expected_frames;
} ms_video_writer_params;

#define MS_VIDEO_WRITER_DEFAULTS                                                                             \
    ((ms_video_writer_params){.fps = {25, 1},                                                                \
                              .codec = MS_VIDEO_H264,                                                        \
                              .crf = 18,                                                                     \
                              .preset = "medium",                                                            \
                              .threads = 2,                                                                  \
                              .lookahead = 20,                                                               \
                              .colour = {2, 2, 2, false},                                                    \
                              .audio_stream = -1})

typedef struct ms_video_writer ms_video_writer;

/*
 * Checks everything that can be checked before the first frame, and creates the temporary file.
 * MS_INVALID_ARGUMENT: a parameter, or an extension that names no container for the codec.
 * MS_IO: the target exists (without force), its folder is missing or not writable; audio_path is not there.
 * MS_BAD_MEDIA: audio_path holds no audio. MS_UNSUPPORTED: this FFmpeg has no such encoder.
 * MS_HOST_MEMORY: the encoder's estimate (ms_video_writer_memory) does not fit the budget.
 */
ms_status ms_video_writer_open(ms_mem *mem, const char *path, const ms_video_writer_params *params,
                               ms_video_writer **ret_writer, ms_error *err);

/* The checks alone, without creating anything: for a command that wants to fail before hours of work. */
ms_status ms_video_writer_check(const char *path, const ms_video_writer_params *params, ms_error *err);

/* What becomes of a track of that codec (by FFmpeg's name) in the file of that name: the name of the codec
   that it is encoded as, NULL when it is copied. The path is one that was checked. */
const char *ms_video_writer_encodes_sound(const char *path, const ms_video_writer_params *params,
                                          const char *sound_codec);

/* The pixel format of the file, by FFmpeg's name; and whether a name, with or without the byte order, is this
   one. */
const char *ms_video_writer_pixel_format(const ms_video_writer_params *params);
bool ms_video_writer_stores(const ms_video_writer_params *params, const char *pixel_format);

/* False: files of this name's kind (.avi) have no chapters. */
bool ms_video_writer_holds_chapters(const char *path);

/* The size of the pictures in the file: even for H.264 and HEVC. */
void ms_video_writer_size(const ms_video_writer_params *params, int *ret_width, int *ret_height);

/* The next frame: rows of width * 3 bytes (deep: width * 3 uint16_t), stride bytes apart (0 = tight). MS_IO:
   the disk is full or such; the writer is then good for ms_video_writer_abort() only. */
ms_status ms_video_writer_write(ms_video_writer *writer, const uint8_t *rgb, ptrdiff_t stride, ms_error *err);

/* The frames of a finished segment (media/write/video_segment.h) of the same parameters, in place of writing
   them. A writer takes either frames or segments. segment: its file and which one it must be; the rest is the
   writer's own. MS_DAMAGED: the segment is, or is another. MS_CANCELLED. */
struct ms_packet_file_params;
ms_status ms_video_writer_append(ms_video_writer *writer, const struct ms_packet_file_params *segment,
                                 ms_error *err);

/* Frames written so far. */
int64_t ms_video_writer_frames(const ms_video_writer *writer);

/* Writes what the encoder still holds and the sound up to int(frames / fps * rate) samples, and gives the
   file its name. The writer is gone whatever is returned; on failure so is the file. MS_INVALID_ARGUMENT
   without a frame. */
ms_status ms_video_writer_finish(ms_video_writer **writer, ms_error *err);

/* Removes the temporary file. */
void ms_video_writer_abort(ms_video_writer **writer);

/* Upper bound of what the writer and its encoder hold; grows with expected_frames. */
size_t ms_video_writer_memory(const ms_video_writer_params *params);

#endif
