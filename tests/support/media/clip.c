#include "support/media/clip.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include "media/av_compat.h"
#include "test.h"

void clip_picture(uint8_t *rgb, int width, int height, int64_t frame) {
    int f = (int)frame;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            uint8_t *p = rgb + 3 * ((size_t)y * (size_t)width + (size_t)x);
            int dx = x - width / 2 - (f * 3) % (width / 2 + 1), dy = y - height / 2;
            bool disc = dx * dx + dy * dy < height * height / 16;
            p[0] = (uint8_t)(disc ? 220 - (f % 8) * 9 : x * 200 / width + f * 2);
            p[1] = (uint8_t)(disc ? 60 + y * 90 / height : y * 180 / height + (f * 5) % 60);
            p[2] = (uint8_t)((x / 8 + y / 8 + f) % 2 ? 90 + f % 50 : 140);
        }
    }
}

const char *clip_folder(void) {
    static char folder[256];
    if (!folder[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(folder, sizeof(folder), "%s/memsafe-test-XXXXXX", base && *base ? base : "/tmp");
        if (!mkdtemp(folder))
            abort();
    }
    return folder;
}

void clip_remove_folder(void) {
    DIR *dir = opendir(clip_folder());
    if (!dir)
        return;
    struct dirent *e;
    while ((e = readdir(dir)) != NULL) {
        char path[600];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", clip_folder(), e->d_name);
        if (unlink(path) != 0)
            rmdir(path);
    }
    closedir(dir);
    rmdir(clip_folder());
}

const char *clip_path(const char *name) {
    static char paths[8][512];
    static int turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", clip_folder(), name);
    return path;
}

ms_status clip_write(const char *path, const ms_video_writer_params *params, int64_t frames, ms_error *err) {
    ms_video_writer *writer;
    ms_status status = ms_video_writer_open(NULL, path, params, &writer, err);
    if (status)
        return status;
    uint8_t *rgb = malloc((size_t)params->width * (size_t)params->height * 3);
    for (int64_t f = 0; f < frames && status == MS_OK; f++) {
        clip_picture(rgb, params->width, params->height, f);
        status = ms_video_writer_write(writer, rgb, 0, err);
    }
    free(rgb);
    if (status) {
        ms_video_writer_abort(&writer);
        return status;
    }
    return ms_video_writer_finish(&writer, err);
}

/* ---- with libavcodec alone; a failure here is the test's own, so it aborts */

static void need(int rc, const char *what) {
    if (rc >= 0)
        return;
    fprintf(stderr, "clip_write_raw: %s: %s\n", what, av_err2str(rc));
    abort();
}

static void set_display_matrix(AVStream *st, const clip_raw *raw) {
    int32_t matrix[9];
    /* clockwise here, though av_display_rotation_get() is not */
    av_display_rotation_set(matrix, raw->rotate);
    if (raw->mirror)
        av_display_matrix_flip(matrix, 1, 0);
    need(ms_av_set_display_matrix(st, matrix) ? 0 : AVERROR(ENOMEM), "display matrix");
}

static void drain(AVCodecContext *c, AVFormatContext *format, AVStream *st, AVFrame *frame) {
    AVPacket *packet = av_packet_alloc();
    need(avcodec_send_frame(c, frame), "send");
    for (;;) {
        int rc = avcodec_receive_packet(c, packet);
        if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF)
            break;
        need(rc, "encode");
        /* Without a length the last frame lies outside FFmpeg 4's edit list. */
        if (packet->duration == 0 && c->framerate.num && av_cmp_q(c->time_base, av_inv_q(c->framerate)) == 0)
            packet->duration = 1;
        av_packet_rescale_ts(packet, c->time_base, st->time_base);
        packet->stream_index = st->index;
        need(av_interleaved_write_frame(format, packet), "write");
    }
    av_packet_free(&packet);
}

