#include "media/av.h"
#include "media/source_name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/av_compat.h"

#define IO_BUFFER_BYTES 65536

static ms_status status_of(int averror) {
    switch (averror) {
    case AVERROR(ENOMEM):
        return MS_HOST_MEMORY;
    case AVERROR_DECODER_NOT_FOUND:
    case AVERROR_ENCODER_NOT_FOUND:
    case AVERROR_MUXER_NOT_FOUND:
    case AVERROR(ENOSYS):
    case AVERROR_PATCHWELCOME:
        return MS_UNSUPPORTED;
    case AVERROR(EIO):
    case AVERROR(ENOSPC):
    case AVERROR(EDQUOT):
    case AVERROR(EFBIG):
    case AVERROR(EROFS):
    case AVERROR(EACCES):
    case AVERROR(EPERM):
    case AVERROR(ENOENT):
        return MS_IO;
    default:
        return MS_BAD_MEDIA;
    }
}

ms_status ms_fail_av(ms_error *err, ms_status code, const ms_av_log *log, int averror, const char *fmt, ...) {
    char what[256], why[AV_ERROR_MAX_STRING_SIZE], line[sizeof(log->line)] = "";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    if (log)
        ms_av_log_line(log, line, sizeof(line));
    av_make_error_string(why, sizeof(why), averror);
    return ms_fail(err, code ? code : status_of(averror), line[0] ? "%s: %s (%.*s)" : "%s: %s", what, why,
                   (int)sizeof(line), line);
}

/* ---- input */

static int read_packet(void *opaque, uint8_t *buf, int size) {
    ms_av_input *in = opaque;
    for (;;) {
        ssize_t n = read(in->fd, buf, (size_t)size);
        if (n > 0)
            return (int)n;
        if (n == 0)
            return AVERROR_EOF;
        if (errno != EINTR) {
            in->read_errno = errno;
            return AVERROR(errno);
        }
    }
}

static int64_t seek_packet(void *opaque, int64_t offset, int whence) {
    ms_av_input *in = opaque;
    if (whence & AVSEEK_SIZE)
        return in->bytes;
    off_t at = lseek(in->fd, offset, whence & ~AVSEEK_FORCE);
    return at < 0 ? AVERROR(errno) : at;
}

static int refuse_open(AVFormatContext *s, AVIOContext **pb, const char *url, int flags,
                       AVDictionary **options) {
    (void)pb;
    (void)flags;
    (void)options;
    av_log(s, AV_LOG_ERROR, "refused to open '%s', which the file refers to", url);
    return AVERROR(EPERM);
}

