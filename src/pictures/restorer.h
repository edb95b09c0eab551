/* Putting redrawn faces back into frames of one size: what ms_restore_face() needs for that, made once. */
#ifndef MS_PICTURES_RESTORER_H
#define MS_PICTURES_RESTORER_H

#include "base/mem.h"
#include "pictures/restore.h"

typedef struct ms_restorer {
    ms_face_geometry geometry;
    ms_pool *pool; /* borrowed */
    void *work;
    size_t work_bytes;
    float *region; /* [resolution][resolution]: what of a face goes back; NULL = all of it */
} ms_restorer;

/* mouth: only what was redrawn goes back. The frame's size is one of which
   ms_restore_workspace_bytes() is not 0. After a failure it must be freed, too. MS_HOST_MEMORY. */
ms_status ms_restorer_make(ms_mem *mem, ms_pool *pool, const ms_face_geometry *geometry, int width,
                           int height, bool mouth, ms_restorer *ret_restorer, ms_error *err);
void ms_restorer_free(ms_restorer *restorer);

/* face: [resolution][resolution][3], -1 to 1; affine: image -> crop, as it was
   aligned with; frame: changed in place. */
ms_status ms_restorer_put(const ms_restorer *restorer, const float *face, const float affine[2][3],
                          const ms_image *frame, ms_error *err);

#endif
