#ifndef MS_FILES_SAME_FILE_H
#define MS_FILES_SAME_FILE_H

#include <stdbool.h>
#include <sys/stat.h>

/* Whether both name one file that is there, by whatever path. NULL names none. */
static inline bool ms_same_file(const char *a, const char *b) {
    struct stat x, y;
    return a && b && stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Whether a path still names what is open, itself and not by a link. */
static inline bool ms_is_named(int fd, const char *path) {
    struct stat x, y;
    return fstat(fd, &x) == 0 && lstat(path, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

#endif
