/*
 * The poses of all frames of a clip in a file, 32 bytes each, a checksum among them: memory
 * holds two blocks of them, whatever the length. Looping takes them up again, so that a face is
 * found once and later passes use what the first one found; a resumed run goes on with the file.
 */
#ifndef MS_FRAMES_POSE_STORE_H
#define MS_FRAMES_POSE_STORE_H

#include "frames/face_stage.h"

typedef struct ms_pose_store ms_pose_store;

/* fd: taken over whatever is returned; path: for messages. count: poses that are
   kept of an earlier run's file. MS_DAMAGED: it does not hold as many. */
ms_status ms_pose_store_open(ms_mem *mem, int fd, const char *path, int64_t count, ms_pose_store **ret_store,
                             ms_error *err);

typedef struct ms_pose_check_params {
    ms_mem *mem;
    int fd; /* taken over */
    const char *path;
    int64_t count;
    bool (*cancelled)(void *arg); /* asked before each block of poses; NULL = never */
    void *arg;
} ms_pose_check_params;

/* How many of the first count poses can be kept: those before the first damaged one. MS_IO: one could not be
   read; MS_CANCELLED. */
ms_status ms_pose_store_check(const ms_pose_check_params *params, int64_t *ret_good, ms_error *err);
void ms_pose_store_close(ms_pose_store **store);

int64_t ms_pose_store_count(ms_pose_store *store);
ms_status ms_pose_store_append(ms_pose_store *store, const ms_pose *pose, ms_error *err);
/* MS_DAMAGED names the pose and its field: what is no pose that a face can have, whatever its checksum. */
ms_status ms_pose_store_get(ms_pose_store *store, int64_t index, ms_pose *ret_pose, ms_error *err);

/* What was appended so far is on the disk when it returns. From any thread. */
ms_status ms_pose_store_sync(ms_pose_store *store, ms_error *err);

#endif
