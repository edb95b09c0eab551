#include "media/read/picture_files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "files/full_io.h"
#include "text/size.h"

/* Pictures that stand for themselves; not what refers to other files, is drawn, or has no header. */
static bool is_read(enum AVCodecID codec) {
    static const enum AVCodecID known[] = {
        AV_CODEC_ID_PNG,    AV_CODEC_ID_MJPEG,    AV_CODEC_ID_BMP, AV_CODEC_ID_TIFF, AV_CODEC_ID_WEBP,
        AV_CODEC_ID_TARGA,  AV_CODEC_ID_PPM,      AV_CODEC_ID_PGM, AV_CODEC_ID_PAM,  AV_CODEC_ID_PBM,
        AV_CODEC_ID_JPEGLS, AV_CODEC_ID_JPEG2000, AV_CODEC_ID_DPX, AV_CODEC_ID_EXR,  AV_CODEC_ID_SGI,
        AV_CODEC_ID_PCX,    AV_CODEC_ID_SUNRAST};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (codec == known[i])
            return true;
    return false;
}

static int set_options(AVDictionary **options, AVRational rate) {
    char text[32];
    snprintf(text, sizeof(text), "%d/%d", rate.num, rate.den);
    int rc = av_dict_set(options, "framerate", text, 0);
    return rc < 0 ? rc : av_dict_set(options, "pattern_type", "none", 0);
}

/* The name's ending tells the demuxer the decoder; no file of that name is looked for. */
static int open_by_ending(ms_av_input *in, const ms_numbered *files, AVRational rate) {
    char name[64];
    const char *dot = strrchr(files->after, '.');
    AVDictionary *options = NULL;
    snprintf(name, sizeof(name), "picture%.32s", dot ? dot : "");
    in->format = avformat_alloc_context();
    int rc = in->format ? set_options(&options, rate) : AVERROR(ENOMEM);
    if (rc >= 0) {
        in->format->iformat = av_find_input_format("image2");
        rc = in->format->iformat ? avformat_open_input(&in->format, name, NULL, &options)
                                 : AVERROR_DEMUXER_NOT_FOUND;
    }
    av_dict_free(&options);
    return rc;
}

static ms_status check_room(const ms_numbered *files, const char *path, int threads, ms_picture_room room,
                            ms_error *err) {
    char takes[MS_SIZE_TEXT_BYTES], there[MS_SIZE_TEXT_BYTES];
    uint64_t bytes = (uint64_t)files->largest_bytes * (uint64_t)(threads + 1);
    if (!room.bytes || bytes <= room.bytes)
        return MS_OK;
    return ms_fail(err, MS_BUDGET,
                   "%s: the largest of these files takes %s to be read, and the budget leaves %s for it",
                   path, ms_size_format(takes, bytes), ms_size_format(there, room.bytes));
}

ms_status ms_picture_files_open(ms_av_input *in, const char *path, const ms_numbered *files, AVRational rate,
                                int threads, ms_picture_room room, ms_av_log *log, ms_error *err) {
    *in = (ms_av_input){.fd = -1, .log = log, .bytes = files->bytes};
    MS_TRY(check_room(files, path, threads, room, err));
    int rc = open_by_ending(in, files, rate);
    if (rc < 0) {
        ms_av_input_close(in);
        return rc == AVERROR(ENOMEM) ? ms_fail(err, MS_HOST_MEMORY, "out of memory opening %s", path)
                                     : ms_fail_av(err, MS_UNSUPPORTED, log, rc,
                                                  "%s: numbered pictures of this kind are not read", path);
    }
    AVStream *st = in->format->nb_streams > 0 ? in->format->streams[0] : NULL;
    if (!st || !is_read(st->codecpar->codec_id)) {
        ms_av_input_close(in);
        return ms_fail(
            err, MS_UNSUPPORTED,
            "%s: numbered files of this kind are not read; png, jpg, tif, bmp, webp and the like are", path);
    }
    st->avg_frame_rate = st->r_frame_rate = rate;
    st->start_time = 0;
    st->duration = st->nb_frames = files->count;
    return MS_OK;
}

ms_status ms_picture_files_read(const ms_numbered *files, int index, AVPacket *packet, ms_error *err) {
    char name[MS_NUMBERED_PATH_BYTES];
    struct stat st;
    int fd;
    MS_TRY(ms_numbered_open(files, files->first + index, &fd, &st, err));
    ms_numbered_name(files, files->first + index, name);
    ms_status status = MS_OK;
    if (st.st_size == 0)
        status = ms_fail(err, MS_BAD_MEDIA, "%s is empty", name);
    else if (st.st_size > files->largest_bytes) /* what was charged */
        status = ms_fail(err, MS_IO, "%s changed while it was read: it has %lld bytes now", name,
                         (long long)st.st_size);
    else if (st.st_size > INT32_MAX / 2 || av_new_packet(packet, (int)st.st_size) < 0)
        status = ms_fail(err, MS_HOST_MEMORY, "out of memory reading %s", name);
    else if (!ms_read_full(fd, packet->data, (size_t)packet->size)) {
        status = ms_fail(err, MS_IO, "cannot read %s: %s", name,
                         errno ? strerror(errno) : "it became shorter meanwhile");
        av_packet_unref(packet);
    }
    close(fd);
    if (status != MS_OK)
        return status;
    packet->pts = packet->dts = index;
    packet->duration = 1;
    packet->stream_index = 0;
    packet->flags |= AV_PKT_FLAG_KEY;
    return MS_OK;
}
