/*
 * Output frames: which frame of the clip each shows (looping), its pixels and its face. The first time
 * through the clip, faces are found and their poses go to the pose store. Frames whose poses are there can be
 * had by number, in any order (frame_order.h).
 */
#ifndef MS_FRAMES_FRAME_SOURCE_H
#define MS_FRAMES_FRAME_SOURCE_H

#include "frames/frame_order.h"

typedef struct ms_frame_source ms_frame_source;

typedef struct ms_frame_source_params {
    ms_mem *mem;
    ms_clip *clip; /* borrowed, like the next three */
    ms_buffer_pool *pictures;
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
    uint8_t *rgb;   /* of the pool; the caller's */
    ms_pose pose;   /* begins: also where a loop jumps */
} ms_output_frame;

ms_status ms_frame_source_next(ms_frame_source *source, ms_output_frame *ret_frame, bool *ret_got,
                               ms_error *err);

/* All that decides the frames from the next one on, from the clip's place to the tracker. ret_place: the
   clip's, which is in the state too. */
ms_status ms_frame_source_save(ms_frame_source *source, ms_state *state, ms_video_place *ret_place,
                               ms_error *err);

/* Into a fresh source of the same job, to go on with output frame `next`; the pose store holds the poses
   before it. MS_IO: the state is damaged. */
ms_status ms_frame_source_restore(ms_frame_source *source, ms_state *state, int64_t next, ms_error *err);

/* The poses that are there. Its clip_frames and known change with ms_frame_source_next(). */
const ms_frame_order *ms_frame_source_order(const ms_frame_source *source);

/* The next frame is output frame `frame`, whose pose is there. */
void ms_frame_source_jump(ms_frame_source *source, int64_t frame);

#endif
