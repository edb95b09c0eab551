/*
 * Where an unfinished run keeps its things: the folder OUTPUT.memsafe beside the output, with the journal,
 * the poses and the segments. One run at a time works in it (a lock that ends with the process). Nobody
 * else's files in it are touched.
 *
 * Somebody else may have put it there, so it is no symbolic link, its files are reached from its descriptor,
 * new ones are made where nothing is, and what is read is a regular file with one name.
 */
#ifndef MS_JOB_JOB_FOLDER_H
#define MS_JOB_JOB_FOLDER_H

#include <time.h>

#include "base/mem.h"

#define MS_JOB_PATH_BYTES 4352
#define MS_JOB_NAME_BYTES 64

typedef struct ms_job_folder {
    char path[MS_JOB_PATH_BYTES - 128];
    int fd;       /* -1 = not open */
    bool locked;  /* by this run */
    bool created; /* by this run */
} ms_job_folder;

/* Sets the path and opens the folder where there is one (*ret_there). MS_IO: something else has the name. */
ms_status ms_job_folder_find(ms_job_folder *folder, const char *output, bool *ret_there, ms_error *err);

/* Makes it if need be, and locks it: shared among those that make segments, else for oneself. MS_IO: another
   run is at work there, or it cannot be made. */
ms_status ms_job_folder_open(ms_job_folder *folder, bool shared, ms_error *err);

/* A file in it: for messages, and for libraries that want a name. */
void ms_job_folder_file(const ms_job_folder *folder, const char *name, char ret_path[MS_JOB_PATH_BYTES]);

#define MS_PARTS_FILE "parts"       /* there: segments are made in any order */
#define MS_JOINED_FILES "joined"    /* how the names of outputs in the making begin */
#define MS_SEGMENT_FILES "segment-" /* how the names of finished segments begin */
void ms_job_segment_name(int64_t number, char ret_name[MS_JOB_NAME_BYTES]);

/* Calls `take` with each number of which a file is there whose name begins so (MS_SEGMENT_FILES: of finished
   segments), in any order, until it does not return MS_OK. */
ms_status ms_job_folder_numbered(const ms_job_folder *folder, const char *start,
                                 ms_status (*take)(void *arg, int64_t number, ms_error *err), void *arg,
                                 ms_error *err);

/* A segment in work has a name of its own, by chance, until it is whole: others may be at work on the
   same. */
ms_status ms_job_folder_begin_segment(const ms_job_folder *folder, int64_t number,
                                      char ret_name[MS_JOB_NAME_BYTES], int *ret_fd, ms_error *err);
ms_status ms_job_folder_end_segment(const ms_job_folder *folder, const char *name, int64_t number,
                                    ms_error *err);

/* Nothing is followed: a link that has the name is there. */
bool ms_job_folder_has(const ms_job_folder *folder, const char *name);

/* Whether a file is there whose name begins so and that is not empty; what cannot be looked at may be
   there. */
bool ms_job_folder_has_any(const ms_job_folder *folder, const char *start);

/* The descriptor is the caller's. create: in place of what has the name, for reading and writing. read:
   MS_DAMAGED when it is a link, no regular file, or a file with more names than one; write: that it may be
   changed, too. */
ms_status ms_job_folder_create(const ms_job_folder *folder, const char *name, int *ret_fd, ms_error *err);
ms_status ms_job_folder_read(const ms_job_folder *folder, const char *name, bool write, int *ret_fd,
                             ms_error *err);
void ms_job_folder_unlink(const ms_job_folder *folder, const char *name);

/* Whether the name is still that of the folder that was opened. */
bool ms_job_folder_is_there(const ms_job_folder *folder);

/* New names in it are on the disk. MS_IO: the folder is gone, or its name is another's. */
ms_status ms_job_folder_sync(const ms_job_folder *folder, ms_error *err);

/* Removes what an interrupted run left half done, of what was last written before a time by the file system's
   clock. */
void ms_job_folder_clear_half_done(const ms_job_folder *folder, const struct timespec *before);

/* Removes everything of ours. */
void ms_job_folder_clear(const ms_job_folder *folder);

/* Calls `take` with the name of each file whose name begins so, in any order. */
void ms_job_folder_named(const ms_job_folder *folder, const char *start,
                         void (*take)(void *arg, const char *name), void *arg);

void ms_job_folder_close(ms_job_folder *folder);

/* With what is ours in it; the folder itself goes when nothing else is left. */
void ms_job_folder_remove(ms_job_folder *folder);

#endif
