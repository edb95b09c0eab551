#include "media/write/packet_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/full_io.h"

#define BUFFER_BYTES ((size_t)256 << 10)
#define MOST_TIME ((int64_t)1 << 40) /* a frame's, within its segment */

static const char magic[8] = "MSPACK2";

typedef struct file_head {
    char magic[8];
    uint32_t crc; /* of this head with the extradata's in its place */
    uint32_t extradata_bytes;
    uint64_t job[2];
    int64_t number, frames, bytes; /* bytes: of the whole file */
} file_head;

typedef struct packet_head {
    uint32_t bytes, crc; /* of the data, and of it with the rest of this head */
    int64_t pts, dts, duration;
    uint32_t flags, zero;
} packet_head;

static ms_status fail_io(const ms_packet_file *f, const char *what, ms_error *err) {
    if (f->shown_as)
        return ms_fail(err, MS_IO, "cannot %s %s: %s (%s)", what, f->shown_as, strerror(errno), f->path);
    return ms_fail(err, MS_IO, "cannot %s %s: %s", what, f->path, strerror(errno));
}

static ms_status damaged(const ms_packet_file *f, ms_error *err) {
    return ms_fail(err, MS_DAMAGED, "%s is damaged", f->path);
}

static uint32_t checksum(const ms_packet_file *f, const packet_head *head, const uint8_t *data) {
    packet_head h = *head;
    h.crc = 0;
    return ms_crc32(f->crc, ms_crc32(f->crc, 0, &h, sizeof(h)), data, head->bytes);
}

static ms_status begin(ms_packet_file *f, ms_mem *mem, int fd, const char *path, const char *shown_as,
                       ms_error *err) {
    *f = (ms_packet_file){.fd = fd, .shown_as = shown_as};
    f->path = ms_strdup(mem, path);
    f->crc = ms_mem_alloc(mem, MS_LEDGER_GENERAL, sizeof(*f->crc));
    f->buffer = ms_mem_alloc(mem, MS_LEDGER_STAGING, BUFFER_BYTES);
    if (!f->path || !f->crc || !f->buffer)
        return ms_fail_alloc(err, mem, BUFFER_BYTES, "a segment of the output");
    ms_crc32_init(f->crc);
    return MS_OK;
}

/* ---- writing ---- */

static ms_status write_out(ms_packet_file *f, const uint8_t *data, size_t bytes, ms_error *err) {
    return ms_write_full(f->fd, data, bytes) ? MS_OK : fail_io(f, "write", err);
}

static ms_status flush(ms_packet_file *f, ms_error *err) {
    size_t held = f->held;
    f->held = 0;
    return write_out(f, f->buffer, held, err);
}

static ms_status put(ms_packet_file *f, const void *data, size_t bytes, ms_error *err) {
    f->bytes += (int64_t)bytes;
    if (f->held + bytes > BUFFER_BYTES)
        MS_TRY(flush(f, err));
    if (bytes > BUFFER_BYTES)
        return write_out(f, data, bytes, err);
    memcpy(f->buffer + f->held, data, bytes);
    f->held += bytes;
    return MS_OK;
}

ms_status ms_packet_file_create(ms_packet_file *f, ms_mem *mem, int fd, const char *path,
                                const char *shown_as, const ms_packet_label *label, const uint8_t *extradata,
                                int extradata_bytes, ms_error *err) {
    ms_status status;
    static const file_head none;
    MS_GOTO(begin(f, mem, fd, path, shown_as, err));
    f->label = *label;
    f->label.frames = 0;
    f->extradata_bytes = (uint32_t)extradata_bytes;
    MS_GOTO(put(f, &none, sizeof(none), err));
    if (extradata_bytes) {
        f->extradata_crc = ms_crc32(f->crc, 0, extradata, f->extradata_bytes);
        MS_GOTO(put(f, extradata, f->extradata_bytes, err));
    }
    return MS_OK;
fail:
    ms_packet_file_close(f);
    return status;
}

ms_status ms_packet_file_write(ms_packet_file *f, const AVPacket *packet, ms_error *err) {
    packet_head head = {.bytes = (uint32_t)packet->size,
                        .pts = packet->pts,
                        .dts = packet->dts,
                        .duration = packet->duration,
                        .flags = (uint32_t)packet->flags};
    head.crc = checksum(f, &head, packet->data);
    f->label.frames++;
    MS_TRY(put(f, &head, sizeof(head), err));
    return put(f, packet->data, (size_t)packet->size, err);
}

static uint32_t head_checksum(const ms_packet_file *f, const file_head *head, uint32_t extradata_crc) {
    file_head h = *head;
    h.crc = extradata_crc;
    return ms_crc32(f->crc, 0, &h, sizeof(h));
}

ms_status ms_packet_file_finish(ms_packet_file *f, ms_error *err) {
    file_head head = {.extradata_bytes = f->extradata_bytes,
                      .job = {f->label.job[0], f->label.job[1]},
                      .number = f->label.number,
                      .frames = f->label.frames,
                      .bytes = f->bytes};
    memcpy(head.magic, magic, sizeof(magic));
    head.crc = head_checksum(f, &head, f->extradata_crc);
    MS_TRY(flush(f, err));
    if (!ms_write_full_at(f->fd, &head, sizeof(head), 0))
        return fail_io(f, "write", err);
    return fsync(f->fd) == 0 ? MS_OK : fail_io(f, "write", err);
}

