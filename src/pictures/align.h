/*
 * From 106 landmarks to the crop that the networks see: three points, a similarity transform with temporal
 * smoothing, a bilinear warp and a Lanczos-4 resize (AlignRestore and ImageProcessor.affine_transform in
 * latentsync/utils, with kornia 0.8.0 in float32 on a CPU).
 */
#ifndef MS_PICTURES_ALIGN_H
#define MS_PICTURES_ALIGN_H

#include "memsafe/status.h"
#include "pictures/image.h"

#define MS_LANDMARKS 106
#define MS_FACE_MIN_RESOLUTION 64
#define MS_FACE_MAX_RESOLUTION 2048

/* Depends on the resolution alone. The crop is 75 x 100 units of resolution / 256 x 2.8 pixels, truncated:
   210 x 280 at 256, 420 x 560 at 512. */
typedef struct ms_face_geometry {
    int resolution;              /* side of the square that the networks see, a multiple of 8 */
    int crop_width, crop_height; /* of the warped crop before it is resized to that square */
    float template[3][2];        /* where the three points come to lie in the crop */
} ms_face_geometry;

ms_status ms_face_geometry_init(int resolution, ms_face_geometry *ret_geometry, ms_error *err);

/* Left brow, right brow and nose: means of landmarks {43,48,49,51,50}, {101..105} and {74,77,83,86}, rounded
   half to even to whole pixels. */
void ms_align_points(const float landmarks[MS_LANDMARKS][2], float ret_points[3][2]);

/* Carried from frame to frame of one unbroken stretch of video; zero-initialise to begin one. */
typedef struct ms_align_state {
    bool started;
    float bias[2];
} ms_align_state;

/* NULL: the affine is one that a face may have. Else the name of what is wrong with it: a number that is not
   finite or is absurd; with a face also a picture that would be flattened to a line or a point. */
const char *ms_affine_wrong(const float affine[2][3], bool face, double *ret_value);

/* ret_affine: image -> crop, [row][column]. With a state, the pose term is smoothed (0.2 old + 0.8 new) and
   added to the translation, as the reference does; NULL leaves it out. MS_NO_FACE when the points do not
   determine a transform; then the state is left alone. */
ms_status ms_align_affine(const ms_face_geometry *geometry, const float points[3][2], ms_align_state *state,
                          float ret_affine[2][3], ms_error *err);

size_t ms_align_face_workspace_bytes(const ms_face_geometry *geometry);

/* frame: RGB of any size from 2x2; outside it the crop is filled with 127. face: RGB, resolution x
   resolution. */
ms_status ms_align_face(const ms_face_geometry *geometry, const ms_image_view *frame,
                        const float affine[2][3], const ms_image *face, void *work, size_t work_bytes,
                        ms_error *err);

/* The first half alone. crop: RGB, crop_width x crop_height; same workspace. */
ms_status ms_align_crop(const ms_face_geometry *geometry, const ms_image_view *frame,
                        const float affine[2][3], const ms_image *crop, void *work, size_t work_bytes,
                        ms_error *err);

#endif
