/*
 * What all users of FFmpeg's libraries in this project share: log lines caught, error numbers turned into
 * status codes, input files opened without ever touching a second file or the network.
 */
#ifndef MS_MEDIA_AV_H
#define MS_MEDIA_AV_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "base/error.h"
#include "media/media.h"

/*
 * The last error that FFmpeg logged for one reader or writer. FFmpeg has one log callback in the
 * process; ours, where the host asked for it (memsafe/libav_log.h), keeps the line for whoever the
 * calling thread works for (ms_av_log_enter), or, in a codec's own threads, for the log that the codec
 * was attached to. What is neither is handed on. Where the host did not ask, nothing comes in here.
 */
typedef struct ms_av_log {
    char line[256];
    unsigned errors, warnings;         /* lines so far; warnings with errors */
    int refused_width, refused_height; /* the first picture that was over a decoder's limit; 0 = none */
    unsigned codecs;                   /* that are attached; the struct must not move while there are any */
    struct ms_av_log *next;
} ms_av_log;

/* Messages of the codec's threads are for this log until ms_av_codec_free(). Takes
   AVCodecContext.opaque and log_level_offset. */
void ms_av_log_attach(ms_av_log *log, AVCodecContext *codec);
void ms_av_codec_free(AVCodecContext **codec);

/* Returns the log that was current before; every public function of a reader or writer brackets its work. */
ms_av_log *ms_av_log_enter(ms_av_log *log);
void ms_av_log_leave(ms_av_log *previous);

/* A codec's threads may write at the same time, so the log is read through these. */
unsigned ms_av_log_errors(const ms_av_log *log);
unsigned ms_av_log_warnings(const ms_av_log *log);
bool ms_av_log_refused(const ms_av_log *log, int *ret_width, int *ret_height);
void ms_av_log_line(const ms_av_log *log, char *ret, size_t size);

/* "what: <FFmpeg's text for averror> (<last log line>)". code MS_OK picks the
   status by averror: MS_HOST_MEMORY for ENOMEM, MS_UNSUPPORTED for a missing codec,
   MS_IO for the system's errors, else MS_BAD_MEDIA. */
ms_status ms_fail_av(ms_error *err, ms_status code, const ms_av_log *log, int averror, const char *fmt, ...)
    MS_PRINTF(5, 6);

/*
 * An input file, opened and probed. Data comes through our own descriptor: a demuxer that wants to open
 * something else (playlists, references to other files) is refused.
 */
typedef struct ms_av_input {
    AVFormatContext *format;
    AVIOContext *io;
    int fd;
    int read_errno;                        /* the last error of read(2), 0 = none */
    int64_t bytes;                         /* size of the file */
    int announced_width, announced_height; /* of the best video stream, by the container alone; 0 = none */
    ms_av_log *log;
} ms_av_input;

/* FFmpeg decodes a few frames here to know the streams: none of pictures without room.
   MS_IO: not there, not readable, a folder. MS_BAD_MEDIA: empty, not media. Messages name
   the path. On failure nothing is left open. The struct must not move while open. */
ms_status ms_av_input_open(ms_av_input *in, const char *path, ms_picture_room room, ms_av_log *log,
                           ms_error *err);
void ms_av_input_close(ms_av_input *in);

/* The stream that ffmpeg would take (ffmpeg_opt.c, 5.1): most pixels or channels, with
   a bonus for the default one; cover pictures do not count. -1 when there is none. */
int ms_av_best_stream(const AVFormatContext *format, enum AVMediaType type);

/* Tells the demuxer that only this stream is wanted. */
void ms_av_select(AVFormatContext *format, int stream);

/* A decoder for the stream, open; packets whose pictures have no room are refused,
   before it takes memory for them. threads >= 1. */
ms_status ms_av_open_decoder(const AVStream *stream, int threads, ms_picture_room room, ms_av_log *log,
                             const char *path, AVCodecContext **ret_codec, ms_error *err);

/* MS_BUDGET when a picture of that size has no room; the message says what it
   takes. format: AV_PIX_FMT_NONE = not known. */
ms_status ms_av_check_room(ms_picture_room room, int width, int height, enum AVPixelFormat format,
                           const char *path, ms_error *err);

#endif
