/*
 * Output frames in order: which frame of the clip each shows (looping), its pixels and its face. The first
 * time through, faces are found; what later passes need of them is in the pose store.
 */
#ifndef MS_FRAMES_FRAME_SOURCE_H
#define MS_FRAMES_FRAME_SOURCE_H

#include "audio/chunks.h"
#include "frames/pose_store.h"

typedef struct ms_frame_source ms_frame_source;

typedef struct ms_frame_source_params {
    ms_mem *mem;
    ms_clip *clip; /* borrowed, like the next two */
    ms_face_stage *stage;
    ms_pose_store *poses; /* those of the frames before the first that stage gives */
    ms_loop loop;
    int64_t wanted; /* output frames that the audio asks for */
    int64_t base;   /* the clip's frame that is the first here, as for the stage */
} ms_frame_source_params;

ms_status ms_frame_source_create(const ms_frame_source_params *params, ms_frame_source **ret_source,
                                 ms_error *err);
void ms_frame_source_destroy(ms_frame_source **source);

typedef struct ms_output_frame {
    int64_t number; /* in the output */
    int64_t shown;  /* the clip's frame, counted from base */
    uint8_t *rgb;   /* the caller's; goes back with ms_face_stage_put() */
    ms_pose pose;   /* begins: also where a loop jumps */
} ms_output_frame;

ms_status ms_frame_source_next(ms_frame_source *source, ms_output_frame *ret_frame, bool *ret_got,
                               ms_error *err);

/* All that decides the frames from the next one on, from the clip's place to the tracker. ret_place: the clip's, which
   is in the state too. */
ms_status ms_frame_source_save(ms_frame_source *source, ms_state *state, ms_video_place *ret_place,
                               ms_error *err);

/* Into a fresh source of the same job, to go on with output frame `next`; the pose store holds the poses before it. MS_IO: the
   state is damaged. */
ms_status ms_frame_source_restore(ms_frame_source *source, ms_state *state, int64_t next, ms_error *err);

/* Frames of the clip seen so far. */
int64_t ms_frame_source_clip_frames(const ms_frame_source *source);

#endif
