/*
 * Where one shot ends and another begins. Frames are reduced to a 16 x 16 grid of mean brightness; the change
 * between two frames is the mean absolute difference of their cells, in levels of 255. A frame begins a scene
 * when its change, and its change less the one before it, are both at least 20 levels: a pan or a fade
 * changes steadily and is no cut (FFmpeg's scdet filter compares in the same way). A talking head stays below
 * 5 levels.
 */
#ifndef MS_FACES_SCENE_H
#define MS_FACES_SCENE_H

#include "pictures/image.h"

#define MS_SCENE_GRID 16
#define MS_SCENE_THRESHOLD 20.0f

/* Zero-initialise before the first frame. */
typedef struct ms_scene {
    bool started;
    uint8_t cells[MS_SCENE_GRID][MS_SCENE_GRID];
    float change; /* of the last frame */
} ms_scene;

/* Takes the next RGB frame; true when it begins a new scene (the very first does not). Frames smaller than
   the grid, or of no other than 3 channels, are never a cut. */
bool ms_scene_advance(ms_scene *scene, const ms_image_view *frame);

#endif
