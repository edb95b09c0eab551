/* The 106 points of a face in a frame, by the landmark network: crop, network, back to the frame's pixels. */
#ifndef MS_FACES_FACE_POINTS_H
#define MS_FACES_FACE_POINTS_H

#include "device/compute.h"
#include "faces/detect.h"

typedef struct ms_face_points ms_face_points;

/* path: of the ONNX file. ret_arena_bytes: device memory that ms_face_points_find() needs while it runs. */
ms_status ms_face_points_create(const ms_compute *compute, const char *path, ms_face_points **ret_points,
                                size_t *ret_arena_bytes, ms_error *err);
void ms_face_points_destroy(ms_face_points **points);

/* ret_landmarks: frame pixels, not rounded. *ret_found false, and nothing written: a box without size is no
   face. */
ms_status ms_face_points_find(ms_face_points *points, void *arena, const ms_image_view *frame,
                              const float box[4], float ret_landmarks[MS_LANDMARKS][2], bool *ret_found,
                              ms_error *err);

#endif
