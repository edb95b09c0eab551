#include "media/write/video_encoder.h"

#include <stdio.h>
#include <string.h>

#include "media/hdr_light.h"

#include <libavutil/cpu.h>
#include <libavutil/opt.h>

static const struct {
    const char *name, *encoder;
    enum AVCodecID id;
} codecs[] = {
    [MS_VIDEO_H264] = {"h264", "libx264", AV_CODEC_ID_H264},
    [MS_VIDEO_HEVC] = {"hevc", "libx265", AV_CODEC_ID_HEVC},
    [MS_VIDEO_FFV1] = {"ffv1", "ffv1", AV_CODEC_ID_FFV1},
};
#define N_CODECS (sizeof(codecs) / sizeof(codecs[0]))

#define MAX_SIDE 16384

const char *ms_video_codec_name(ms_video_codec codec) {
    return (size_t)codec < N_CODECS ? codecs[codec].name : "unknown";
}

bool ms_video_codec_from_name(const char *name, ms_video_codec *ret_codec) {
    for (size_t i = 0; i < N_CODECS; i++) {
        if (strcmp(name, codecs[i].name) == 0) {
            *ret_codec = (ms_video_codec)i;
            return true;
        }
    }
    return false;
}

enum AVCodecID ms_video_codec_id(ms_video_codec codec) {
    return codecs[codec].id;
}

static bool known_preset(const char *preset) {
    static const char *const presets[] = {"ultrafast", "superfast", "veryfast", "faster",  "fast",
                                          "medium",    "slow",      "slower",   "veryslow"};
    for (size_t i = 0; preset && i < sizeof(presets) / sizeof(presets[0]); i++)
        if (strcmp(preset, presets[i]) == 0)
            return true;
    return false;
}

ms_status ms_video_encoder_check(const ms_video_writer_params *p, ms_error *err) {
    if ((size_t)p->codec >= N_CODECS)
        return ms_fail(err, MS_INVALID_ARGUMENT, "video codec %d", (int)p->codec);
    if (p->width < 1 || p->height < 1 || p->width > MAX_SIDE || p->height > MAX_SIDE)
        return ms_fail(err, MS_INVALID_ARGUMENT, "video size %dx%d: each side must be 1 to %d", p->width,
                       p->height, MAX_SIDE);
    if (p->fps.num < 1 || p->fps.den < 1 || p->fps.num / p->fps.den > 1000)
        return ms_fail(err, MS_INVALID_ARGUMENT, "frame rate %d/%d", p->fps.num, p->fps.den);
    if (p->crf < 0 || p->crf > 51)
        return ms_fail(err, MS_INVALID_ARGUMENT, "crf %d: must be 0 to 51", p->crf);
    if (p->codec != MS_VIDEO_FFV1 && !known_preset(p->preset))
        return ms_fail(err, MS_INVALID_ARGUMENT, "preset '%s': must be one of ultrafast to veryslow",
                       p->preset ? p->preset : "");
    if (p->threads < 1 || p->threads > 64)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%d encoder threads: must be 1 to 64", p->threads);
    if (p->lookahead < 0 || p->lookahead > 250)
        return ms_fail(err, MS_INVALID_ARGUMENT, "lookahead of %d frames: must be 0 to 250", p->lookahead);
    if (p->deep && p->codec != MS_VIDEO_HEVC)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "frames of 10 bits a colour can be encoded as hevc only, not %s",
                       codecs[p->codec].name);
    if (!avcodec_find_encoder_by_name(codecs[p->codec].encoder))
        return ms_fail(err, MS_UNSUPPORTED, "this build's FFmpeg has no %s encoder (%s)",
                       codecs[p->codec].name, codecs[p->codec].encoder);
    return MS_OK;
}

ms_colour ms_video_encoder_colour(const ms_video_writer_params *p) {
    ms_colour c = p->colour;
    if (p->codec == MS_VIDEO_FFV1)
        return (ms_colour){AVCOL_SPC_RGB, c.primaries, c.transfer, true};
    if (c.matrix == AVCOL_SPC_UNSPECIFIED || c.matrix == AVCOL_SPC_RGB)
        c.matrix = ms_colour_default_matrix(p->height);
    /* The three usually go together; H.273 gives 1 and 6 the same numbers in all three tables. */
    bool hd = c.matrix == AVCOL_SPC_BT709;
    if (c.primaries == AVCOL_PRI_UNSPECIFIED)
        c.primaries = hd ? AVCOL_PRI_BT709 : AVCOL_PRI_SMPTE170M;
    if (c.transfer == AVCOL_TRC_UNSPECIFIED)
        c.transfer = hd ? AVCOL_TRC_BT709 : AVCOL_TRC_SMPTE170M;
    return c;
}

