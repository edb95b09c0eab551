/*
 * What a run is made of, opened and looked at before any weight is read: the video and the speech, the part
 * of the video that is redrawn, how the output is stored, and what it will not have as the input has it.
 */
#ifndef MS_RUN_INPUTS_INPUTS_H
#define MS_RUN_INPUTS_INPUTS_H

#include <sys/stat.h>

#include "frames/clip.h"
#include "frames/frame_order.h"
#include "frames/speech.h"
#include "media/read/audio_reader.h"
#include "media/write/sound_splice.h"
#include "media/write/video_writer.h"
#include "memsafe/run.h"
#include "models/model_files.h"

/* What is redrawn of the clip, in frames. */
typedef struct ms_inputs_range {
    bool set;        /* a range was asked for */
    int64_t first;   /* frame of the clip where it begins */
    int64_t redrawn; /* its frames at most, by its end and by the speech */
    int64_t before;  /* output frames before it: MS_REST_KEEP */
    double sound_s;  /* of the speech that is heard: all, or up to the range's end */
} ms_inputs_range;

/* In the order in which they are told. */
typedef struct ms_inputs_notes {
    int n;
    ms_run_note note[MS_RUN_MAX_NOTES];
} ms_inputs_notes;

typedef struct ms_inputs {
    /* Set before they are opened; borrowed. */
    const ms_run_params *p;
    ms_mem *mem;
    const ms_model_files *files; /* there from ms_inputs_settle() on */
    ms_picture_room room;        /* before there is a plan */

    ms_clip *clip;
    struct stat video; /* as it was when it was opened */
    ms_speech *speech;
    ms_audio_reader *sound;  /* of the output, when it is what the model heard */
    ms_sound_splice *splice; /* likewise, with MS_REST_KEEP */
    ms_inputs_range range;
    int64_t preview_frames; /* 0 = the run is no preview */
    ms_inputs_notes notes;
} ms_inputs;

ms_status ms_inputs_open(ms_inputs *inputs, ms_error *err);

/* Once the model's files are found: the range, what the output will be and what it will not have.
   MS_INVALID_ARGUMENT: there is no such part of the video. MS_UNSUPPORTED: the output would not be stored as
   params->pixel_format and sound_codec say. */
ms_status ms_inputs_settle(ms_inputs *inputs, ms_error *err);

void ms_inputs_close(ms_inputs *inputs);

/* MS_IO: the video is not as it was when it was opened. Frames that were read before a successful check are
   the right ones; behind a change may be anything. */
ms_status ms_inputs_check_video(const void *inputs, ms_error *err);

/* Of a face, as asked for: a run may have had to lower it. */
int ms_inputs_resolution(const ms_inputs *inputs);

/* ---- range.c ---- */

ms_status ms_inputs_find_range(ms_inputs *inputs, ms_error *err);

/* Frames a second of clip and output. */
double ms_inputs_rate(const ms_inputs *inputs);

/* Samples of the speech's beginning, at 16 kHz, that are left out. */
int64_t ms_inputs_speech_skip(const ms_inputs *inputs);

ms_loop ms_inputs_loop(const ms_inputs *inputs);

/* Seconds of the clip before the output's first frame. */
double ms_inputs_begins_s(const ms_inputs *inputs);

/* Frames of the clip from where the output begins, by estimate: 0 = not known. */
int64_t ms_inputs_clip_frames(const ms_inputs *inputs);

/* Output frames: what the source is asked for; at most, by what is known before the work. */
int64_t ms_inputs_wanted_frames(const ms_inputs *inputs);
int64_t ms_inputs_most_frames(const ms_inputs *inputs);

/* Of the expected ones, those that begin behind the speech's end: the official pipeline makes them too. */
int64_t ms_inputs_frames_after_speech(const ms_inputs *inputs, int64_t expected);

/* Counts faces of the output frames from one to before another, as far as they are in the range. */
ms_status ms_inputs_count_faces(const ms_inputs *inputs, const ms_frame_order *order, int64_t from,
                                int64_t to, ms_frame_counts *ret_counts, ms_error *err);

/* Of the first `frames` output frames, those in the range. */
int64_t ms_inputs_frames_within(const ms_inputs *inputs, int64_t frames);

/* ---- output.c ---- */

/* The sound of the output with MS_REST_KEEP; charged like all inputs. */
ms_status ms_inputs_open_splice(ms_inputs *inputs, ms_error *err);

ms_video_writer_params ms_inputs_writer(const ms_inputs *inputs);
void ms_inputs_output_size(const ms_inputs *inputs, int *ret_width, int *ret_height);
ms_status ms_inputs_check_wishes(const ms_inputs *inputs, ms_error *err);

/* ---- notes.c ---- */

void ms_inputs_note_losses(ms_inputs *inputs);

/* Once the budget holds, for the checkpoint is looked into: whether it is a real one. */
void ms_inputs_note_model(ms_inputs *inputs);

#endif
