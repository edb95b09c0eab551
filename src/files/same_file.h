#ifndef MS_FILES_SAME_FILE_H
#define MS_FILES_SAME_FILE_H

#include <stdbool.h>
#include <sys/stat.h>

/* Whether both name one file that is there, by whatever path. NULL names none. */
static inline bool ms_same_file(const char *a, const char *b) {
    struct stat x, y;
    return a && b && stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

#endif
