/*
 * A world of drawn talking heads: from a seed, a person, how they move, and frames with their ground truth.
 * The same seed, size, moment and frame number give the same bytes.
 */
#ifndef WORLD_WORLD_H
#define WORLD_WORLD_H

#include "world/face.h"
#include "world/paint.h"

#define WORLD_MIN_PX 16
#define WORLD_MAX_PX 8192

typedef struct world {
    ms_mem *mem;
    w_person person;
    w_canvas scene, canvas; /* what never moves, drawn once; the frame */
} world;

/* MS_INVALID_ARGUMENT for a size beyond the limits; MS_HOST_MEMORY. */
ms_status world_create(ms_mem *mem, uint64_t seed, int width, int height, world **ret_world, ms_error *err);
void world_destroy(world **w);

/* What the person does at this time, apart from speaking: head, eyes, lids, brows. The mouth is relaxed. */
void world_moment(const world *w, double time_s, w_moment *ret_moment);

/* rgb: rows of width * 3 bytes, tight. frame: number for the camera's noise and for the record. ret_face (may
   be NULL) holds the drawn points. */
void world_draw(world *w, const w_moment *moment, int64_t frame, uint8_t *rgb, w_face *ret_face);

#endif
