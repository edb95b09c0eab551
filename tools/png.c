#include "png.h"

#include <string.h>

#include "files/new_file.h"
#include "media/av.h"

static int encode(AVCodecContext *codec, AVFrame *frame, AVPacket *packet, const uint8_t *rgb) {
    codec->width = frame->width;
    codec->height = frame->height;
    codec->pix_fmt = AV_PIX_FMT_RGB24;
    codec->time_base = (AVRational){1, 1};
    codec->thread_count = 1;
    int rc = avcodec_open2(codec, codec->codec, NULL);
    if (rc >= 0)
        rc = av_frame_get_buffer(frame, 0);
    for (int y = 0; rc >= 0 && y < frame->height; y++)
        memcpy(frame->data[0] + (ptrdiff_t)y * frame->linesize[0], rgb + (size_t)y * (size_t)frame->width * 3,
               (size_t)frame->width * 3);
    if (rc >= 0)
        rc = avcodec_send_frame(codec, frame);
    if (rc >= 0)
        rc = avcodec_send_frame(codec, NULL);
    return rc >= 0 ? avcodec_receive_packet(codec, packet) : rc;
}

ms_status png_write(const char *path, const uint8_t *rgb, int width, int height, ms_error *err) {
    const AVCodec *png = avcodec_find_encoder(AV_CODEC_ID_PNG);
    if (!png)
        return ms_fail(err, MS_UNSUPPORTED, "this build's FFmpeg has no encoder for PNG");
    AVCodecContext *codec = avcodec_alloc_context3(png);
    AVFrame *frame = av_frame_alloc();
    AVPacket *packet = av_packet_alloc();
    int rc = AVERROR(ENOMEM);
    if (codec && frame && packet) {
        frame->format = AV_PIX_FMT_RGB24;
        frame->width = width;
        frame->height = height;
        rc = encode(codec, frame, packet, rgb);
    }
    ms_status status =
        rc < 0 ? ms_fail_av(err, MS_OK, NULL, rc, "%s: cannot encode a picture of %dx%d", path, width, height)
               : ms_new_file_save(path, packet->data, (size_t)packet->size, true, err);
    av_packet_free(&packet);
    av_frame_free(&frame);
    avcodec_free_context(&codec);
    return status;
}
