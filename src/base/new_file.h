#ifndef MS_BASE_NEW_FILE_H
#define MS_BASE_NEW_FILE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* The folder part of a path, "." when it has none. */
void ms_folder_of(const char *path, char *ret, size_t size);

/* Before long work: whether a file can be made at path. MS_IO: it is a folder, or there already and not to be replaced, or its folder
   is not there or cannot be written. */
ms_status ms_new_file_check(const char *path, bool force, ms_error *err);

#endif
