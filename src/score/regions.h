/*
 * Which pixels of a frame belong to the mouth, to the rest of the face and to what lies around it, by the
 * place that they have in the aligned face: the square that a run gives to its model (pictures/align.h).
 * The fixed mask's black part, scaled to that square, is the mouth. A strip around each border, a
 * twentieth of the square wide, belongs to none, because blending and codecs mix both sides there.
 */
#ifndef MS_SCORE_REGIONS_H
#define MS_SCORE_REGIONS_H

#include "base/mem.h"
#include "memsafe/score.h"
#include "pictures/align.h"

#define MS_REGION_NONE MS_REGION_COUNT

#define MS_REGION_SIDE 256

typedef struct ms_region_map ms_region_map;

/* About 70 KB. */
ms_status ms_region_map_create(ms_mem *mem, ms_region_map **ret_map, ms_error *err);
void ms_region_map_destroy(ms_region_map **map);

/* The geometry that affines for this map must come from (MS_REGION_SIDE square). */
const ms_face_geometry *ms_region_map_geometry(const ms_region_map *map);

/* ret_regions: [height][width] of ms_region_kind. affine: image -> crop, from ms_align_affine(). */
void ms_region_map_draw(const ms_region_map *map, const float affine[2][3], int width, int height,
                        uint8_t *ret_regions);

#endif
