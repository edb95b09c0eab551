/*
 * A file in the making. It is written under a hidden temporary name in its target's folder,
 * which is made with O_EXCL and so never is somebody else's file or link, and takes the
 * target's name when it is whole. Whoever is killed on the way leaves the target as it was.
 */
#ifndef MS_FILES_NEW_FILE_H
#define MS_FILES_NEW_FILE_H

#include "base/error.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>

/* The folder part of a path, "." when it has none. */
void ms_folder_of(const char *path, char *ret, size_t size);

/* The name in it: what is behind the last slash. */
const char *ms_name_in(const char *path);

/* Before long work: whether a file can be made at path. MS_IO: something else than
   a regular file is there (a folder, a device, a pipe), or a file that is not to be
   replaced, or its folder is not there or cannot be written. */
ms_status ms_new_file_check(const char *path, bool force, ms_error *err);

typedef struct ms_new_file {
    const char *shown_as; /* borrowed; what messages call the file, NULL = path. May be set once it is open */
    char *path, *temp;    /* temp is NULL when there is no file to remove */
    int fd;               /* for writing and reading; -1 when it is closed */
    bool replace;         /* a file that has the name already */
} ms_new_file;

/* Nothing is open. ms_new_file_abort() may be called on it. */
#define MS_NEW_FILE_NONE ((ms_new_file){.fd = -1})

/* Checks the target and makes the temporary file. On failure nothing is left. */
ms_status ms_new_file_open(ms_new_file *f, ms_mem *mem, const char *path, bool replace, ms_error *err);

/* All of it or MS_IO. */
ms_status ms_new_file_write(ms_new_file *f, const void *data, size_t bytes, ms_error *err);

/* Flushes to the disk and gives the name; closed whatever is returned. On failure
   the temporary file is gone. */
ms_status ms_new_file_finish(ms_new_file *f, ms_error *err);
void ms_new_file_abort(ms_new_file *f);

/* The three in one. */
ms_status ms_new_file_save(const char *path, const void *data, size_t bytes, bool replace, ms_error *err);

/* Renames a finished file, within one file system. Without `replace` a file that appeared
   meanwhile stays; anything but a regular file or a link stays always: MS_IO. */
ms_status ms_new_file_take_name(const char *temp, const char *path, bool replace, ms_error *err);

#endif