static AVCodecContext *open_encoder(const clip_raw *raw, AVFormatContext *format) {
    av_log_set_level(AV_LOG_ERROR); /* x264 has much to say */
    const AVCodec *codec = avcodec_find_encoder_by_name(raw->encoder);
    need(codec ? 0 : AVERROR_ENCODER_NOT_FOUND, raw->encoder);
    AVCodecContext *c = avcodec_alloc_context3(codec);
    c->width = raw->width;
    c->height = raw->height;
    c->pix_fmt = av_get_pix_fmt(raw->pixel_format);
    c->time_base = raw->times ? (AVRational){1, 90000} : (AVRational){raw->fps_den, raw->fps_num};
    c->framerate = (AVRational){raw->fps_num, raw->fps_den};
    c->thread_count = 1;
    if (raw->matrix) {
        c->colorspace = raw->matrix;
        c->color_primaries = raw->matrix;
        c->color_trc = raw->transfer ? raw->transfer : raw->matrix;
    }
    if (raw->full_range)
        c->color_range = AVCOL_RANGE_JPEG;
    if (format->oformat->flags & AVFMT_GLOBALHEADER)
        c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    AVDictionary *options = NULL;
    if (raw->options)
        need(av_dict_parse_string(&options, raw->options, "=", ":", 0), "options");
    need(avcodec_open2(c, codec, &options), raw->encoder);
    av_dict_free(&options);
    return c;
}

static void add_silence(AVFormatContext *format, AVStream *st, double seconds) {
    AVPacket *packet = av_packet_alloc();
    int samples = (int)(seconds * 16000);
    need(av_new_packet(packet, samples * 2), "packet");
    memset(packet->data, 0, (size_t)packet->size);
    packet->stream_index = st->index;
    packet->pts = packet->dts = 0;
    packet->duration = av_rescale_q(samples, (AVRational){1, 16000}, st->time_base);
    need(av_interleaved_write_frame(format, packet), "write audio");
    av_packet_free(&packet);
}

static AVStream *add_subtitles(AVFormatContext *format) {
    AVStream *st = avformat_new_stream(format, NULL);
    st->codecpar->codec_type = AVMEDIA_TYPE_SUBTITLE;
    st->codecpar->codec_id = AV_CODEC_ID_SUBRIP;
    st->time_base = (AVRational){1, 1000};
    return st;
}

static void add_line(AVFormatContext *format, const AVStream *st) {
    static const char text[] = "A line.";
    AVPacket *packet = av_packet_alloc();
    need(av_new_packet(packet, sizeof(text) - 1), "packet");
    memcpy(packet->data, text, sizeof(text) - 1);
    packet->stream_index = st->index;
    packet->pts = packet->dts = 0;
    packet->duration = av_rescale_q(40, (AVRational){1, 1000}, st->time_base);
    need(av_interleaved_write_frame(format, packet), "write subtitle");
    av_packet_free(&packet);
}

/* The muxer frees them with the context. */
static void add_chapters(AVFormatContext *format, const clip_raw *raw) {
    int64_t length = raw->frames * raw->fps_den * 1000 / raw->fps_num;
    format->chapters = av_calloc((size_t)raw->chapters, sizeof(*format->chapters));
    for (int i = 0; i < raw->chapters; i++) {
        AVChapter *chapter = format->chapters[i] = av_mallocz(sizeof(*chapter));
        char title[32];
        snprintf(title, sizeof(title), "Part %d", i + 1);
        chapter->id = i + 1;
        chapter->time_base = (AVRational){1, 1000};
        chapter->start = length * i / raw->chapters;
        chapter->end = length * (i + 1) / raw->chapters;
        need(av_dict_set(&chapter->metadata, "title", title, 0), "chapter");
    }
    format->nb_chapters = (unsigned)raw->chapters;
}

