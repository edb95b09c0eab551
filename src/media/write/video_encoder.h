/* Frames to packets: one of the video encoders, set up so that equal input gives equal output. */
#ifndef MS_MEDIA_WRITE_VIDEO_ENCODER_H
#define MS_MEDIA_WRITE_VIDEO_ENCODER_H

#include "media/convert.h"
#include "media/write/video_writer.h"

typedef struct ms_video_encoder {
    AVCodecContext *codec;
    AVFrame *frame;
    AVPacket *packet;
    ms_from_rgb convert;
    int64_t frames;  /* sent */
    int64_t packets; /* received */
} ms_video_encoder;

enum AVCodecID ms_video_codec_id(ms_video_codec codec);

/* MS_INVALID_ARGUMENT names the parameter. */
ms_status ms_video_encoder_check(const ms_video_writer_params *params, ms_error *err);

/* The colour facts that are written for the parameters' unspecified ones filled in. */
ms_colour ms_video_encoder_colour(const ms_video_writer_params *params);

/* Of the encoded picture. */
enum AVPixelFormat ms_video_encoder_format(const ms_video_writer_params *params);

/* Size of the encoded picture: even for 4:2:0. */
void ms_video_encoder_size(const ms_video_writer_params *params, int *ret_width, int *ret_height);

/* global_header: the container wants the codec's headers apart. log is borrowed. */
ms_status ms_video_encoder_open(ms_video_encoder *encoder, const ms_video_writer_params *params,
                                bool global_header, ms_av_log *log, ms_error *err);
void ms_video_encoder_close(ms_video_encoder *encoder);

/* Bytes of a row of the parameters' frames without a gap. */
ptrdiff_t ms_video_encoder_row_bytes(const ms_video_writer_params *params);

/* rgb NULL: no more frames. */
ms_status ms_video_encoder_send(ms_video_encoder *encoder, const uint8_t *rgb, ptrdiff_t stride,
                                ms_av_log *log, ms_error *err);

/* The next packet into encoder->packet, timestamps in frames; *ret_got false: none for now. */
ms_status ms_video_encoder_receive(ms_video_encoder *encoder, bool *ret_got, ms_av_log *log, ms_error *err);

#endif
