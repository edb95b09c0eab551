/*
 * Where an unfinished run keeps its things: the folder OUTPUT.memsafe beside the output, with the journal, the poses
 * and the segments. One run at a time works in it (a lock that ends with the process). Nobody else's files in it are
 * touched.
 */
#ifndef MS_PIPELINE_JOB_FOLDER_H
#define MS_PIPELINE_JOB_FOLDER_H

#include "base/mem.h"

#define MS_JOB_PATH_BYTES 4352

typedef struct ms_job_folder {
    char path[MS_JOB_PATH_BYTES - 128];
    int fd;       /* -1 = not open */
    bool created; /* by this run */
} ms_job_folder;

/* Sets the path. *ret_there: there is such a folder. */
ms_status ms_job_folder_find(ms_job_folder *folder, const char *output, bool *ret_there, ms_error *err);

/* Makes it if need be, and locks it. MS_IO: another run is at work there, or it cannot be made. */
ms_status ms_job_folder_open(ms_job_folder *folder, ms_error *err);

/* A file in it. */
void ms_job_folder_file(const ms_job_folder *folder, const char *name, char ret_path[MS_JOB_PATH_BYTES]);
void ms_job_folder_segment(const ms_job_folder *folder, int64_t number, char ret_path[MS_JOB_PATH_BYTES]);

/* New names in it are on the disk. */
ms_status ms_job_folder_sync(const ms_job_folder *folder, ms_error *err);

/* Removes what an interrupted run left half done; all: everything of ours. */
void ms_job_folder_clear(const ms_job_folder *folder, bool all);

void ms_job_folder_close(ms_job_folder *folder);
void ms_job_folder_remove(ms_job_folder *folder);

#endif
