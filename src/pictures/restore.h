/*
 * Puts a finished face back into its frame (LipsyncPipeline.restore_video and AlignRestore.restore_img): the
 * face is resized to the crop's size (antialiased bicubic), warped back, and blended in under a mask that is
 * warped alike, eroded and blurred. Only a box that holds every pixel that can change is read or written.
 *
 * With a region (pictures/paste_region.h) only that is blended in, by the region's
 * weights where a pixel falls into the face; pixels whose weight is 0 stay as they
 * are. That is this project's own, the reference has no such thing.
 */
#ifndef MS_PICTURES_RESTORE_H
#define MS_PICTURES_RESTORE_H

#include "base/pool.h"
#include "pictures/align.h"

typedef struct ms_restore_args {
    const ms_face_geometry *geometry;
    const float *face;        /* [resolution][resolution][3], -1 to 1 */
    const float (*affine)[3]; /* [2][3], image -> crop, as the face was aligned with */
    const ms_image *frame;    /* RGB, at least 2x2, changed in place */
    void *work;
    size_t work_bytes;
    ms_pool *pool;       /* or NULL; shares out the rows of this one frame */
    const float *region; /* [resolution][resolution], 0 to 1, 0 at the border; NULL = the whole face */
} ms_restore_args;

typedef struct ms_restore_info {
    double mask_area; /* sum of the warped mask after its first erosion, in pixels; 0 with a region */
    int edge_px;      /* the blend is about 4 of these wide; 0 with a region */
    /* pixels outside were not touched; empty (all 0) when the face is out of the picture */
    int x0, y0, x1, y1;
} ms_restore_info;

/* Enough for any matrix: grows with the frame's width times the square root of its area, and with the threads
   of the pool (1 without one). About 5 MiB at 512 for 1920x1080 and one thread. 0 when a size is out of
   range. */
size_t ms_restore_workspace_bytes(const ms_face_geometry *geometry, int frame_width, int frame_height,
                                  int threads);

/* ret_info may be NULL. MS_INVALID_ARGUMENT: sizes, a matrix that cannot be inverted, a workspace that is too
   small; then the frame is as it was. */
ms_status ms_restore_face(const ms_restore_args *args, ms_restore_info *ret_info, ms_error *err);

#endif
