/*
 * Reading a video file as RGB24 frames at a constant rate.
 *
 * Anything FFmpeg reads, and numbered pictures (files/numbered.h), which have the output's
 * rate, or 25 frames a second; 8 and more bits, any chroma, turned as the file's display
 * matrix says. Frames are numbered from 0 at the output's rate; the frames of a number are
 * the same bytes however one got there. Colour, rotation and rate rules are in docs/media.md.
 *
 * Memory does not grow with the length: two decoded frames, one RGB picture, a
 * table of at most MS_VIDEO_MAX_MARKS places to seek to, and what the decoder and
 * the demuxer hold (charged to the codec ledger by estimate, media/codec_memory.h;
 * the mp4 demuxer's own index is about 60 bytes for each frame of the file).
 */
#ifndef MS_MEDIA_READ_VIDEO_READER_H
#define MS_MEDIA_READ_VIDEO_READER_H

#include <stddef.h>

#include "media/media.h"

struct AVFormatContext;
typedef struct ms_video_reader ms_video_reader;

#define MS_VIDEO_MAX_MARKS 2048
#define MS_VIDEO_MAX_AUDIO 8

typedef struct ms_video_reader_params {
    ms_rational fps; /* of the output; 0/x = the source's own: the average rate when it varies */
    /* Of the decoder, which holds about one frame for each. Frames do not depend on it, but those
       of a damaged file do: what is missing is taken from the frames that a thread had then */
    int threads;
    int stream; /* index in the file, -1 = the one that ffmpeg would take */
    /* HDR frames: RGB24 is a view of the signal, which is there too; else they are
       tone-mapped to BT.709 (media/hdr.h) */
    bool keep_hdr;
    ms_picture_room room;
} ms_video_reader_params;

#define MS_VIDEO_READER_DEFAULTS ((ms_video_reader_params){.fps = {25, 1}, .threads = 1, .stream = -1})

typedef struct ms_stream_info {
    int index;
    char codec[24];
    int rate, channels;
    double duration_s; /* 0 = unknown */
} ms_stream_info;

typedef struct ms_video_info {
    int width, height;               /* of the frames given out */
    int stored_width, stored_height; /* before turning */
    int degrees;                     /* clockwise turn that was applied: 0, 90, 180, 270 */
    bool mirrored;
    bool odd_angle;           /* the file asks for some other angle, which is not applied */
    ms_rational pixel_aspect; /* of the frames given out; 0/1 = unknown. Kept as a fact, not applied */
    ms_rational fps;          /* of the frames given out */
    ms_rational source_fps;   /* the file's; 0/1 = unknown */
    double duration_s;        /* as announced; 0 = unknown */
    int64_t frames;           /* estimate at the output's rate; 0 = unknown. ms_video_reader_count() knows */
    char container[32], codec[24], pixel_format[24];
    int bits; /* per component */
    /* pixels that share a colour sample: 2 and 2 for 4:2:0, 1 and 1 for 4:4:4 */
    int chroma_across, chroma_down;
    bool alpha; /* there is a plane of transparency, which is not read */
    int n_subtitles, n_covers, n_other_videos, n_chapters;
    ms_colour colour; /* of the frames given out: BT.709's when they are tone-mapped */
    int hdr_transfer; /* MS_TRANSFER_PQ or MS_TRANSFER_HLG; 0 = the file is no HDR */
    bool deep;        /* frames have their signal with 16 bits a colour beside RGB24 */
    ms_hdr_light light;
    bool matrix_guessed, range_guessed; /* the file did not say */
    int n_audio;                        /* streams that hold audio; the first ones are described */
    ms_stream_info audio[MS_VIDEO_MAX_AUDIO];
} ms_video_info;

/* Damage found so far, each loss counted once however often a part is read. */
typedef struct ms_video_damage_report {
    int64_t frames_lost;   /* source frames that could not be decoded or are not in the file */
    int64_t frames_marred; /* shown with errors concealed */
    bool truncated;
    char message[384]; /* one sentence that names the file; empty when nothing was found */
} ms_video_damage_report;

/* MS_IO: no such file, not readable. MS_BAD_MEDIA: not media, no video stream (cover
   pictures are none), not one decodable frame. MS_UNSUPPORTED: codec, pixel format
   or colour matrix. MS_BUDGET: its pictures have no room. Messages name the path. */
