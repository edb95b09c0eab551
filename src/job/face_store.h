/*
 * Redrawn faces of windows that are finished while their segment is not: in the job's folder,
 * as they came from the engine, so that a run that is killed loses the window in work and no
 * other. A run that goes on takes a window whose faces are all there and does not compute it.
 *
 * A file for each segment, faces-000000 and so on, with a place for each of its frames: a head with
 * a checksum and the frames of the face's window, then the floats. It goes when the segment is on the disk,
 * so that at most a segment and the window across its end are there. What is written survives a kill at once,
 * and a power cut as of the last sync, which comes with the end of a window but not oftener than every few
 * seconds.
 *
 * A help and nothing else: when the disk has no room the files go, nothing more is
 * kept, and the note says so.
 */
#ifndef MS_JOB_FACE_STORE_H
#define MS_JOB_FACE_STORE_H

#include "job/job_folder.h"

#define MS_FACE_FILES "faces-" /* how their names begin */

typedef struct ms_face_store ms_face_store;

typedef struct ms_face_store_params {
    ms_mem *mem;
    const ms_job_folder *folder; /* borrowed */
    size_t floats;               /* of a face */
    int64_t segment_frames;
    bool (*cancelled)(void *arg); /* asked for each window that ms_faces_left_behind() reads; NULL = never */
    void *arg;
} ms_face_store_params;

ms_status ms_face_store_create(const ms_face_store_params *params, ms_face_store **ret_store, ms_error *err);
void ms_face_store_close(ms_face_store **store);

/* The rest from the caller's thread alone, but for ms_face_store_drop(). */

/* What is put from here on is of the window with the frames from first to before end. */
void ms_face_store_begin_window(ms_face_store *store, int64_t first, int64_t end);

void ms_face_store_put(ms_face_store *store, int64_t frame, const float *face);

/* False: it is not there, or not as it was written; ret_face may then hold anything. */
bool ms_face_store_get(ms_face_store *store, int64_t frame, float *ret_face);

/* All faces of the window in work were put or got. */
void ms_face_store_end_window(ms_face_store *store);

/* The segment is finished. From any thread. */
void ms_face_store_drop(ms_face_store *store, int64_t segment);

/* Faces of whole windows in the folder that are as they were written, of segments that are not finished: what
   a later run need not redraw. A window that lacks a face does not count, for it is redrawn. */
int64_t ms_face_store_kept(const ms_face_store *store);

/* The same without a store: what an earlier run left. MS_CANCELLED. */
ms_status ms_faces_left_behind(const ms_face_store_params *params, int64_t *ret_faces, ms_error *err);

/* Why nothing is kept any more; NULL = faces are kept. */
const char *ms_face_store_note(const ms_face_store *store);

#endif
