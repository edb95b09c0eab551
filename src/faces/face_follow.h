/*
 * Follows one face through the frames of a clip as they come: finds it in each,
 * bridges gaps, notices cuts, and smooths the alignment over time. Pixels are
 * looked at once. What is known of a frame comes out at most max_gap frames later.
 */
#ifndef MS_FACES_FACE_FOLLOW_H
#define MS_FACES_FACE_FOLLOW_H

#include "base/state.h"
#include "faces/scene.h"
#include "faces/track.h"
#include "pictures/align.h"

/* What later stages know of the face in one frame. */
typedef struct ms_pose {
    bool present, interpolated;
    bool begins; /* does not go on from the frame before: a window must begin here */
    float affine[2][3];
} ms_pose;

/* Finds the one face of a frame. cut: this frame begins a scene. ret_record->frame
   is filled in by the caller. */
typedef struct ms_face_source {
    ms_status (*find)(void *arg, const ms_image_view *frame, int64_t number, bool cut,
                      ms_face_record *ret_record, ms_error *err);
    void (*visit)(void *arg, ms_state *state); /* what it carries from frame to frame; NULL = nothing */
    void *arg;
} ms_face_source;

typedef struct ms_face_follow {
    ms_face_source source;
    ms_face_geometry geometry;
    int64_t next; /* frame to be looked at */
    /* its own */
    ms_gap_filler filler;
    ms_align_state smoothing;
    ms_scene scene;
} ms_face_follow;

void ms_face_follow_init(ms_face_follow *follow, ms_face_source source, const ms_face_geometry *geometry,
                         int64_t first_frame, int64_t max_gap);

/* The next frame; view NULL: no face is looked for in it, and a gap that ends here
   is not bridged. begins: it is the first of a scene, whatever it looks like. What
   is ready must have been taken. On failure the frame was not looked at. */
ms_status ms_face_follow_look(ms_face_follow *follow, const ms_image_view *view, bool begins, ms_error *err);

/* There are no more. */
void ms_face_follow_finish(ms_face_follow *follow);

/* What is known of the next frame, in order; false = more must be looked at first. */
bool ms_face_follow_take(ms_face_follow *follow, ms_face_record *ret_record, ms_pose *ret_pose);

/* The frame that ms_face_follow_take() gives next. */
int64_t ms_face_follow_first(const ms_face_follow *follow);

void ms_face_follow_visit(ms_face_follow *follow, ms_state *state);

#endif