void clip_write_raw(const char *path, const clip_raw *raw) {
    AVFormatContext *format;
    need(avformat_alloc_output_context2(&format, NULL, NULL, path), path);
    format->flags |= AVFMT_FLAG_BITEXACT;
    AVCodecContext *c = open_encoder(raw, format);
    AVStream *st = avformat_new_stream(format, NULL), *audio = NULL;
    need(avcodec_parameters_from_context(st->codecpar, c), "parameters");
    st->time_base = c->time_base;
    if (!raw->times)
        st->avg_frame_rate = c->framerate;
    if (raw->rotate || raw->mirror)
        set_display_matrix(st, raw);
    if (raw->silent_audio) {
        audio = avformat_new_stream(format, NULL);
        audio->codecpar->codec_type = AVMEDIA_TYPE_AUDIO;
        audio->codecpar->codec_id = AV_CODEC_ID_PCM_S16LE;
        audio->codecpar->sample_rate = 16000;
        audio->codecpar->bits_per_coded_sample = 16;
        audio->codecpar->block_align = 2;
        MS_AV_DEFAULT_LAYOUT(audio->codecpar, 1);
        audio->time_base = (AVRational){1, 16000};
    }
    AVStream *subtitles = raw->subtitles ? add_subtitles(format) : NULL;
    if (raw->metadata)
        need(av_dict_parse_string(&format->metadata, raw->metadata, "=", ":", 0), "metadata");
    if (raw->chapters)
        add_chapters(format, raw);
    if (!(format->oformat->flags & AVFMT_NOFILE))
        need(avio_open(&format->pb, path, AVIO_FLAG_WRITE), path);
    need(avformat_write_header(format, NULL), "header");
    if (subtitles)
        add_line(format, subtitles);
    if (audio)
        add_silence(format, audio, (double)raw->frames * raw->fps_den / raw->fps_num);

    AVFrame *frame = av_frame_alloc();
    frame->format = c->pix_fmt;
    frame->width = c->width;
    frame->height = c->height;
    need(av_frame_get_buffer(frame, 0), "frame");
    struct SwsContext *sws = sws_getContext(c->width, c->height, AV_PIX_FMT_RGB24, c->width, c->height,
                                            c->pix_fmt, SWS_BICUBIC, NULL, NULL, NULL);
    uint8_t *rgb = malloc((size_t)c->width * (size_t)c->height * 3 + 64);
    for (int64_t f = 0; f < raw->frames; f++) {
        need(av_frame_make_writable(frame), "frame");
        if (raw->fill) {
            raw->fill(frame, f, raw->context);
        } else {
            const uint8_t *src[4] = {rgb};
            const int stride[4] = {3 * c->width};
            clip_picture(rgb, c->width, c->height, f);
            sws_scale(sws, src, stride, 0, c->height, frame->data, frame->linesize);
        }
        frame->pts = raw->times ? raw->times[f] : f;
        drain(c, format, st, frame);
    }
    drain(c, format, st, NULL);
    need(av_write_trailer(format), "trailer");
    avio_closep(&format->pb);
    free(rgb);
    sws_freeContext(sws);
    av_frame_free(&frame);
    avcodec_free_context(&c);
    avformat_free_context(format);
}

void clip_write_cover(const char *path) {
    AVFormatContext *format;
    need(avformat_alloc_output_context2(&format, NULL, "mp4", path), path);
    clip_raw still = {.encoder = "mjpeg",
                      .pixel_format = "yuvj420p",
                      .width = 64,
                      .height = 64,
                      .fps_num = 25,
                      .fps_den = 1};
    AVCodecContext *c = open_encoder(&still, format), *sound = NULL;
    AVStream *audio = avformat_new_stream(format, NULL), *cover = avformat_new_stream(format, NULL);
    sound = avcodec_alloc_context3(avcodec_find_encoder(AV_CODEC_ID_AAC));
    sound->sample_fmt = AV_SAMPLE_FMT_FLTP;
    sound->sample_rate = 16000;
    sound->time_base = (AVRational){1, 16000};
    sound->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    MS_AV_DEFAULT_LAYOUT(sound, 1);
    need(avcodec_open2(sound, sound->codec, NULL), "aac");
    need(avcodec_parameters_from_context(audio->codecpar, sound), "parameters");
    audio->time_base = sound->time_base;
    need(avcodec_parameters_from_context(cover->codecpar, c), "parameters");
    cover->disposition = AV_DISPOSITION_ATTACHED_PIC;
    need(avio_open(&format->pb, path, AVIO_FLAG_WRITE), path);
    need(avformat_write_header(format, NULL), "header");
    AVFrame *frame = av_frame_alloc();
    frame->format = c->pix_fmt;
    frame->width = frame->height = 64;
    need(av_frame_get_buffer(frame, 0), "frame");
    for (int p = 0; p < 3; p++)
        memset(frame->data[p], 100, (size_t)frame->linesize[p] * (p ? 32 : 64));
    frame->pts = 0;
    drain(c, format, cover, frame);
    av_frame_free(&frame);
    for (int i = 0; i < 20; i++) {
        frame = av_frame_alloc();
        frame->format = AV_SAMPLE_FMT_FLTP;
        frame->nb_samples = 1024;
        MS_AV_DEFAULT_LAYOUT(frame, 1);
        need(av_frame_get_buffer(frame, 0), "frame");
        memset(frame->data[0], 0, 4096);
        frame->pts = i * 1024;
        drain(sound, format, audio, frame);
        av_frame_free(&frame);
    }
    need(av_write_trailer(format), "trailer");
    avio_closep(&format->pb);
    avcodec_free_context(&c);
    avcodec_free_context(&sound);
    avformat_free_context(format);
}