ms_status ms_video_reader_open(ms_mem *mem, const char *path, const ms_video_reader_params *params,
                               ms_video_reader **ret_reader, ms_error *err);
void ms_video_reader_close(ms_video_reader **reader);

/* How much more the decoder may come to hold than it does right after opening; part of what is charged. */
size_t ms_video_reader_growth_bytes(const ms_video_reader *reader);

const ms_video_info *ms_video_reader_info(const ms_video_reader *reader);

/* What the file says of itself, for a writer's tags: valid until the reader is read, moved or closed. */
void ms_video_reader_tags(const ms_video_reader *reader, const struct AVFormatContext **ret_format,
                          int *ret_stream);

/* Chapters of the file that begin at `seconds` or later. */
int ms_video_reader_chapters_after(const ms_video_reader *reader, double seconds);

/* The next frame to rgb: rows of info.width * 3 bytes, stride apart (0 = tight). *ret_got false: the end, rgb
   untouched; a damaged file ends where its last decodable frame is, see ms_video_reader_damage(). MS_IO: the
   file could not be read. */
ms_status ms_video_reader_read(ms_video_reader *reader, uint8_t *rgb, ptrdiff_t stride, bool *ret_got,
                               ms_error *err);

/* The same; deep gets the signal of HDR that is kept (info.deep): [height][width][3], NULL = not wanted. */
ms_status ms_video_reader_read_deep(ms_video_reader *reader, uint8_t *rgb, ptrdiff_t stride, uint16_t *deep,
                                    bool *ret_got, ms_error *err);

/* What was redrawn in a kept frame's RGB24 goes back into its signal, tight rows both. From any thread. */
void ms_video_reader_put_back(const ms_video_reader *reader, const uint8_t *rgb, uint16_t *deep);

/* Number of the frame that read gives next. */
int64_t ms_video_reader_tell(const ms_video_reader *reader);

/*
 * Makes `frame` the next one; past the end the next read says so. Backwards: from the last mark at or before
 * it, at most a few seconds or one key frame interval of decoding; files whose demuxer cannot seek (raw
 * streams) are decoded again from the start. Forwards beyond what was read so far: every frame between is
 * decoded, for the rate conversion depends on it.
 */
ms_status ms_video_reader_seek(ms_video_reader *reader, int64_t frame, ms_error *err);

/* The exact number of frames, by decoding what was not yet decoded; the position stays. */
ms_status ms_video_reader_count(ms_video_reader *reader, int64_t *ret_frames, ms_error *err);

void ms_video_reader_damage(const ms_video_reader *reader, ms_video_damage_report *ret);

/*
 * A place that the reader can jump to. Marks are found while reading, at key frames; one that was saved and
 * given back to a later reader of the same file and rate spares it the decoding up to there (resume). A mark
 * is checked against the picture it leads to before it is used, so a stale one costs time and nothing else.
 */
typedef struct ms_video_mark {
    int64_t timestamp;     /* of the key frame, in the stream's time base */
    uint64_t fingerprint;  /* of its picture */
    int64_t first_frame;   /* the earliest output frame that can be had from here */
    int64_t rate_state[5]; /* of the rate conversion before that frame */
} ms_video_mark;

/* The last mark at or before `frame`; false when there is none. */
bool ms_video_reader_get_mark(const ms_video_reader *reader, int64_t frame, ms_video_mark *ret_mark);
void ms_video_reader_add_mark(ms_video_reader *reader, const ms_video_mark *mark);

/* What a later reader of the same file needs to go on as if it had read up to here:
   the mark, and what was counted of damage so that nothing is counted twice. */
typedef struct ms_video_place {
    bool has_mark;
    ms_video_mark mark;
    int64_t packets, packets_failed, frames_missing, frames_marred;
    ms_video_reach reach;
} ms_video_place;

/* frame: the one that the later reader will ask for first. */
void ms_video_reader_save_place(const ms_video_reader *reader, int64_t frame, ms_video_place *ret_place);
void ms_video_reader_go_on(ms_video_reader *reader, const ms_video_place *place);

#endif
