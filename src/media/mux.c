#include "media/mux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/new_file.h"

#define IO_BUFFER_BYTES 65536
#define TEMP_TRIES 100

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
    return ms_fail(err, MS_INVALID_ARGUMENT, "%s: a .%s file cannot hold %s video; use %s", path, extension,
                   codec, good);
}

static const char *shown(const ms_mux *m) {
    return m->shown_as ? m->shown_as : m->path;
}

/* A file of its own in the target's folder; not mkstemp(), which ignores the user's umask. */
static ms_status open_temp(ms_mux *m, ms_mem *mem, ms_error *err) {
    static atomic_uint counter;
    char folder[4096];
    ms_folder_of(m->path, folder, sizeof(folder));
    for (int i = 0; i < TEMP_TRIES; i++) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        char *name = ms_asprintf(mem, "%s/.memsafe-%lx-%x-%lx.part", folder, (long)getpid(),
                                 atomic_fetch_add(&counter, 1), (unsigned long)now.tv_nsec);
        if (!name)
            return ms_fail_alloc(err, mem, strlen(folder) + 40, "a file name");
        m->fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (m->fd >= 0) {
            m->temp = name;
            return MS_OK;
        }
        ms_free(name);
        if (errno != EEXIST)
            break;
    }
    return ms_fail(err, MS_IO, "cannot write %s: creating a file in %s: %s", shown(m), folder,
                   strerror(errno));
}

/* ---- muxing */

static int write_packet(void *opaque, uint8_t *buf, int size) {
    ms_mux *m = opaque;
    int done = 0;
    while (done < size) {
        ssize_t n = write(m->fd, buf + done, (size_t)(size - done));
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
        return fstat(m->fd, &st) < 0 ? AVERROR(errno) : (int64_t)st.st_size;
    }
    off_t at = lseek(m->fd, offset, whence & ~AVSEEK_FORCE);
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
    char *url = ms_asprintf(mem, "file:%s", m->temp);
    uint8_t *buffer = av_malloc(IO_BUFFER_BYTES);
    int rc = url ? avformat_alloc_output_context2(&m->format, NULL, format, url) : AVERROR(ENOMEM);
    ms_free(url);
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
    ms_status status;
    *m = (ms_mux){.fd = -1, .force = force, .log = log};
    MS_TRY(ms_container_for(path, codec_id, &m->container, err));
    MS_TRY(ms_new_file_check(path, force, err));
    m->path = ms_strdup(mem, path);
    if (!m->path)
        return ms_fail_alloc(err, mem, strlen(path) + 1, "a file name");
    MS_GOTO(open_temp(m, mem, err));
    MS_GOTO(make_muxer(m, mem, err));
    return MS_OK;
fail:
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
                 ? av_dict_set(&options, "movflags", "+faststart", 0)
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
    if (m->fd >= 0)
        close(m->fd);
    m->fd = -1;
}

ms_status ms_mux_take_name(const char *temp, const char *path, bool force, ms_error *err) {
    int rc = force ? rename(temp, path) : renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE);
    if (rc < 0 && !force && (errno == EINVAL || errno == ENOSYS)) { /* a file system that cannot do that */
        rc = access(path, F_OK) == 0 ? (errno = EEXIST, -1) : rename(temp, path);
    }
    if (rc < 0)
        return ms_fail(err, MS_IO, "cannot write %s: %s", path, strerror(errno));
    char folder[4096];
    ms_folder_of(path, folder, sizeof(folder));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) { /* some file systems cannot sync a folder: the file itself is safe already */
        fsync(fd);
        close(fd);
    }
    return MS_OK;
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
    if (fsync(m->fd) < 0) {
        status = ms_fail(err, MS_IO, "cannot write %s: %s", shown(m), strerror(errno));
        goto fail;
    }
    close_mux(m);
    MS_GOTO(ms_mux_take_name(m->temp, m->path, m->force, err));
    ms_free(m->temp);
    m->temp = NULL;
fail:
    ms_mux_abort(m);
    return status;
}

void ms_mux_abort(ms_mux *m) {
    close_mux(m);
    if (m->temp)
        unlink(m->temp);
    ms_free(m->temp);
    ms_free(m->path);
    m->temp = m->path = NULL;
}
