#include "formats/source.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "files/regular_file.h"

/* Linux reads at most 0x7ffff000 bytes at once. */
#define LARGEST_READ ((size_t)1 << 30)

ms_status ms_source_open(const char *path, ms_source *ret_source, ms_error *err) {
    struct stat st;
    int fd = -1;
    MS_TRY(ms_regular_open(path, &fd, &st, err));
    *ret_source = (ms_source){.fd = fd, .bytes = (uint64_t)st.st_size};
    return MS_OK;
}

ms_source ms_source_from_memory(const void *data, size_t bytes) {
    static const unsigned char nothing[1];
    return (ms_source){.fd = -1, .memory = data ? data : nothing, .bytes = bytes};
}

void ms_source_close(ms_source *source) {
    if (!source->memory && source->fd >= 0)
        close(source->fd);
    source->fd = -1;
}

static ms_status read_file(int fd, uint64_t offset, char *dst, size_t bytes, ms_error *err) {
    while (bytes) {
        ssize_t n = pread(fd, dst, bytes < LARGEST_READ ? bytes : LARGEST_READ, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ms_fail(err, MS_IO, "cannot read %zu bytes at byte %llu: %s", bytes,
                           (unsigned long long)offset, strerror(errno));
        if (n == 0)
            return ms_fail(err, MS_IO, "ends at byte %llu, %zu bytes early: it was cut short while open",
                           (unsigned long long)offset, bytes);
        dst += n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return MS_OK;
}

ms_status ms_source_read(const ms_source *source, uint64_t offset, void *dst, size_t bytes, ms_error *err) {
    if (offset > source->bytes || bytes > source->bytes - offset)
        return ms_fail(err, MS_IO, "%zu bytes at byte %llu lie beyond its end at %llu", bytes,
                       (unsigned long long)offset, (unsigned long long)source->bytes);
    if (!bytes)
        return MS_OK;
    if (!source->memory)
        return read_file(source->fd, offset, dst, bytes, err);
    memcpy(dst, source->memory + offset, bytes);
    return MS_OK;
}
