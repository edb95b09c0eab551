/*
 * An output file in the making: a temporary file in the target's folder that takes the target's name when it
 * is finished and is removed when it is not. The container follows from the target's extension.
 */
#ifndef MS_MEDIA_WRITE_MUX_H
#define MS_MEDIA_WRITE_MUX_H

#include "files/new_file.h"
#include "media/av.h"

typedef enum ms_container {
    MS_CONTAINER_MP4, /* .mp4 .m4v */
    MS_CONTAINER_MOV,
    MS_CONTAINER_MKV,
    MS_CONTAINER_AVI,
} ms_container;

typedef struct ms_mux {
    ms_new_file file;
    ms_container container;
    int write_errno; /* the first error of write(2), 0 = none */
    AVFormatContext *format;
    AVIOContext *io;
    ms_av_log *log;
} ms_mux;

/* MS_INVALID_ARGUMENT: no extension, or one that names no container for these
   codecs; the message lists those that do. codec_id: of the video. */
ms_status ms_container_for(const char *path, enum AVCodecID codec_id, ms_container *ret_container,
                           ms_error *err);

/* Checks the target and creates the temporary file and a muxer without streams. On
   failure nothing is left. */
ms_status ms_mux_open(ms_mux *mux, ms_mem *mem, const char *path, enum AVCodecID codec_id, bool force,
                      ms_av_log *log, ms_error *err);

/* A stream with the encoder's or the given parameters; *ret_index its number. */
ms_status ms_mux_add_encoder(ms_mux *mux, const AVCodecContext *encoder, int *ret_index, ms_error *err);
ms_status ms_mux_add_copy(ms_mux *mux, const AVCodecParameters *par, AVRational time_base, int *ret_index,
                          ms_error *err);

ms_status ms_mux_write_header(ms_mux *mux, ms_error *err);

/* Takes the packet's data; its timestamps are in time_base. */
ms_status ms_mux_write(ms_mux *mux, AVPacket *packet, int index, AVRational time_base, ms_error *err);

/* Trailer, fsync, rename. The mux is closed whatever is returned; on failure the temporary file is gone. */
ms_status ms_mux_finish(ms_mux *mux, ms_error *err);
void ms_mux_abort(ms_mux *mux);

#endif
