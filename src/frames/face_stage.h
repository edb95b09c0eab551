/*
 * Frames of a clip in order, each with where its face is: detections or a track file, gaps bridged, cuts
 * noticed, the alignment smoothed over time. Frames that wait for a gap to close are held back, at most
 * max_gap of them.
 */
#ifndef MS_FRAMES_FACE_STAGE_H
#define MS_FRAMES_FACE_STAGE_H

#include "faces/face_follow.h"
#include "frames/buffer_pool.h"
#include "frames/clip.h"

typedef struct ms_face_stage ms_face_stage;

typedef struct ms_face_stage_params {
    ms_mem *mem;
    ms_clip *clip;            /* borrowed */
    ms_buffer_pool *pictures; /* of ms_clip_frame_bytes(); borrowed */
    ms_face_source source;
    ms_face_geometry geometry;
    int64_t max_gap;
    int64_t first_frame; /* of the clip: those before are decoded and not given out */
    /* Faces are looked for from one frame to before another (0 = to the end); elsewhere there are none. */
    int64_t look_first, look_end;
    bool (*stopped)(void *arg); /* asked before each frame that is read; true ends it with MS_CANCELLED */
    void *arg;
} ms_face_stage_params;

ms_status ms_face_stage_create(const ms_face_stage_params *params, ms_face_stage **ret_stage, ms_error *err);
void ms_face_stage_destroy(ms_face_stage **stage);

typedef struct ms_posed_frame {
    int64_t number; /* in the clip */
    uint8_t *rgb;   /* of the pool; the caller's now */
    ms_pose pose;
    ms_face_record record; /* landmarks, for `memsafe detect` */
} ms_posed_frame;

/* The next frame of the clip; *ret_got false at the end. */
ms_status ms_face_stage_next(ms_face_stage *stage, ms_posed_frame *ret_frame, bool *ret_got, ms_error *err);

/* Saves or restores everything but pixels. After restoring, ms_face_stage_reread()
   reads those of the frames that wait, from ms_face_stage_first_waiting() on. */
void ms_face_stage_visit(ms_face_stage *stage, ms_state *state);
int64_t ms_face_stage_first_waiting(const ms_face_stage *stage);
ms_status ms_face_stage_reread(ms_face_stage *stage, ms_error *err);

#endif
