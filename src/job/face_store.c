#include "job/face_store.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crc32.h"
#include "base/error.h"
#include "files/full_io.h"

#define MAGIC 0x32434146u /* "FAC2" */
/* The disk must have so much left, and twice what the file may come to, when a
   segment's file is begun. The output comes first. */
#define SPARE_BYTES ((uint64_t)64 << 20)
#define SYNC_EVERY_S 2.0

typedef struct head {
    uint32_t magic, crc; /* crc: of this head with 0 in its place, and of the face */
    int64_t frame;
    int64_t first, end; /* frames of its window: from one to before another */
    uint64_t bytes;
} head;

struct ms_face_store {
    ms_face_store_params p;
    ms_crc32_table crc;
    int fd;          /* of the segment whose file was used last, -1 = none */
    int64_t segment; /* that one's number */
    bool renamed;    /* a file was made since the last sync */
    double synced;
    int64_t first, end; /* frames of the window in work */
    char note[160];
};

ms_status ms_face_store_create(const ms_face_store_params *params, ms_face_store **ret_store, ms_error *err) {
    ms_face_store *s = ms_mem_calloc(params->mem, MS_LEDGER_GENERAL, 1, sizeof(*s));
    if (!s)
        return ms_fail_alloc(err, params->mem, sizeof(*s), "finished windows");
    s->p = *params;
    s->fd = -1;
    s->synced = ms_now_s();
    ms_crc32_init(&s->crc);
    *ret_store = s;
    return MS_OK;
}

