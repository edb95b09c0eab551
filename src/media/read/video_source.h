/*
 * A file's video stream as decoded frames with timestamps: demuxer and decoder, nothing else. Timestamps are
 * made as the ffmpeg command makes them (fftools/ffmpeg.c, 5.1): the file's start is zero, missing ones are
 * continued from the frame rate, jumps in formats that may jump (MPEG-TS, FLV, Ogg) are closed.
 */
#ifndef MS_MEDIA_READ_VIDEO_SOURCE_H
#define MS_MEDIA_READ_VIDEO_SOURCE_H

#include "media/av.h"
#include "media/read/picture_files.h"

/* What went wrong in the file, counted once however often a part is read. */
typedef struct ms_video_damage {
    int64_t packets;        /* read */
    int64_t packets_failed; /* packets that the decoder refused; their frames are lost */
    /* frames that the container announces and that are not there, or that a hole in it swallowed */
    int64_t frames_missing;
    int64_t frames_marred; /* frames that were put out, but with errors concealed */
    bool truncated;        /* the file ended in the middle of something */
    char last_error[256];  /* FFmpeg's last complaint */
} ms_video_damage;

typedef struct ms_video_source {
    const char *path; /* borrowed */
    int threads;
    ms_picture_room room;
    AVRational pictures_rate; /* of numbered pictures, which have none of their own */
    ms_av_log *log;           /* borrowed */
    ms_video_damage *damage;  /* borrowed; outlives a reopening */
    ms_av_input in;
    bool numbered; /* path stands for pictures in files of their own */
    ms_numbered files;
    int next_file;                     /* from 0 */
    int picture_width, picture_height; /* that all of them must have; 0 = none was seen */
    AVStream *stream;
    AVCodecContext *codec;
    AVPacket *packet;
    int64_t offset;             /* added to timestamps, in microseconds */
    int64_t next_dts, last_dts; /* microseconds, AV_NOPTS_VALUE = unknown */
    int64_t next_ts; /* where the next frame is expected, stream time base; AV_NOPTS_VALUE = unknown */
    ms_video_reach reach;
    int64_t sent_ts; /* of the packet that the decoder got last */
    unsigned errors; /* in the log, at the last look */
    int errors_in_a_row;
    bool started, packets_done, discontinuous;
    bool new_packet; /* the packet that the decoder works on was not read before */
} ms_video_source;

/* stream: index, or -1 for ffmpeg's choice. MS_BAD_MEDIA: no video stream. */
ms_status ms_video_source_open(ms_video_source *source, int stream, ms_error *err);
void ms_video_source_close(ms_video_source *source);

/* The next frame in the order of display; *ret_ts in the stream's time base. *ret_got false: the end.
   Frames that cannot be decoded are counted and left out; MS_IO and MS_HOST_MEMORY end the reading. */
ms_status ms_video_source_next(ms_video_source *source, AVFrame *frame, int64_t *ret_ts, bool *ret_got,
                               ms_error *err);

/* Goes to a key frame at or before ts, as far as the demuxer can: the caller checks
   what comes. False: it cannot. */
bool ms_video_source_seek(ms_video_source *source, int64_t ts);

/* Goes back to the beginning, by opening the file again. */
ms_status ms_video_source_restart(ms_video_source *source, ms_error *err);

/* A fingerprint of the visible samples of a decoded frame. */
uint64_t ms_frame_hash(const AVFrame *frame);

#endif
