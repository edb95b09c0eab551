#include "media/write/packet_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/full_io.h"

#define BUFFER_BYTES ((size_t)256 << 10)
#define MOST_PACKET_BYTES ((int64_t)INT32_MAX / 2) /* an AVPacket has an int for it */
#define MOST_REORDER 16 /* frames by which a packet may be decoded before its time: more than codecs allow */
#define KNOWN_FLAGS ((uint32_t)(AV_PKT_FLAG_KEY | AV_PKT_FLAG_DISPOSABLE)) /* that encoders set */

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

/* Without the data. */
static uint32_t packet_head_checksum(const ms_packet_file *f, const packet_head *head) {
    packet_head h = *head;
    h.crc = 0;
    return ms_crc32(f->crc, 0, &h, sizeof(h));
}

static uint32_t checksum(const ms_packet_file *f, const packet_head *head, const uint8_t *data) {
    return ms_crc32(f->crc, packet_head_checksum(f, head), data, head->bytes);
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
static ms_status take_head(ms_packet_file *f, const file_head *head, const ms_packet_file_params *p,
                           ms_error *err) {
    const int64_t most = p->most_frames ? p->most_frames : INT64_MAX;
    if (memcmp(head->magic, magic, sizeof(magic)) != 0)
        return ms_fail(err, MS_DAMAGED, "%s is damaged, or was not finished", f->path);
    if (head->bytes != f->bytes)
        return ms_fail(err, MS_DAMAGED, "%s has %lld bytes, not the %lld that were written", f->path,
                       (long long)f->bytes, (long long)head->bytes);
    if (head->extradata_bytes > BUFFER_BYTES)
        return ms_fail(err, MS_DAMAGED, "%s is damaged: %u bytes of codec headers, more than %zu", f->path,
                       head->extradata_bytes, BUFFER_BYTES);
    MS_TRY(read_in(f, f->buffer, head->extradata_bytes, err));
    uint32_t crc =
        head->extradata_bytes ? ms_crc32(f->crc, 0, f->buffer, head->extradata_bytes) : f->extradata_crc;
    if (head->crc != head_checksum(f, head, crc))
        return damaged(f, err);
    if (memcmp(head->job, p->label.job, sizeof(head->job)) != 0)
        return ms_fail(err, MS_DAMAGED, "%s is of another job", f->path);
    if (head->number != p->label.number)
        return ms_fail(err, MS_DAMAGED, "%s holds segment %lld", f->path, (long long)head->number);
    if (head->frames < 1 || head->frames > most)
        return ms_fail(err, MS_DAMAGED, "%s is damaged: frames %lld is not within 1 to %lld", f->path,
                       (long long)head->frames, (long long)most);
    f->label = p->label;
    f->label.frames = head->frames;
    return MS_OK;
}

static ms_status check_head(ms_packet_file *f, const ms_packet_file_params *p, ms_error *err) {
    struct stat st;
    file_head head;
    if (fstat(f->fd, &st) < 0)
        return fail_io(f, "read", err);
    f->bytes = st.st_size;
    MS_TRY(read_in(f, &head, sizeof(head), err));
    MS_TRY(take_head(f, &head, p, err));
    if (!p->of_encoder)
        return MS_OK;
    if ((int)head.extradata_bytes != p->extradata_bytes ||
        (p->extradata_bytes && memcmp(f->buffer, p->extradata, (size_t)p->extradata_bytes) != 0))
        return ms_fail(err, MS_DAMAGED, "%s was made by another encoder", f->path);
    return MS_OK;
}

ms_status ms_packet_file_open(ms_packet_file *f, const ms_packet_file_params *p, ms_error *err) {
    ms_status status;
    MS_GOTO(begin(f, p->mem, p->fd, p->path, NULL, err));
    f->last_dts = -MOST_REORDER - 1;
    f->most_packet_bytes = MOST_PACKET_BYTES;
    if (p->most_packet_bytes && p->most_packet_bytes < MOST_PACKET_BYTES)
        f->most_packet_bytes = p->most_packet_bytes;
    f->cancelled = p->cancelled;
    f->arg = p->arg;
    MS_GOTO(check_head(f, p, err));
    return MS_OK;
fail:
    ms_packet_file_close(f);
    return status;
}

static ms_status ask(const ms_packet_file *f, ms_error *err) {
    return f->cancelled && f->cancelled(f->arg)
               ? ms_fail(err, MS_CANCELLED, "cancelled while %s was read", f->path)
               : MS_OK;
}

static ms_status within(const ms_packet_file *f, const char *field, int64_t value, int64_t least,
                        int64_t most, ms_error *err) {
    if (value >= least && value <= most)
        return MS_OK;
    return ms_fail(err, MS_DAMAGED, "%s is damaged: packet %lld: %s %lld is not within %lld to %lld", f->path,
                   (long long)f->packets, field, (long long)value, (long long)least, (long long)most);
}

/* Times are frames of the segment, in the order in which they are decoded. */
static ms_status check_packet_head(const ms_packet_file *f, const packet_head *head, ms_error *err) {
    const int64_t left = f->bytes - f->at, frames = f->label.frames;
    MS_TRY(
        within(f, "bytes", head->bytes, 1, left < f->most_packet_bytes ? left : f->most_packet_bytes, err));
    MS_TRY(within(f, "pts", head->pts, 0, frames - 1, err));
    MS_TRY(within(f, "dts", head->dts, f->last_dts + 1, head->pts, err));
    MS_TRY(within(f, "duration", head->duration, 0, frames, err));
    if ((head->flags & ~KNOWN_FLAGS) == 0 && head->zero == 0)
        return MS_OK;
    return ms_fail(err, MS_DAMAGED,
                   "%s is damaged: packet %lld: flags %#x, %#x are not those that an encoder sets", f->path,
                   (long long)f->packets, head->flags, head->zero);
}

/* *ret_got false: there are no more. */
static ms_status next_head(ms_packet_file *f, packet_head *ret_head, bool *ret_got, ms_error *err) {
    const long long frames = f->label.frames, packets = f->packets;
    *ret_got = f->at < f->bytes;
    if (!*ret_got && packets < frames)
        return ms_fail(err, MS_DAMAGED, "%s is damaged: it ends after %lld of its %lld frames", f->path,
                       packets, frames);
    if (!*ret_got)
        return MS_OK;
    if (packets == frames)
        return ms_fail(err, MS_DAMAGED, "%s is damaged: it goes on after its %lld frames", f->path, frames);
    MS_TRY(ask(f, err));
    MS_TRY(read_in(f, ret_head, sizeof(*ret_head), err));
    return check_packet_head(f, ret_head, err);
}

static void pass(ms_packet_file *f, const packet_head *head) {
    f->packets++;
    f->last_dts = head->dts;
}

ms_status ms_packet_file_read(ms_packet_file *f, AVPacket *packet, bool *ret_got, ms_error *err) {
    packet_head head;
    bool got = false;
    *ret_got = false;
    MS_TRY(next_head(f, &head, &got, err));
    if (!got)
        return MS_OK;
    av_packet_unref(packet);
    if (av_new_packet(packet, (int)head.bytes) < 0)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory joining %s", f->path);
    MS_TRY(read_in(f, packet->data, head.bytes, err));
    if (head.crc != checksum(f, &head, packet->data))
        return damaged(f, err);
    pass(f, &head);
    packet->pts = head.pts;
    packet->dts = head.dts;
    packet->duration = head.duration;
    packet->flags = (int)head.flags;
    *ret_got = true;
    return MS_OK;
}

static ms_status skim_data(ms_packet_file *f, const packet_head *head, ms_error *err) {
    uint32_t crc = packet_head_checksum(f, head);
    for (size_t left = head->bytes; left > 0;) {
        size_t n = left < BUFFER_BYTES ? left : BUFFER_BYTES;
        MS_TRY(read_in(f, f->buffer, n, err));
        crc = ms_crc32(f->crc, crc, f->buffer, n);
        left -= n;
        if (left > 0)
            MS_TRY(ask(f, err));
    }
    return crc == head->crc ? MS_OK : damaged(f, err);
}

static ms_status skim(ms_packet_file *f, ms_error *err) {
    packet_head head;
    bool got = true;
    for (;;) {
        MS_TRY(next_head(f, &head, &got, err));
        if (!got)
            return MS_OK;
        MS_TRY(skim_data(f, &head, err));
        pass(f, &head);
    }
}

ms_status ms_packet_file_check(const ms_packet_file_params *p, int64_t *ret_frames, ms_error *err) {
    ms_packet_file f;
    MS_TRY(ms_packet_file_open(&f, p, err));
    *ret_frames = f.label.frames;
    ms_status status = skim(&f, err);
    ms_packet_file_close(&f);
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