static void close_file(ms_face_store *s) {
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

void ms_face_store_close(ms_face_store **store) {
    if (!store || !*store)
        return;
    close_file(*store);
    ms_mem_free(*store);
    *store = NULL;
}

const char *ms_face_store_note(const ms_face_store *s) {
    return s->note[0] ? s->note : NULL;
}

/* ---- files ---- */

static void name_of(int64_t segment, char ret_name[MS_JOB_NAME_BYTES]) {
    snprintf(ret_name, MS_JOB_NAME_BYTES, MS_FACE_FILES "%06lld", (long long)segment);
}

void ms_face_store_drop(ms_face_store *s, int64_t segment) {
    char name[MS_JOB_NAME_BYTES];
    name_of(segment, name);
    ms_job_folder_unlink(s->p.folder, name);
}

/* Removes the files, too: the output needs their room. */
static void give_up(ms_face_store *s, int64_t segment, const char *why) {
    snprintf(s->note, sizeof(s->note), "finished windows are not kept (%s): a kill costs up to %lld frames",
             why, (long long)s->p.segment_frames);
    close_file(s);
    ms_face_store_drop(s, segment);
    if (segment > 0)
        ms_face_store_drop(s, segment - 1);
}

static size_t bytes_of(const ms_face_store_params *p) {
    return p->floats * sizeof(float);
}

static size_t face_bytes(const ms_face_store *s) {
    return bytes_of(&s->p);
}

static off_t place_in(const ms_face_store_params *p, int64_t frame) {
    return (off_t)(frame % p->segment_frames) * (off_t)(sizeof(head) + bytes_of(p));
}

/* A file system that does not say how much there is has room. */
static bool has_room(const ms_face_store *s) {
    struct statvfs fs;
    if (fstatvfs(s->p.folder->fd, &fs) != 0 || fs.f_blocks == 0)
        return true;
    uint64_t slot = sizeof(head) + face_bytes(s), left = (uint64_t)fs.f_bavail * fs.f_frsize;
    return left > SPARE_BYTES && (left - SPARE_BYTES) / 2 / slot >= (uint64_t)s->p.segment_frames;
}

/* The file that the frame belongs to; make: where there is none. */
static bool use_file(ms_face_store *s, int64_t frame, bool make) {
    char name[MS_JOB_NAME_BYTES];
    int64_t segment = frame / s->p.segment_frames;
    if (s->fd >= 0 && s->segment == segment)
        return true;
    close_file(s);
    s->segment = segment;
    name_of(segment, name);
    if (ms_job_folder_read(s->p.folder, name, true, &s->fd, NULL) == MS_OK)
        return true;
    s->fd = -1;
    if (!make)
        return false;
    if (!has_room(s)) {
        give_up(s, segment, "the disk is nearly full");
        return false;
    }
    ms_error why;
    ms_error_clear(&why);
    if (ms_job_folder_create(s->p.folder, name, &s->fd, &why) != MS_OK) {
        s->fd = -1;
        give_up(s, segment, "no file can be made");
        return false;
    }
    s->renamed = true;
    return true;
}

/* ---- faces ---- */

static uint32_t checksum(const ms_crc32_table *crc, const head *h, const float *face, size_t bytes) {
    head plain = *h;
    plain.crc = 0;
    return ms_crc32(crc, ms_crc32(crc, 0, &plain, sizeof(plain)), face, bytes);
}

void ms_face_store_begin_window(ms_face_store *s, int64_t first, int64_t end) {
    s->first = first;
    s->end = end;
}

void ms_face_store_put(ms_face_store *s, int64_t frame, const float *face) {
    if (s->note[0] || !use_file(s, frame, true))
        return;
    head h = {.magic = MAGIC, .frame = frame, .first = s->first, .end = s->end, .bytes = face_bytes(s)};
    h.crc = checksum(&s->crc, &h, face, face_bytes(s));
    off_t at = place_in(&s->p, frame);
    if (!ms_write_full_at(s->fd, &h, sizeof(h), at) ||
        !ms_write_full_at(s->fd, face, face_bytes(s), at + (off_t)sizeof(h)))
        give_up(s, s->segment, strerror(errno));
}

static bool are_finite(const float *x, size_t n) {
    bool finite = true;
    for (size_t i = 0; i < n; i++)
        finite &= isfinite(x[i]) != 0;
    return finite;
}

static bool read_head(const ms_face_store_params *p, int fd, int64_t frame, head *ret_head) {
    return ms_read_full_at(fd, ret_head, sizeof(*ret_head), place_in(p, frame)) && ret_head->magic == MAGIC &&
           ret_head->frame == frame && ret_head->bytes == bytes_of(p) && ret_head->first >= 0 &&
           ret_head->first <= frame && ret_head->end > frame;
}

static bool read_face(const ms_face_store_params *p, const ms_crc32_table *crc, int fd, int64_t frame,
                      float *ret_face) {
    head h;
    return read_head(p, fd, frame, &h) &&
           ms_read_full_at(fd, ret_face, bytes_of(p), place_in(p, frame) + (off_t)sizeof(h)) &&
           h.crc == checksum(crc, &h, ret_face, bytes_of(p)) && are_finite(ret_face, p->floats);
}

bool ms_face_store_get(ms_face_store *s, int64_t frame, float *ret_face) {
    return !s->note[0] && use_file(s, frame, false) && read_face(&s->p, &s->crc, s->fd, frame, ret_face);
}

/* Whether it is as it was written, by pieces: what is counted when memory has run out needs none. */
static bool is_whole(const ms_face_store_params *p, const ms_crc32_table *crc, int fd, int64_t frame) {
    float piece[1024];
    head h;
    if (fd < 0 || !read_head(p, fd, frame, &h))
        return false;
    head plain = h;
    plain.crc = 0;
    uint32_t sum = ms_crc32(crc, 0, &plain, sizeof(plain));
    off_t at = place_in(p, frame) + (off_t)sizeof(h);
    for (size_t left = p->floats; left > 0;) {
        size_t n = left < 1024 ? left : 1024, bytes = n * sizeof(float);
        if (!ms_read_full_at(fd, piece, bytes, at) || !are_finite(piece, n))
            return false;
        sum = ms_crc32(crc, sum, piece, bytes);
        at += (off_t)bytes;
        left -= n;
    }
    return sum == h.crc;
}

typedef struct counting {
    const ms_face_store_params *p;
    const ms_crc32_table *crc;
    bool (*cancelled)(void *arg); /* NULL = it is counted to the end */
    int64_t faces;
} counting;

static bool is_finished(const ms_face_store_params *p, int64_t segment) {
    char name[MS_JOB_NAME_BYTES];
    ms_job_segment_name(segment, name);
    return ms_job_folder_has(p->folder, name);
}

/* -1 = there is none. */
static int open_file(const ms_face_store_params *p, int64_t segment) {
    char name[MS_JOB_NAME_BYTES];
    int fd = -1;
    name_of(segment, name);
    return ms_job_folder_read(p->folder, name, false, &fd, NULL) == MS_OK ? fd : -1;
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Whether a later run need not redraw the window: it has every face, or the face's segment is finished. */
static bool has_window(const counting *c, int64_t first, int64_t end) {
    const int64_t n = c->p->segment_frames;
    bool whole = true;
    for (int64_t at = first; whole && at < end;) {
        int64_t segment = at / n, behind = least(end, (segment + 1) * n);
        if (!is_finished(c->p, segment)) {
            int fd = open_file(c->p, segment);
            for (; whole && at < behind; at++)
                whole = is_whole(c->p, c->crc, fd, at);
            if (fd >= 0)
                close(fd);
        }
        at = behind;
    }
    return whole;
}

static ms_status count_file(void *arg, int64_t segment, ms_error *err) {
    counting *c = arg;
    if (is_finished(c->p, segment)) /* it was killed before it removed them */
        return MS_OK;
    int fd = open_file(c->p, segment);
    if (fd < 0)
        return MS_OK;
    const int64_t slot = (int64_t)(sizeof(head) + bytes_of(c->p)), begins = segment * c->p->segment_frames,
                  slots = (int64_t)lseek(fd, 0, SEEK_END) / slot,
                  end = begins + least(slots, c->p->segment_frames);
    ms_status status = MS_OK;
    for (int64_t frame = begins; frame < end && status == MS_OK;) {
        head h;
        int64_t behind = frame + 1;
        if (c->cancelled && c->cancelled(c->p->arg)) {
            status = ms_fail(err, MS_CANCELLED, "cancelled while the unfinished job was read");
        } else if (read_head(c->p, fd, frame, &h)) {
            behind = least(h.end, end);
            if (has_window(c, h.first, h.end))
                c->faces += behind - frame;
        }
        frame = behind;
    }
    close(fd);
    return status;
}

ms_status ms_faces_left_behind(const ms_face_store_params *p, int64_t *ret_faces, ms_error *err) {
    ms_crc32_table *crc = ms_mem_alloc(p->mem, MS_LEDGER_GENERAL, sizeof(*crc));
    if (!crc)
        return ms_fail_alloc(err, p->mem, sizeof(*crc), "finished windows");
    counting c = {.p = p, .crc = crc, .cancelled = p->cancelled};
    ms_crc32_init(crc);
    ms_status status = ms_job_folder_numbered(p->folder, MS_FACE_FILES, count_file, &c, err);
    ms_mem_free(crc);
    *ret_faces = c.faces;
    return status;
}

int64_t ms_face_store_kept(const ms_face_store *s) {
    counting c = {.p = &s->p, .crc = &s->crc};
    ms_job_folder_numbered(s->p.folder, MS_FACE_FILES, count_file, &c, NULL);
    return c.faces;
}

void ms_face_store_end_window(ms_face_store *s) {
    if (s->note[0])
        return;
    if (s->fd < 0 || ms_now_s() - s->synced < SYNC_EVERY_S)
        return;
    if (fdatasync(s->fd) != 0) {
        give_up(s, s->segment, strerror(errno));
        return;
    }
    if (s->renamed)
        fsync(s->p.folder->fd); /* some file systems cannot sync a folder */
    s->renamed = false;
    s->synced = ms_now_s();
}
