#include "media/write/mux.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/av_compat.h"

#define IO_BUFFER_BYTES 65536

/* ---- the target */

static const struct {
    const char *extension;
    ms_container container;
    const char *format; /* FFmpeg's muxer */
} extensions[] = {
    {"mp4", MS_CONTAINER_MP4, "mp4"},      {"m4v", MS_CONTAINER_MP4, "mp4"}, {"mov", MS_CONTAINER_MOV, "mov"},
    {"mkv", MS_CONTAINER_MKV, "matroska"}, {"avi", MS_CONTAINER_AVI, "avi"},
};
#define N_EXTENSIONS (sizeof(extensions) / sizeof(extensions[0]))

/* mp4 has no code for FFV1; AVI cannot tell reordered frames' times. */
static bool holds(ms_container container, enum AVCodecID codec) {
    if (codec == AV_CODEC_ID_FFV1)
        return container != MS_CONTAINER_MP4;
    return container != MS_CONTAINER_AVI;
}

static const char *extension_of(const char *path) {
    const char *name = strrchr(path, '/');
    const char *dot = strrchr(name ? name : path, '.');
    return dot ? dot + 1 : "";
}

ms_status ms_container_for(const char *path, enum AVCodecID codec_id, ms_container *ret_container,
                           ms_error *err) {
    const char *extension = extension_of(path);
    char good[64] = "";
    for (size_t i = 0; i < N_EXTENSIONS; i++) {
        if (!holds(extensions[i].container, codec_id))
            continue;
        if (strcasecmp(extension, extensions[i].extension) == 0) {
            *ret_container = extensions[i].container;
            return MS_OK;
        }
        size_t n = strlen(good);
        snprintf(good + n, sizeof(good) - n, "%s.%s", n ? ", " : "", extensions[i].extension);
    }
    const char *codec = avcodec_get_name(codec_id);
    if (!extension[0])
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "%s: the name needs an extension to say the container; %s goes into %s", path, codec,
                       good);
    return ms_fail(err, MS_INVALID_ARGUMENT,
                   "%s: memsafe does not write %s video into .%s files; it goes into %s", path, codec,
                   extension, good);
}

static const char *shown(const ms_mux *m) {
    return m->file.shown_as ? m->file.shown_as : m->file.path;
}

/* ---- muxing */

