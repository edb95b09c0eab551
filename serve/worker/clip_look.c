#include "worker/clip_look.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "base/error.h"
#include "worker/picture.h"

#define IO_BYTES 65536
#define MOST_SIDE 16384
#define MOST_PACKETS 20000 /* that are looked at for one picture */

struct clip_look {
    int fd;
    AVIOContext *io;
    AVFormatContext *format;
    AVCodecContext *decoder; /* opened for the first picture */
    AVPacket *packet;
    AVFrame *frame, *shown;
    int video;
};

static int io_read(void *arg, uint8_t *bytes, int n) {
    clip_look *c = arg;
    ssize_t got = read(c->fd, bytes, (size_t)n);
    return got > 0 ? (int)got : got == 0 ? AVERROR_EOF : AVERROR(errno);
}

static int64_t io_seek(void *arg, int64_t offset, int whence) {
    clip_look *c = arg;
    struct stat s;
    if (whence == AVSEEK_SIZE)
        return fstat(c->fd, &s) == 0 ? s.st_size : -1;
    return lseek(c->fd, offset, whence & ~AVSEEK_FORCE);
}

void clip_look_close(clip_look **clip) {
    if (!*clip)
        return;
    clip_look *c = *clip;
    avcodec_free_context(&c->decoder);
    av_packet_free(&c->packet);
    av_frame_free(&c->frame);
    av_frame_free(&c->shown);
    avformat_close_input(&c->format);
    if (c->io)
        av_freep(&c->io->buffer);
    avio_context_free(&c->io);
    if (c->fd >= 0)
        close(c->fd);
    free(c);
    *clip = NULL;
}

