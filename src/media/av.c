#include "media/av.h"
#include "media/source_name.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavutil/pixdesc.h>

#include "media/av_compat.h"
#include "text/size.h"

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

/* Three frames of the format and the RGB picture, where that is more. */
static int64_t pixel_bytes(enum AVPixelFormat format) {
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(format);
    int64_t bytes = desc ? 3 + 3 * ((av_get_padded_bits_per_pixel(desc) + 7) / 8) : 0;
    return bytes > MS_PICTURE_PIXEL_BYTES ? bytes : MS_PICTURE_PIXEL_BYTES;
}

/* For AVCodecContext.max_pixels, which is held against padded sides: what is just
   over the room is for ms_av_check_room(). The option takes no more than INT_MAX,
   and FFmpeg 7 forgets a stream's layout of channels when an option is refused. */
static int64_t decoder_pixels(ms_picture_room room) {
    size_t pixels = room.bytes / MS_PICTURE_PIXEL_BYTES;
    return room.bytes && pixels < INT_MAX / 2 ? (int64_t)(pixels + pixels / 8 + (1 << 18)) : INT_MAX;
}

ms_status ms_av_check_room(ms_picture_room room, int width, int height, enum AVPixelFormat format,
                           const char *path, ms_error *err) {
    char takes[MS_SIZE_TEXT_BYTES], there[MS_SIZE_TEXT_BYTES];
    uint64_t bytes = (uint64_t)width * (uint64_t)height * (uint64_t)pixel_bytes(format);
    if (!room.bytes || bytes <= room.bytes)
        return MS_OK;
    return ms_fail(err, MS_BUDGET,
                   "%s: pictures of %dx%d take at least %s to be read, and the budget leaves %s for them",
                   path, width, height, ms_size_format(takes, bytes), ms_size_format(there, room.bytes));
}

/* Opens decoders of its own, in which sizes are found that no container announced. */
static int find_streams(AVFormatContext *format, ms_picture_room room) {
    unsigned n = format->nb_streams;
    int rc = 0;
    if (!room.bytes || n == 0)
        return avformat_find_stream_info(format, NULL);
    AVDictionary **options = av_calloc(n, sizeof(*options)); /* one for each stream that is known so far */
    if (!options)
        return AVERROR(ENOMEM);
    for (unsigned i = 0; i < n && rc >= 0; i++)
        rc = av_dict_set_int(&options[i], "max_pixels", decoder_pixels(room), 0);
    if (rc >= 0)
        rc = avformat_find_stream_info(format, options);
    for (unsigned i = 0; i < n; i++)
        av_dict_free(&options[i]);
    av_free(options);
    return rc;
}

static void note_announced(ms_av_input *in) {
    int best = ms_av_best_stream(in->format, AVMEDIA_TYPE_VIDEO);
    if (best < 0)
        return;
    in->announced_width = in->format->streams[best]->codecpar->width;
    in->announced_height = in->format->streams[best]->codecpar->height;
}

/* Demuxers that take any text for a moving picture of a terminal. */
static bool is_text_art(const AVInputFormat *format) {
    static const char *const names[] = {"tty", "bin", "xbin", "adf", "idf"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(format->name, names[i]) == 0)
            return true;
    return false;
}

static ms_status fail_input(const ms_av_input *in, const char *path, int rc, ms_error *err) {
    if (in->read_errno)
        return ms_fail(err, MS_IO, "cannot read %s: %s", path, strerror(in->read_errno));
    if (rc == AVERROR(ENOMEM))
        return ms_fail(err, MS_HOST_MEMORY, "out of memory opening %s", path);
    return ms_fail_av(err, MS_BAD_MEDIA, in->log, rc, "%s is not a readable media file", path);
}

/* The container's header is read, its streams are not yet probed. */
static ms_status open_container(ms_av_input *in, const char *path, ms_av_log *log, ms_error *err) {
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
    if (rc < 0) {
        status = fail_input(in, path, rc, err);
        goto fail;
    }
    note_announced(in);
    return MS_OK;
fail:
    ms_av_input_close(in);
    return status;
}

/* Streams that begin somewhere in the file (FLV, MPEG) get no limit from
   find_streams(). So all that probing would see is read once without a decoder, and
   then probed when all of them are known, in a context that is thrown away. */
static ms_status look_ahead(const char *path, ms_picture_room room, ms_av_log *log, ms_error *err) {
    ms_av_input in;
    int width, height;
    MS_TRY(open_container(&in, path, log, err));
    AVPacket *packet = av_packet_alloc();
    int rc = packet ? 0 : AVERROR(ENOMEM);
    while (rc >= 0 && avio_tell(in.io) < in.format->probesize)
        if ((rc = av_read_frame(in.format, packet)) >= 0)
            av_packet_unref(packet);
    av_packet_free(&packet);
    if (rc != AVERROR(ENOMEM))
        rc = av_seek_frame(in.format, -1, 0, AVSEEK_FLAG_BYTE);
    if (rc >= 0)
        rc = find_streams(in.format, room);
    ms_av_input_close(&in);
    if (rc == AVERROR(ENOMEM))
        return ms_fail(err, MS_HOST_MEMORY, "out of memory opening %s", path);
    return ms_av_log_refused(log, &width, &height)
               ? ms_av_check_room(room, width, height, AV_PIX_FMT_NONE, path, err)
               : MS_OK;
}

ms_status ms_av_input_open(ms_av_input *in, const char *path, ms_picture_room room, ms_av_log *log,
                           ms_error *err) {
    MS_TRY(open_container(in, path, log, err));
    ms_status status = MS_OK;
    if (room.bytes && (in->format->ctx_flags & AVFMTCTX_NOHEADER))
        status = look_ahead(path, room, log, err);
    if (status == MS_OK) {
        int rc = find_streams(in->format, room);
        status = rc < 0 ? fail_input(in, path, rc, err) : MS_OK;
    }
    if (status != MS_OK)
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

ms_status ms_av_open_decoder(const AVStream *stream, int threads, ms_picture_room room, ms_av_log *log,
                             const char *path, AVCodecContext **ret_codec, ms_error *err) {
    const AVCodec *codec = avcodec_find_decoder(stream->codecpar->codec_id);
    const char *name = avcodec_get_name(stream->codecpar->codec_id);
    if (!codec)
        return ms_fail(err, MS_UNSUPPORTED, "%s: this build's FFmpeg has no decoder for %s", path, name);
    AVCodecContext *ctx = avcodec_alloc_context3(codec);
    int rc = ctx ? avcodec_parameters_to_context(ctx, stream->codecpar) : AVERROR(ENOMEM);
    if (rc >= 0) {
        ms_av_log_attach(log, ctx);
        ctx->thread_count = threads;
        ctx->max_pixels = decoder_pixels(room);
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
