#include "base/new_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void ms_folder_of(const char *path, char *ret, size_t size) {
    const char *slash = strrchr(path, '/');
    if (!slash)
        snprintf(ret, size, ".");
    else
        snprintf(ret, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

ms_status ms_new_file_check(const char *path, bool force, ms_error *err) {
    struct stat st;
    char folder[4096];
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return ms_fail(err, MS_IO, "cannot write %s: it is a folder", path);
        if (!force)
            return ms_fail(err, MS_IO, "cannot write %s: it exists already; --force replaces it", path);
    } else if (errno != ENOENT) {
        return ms_fail(err, MS_IO, "cannot write %s: %s", path, strerror(errno));
    }
    ms_folder_of(path, folder, sizeof(folder));
    if (stat(folder, &st) < 0 || access(folder, W_OK | X_OK) < 0)
        return ms_fail(err, MS_IO, "cannot write %s: folder %s: %s", path, folder, strerror(errno));
    return MS_OK;
}
