/* A file whose contents are in use. When it is looked at again, it must be the same file as before. */
#ifndef MS_FILES_KNOWN_FILE_H
#define MS_FILES_KNOWN_FILE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "memsafe/status.h"

typedef struct ms_known_file {
    bool known; /* all zero: it was not looked at */
    struct stat as;
} ms_known_file;

/* The first look notes which file it is. MS_IO: it cannot be read, or it is another
   file than before. what: names for the message what is in use of it. */
ms_status ms_known_file_look(ms_known_file *file, const char *path, const char *what, ms_error *err);

#endif
