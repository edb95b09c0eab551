/*
 * What a piece of work reads and what it keeps for later ones: files that nothing which it writes replaces,
 * by whatever path or link they are named, and not even by force. Every command that writes a file asks here.
 */
#ifndef MS_FILES_IN_USE_H
#define MS_FILES_IN_USE_H

#include <stdbool.h>

#include "memsafe/status.h"

#define MS_LATENTS_ENDING ".latents" /* of the names in a folder of latents */

/* NULL is none of its kind. */
typedef struct ms_in_use {
    const char *const *files; /* that are read; numbered pictures are named by their pattern */
    int n_files;
    const char *profile; /* also where it is not there, and would be read the next time */
    const char *history; /* the same, with what SQLite has beside it */
    const char *latents; /* folder of kept latents */
    const char *output;  /* what the folder of an unfinished job is named by; nothing is written into that */
} ms_in_use;

/* MS_INVALID_ARGUMENT: path, which is to be written, is one of them. what: "output", for the message. A path
   of NULL names no file. */
ms_status ms_in_use_spare(const ms_in_use *use, const char *path, const char *what, ms_error *err);

/* Whether both name one file, be it there already or not. */
bool ms_same_target(const char *a, const char *b);

#endif
