/*
 * Files of the user's that are read by their path. They are read more than once (a run checks them, notes
 * which ones they are, and goes on after a kill), and opening one never waits: a FIFO that nobody writes to
 * would, deaf to an interrupt.
 */
#ifndef MS_FILES_REGULAR_FILE_H
#define MS_FILES_REGULAR_FILE_H

#include <stdio.h>
#include <sys/stat.h>

#include "memsafe/status.h"

/* The descriptor is the caller's; ret_stat may be NULL. MS_IO: it cannot be opened, or is no regular file.
   The message lacks the path: ms_fail_prefix() puts it in front. */
ms_status ms_regular_open(const char *path, int *ret_fd, struct stat *ret_stat, ms_error *err);

/* The same as a stream; the message begins with the path. */
ms_status ms_regular_fopen(const char *path, FILE **ret_file, ms_error *err);

#endif