static ms_status open_file(ms_av_input *in, const char *path, ms_error *err) {
    MS_TRY(ms_source_name_check(path, err));
    in->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (in->fd < 0)
        return ms_fail(err, MS_IO, "cannot open %s: %s", path, strerror(errno));
    struct stat st;
    if (fstat(in->fd, &st) < 0)
        return ms_fail(err, MS_IO, "cannot open %s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return ms_fail(err, MS_IO, "cannot read %s: it is a folder", path);
    if (!S_ISREG(st.st_mode))
        return ms_source_fail_pipe(path, err);
    if (st.st_size == 0)
        return ms_fail(err, MS_BAD_MEDIA, "%s is empty", path);
    in->bytes = st.st_size;
    return MS_OK;
}

/* Demuxers that take any text for a moving picture of a terminal. */
static bool is_text_art(const AVInputFormat *format) {
    static const char *const names[] = {"tty", "bin", "xbin", "adf", "idf"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(format->name, names[i]) == 0)
            return true;
    return false;
}

ms_status ms_av_input_open(ms_av_input *in, const char *path, ms_av_log *log, ms_error *err) {
    ms_status status;
    uint8_t *buffer = NULL;
    *in = (ms_av_input){.fd = -1, .log = log};
    MS_GOTO(open_file(in, path, err));
    buffer = av_malloc(IO_BUFFER_BYTES);
    in->format = avformat_alloc_context();
    if (buffer)
        in->io = avio_alloc_context(buffer, IO_BUFFER_BYTES, 0, in, read_packet, NULL, seek_packet);
    if (!in->io || !in->format) {
        if (!in->io)
            av_free(buffer);
        status = ms_fail(err, MS_HOST_MEMORY, "out of memory opening %s", path);
        goto fail;
    }
    in->format->pb = in->io;
    in->format->io_open = refuse_open;
    in->format->flags |= AVFMT_FLAG_CUSTOM_IO;
    /* The concat demuxer opens its parts on its own; it hands on the list of permitted protocols. */
    in->format->protocol_whitelist = av_strdup("none");
    int rc = in->format->protocol_whitelist ? 0 : AVERROR(ENOMEM);
    if (rc >= 0)
        rc = avformat_open_input(&in->format, path, NULL, NULL); /* frees the context on failure */
    if (rc >= 0 && is_text_art(in->format->iformat))
        rc = AVERROR_INVALIDDATA;
    if (rc >= 0)
        rc = avformat_find_stream_info(in->format, NULL);
    if (rc < 0) {
        if (in->read_errno)
            status = ms_fail(err, MS_IO, "cannot read %s: %s", path, strerror(in->read_errno));
        else if (rc == AVERROR(ENOMEM))
            status = ms_fail(err, MS_HOST_MEMORY, "out of memory opening %s", path);
        else
            status = ms_fail_av(err, MS_BAD_MEDIA, log, rc, "%s is not a readable media file", path);
        goto fail;
    }
    return MS_OK;
fail:
    ms_av_input_close(in);
    return status;
}

void ms_av_input_close(ms_av_input *in) {
    if (in->format)
        avformat_close_input(&in->format);
    if (in->io) {
        av_freep(&in->io->buffer);
        avio_context_free(&in->io);
    }
    if (in->fd >= 0)
        close(in->fd);
    in->fd = -1;
}

int ms_av_best_stream(const AVFormatContext *format, enum AVMediaType type) {
    int best = -1;
    int64_t best_score = -1;
    for (unsigned i = 0; i < format->nb_streams; i++) {
        const AVStream *st = format->streams[i];
        const AVCodecParameters *par = st->codecpar;
        if (par->codec_type != type || (st->disposition & AV_DISPOSITION_ATTACHED_PIC))
            continue;
        int64_t score = type == AVMEDIA_TYPE_VIDEO ? (int64_t)par->width * par->height : MS_AV_CHANNELS(par);
        score += 100000000ll * !!(st->event_flags & AVSTREAM_EVENT_FLAG_NEW_PACKETS);
        score += 5000000ll * !!(st->disposition & AV_DISPOSITION_DEFAULT);
        if (score > best_score) {
            best_score = score;
            best = (int)i;
        }
    }
    return best;
}

void ms_av_select(AVFormatContext *format, int stream) {
    for (unsigned i = 0; i < format->nb_streams; i++)
        format->streams[i]->discard = (int)i == stream ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
}

ms_status ms_av_open_decoder(const AVStream *stream, int threads, ms_av_log *log, const char *path,
                             AVCodecContext **ret_codec, ms_error *err) {
    const AVCodec *codec = avcodec_find_decoder(stream->codecpar->codec_id);
    const char *name = avcodec_get_name(stream->codecpar->codec_id);
    if (!codec)
        return ms_fail(err, MS_UNSUPPORTED, "%s: this build's FFmpeg has no decoder for %s", path, name);
    AVCodecContext *ctx = avcodec_alloc_context3(codec);
    int rc = ctx ? avcodec_parameters_to_context(ctx, stream->codecpar) : AVERROR(ENOMEM);
    if (rc >= 0) {
        ms_av_log_attach(log, ctx);
        ctx->thread_count = threads;
        ctx->pkt_timebase = stream->time_base;
        ctx->framerate = stream->avg_frame_rate;
        rc = avcodec_open2(ctx, codec, NULL);
    }
    if (rc < 0) {
        ms_av_codec_free(&ctx);
        return ms_fail_av(err, rc == AVERROR(ENOMEM) ? MS_HOST_MEMORY : MS_BAD_MEDIA, log, rc,
                          "%s: cannot open the %s decoder", path, name);
    }
    *ret_codec = ctx;
    return MS_OK;
}
