/* The two networks that find a face and its 106 points, with their buffers. They
   look at each frame for itself and remember nothing. */
#ifndef MS_FACES_FACE_NETS_H
#define MS_FACES_FACE_NETS_H

#include "device/compute.h"
#include "faces/track.h"

#define MS_FACE_NETS_MAX 64 /* faces of one frame; the best ones */

typedef struct ms_face_nets ms_face_nets;

/* The paths are of ONNX files; compute is copied. MS_UNSUPPORTED: this build reads none. */
ms_status ms_face_nets_open(const ms_compute *compute, const char *detector, const char *landmarks,
                            ms_face_nets **ret_nets, ms_error *err);
void ms_face_nets_close(ms_face_nets **nets);

/* Makes their arena. They have one of their own, because faces are looked for
   beside the other networks. It must be there before they run. */
ms_status ms_face_nets_make_arena(ms_face_nets *nets, ms_error *err);
size_t ms_face_nets_arena_bytes(const ms_face_nets *nets);

/* Faces of a frame, the surest first. */
ms_status ms_face_nets_detect(ms_face_nets *nets, const ms_image_view *frame,
                              ms_detection ret_faces[MS_FACE_NETS_MAX], int *ret_count, ms_error *err);

/* Points of a box of the frame in its pixels, not rounded. *ret_found false, and
   nothing written: a box without size is no face. */
ms_status ms_face_nets_points(ms_face_nets *nets, const ms_image_view *frame, const float box[4],
                              float ret_landmarks[MS_LANDMARKS][2], bool *ret_found, ms_error *err);

#endif