static void put32(uint8_t *p, uint32_t x) {
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(x >> 8 * i);
}

void clip_write_wav(const char *path, int rate, int channels, int64_t count, const int16_t *samples) {
    uint32_t bytes = (uint32_t)(count * channels * 2), block = (uint32_t)channels * 2;
    uint8_t *file = calloc(1, 44 + bytes);
    memcpy(file, "RIFF", 4);
    put32(file + 4, 36 + bytes);
    memcpy(file + 8, "WAVEfmt ", 8);
    put32(file + 16, 16);
    put32(file + 20, 1 | (uint32_t)channels << 16);
    put32(file + 24, (uint32_t)rate);
    put32(file + 28, (uint32_t)rate * block);
    put32(file + 32, block | 16u << 16);
    memcpy(file + 36, "data", 4);
    put32(file + 40, bytes);
    if (samples)
        memcpy(file + 44, samples, bytes);
    clip_save(path, file, 44 + bytes);
    free(file);
}

uint8_t *clip_load(const char *path, size_t *ret_bytes) {
    FILE *f = fopen(path, "rb");
    if (!f)
        abort();
    fseek(f, 0, SEEK_END);
    *ret_bytes = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(*ret_bytes + 1);
    if (fread(data, 1, *ret_bytes, f) != *ret_bytes)
        abort();
    fclose(f);
    return data;
}

void clip_write_noise(const char *path, int64_t count) {
    int16_t *samples = malloc((size_t)count * sizeof(*samples));
    uint64_t seed = 5;
    assert_non_null(samples);
    for (int64_t i = 0; i < count; i++)
        samples[i] = (int16_t)(test_rand(&seed) % 4000);
    clip_write_wav(path, 16000, 1, count, samples);
    free(samples);
}

void clip_save(const char *path, const uint8_t *data, size_t bytes) {
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, bytes, f) != bytes || fclose(f))
        abort();
}

int clip_files(void) {
    DIR *dir = opendir(clip_folder());
    struct dirent *e;
    int n = 0;
    while (dir && (e = readdir(dir)) != NULL)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (dir)
        closedir(dir);
    return n;
}

double clip_psnr(const uint8_t *a, const uint8_t *b, size_t bytes) {
    double sum = 0;
    for (size_t i = 0; i < bytes; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum == 0 ? 200 : 10 * log10(255.0 * 255.0 * (double)bytes / sum);
}

uint8_t *clip_hundred_frames(const char *name, size_t *ret_bytes) {
    clip_raw raw = {.encoder = "libx264",
                    .pixel_format = "yuv420p",
                    .options = "preset=veryfast:g=25:crf=10",
                    .width = 160,
                    .height = 120,
                    .fps_num = 25,
                    .fps_den = 1,
                    .frames = 100};
    clip_write_raw(clip_path(name), &raw);
    return clip_load(clip_path(name), ret_bytes);
}
