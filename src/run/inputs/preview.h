/* A preview: the job's first frames with a face, each beside the video's. */
#ifndef MS_RUN_INPUTS_PREVIEW_H
#define MS_RUN_INPUTS_PREVIEW_H

#include "frames/frame_source.h"
#include "run/inputs/inputs.h"

typedef struct ms_preview {
    int64_t frames; /* 0 = the run is no preview */
    bool begun;
    int64_t first;  /* output frame of the job that is its first */
    int64_t handed; /* to the write thread */
    int64_t worked; /* frames that went through the model */
} ms_preview;

/* A frame with a face: if it is the first, the preview begins with it. */
void ms_preview_begin(ms_preview *preview, int64_t frame);

/* Whether a frame on its way out is no part of it, and whether it has all of its own. */
bool ms_preview_leaves_out(const ms_preview *preview, const ms_output_frame *leaving);
bool ms_preview_is_done(const ms_preview *preview);

/* Of its pictures; 0 without. */
size_t ms_preview_bytes(const ms_inputs *inputs);

/* Before the speech is joined to the pictures: it begins with the preview's first frame. */
ms_status ms_preview_begin_sound(const ms_preview *preview, const ms_inputs *inputs, ms_error *err);
int64_t ms_preview_sound_us(const ms_preview *preview, const ms_inputs *inputs);

#endif
