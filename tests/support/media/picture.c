#include "support/media/picture.h"
#include "memsafe_have.h"

#include <stdlib.h>
#include <string.h>

void test_video_free(test_video *video) {
    free(video->rgb);
    *video = (test_video){0};
}

#if MS_HAVE_FFMPEG

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

typedef struct reader {
    AVFormatContext *format;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame;
} reader;

static bool append(test_video *video, const AVFrame *frame) {
    size_t bytes = (size_t)frame->width * (size_t)frame->height * 3;
    if (!video->frames) {
        video->width = frame->width;
        video->height = frame->height;
    }
    if (frame->width != video->width || frame->height != video->height)
        return false;
    uint8_t *rgb = realloc(video->rgb, bytes * (size_t)(video->frames + 1));
    if (!rgb)
        return false;
    video->rgb = rgb;
    uint8_t *out = rgb + bytes * (size_t)video->frames;
    for (int y = 0; y < frame->height; y++) {
        const uint8_t *p[3];
        for (int i = 0; i < 3; i++)
            p[i] = frame->data[i] ? frame->data[i] + (ptrdiff_t)y * frame->linesize[i] : NULL;
        for (int x = 0; x < frame->width; x++, out += 3)
            switch (frame->format) {
            case AV_PIX_FMT_RGB24:
                memcpy(out, p[0] + 3 * x, 3);
                break;
            case AV_PIX_FMT_GBRP:
                out[0] = p[2][x];
                out[1] = p[0][x];
                out[2] = p[1][x];
                break;
            case AV_PIX_FMT_GRAY8:
                memset(out, p[0][x], 3);
                break;
            default:
                return false;
            }
    }
    video->frames++;
    return true;
}

static bool open_stream(reader *r, const char *path, int *ret_stream) {
    if (avformat_open_input(&r->format, path, NULL, NULL) < 0 ||
        avformat_find_stream_info(r->format, NULL) < 0)
        return false;
    int stream = av_find_best_stream(r->format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (stream < 0)
        return false;
    const AVCodec *codec = avcodec_find_decoder(r->format->streams[stream]->codecpar->codec_id);
    if (!codec || !(r->codec = avcodec_alloc_context3(codec)) ||
        avcodec_parameters_to_context(r->codec, r->format->streams[stream]->codecpar) < 0 ||
        avcodec_open2(r->codec, codec, NULL) < 0)
        return false;
    *ret_stream = stream;
    r->packet = av_packet_alloc();
    r->frame = av_frame_alloc();
    return r->packet && r->frame;
}

static bool drain(reader *r, test_video *video) {
    while (avcodec_receive_frame(r->codec, r->frame) == 0)
        if (!append(video, r->frame))
            return false;
    return true;
}

bool test_video_read(const char *path, test_video *ret_video) {
    reader r = {0};
    test_video video = {0};
    int stream = -1;
    av_log_set_level(AV_LOG_ERROR);
    bool good = open_stream(&r, path, &stream);
    while (good && av_read_frame(r.format, r.packet) >= 0) {
        if (r.packet->stream_index == stream)
            good = avcodec_send_packet(r.codec, r.packet) >= 0 && drain(&r, &video);
        av_packet_unref(r.packet);
    }
    good = good && avcodec_send_packet(r.codec, NULL) >= 0 && drain(&r, &video) && video.frames > 0;
    av_frame_free(&r.frame);
    av_packet_free(&r.packet);
    avcodec_free_context(&r.codec);
    avformat_close_input(&r.format);
    if (good)
        *ret_video = video;
    else
        test_video_free(&video);
    return good;
}

#else

bool test_video_read(const char *path, test_video *ret_video) {
    (void)path;
    (void)ret_video;
    return false;
}

#endif
