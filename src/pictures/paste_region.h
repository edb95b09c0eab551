/*
 * What --paste mouth puts back: the part of a face that the mask lets the model redraw,
 * with a soft edge that lies inside of it. The edge is made as the reference makes that of
 * a whole face (pictures/soft_mask.h), but once for all frames, in the face's own pixels.
 */
#ifndef MS_PICTURES_PASTE_REGION_H
#define MS_PICTURES_PASTE_REGION_H

#include "memsafe/status.h"
#include "pictures/image.h"

/* resolution: a multiple of 8 from 64 to 2048. */
size_t ms_paste_region_workspace_bytes(int resolution);

/* ret_weights: [resolution][resolution], 0 to 1: 0 at every pixel of which the mask
   keeps all, 1 from a sixteenth of the resolution inside of what it gives away.
   They are 0 at the border, where ms_face_mask() keeps all. */
ms_status ms_paste_region(int resolution, float *ret_weights, void *work, size_t work_bytes, ms_error *err);

#endif
