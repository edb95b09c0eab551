/*
 * Files that are numbered in their names, as FFmpeg's image2 reads them:
 * "frame_%04d.png" is frame_0000.png, frame_0001.png and so on. The first number is
 * the first of 0 to 4 that is there, and the first gap ends them.
 */
#ifndef MS_FILES_NUMBERED_H
#define MS_FILES_NUMBERED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"

#define MS_NUMBERED_PATH_BYTES 4096

typedef struct ms_numbered {
    char before[MS_NUMBERED_PATH_BYTES], after[MS_NUMBERED_PATH_BYTES]; /* the number, in the file's path */
    int digits;                                                         /* at least, with zeros in front */
    int first, count;
    int64_t bytes, largest_bytes; /* of all files, of the largest */
    struct timespec changed;      /* the newest one's */
} ms_numbered;

/* Whether a path stands for such files: it has one %d, %4d or %04d in the file's
   name, %% is a percent sign, and no file has that very name. NULL is none. */
bool ms_numbered_is(const char *path);

/* Finds out which there are, and looks at each of them. MS_IO: there are none, or one is no regular file. */
ms_status ms_numbered_find(const char *path, ms_numbered *ret, ms_error *err);

void ms_numbered_name(const ms_numbered *n, int number, char ret_path[MS_NUMBERED_PATH_BYTES]);

/* Opens one for reading. It must be a regular file, and nothing is waited for. MS_IO. */
ms_status ms_numbered_open(const ms_numbered *n, int number, int *ret_fd, struct stat *ret_stat,
                           ms_error *err);

/* How many files of such a name are behind the first gap, and the lowest of their
   numbers. False: there are none. */
bool ms_numbered_behind_gap(const ms_numbered *n, int *ret_next, int *ret_files);

/* What users are told of such a gap, a sentence without its full stop. False: path
   is no pattern, or there is no gap. */
bool ms_numbered_gap(const char *path, char *ret_text, size_t bytes);

/* As stat() of a file; of numbered files the sum of their sizes and the newest time. 0, or -1 with errno. */
int ms_numbered_stat(const char *path, struct stat *ret);

/* Whether `st` is one of the files, by whatever path or link. */
bool ms_numbered_holds(const char *path, const struct stat *file);

#endif