/* ---- reading ---- */

static ms_status read_in(ms_packet_file *f, void *data, size_t bytes, ms_error *err) {
    if ((int64_t)bytes > f->bytes - f->at)
        return damaged(f, err);
    if (!ms_read_full(f->fd, data, bytes))
        return errno ? fail_io(f, "read", err) : damaged(f, err);
    f->at += (int64_t)bytes;
    return MS_OK;
}

/* What the head says of the file, and whether it is the one that is wanted. */
static ms_status take_head(ms_packet_file *f, const file_head *head, const ms_packet_label *label,
                           ms_error *err) {
    if (memcmp(head->magic, magic, sizeof(magic)) != 0 || head->extradata_bytes > BUFFER_BYTES)
        return ms_fail(err, MS_DAMAGED, "%s is damaged, or was not finished", f->path);
    if (head->bytes != f->bytes)
        return ms_fail(err, MS_DAMAGED, "%s has %lld bytes, not the %lld that were written", f->path,
                       (long long)f->bytes, (long long)head->bytes);
    MS_TRY(read_in(f, f->buffer, head->extradata_bytes, err));
    uint32_t crc =
        head->extradata_bytes ? ms_crc32(f->crc, 0, f->buffer, head->extradata_bytes) : f->extradata_crc;
    if (head->crc != head_checksum(f, head, crc) || head->frames < 1)
        return damaged(f, err);
    if (memcmp(head->job, label->job, sizeof(head->job)) != 0)
        return ms_fail(err, MS_DAMAGED, "%s is of another job", f->path);
    if (head->number != label->number)
        return ms_fail(err, MS_DAMAGED, "%s holds segment %lld", f->path, (long long)head->number);
    f->label = *label;
    f->label.frames = head->frames;
    return MS_OK;
}

static ms_status check_head(ms_packet_file *f, const ms_packet_label *label, const uint8_t *extradata,
                            int extradata_bytes, ms_error *err) {
    struct stat st;
    file_head head;
    if (fstat(f->fd, &st) < 0)
        return fail_io(f, "read", err);
    f->bytes = st.st_size;
    MS_TRY(read_in(f, &head, sizeof(head), err));
    MS_TRY(take_head(f, &head, label, err));
    if (!extradata && extradata_bytes < 0)
        return MS_OK;
    if ((int)head.extradata_bytes != extradata_bytes ||
        (extradata_bytes && memcmp(f->buffer, extradata, (size_t)extradata_bytes) != 0))
        return ms_fail(err, MS_DAMAGED, "%s was made by another encoder", f->path);
    return MS_OK;
}

ms_status ms_packet_file_open(ms_packet_file *f, ms_mem *mem, int fd, const char *path,
                              const ms_packet_label *label, const uint8_t *extradata, int extradata_bytes,
                              ms_error *err) {
    ms_status status;
    MS_GOTO(begin(f, mem, fd, path, NULL, err));
    MS_GOTO(check_head(f, label, extradata, extradata_bytes, err));
    return MS_OK;
fail:
    ms_packet_file_close(f);
    return status;
}

static bool is_time(int64_t t) {
    return t >= -MOST_TIME && t <= MOST_TIME;
}

ms_status ms_packet_file_read(ms_packet_file *f, AVPacket *packet, bool *ret_got, ms_error *err) {
    packet_head head;
    *ret_got = false;
    if (f->at == f->bytes)
        return MS_OK;
    MS_TRY(read_in(f, &head, sizeof(head), err));
    if (head.bytes > INT32_MAX / 2 || (int64_t)head.bytes > f->bytes - f->at)
        return damaged(f, err);
    av_packet_unref(packet);
    if (av_new_packet(packet, (int)head.bytes) < 0)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory joining %s", f->path);
    MS_TRY(read_in(f, packet->data, head.bytes, err));
    if (head.crc != checksum(f, &head, packet->data) || !is_time(head.pts) || !is_time(head.dts) ||
        !is_time(head.duration))
        return damaged(f, err);
    packet->pts = head.pts;
    packet->dts = head.dts;
    packet->duration = head.duration;
    packet->flags = (int)head.flags;
    *ret_got = true;
    return MS_OK;
}

static ms_status count(ms_packet_file *f, AVPacket *packet, ms_error *err) {
    int64_t packets = 0;
    for (bool got = true; got; packets += got)
        MS_TRY(ms_packet_file_read(f, packet, &got, err));
    return packets == f->label.frames ? MS_OK : damaged(f, err);
}

ms_status ms_packet_file_check(ms_mem *mem, int fd, const char *path, ms_packet_label *label, ms_error *err) {
    ms_packet_file f;
    AVPacket *packet = av_packet_alloc();
    ms_status status = ms_packet_file_open(&f, mem, fd, path, label, NULL, -1, err);
    if (status == MS_OK) {
        *label = f.label;
        status =
            packet ? count(&f, packet, err) : ms_fail(err, MS_HOST_MEMORY, "out of memory checking %s", path);
    }
    ms_packet_file_close(&f);
    av_packet_free(&packet);
    return status;
}

void ms_packet_file_close(ms_packet_file *f) {
    if (f->fd >= 0)
        close(f->fd);
    ms_mem_free(f->path);
    ms_mem_free(f->buffer);
    ms_mem_free(f->crc);
    *f = (ms_packet_file){.fd = -1};
}