void ms_video_encoder_size(const ms_video_writer_params *p, int *ret_width, int *ret_height) {
    int even = p->codec != MS_VIDEO_FFV1;
    *ret_width = p->width + (p->width & even);
    *ret_height = p->height + (p->height & even);
}

enum AVPixelFormat ms_video_encoder_format(const ms_video_writer_params *p) {
    return p->codec == MS_VIDEO_FFV1 ? AV_PIX_FMT_BGR0 : p->deep ? AV_PIX_FMT_YUV420P10 : AV_PIX_FMT_YUV420P;
}

ptrdiff_t ms_video_encoder_row_bytes(const ms_video_writer_params *p) {
    return (p->deep ? 6 : 3) * (ptrdiff_t)p->width;
}

/* ---- options of each encoder */

/* With AVX-512, x264 164 steers its rate control by memory that nobody wrote (mbtree; seen with
   MALLOC_PERTURB_), so that two runs could differ. Its AVX2 code gives what its AVX code does. */
static int x264_options(AVCodecContext *c, const ms_video_writer_params *p) {
    int rc = av_opt_set(c->priv_data, "preset", p->preset, 0);
    if (rc >= 0 && av_get_cpu_flags() & AV_CPU_FLAG_AVX512)
        rc = av_opt_set(c->priv_data, "x264-params", "asm=avx2", 0);
    if (rc >= 0)
        rc = av_opt_set_double(c->priv_data, "crf", p->crf, 0);
    if (rc >= 0)
        rc = av_opt_set_int(c->priv_data, "rc-lookahead", p->lookahead, 0);
    return rc;
}

/* x265 writes to stderr by itself unless told not to, and sizes its thread pool by
   the machine. Its lookahead must exceed its B frames. Frames coded in parallel see
   one another's rate control in an order that the scheduler decides, so only the
   rows of one frame are shared out: the file does not depend on the threads. */
static int x265_options(AVCodecContext *c, const ms_video_writer_params *p) {
    char text[160 + MS_HDR_LIGHT_TEXT_BYTES], light[MS_HDR_LIGHT_TEXT_BYTES] = "";
    c->has_b_frames = 2; /* pyramids of B frames, as in every preset; libx265's wrapper does not say so */
    int lookahead = p->lookahead < 5 ? 5 : p->lookahead;
    if (p->deep)
        ms_hdr_light_text(&p->light, light);
    snprintf(text, sizeof(text), "log-level=none:pools=%d:frame-threads=1:rc-lookahead=%d:wpp=1%s",
             p->threads, lookahead, light);
    int rc = av_opt_set(c->priv_data, "preset", p->preset, 0);
    if (rc >= 0)
        rc = av_opt_set_double(c->priv_data, "crf", p->crf, 0);
    if (rc >= 0)
        rc = av_opt_set(c->priv_data, "x265-params", text, 0);
    return rc;
}

/* Version 3 with checksums; every frame a key frame. Slices are what its threads share out: a
   fixed number, so that the file does not depend on the threads. FFmpeg 5.1 spoils pictures of two
   columns or rows when it cuts them into slices, so tiny ones take version 1, which has none. */
static int ffv1_options(AVCodecContext *c) {
    c->gop_size = 1;
    if (c->width < 64 || c->height < 64) {
        c->level = 1;
        return 0;
    }
    c->level = 3;
    c->slices = 4;
    return av_opt_set_int(c->priv_data, "slicecrc", 1, 0);
}

