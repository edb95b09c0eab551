#include "media/read/whole.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "files/numbered.h"
#include "media/source_name.h"

#define MAX_BOXES 1000000 /* of mp4: two for each fragment; or chunks of WAV */
#define RIFF_SLACK 4096   /* some writers count the headers in, too */
/* Writers to a pipe do not know the length and put something about as large as can be. */
#define RIFF_OPEN_END 0x7ffff000u

typedef struct file {
    int fd;
    int64_t bytes;
    int64_t slack; /* as much less is no sign of anything */
} file;

static bool read_at(const file *f, int64_t offset, uint8_t *dst, size_t n) {
    return offset >= 0 && offset <= f->bytes - (int64_t)n &&
           pread(f->fd, dst, n, (off_t)offset) == (ssize_t)n;
}

static uint64_t little(const uint8_t *p, int n) {
    uint64_t value = 0;
    for (int i = n - 1; i >= 0; i--)
        value = value << 8 | p[i];
    return value;
}

static uint64_t big(const uint8_t *p, int n) {
    uint64_t value = 0;
    for (int i = 0; i < n; i++)
        value = value << 8 | p[i];
    return value;
}

/* Where something of a length ends; 0 when that is beyond what a file can be. */
static int64_t end_of(int64_t offset, uint64_t length) {
    return length > (uint64_t)(INT64_MAX - offset) ? 0 : offset + (int64_t)length;
}

/* ---- Matroska: RFC 8794. An element is a number that says its own length, a length likewise, the data */

/* The length at an offset; *ret_open: it is left open. */
static bool read_length(const file *f, int64_t *offset, uint64_t *ret_length, bool *ret_open) {
    uint8_t bytes[8];
    int n = 1;
    if (!read_at(f, *offset, bytes, 1) || bytes[0] == 0)
        return false;
    while (!(bytes[0] & 0x80 >> (n - 1)))
        n++;
    if (!read_at(f, *offset, bytes, (size_t)n))
        return false;
    uint64_t all = (UINT64_C(1) << 7 * n) - 1;
    *ret_length = big(bytes, n) & all;
    *ret_open = *ret_length == all;
    *offset += n;
    return true;
}

static int64_t matroska_end(const file *f) {
    static const uint8_t segment[] = {0x18, 0x53, 0x80, 0x67};
    int64_t at = 4;
    uint8_t id[4];
    uint64_t length;
    bool open;
    if (!read_length(f, &at, &length, &open) || open)
        return 0;
    at = end_of(at, length);
    if (!read_at(f, at, id, 4) || memcmp(id, segment, 4) != 0)
        return 0;
    at += 4;
    return read_length(f, &at, &length, &open) && !open ? end_of(at, length) : 0;
}

/* ---- RIFF */

static int64_t wave_end(const file *f) {
    uint8_t head[8];
    int64_t at = 12;
    for (int i = 0; i < MAX_BOXES && read_at(f, at, head, 8); i++) {
        uint64_t length = little(head + 4, 4);
        if (memcmp(head, "data", 4) == 0)
            return length >= RIFF_OPEN_END ? 0 : end_of(at + 8, length);
        at = end_of(at + 8, length + (length & 1));
    }
    return 0;
}

static int64_t riff_end(file *f, const uint8_t head[12]) {
    f->slack = RIFF_SLACK;
    if (memcmp(head + 8, "WAVE", 4) == 0)
        return wave_end(f);
    uint64_t length = little(head + 4, 4);
    return memcmp(head + 8, "AVI ", 4) == 0 && length < RIFF_OPEN_END ? end_of(8, length) : 0;
}

/* ---- mp4 and mov: ISO/IEC 14496-12, 4.2 */

/* What follows the last box is not always one: tags and trailers of all kinds are appended. */
static bool is_box(const uint8_t *type) {
    static const char known[][5] = {"ftyp", "moov", "mdat", "moof", "free", "skip", "wide",
                                    "uuid", "mfra", "meta", "sidx", "styp", "pdin"};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (memcmp(type, known[i], 4) == 0)
            return true;
    return false;
}

static int64_t boxes_end(const file *f) {
    int64_t at = 0;
    uint8_t head[16];
    for (int i = 0; i < MAX_BOXES && read_at(f, at, head, 8); i++) {
        uint64_t length = big(head, 4), least = 8;
        if (length == 0 || !is_box(head + 4)) /* to the end of the file; or no box */
            return 0;
        if (length == 1) {
            if (!read_at(f, at, head, 16))
                return 0;
            length = big(head + 8, 8);
            least = 16;
        }
        at = length < least ? 0 : end_of(at, length);
        if (at == 0) /* makes no sense */
            return 0;
    }
    return at;
}

/* Where the file should end; 0 = it does not say. */
static int64_t announced_end(file *f) {
    static const uint8_t ebml[] = {0x1a, 0x45, 0xdf, 0xa3};
    uint8_t head[12];
    if (!read_at(f, 0, head, sizeof(head)))
        return 0;
    if (memcmp(head, ebml, 4) == 0)
        return matroska_end(f);
    if (memcmp(head, "RIFF", 4) == 0)
        return riff_end(f, head);
    return memcmp(head + 4, "ftyp", 4) == 0 ? boxes_end(f) : 0;
}

ms_status ms_check_whole_file(const char *path, ms_error *err) {
    struct stat st;
    if (ms_numbered_is(path)) /* what is missing of a picture shows when it is decoded */
        return MS_OK;
    MS_TRY(ms_source_name_check(path, err));
    file f = {.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (f.fd < 0 || fstat(f.fd, &st) < 0) {
        ms_fail(err, MS_IO, "cannot read %s: %s", path, strerror(errno));
        if (f.fd >= 0)
            close(f.fd);
        return MS_IO;
    }
    f.bytes = S_ISREG(st.st_mode) ? st.st_size : 0;
    int64_t end = announced_end(&f);
    close(f.fd);
    if (end > f.bytes + f.slack)
        return ms_fail_hint(err, MS_BAD_MEDIA, MS_HINT_ALLOW_TRUNCATED,
                            "%s is cut off: it should have %lld bytes and has %lld", path, (long long)end,
                            (long long)f.bytes);
    return MS_OK;
}
