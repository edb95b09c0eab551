#include "files/known_file.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"

static bool same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

ms_status ms_known_file_look(ms_known_file *file, const char *path, const char *what, ms_error *err) {
    struct stat now;
    if (stat(path, &now) != 0)
        return ms_fail(err, MS_IO, "cannot read %s: %s", path, strerror(errno));
    if (file->known && !same(&now, &file->as))
        return ms_fail(err, MS_IO, "%s changed while its %s were in use", path, what);
    file->known = true;
    file->as = now;
    return MS_OK;
}
