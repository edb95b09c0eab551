/* The folder that the tasks' logs are in, OUT.slurm: of one `memsafe submit` at a time. */
#ifndef CLI_SUBMIT_LOG_FOLDER_H
#define CLI_SUBMIT_LOG_FOLDER_H

#include <limits.h>
#include <stdbool.h>

#include "memsafe/status.h"

/* The path of a file in it. False: it is too long. */
bool cli_log_folder_file(const char *folder, const char *file, char ret_path[PATH_MAX]);

/* Made, or taken over where an earlier one left it. shown: as it is called for people. *ret_lock: until it is
   let go. MS_IO: another process is at work with it, or it cannot be made. */
ms_status cli_log_folder_take(const char *folder, const char *shown, int *ret_lock, ms_error *err);

/* lock: -1 = none. goes: the folder too, when nothing else is in it; else tasks may still begin to write
   there. */
void cli_log_folder_let_go(const char *folder, int lock, bool goes);

/* A network file system's client remembers for a while what is not in a folder: it asks again when it has
   changed something there itself. */
void cli_log_folder_refresh(const char *folder);

#endif
