/*
 * What the name of an input stands for. memsafe reads files that it can read more than once (the
 * speech is heard before the work, a clip is walked backwards, a run goes on after a kill) and
 * never the network; what FFmpeg's command would take besides gets an error that says what to do.
 */
#ifndef MS_MEDIA_SOURCE_NAME_H
#define MS_MEDIA_SOURCE_NAME_H

#include "base/error.h"

#include <stdbool.h>

/* Checks the name of one file; files/numbered.h reads numbered pictures. MS_UNSUPPORTED: an address,
   standard input, numbered pictures. If a file of that very name is there, any name is right. */
ms_status ms_source_name_check(const char *path, ms_error *err);

/* Whether it stands for numbered pictures. MS_UNSUPPORTED: they cannot be files of this machine. */
ms_status ms_source_name_numbered(const char *path, bool *ret_numbered, ms_error *err);

/* The words with which a pipe or device is refused. */
ms_status ms_source_fail_pipe(const char *path, ms_error *err);

#endif
