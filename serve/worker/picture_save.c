#include <libavcodec/avcodec.h>
#include <libavutil/imgutils.h>
#include <libswscale/swscale.h>

#include "base/error.h"
#include "files/new_file.h"
#include "worker/clip_look.h"
#include "worker/picture.h"

#define QUALITY 5 /* of libav's 2 to 31, smaller is better: some 40 KB at 640 pixels */

static ms_status encode(AVFrame *frame, const char *path, ms_error *err) {
    const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_MJPEG);
    AVCodecContext *c = codec ? avcodec_alloc_context3(codec) : NULL;
    AVPacket *packet = av_packet_alloc();
    ms_status status = MS_OK;
    if (!c || !packet) {
        status = ms_fail(err, codec ? MS_HOST_MEMORY : MS_UNSUPPORTED, "no JPEG of a picture can be made");
        goto end;
    }
    c->width = frame->width;
    c->height = frame->height;
    c->pix_fmt = AV_PIX_FMT_YUVJ420P;
    c->time_base = (AVRational){1, 25};
    c->flags |= AV_CODEC_FLAG_QSCALE;
    c->global_quality = QUALITY * FF_QP2LAMBDA;
    c->thread_count = 1;
    frame->quality = c->global_quality;
    frame->pts = 0;
    int code = avcodec_open2(c, codec, NULL);
    if (code >= 0)
        code = avcodec_send_frame(c, frame);
    if (code >= 0)
        code = avcodec_receive_packet(c, packet);
    status = code >= 0 ? ms_new_file_save(path, packet->data, (size_t)packet->size, true, err)
                       : ms_fail(err, MS_INTERNAL, "no JPEG of a picture could be made: %d", code);
end:
    av_packet_free(&packet);
    avcodec_free_context(&c);
    return status;
}

ms_status picture_save_frame(const AVFrame *in, int most_width, const char *path, ms_error *err) {
    int width = in->width <= most_width ? in->width : most_width;
    int height = (int)((int64_t)in->height * width / in->width);
    struct SwsContext *scale = NULL;
    ms_status status = MS_OK;
    AVFrame *out = av_frame_alloc();
    if (!out)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for a picture");
    out->width = width < 16 ? 16 : width & ~1;
    out->height = height < 16 ? 16 : height & ~1;
    out->format = AV_PIX_FMT_YUVJ420P;
    if (av_frame_get_buffer(out, 0) < 0 ||
        !(scale = sws_getContext(in->width, in->height, (enum AVPixelFormat)in->format, out->width,
                                 out->height, AV_PIX_FMT_YUVJ420P, SWS_AREA, NULL, NULL, NULL)))
        status = ms_fail(err, MS_HOST_MEMORY, "out of memory for a picture");
    else
        sws_scale(scale, (const uint8_t *const *)in->data, in->linesize, 0, in->height, out->data,
                  out->linesize);
    if (status == MS_OK)
        status = encode(out, path, err);
    sws_freeContext(scale);
    av_frame_free(&out);
    return status;
}

ms_status picture_save(const uint8_t *rgb, int width, int height, int most_width, const char *path,
                       ms_error *err) {
    AVFrame *frame = av_frame_alloc();
    if (!frame)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for a picture");
    frame->width = width;
    frame->height = height;
    frame->format = AV_PIX_FMT_RGB24;
    frame->data[0] = (uint8_t *)rgb; /* read only */
    frame->linesize[0] = 3 * width;
    ms_status status = picture_save_frame(frame, most_width, path, err);
    av_frame_free(&frame);
    return status;
}