static int write_packet(void *opaque, ms_av_written *buf, int size) {
    ms_mux *m = opaque;
    int done = 0;
    while (done < size) {
        ssize_t n = write(m->file.fd, buf + done, (size_t)(size - done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            if (!m->write_errno)
                m->write_errno = errno;
            return AVERROR(errno);
        }
        done += (int)n;
    }
    return size;
}

static int64_t seek_packet(void *opaque, int64_t offset, int whence) {
    ms_mux *m = opaque;
    if (whence & AVSEEK_SIZE) {
        struct stat st;
        return fstat(m->file.fd, &st) < 0 ? AVERROR(errno) : (int64_t)st.st_size;
    }
    off_t at = lseek(m->file.fd, offset, whence & ~AVSEEK_FORCE);
    return at < 0 ? AVERROR(errno) : at;
}

static ms_status fail_write(ms_mux *m, int rc, const char *what, ms_error *err) {
    if (m->write_errno)
        return ms_fail(err, MS_IO, "cannot write %s: %s", shown(m), strerror(m->write_errno));
    return ms_fail_av(err, rc == AVERROR(ENOMEM) ? MS_HOST_MEMORY : MS_IO, m->log, rc, "cannot write %s: %s",
                      shown(m), what);
}

static ms_status make_muxer(ms_mux *m, ms_mem *mem, ms_error *err) {
    const char *format = NULL;
    for (size_t i = 0; i < N_EXTENSIONS && !format; i++)
        if (extensions[i].container == m->container)
            format = extensions[i].format;
    /* The mp4 muxer opens its file again by this name to move the index to the front. */
    char *url = ms_asprintf(mem, "file:%s", m->file.temp);
    uint8_t *buffer = av_malloc(IO_BUFFER_BYTES);
    int rc = url ? avformat_alloc_output_context2(&m->format, NULL, format, url) : AVERROR(ENOMEM);
    ms_mem_free(url);
    if (buffer)
        m->io = avio_alloc_context(buffer, IO_BUFFER_BYTES, 1, m, NULL, write_packet, seek_packet);
    if (!m->io)
        av_free(buffer);
    if (rc < 0 || !m->io)
        return rc == AVERROR_MUXER_NOT_FOUND || rc == AVERROR(EINVAL)
                   ? ms_fail(err, MS_UNSUPPORTED, "this build's FFmpeg cannot write %s files", format)
                   : ms_fail(err, MS_HOST_MEMORY, "out of memory for writing %s", shown(m));
    m->format->pb = m->io;
    /* Without it Matroska files carry random numbers and every container the library's version. */
    m->format->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_BITEXACT;
    return MS_OK;
}

ms_status ms_mux_open(ms_mux *m, ms_mem *mem, const char *path, enum AVCodecID codec_id, bool force,
                      ms_av_log *log, ms_error *err) {
    *m = (ms_mux){.file = MS_NEW_FILE_NONE, .log = log};
    MS_TRY(ms_container_for(path, codec_id, &m->container, err));
    MS_TRY(ms_new_file_open(&m->file, mem, path, force, err));
    ms_status status = make_muxer(m, mem, err);
    if (status != MS_OK)
        ms_mux_abort(m);
    return status;
}

static ms_status add_stream(ms_mux *m, AVStream **ret, ms_error *err) {
    *ret = avformat_new_stream(m->format, NULL);
    return *ret ? MS_OK : ms_fail(err, MS_HOST_MEMORY, "out of memory for writing %s", shown(m));
}

ms_status ms_mux_add_encoder(ms_mux *m, const AVCodecContext *encoder, int *ret_index, ms_error *err) {
    AVStream *st;
    MS_TRY(add_stream(m, &st, err));
    int rc = avcodec_parameters_from_context(st->codecpar, encoder);
    if (rc < 0)
        return fail_write(m, rc, "describing a stream", err);
    st->time_base = encoder->time_base;
    if (encoder->codec_type == AVMEDIA_TYPE_VIDEO) {
        st->avg_frame_rate = encoder->framerate;
        st->sample_aspect_ratio = encoder->sample_aspect_ratio;
    }
    /* Apple's players take HEVC only with its parameter sets in the header. */
    if (encoder->codec_id == AV_CODEC_ID_HEVC && m->container != MS_CONTAINER_MKV)
        st->codecpar->codec_tag = MKTAG('h', 'v', 'c', '1');
    *ret_index = st->index;
    return MS_OK;
}

ms_status ms_mux_add_copy(ms_mux *m, const AVCodecParameters *par, AVRational time_base, int *ret_index,
                          ms_error *err) {
    AVStream *st;
    MS_TRY(add_stream(m, &st, err));
    int rc = avcodec_parameters_copy(st->codecpar, par);
    if (rc < 0)
        return fail_write(m, rc, "describing a stream", err);
    st->codecpar->codec_tag = 0;
    st->time_base = time_base;
    *ret_index = st->index;
    return MS_OK;
}

ms_status ms_mux_write_header(ms_mux *m, ms_error *err) {
    AVDictionary *options = NULL;
    int rc = m->container == MS_CONTAINER_MP4 || m->container == MS_CONTAINER_MOV
                 ? av_dict_set(&options, "movflags", MS_AV_MOV_FLAGS, 0)
                 : 0;
    if (rc >= 0)
        rc = avformat_write_header(m->format, &options);
    av_dict_free(&options);
    return rc < 0 ? fail_write(m, rc, "header", err) : MS_OK;
}

ms_status ms_mux_write(ms_mux *m, AVPacket *packet, int index, AVRational time_base, ms_error *err) {
    av_packet_rescale_ts(packet, time_base, m->format->streams[index]->time_base);
    packet->stream_index = index;
    packet->pos = -1;
    int rc = av_interleaved_write_frame(m->format, packet);
    if (rc >= 0 && m->io->error < 0)
        rc = m->io->error;
    return rc < 0 || m->write_errno ? fail_write(m, rc, "data", err) : MS_OK;
}

static void close_mux(ms_mux *m) {
    if (m->format) {
        m->format->pb = NULL;
        avformat_free_context(m->format);
        m->format = NULL;
    }
    if (m->io) {
        av_freep(&m->io->buffer);
        avio_context_free(&m->io);
    }
}

ms_status ms_mux_finish(ms_mux *m, ms_error *err) {
    ms_status status = MS_OK;
    int rc = av_write_trailer(m->format);
    avio_flush(m->io);
    if (rc >= 0 && m->io->error < 0)
        rc = m->io->error;
    if (rc < 0 || m->write_errno) {
        status = fail_write(m, rc, "trailer", err);
        goto fail;
    }
    close_mux(m);
    MS_GOTO(ms_new_file_finish(&m->file, err));
fail:
    ms_mux_abort(m);
    return status;
}

void ms_mux_abort(ms_mux *m) {
    close_mux(m);
    ms_new_file_abort(&m->file);
}