/* The file alone: a playlist that names others opens none of them. */
static ms_status open_format(clip_look *c, const char *path, const char *what, ms_error *err) {
    c->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (c->fd < 0)
        return ms_fail(err, errno == EMFILE || errno == ENFILE || errno == ENOMEM ? MS_IO : MS_BAD_MEDIA,
                       "the %s cannot be read: %s", what, strerror(errno));
    struct stat st;
    if (fstat(c->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return ms_fail(err, MS_BAD_MEDIA, "the %s is no regular file", what);
    uint8_t *buffer = av_malloc(IO_BYTES);
    c->io = buffer ? avio_alloc_context(buffer, IO_BYTES, 0, c, io_read, NULL, io_seek) : NULL;
    c->format = c->io ? avformat_alloc_context() : NULL;
    if (c->format)
        c->format->protocol_whitelist = av_strdup("none");
    c->packet = av_packet_alloc();
    c->frame = av_frame_alloc();
    c->shown = av_frame_alloc();
    if (!c->format || !c->format->protocol_whitelist || !c->packet || !c->frame || !c->shown) {
        if (!c->io)
            av_free(buffer);
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for the %s", what);
    }
    c->format->pb = c->io;
    if (avformat_open_input(&c->format, "", NULL, NULL) < 0)
        return ms_fail(err, MS_BAD_MEDIA, "the %s is no file of video or sound that can be read here", what);
    if (avformat_find_stream_info(c->format, NULL) < 0)
        return ms_fail(err, MS_BAD_MEDIA, "the %s has nothing in it that can be decoded", what);
    return MS_OK;
}

static double duration_of(const AVFormatContext *f, const AVStream *s) {
    double seconds = 0;
    if (s->duration > 0 && s->duration != AV_NOPTS_VALUE)
        seconds = (double)s->duration * av_q2d(s->time_base);
    else if (f->duration > 0 && f->duration != AV_NOPTS_VALUE)
        seconds = (double)f->duration / AV_TIME_BASE;
    return seconds > 0 && seconds < 1e9 ? seconds : 0;
}

static void get_facts(clip_look *c, clip_facts *f) {
    int audio = av_find_best_stream(c->format, AVMEDIA_TYPE_AUDIO, -1, -1, NULL, 0);
    c->video = av_find_best_stream(c->format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    *f = (clip_facts){.has_audio = audio >= 0};
    if (audio >= 0)
        f->audio_s = duration_of(c->format, c->format->streams[audio]);
    if (c->video < 0)
        return;
    AVStream *s = c->format->streams[c->video];
    AVRational rate = av_guess_frame_rate(c->format, s, NULL);
    f->width = s->codecpar->width;
    f->height = s->codecpar->height;
    f->has_video = f->width > 0 && f->height > 0 && f->width <= MOST_SIDE && f->height <= MOST_SIDE;
    f->video_s = duration_of(c->format, s);
    f->fps = rate.num > 0 && rate.den > 0 ? av_q2d(rate) : 0;
}

ms_status clip_look_open(const char *path, const char *what, clip_look **ret_clip, clip_facts *ret_facts,
                         ms_error *err) {
    clip_look *c = calloc(1, sizeof(*c));
    if (!c)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for the %s", what);
    c->fd = c->video = -1;
    ms_status status = open_format(c, path, what, err);
    if (status != MS_OK) {
        clip_look_close(&c);
        return status;
    }
    get_facts(c, ret_facts);
    *ret_clip = c;
    return MS_OK;
}

/* A picture of the size that was planned; libav pads what it holds against this. One that grows in
   mid-stream has no preview. */
static int64_t most_pixels(int width, int height) {
    int64_t pixels = (int64_t)width * height;
    return pixels + pixels / 8 + (1 << 18);
}

static ms_status open_decoder(clip_look *c, ms_error *err) {
    const AVStream *s = c->format->streams[c->video];
    const AVCodec *codec = avcodec_find_decoder(s->codecpar->codec_id);
    c->decoder = codec ? avcodec_alloc_context3(codec) : NULL;
    if (c->decoder && avcodec_parameters_to_context(c->decoder, s->codecpar) >= 0) {
        c->decoder->thread_count = 1;
        c->decoder->max_pixels = most_pixels(s->codecpar->width, s->codecpar->height);
        if (avcodec_open2(c->decoder, codec, NULL) >= 0)
            return MS_OK;
    }
    avcodec_free_context(&c->decoder);
    return ms_fail(err, MS_BAD_MEDIA, "the video cannot be decoded");
}

/* Decodes on to the frame that is shown at `wanted`, in the stream's time; c->shown then has it. */
static bool decode_to(clip_look *c, int64_t wanted) {
    bool any = false, ended = false;
    for (int packets = 0; packets < MOST_PACKETS;) {
        int code = avcodec_receive_frame(c->decoder, c->frame);
        if (code >= 0) {
            int64_t at = c->frame->best_effort_timestamp;
            if (any && at != AV_NOPTS_VALUE && at > wanted)
                return true;
            av_frame_unref(c->shown);
            av_frame_move_ref(c->shown, c->frame);
            any = true;
            if (at == AV_NOPTS_VALUE || at >= wanted)
                return true;
        } else if (code != AVERROR(EAGAIN) || ended) {
            return any;
        } else {
            packets++;
            ended = av_read_frame(c->format, c->packet) < 0;
            if (ended)
                avcodec_send_packet(c->decoder, NULL);
            else if (c->packet->stream_index == c->video)
                avcodec_send_packet(c->decoder, c->packet);
            av_packet_unref(c->packet);
        }
    }
    return any;
}

ms_status clip_look_save(clip_look *c, double seconds, int most_width, const char *path, ms_error *err) {
    if (c->video < 0)
        return ms_fail(err, MS_BAD_MEDIA, "the file has no video");
    if (!c->decoder)
        MS_TRY(open_decoder(c, err));
    const AVStream *s = c->format->streams[c->video];
    int64_t begin = s->start_time == AV_NOPTS_VALUE ? 0 : s->start_time;
    int64_t wanted = begin + (int64_t)llround(seconds / av_q2d(s->time_base));
    avcodec_flush_buffers(c->decoder);
    av_seek_frame(c->format, c->video, wanted, AVSEEK_FLAG_BACKWARD);
    av_frame_unref(c->shown);
    if (!decode_to(c, wanted) || c->shown->width <= 0 || c->shown->height <= 0)
        return ms_fail(err, MS_BAD_MEDIA, "the video cannot be decoded at %.3f s", seconds);
    return picture_save_frame(c->shown, most_width, path, err);
}
