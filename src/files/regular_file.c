#include "files/regular_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

static const char *why_not(mode_t mode) {
    if (S_ISREG(mode))
        return NULL;
    return S_ISDIR(mode) ? "is a folder, not a file"
                         : "is not a regular file, but a pipe or device, and is read more than once: save it "
                           "to a file first";
}

ms_status ms_regular_open(const char *path, int *ret_fd, struct stat *ret_stat, ms_error *err) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return ms_fail(err, MS_IO, "cannot open: %s", strerror(errno));
    ms_status status = MS_OK;
    if (fstat(fd, &st) != 0)
        status = ms_fail(err, MS_IO, "cannot read its size: %s", strerror(errno));
    else if (why_not(st.st_mode))
        status = ms_fail(err, MS_IO, "%s", why_not(st.st_mode));
    if (status != MS_OK) {
        close(fd);
        return status;
    }
    *ret_fd = fd;
    if (ret_stat)
        *ret_stat = st;
    return MS_OK;
}

ms_status ms_regular_fopen(const char *path, FILE **ret_file, ms_error *err) {
    int fd = -1;
    ms_status status = ms_regular_open(path, &fd, NULL, err);
    if (status != MS_OK)
        return ms_fail_prefix(err, status, "%s", path);
    *ret_file = fdopen(fd, "rb");
    if (*ret_file)
        return MS_OK;
    int why = errno;
    close(fd);
    return ms_fail(err, MS_IO, "%s: cannot open: %s", path, strerror(why));
}