static int set_options(AVCodecContext *c, const ms_video_writer_params *p, bool global_header) {
    ms_colour colour = ms_video_encoder_colour(p);
    ms_video_encoder_size(p, &c->width, &c->height);
    c->pix_fmt = ms_video_encoder_format(p);
    c->time_base = (AVRational){p->fps.den, p->fps.num};
    c->framerate = (AVRational){p->fps.num, p->fps.den};
    if (p->pixel_aspect.num > 0 && p->pixel_aspect.den > 0)
        c->sample_aspect_ratio = (AVRational){p->pixel_aspect.num, p->pixel_aspect.den};
    c->thread_count = p->threads;
    c->colorspace = colour.matrix;
    c->color_primaries = colour.primaries;
    c->color_trc = colour.transfer;
    c->color_range = colour.full_range ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    if (p->codec != MS_VIDEO_FFV1)
        c->chroma_sample_location = AVCHROMA_LOC_LEFT;
    c->flags |= AV_CODEC_FLAG_BITEXACT;
    if (global_header)
        c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    switch (p->codec) {
    case MS_VIDEO_H264:
        return x264_options(c, p);
    case MS_VIDEO_HEVC:
        return x265_options(c, p);
    case MS_VIDEO_FFV1:
        return ffv1_options(c);
    }
    return AVERROR(EINVAL);
}

ms_status ms_video_encoder_open(ms_video_encoder *e, const ms_video_writer_params *p, bool global_header,
                                ms_av_log *log, ms_error *err) {
    ms_status status;
    *e = (ms_video_encoder){0};
    MS_TRY(ms_video_encoder_check(p, err));
    const AVCodec *codec = avcodec_find_encoder_by_name(codecs[p->codec].encoder);
    e->codec = avcodec_alloc_context3(codec);
    e->frame = av_frame_alloc();
    e->packet = av_packet_alloc();
    int rc = e->codec && e->frame && e->packet ? 0 : AVERROR(ENOMEM);
    if (rc >= 0) {
        ms_av_log_attach(log, e->codec);
        rc = set_options(e->codec, p, global_header);
    }
    if (rc >= 0)
        rc = avcodec_open2(e->codec, codec, NULL);
    if (rc >= 0) {
        e->frame->format = e->codec->pix_fmt;
        e->frame->width = e->codec->width;
        e->frame->height = e->codec->height;
        e->frame->color_range = e->codec->color_range;
        e->frame->colorspace = e->codec->colorspace;
        rc = av_frame_get_buffer(e->frame, 0);
    }
    if (rc < 0) {
        status =
            ms_fail_av(err, rc == AVERROR(ENOMEM) ? MS_HOST_MEMORY : MS_UNSUPPORTED, log, rc,
                       "cannot open the %s encoder for %dx%d", codecs[p->codec].name, p->width, p->height);
        goto fail;
    }
    MS_GOTO(ms_from_rgb_init(&e->convert, p->width, p->height, e->codec->width, e->codec->height,
                             e->codec->pix_fmt, ms_video_encoder_colour(p), p->deep, err));
    return MS_OK;
fail:
    ms_video_encoder_close(e);
    return status;
}

void ms_video_encoder_close(ms_video_encoder *e) {
    ms_from_rgb_free(&e->convert);
    av_frame_free(&e->frame);
    av_packet_free(&e->packet);
    ms_av_codec_free(&e->codec);
}

ms_status ms_video_encoder_send(ms_video_encoder *e, const uint8_t *rgb, ptrdiff_t stride, ms_av_log *log,
                                ms_error *err) {
    int rc = 0;
    if (rgb) {
        rc = av_frame_make_writable(e->frame);
        if (rc >= 0)
            MS_TRY(ms_from_rgb_convert(&e->convert, rgb, stride, e->frame, err));
        e->frame->pts = e->frames;
    }
    if (rc >= 0)
        rc = avcodec_send_frame(e->codec, rgb ? e->frame : NULL);
    if (rc < 0)
        return ms_fail_av(err, rc == AVERROR(ENOMEM) ? MS_HOST_MEMORY : MS_INTERNAL, log, rc,
                          "the %s encoder failed", e->codec->codec->name);
    e->frames += rgb != NULL;
    return MS_OK;
}

ms_status ms_video_encoder_receive(ms_video_encoder *e, bool *ret_got, ms_av_log *log, ms_error *err) {
    int rc = avcodec_receive_packet(e->codec, e->packet);
    if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF) {
        *ret_got = false;
        return MS_OK;
    }
    if (rc < 0)
        return ms_fail_av(err, rc == AVERROR(ENOMEM) ? MS_HOST_MEMORY : MS_INTERNAL, log, rc,
                          "the %s encoder failed", e->codec->codec->name);
    if (e->packet->duration == 0)
        e->packet->duration = 1;
    /* At a constant rate this is what encoders say themselves, except x265, which makes it
       up from memory that it never set when the clip is shorter than its reordering. */
    e->packet->dts = e->packets++ - e->codec->has_b_frames;
    *ret_got = true;
    return MS_OK;
}
