#include "files/full_io.h"

#include <errno.h>
#include <unistd.h>

#define WHERE_IT_IS ((off_t)-1)

static bool read_full(int fd, char *to, size_t bytes, off_t at) {
    while (bytes > 0) {
        ssize_t n = at == WHERE_IT_IS ? read(fd, to, bytes) : pread(fd, to, bytes, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = 0;
        if (n <= 0)
            return false;
        to += n;
        at += at == WHERE_IT_IS ? 0 : n;
        bytes -= (size_t)n;
    }
    return true;
}

static bool write_full(int fd, const char *from, size_t bytes, off_t at) {
    while (bytes > 0) {
        ssize_t n = at == WHERE_IT_IS ? write(fd, from, bytes) : pwrite(fd, from, bytes, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO;
        if (n <= 0)
            return false;
        from += n;
        at += at == WHERE_IT_IS ? 0 : n;
        bytes -= (size_t)n;
    }
    return true;
}

bool ms_read_full(int fd, void *dst, size_t bytes) {
    return read_full(fd, dst, bytes, WHERE_IT_IS);
}

bool ms_read_full_at(int fd, void *dst, size_t bytes, off_t at) {
    return read_full(fd, dst, bytes, at);
}

bool ms_write_full(int fd, const void *src, size_t bytes) {
    return write_full(fd, src, bytes, WHERE_IT_IS);
}

bool ms_write_full_at(int fd, const void *src, size_t bytes, off_t at) {
    return write_full(fd, src, bytes, at);
}
