/*
 * Frames in, lip-synced frames out, without a file: on a model that is loaded already (memsafe/model.h), a
 * window at a time, as soon as what it needs is there. Works in every build, also without FFmpeg.
 *
 *   ms_session_params p;
 *   ms_session_params_init(&p);
 *   p.model = model, p.width = 1280, p.height = 720;
 *   ms_session_create(&p, &session, &err), ms_session_open(session, &err);
 *   ms_session_push_speech(session, samples, count, &err), ms_session_end_speech(session, &err);
 *   while (status == MS_OK && !ms_session_ended(session)) {
 *       if (frame_is_there)                                            // yours
 *           status = ms_session_push(session, &frame, &taken, &err);   // taken: go to the next one
 *       else
 *           status = ms_session_end(session, &err);
 *       while (status == MS_OK && (status = ms_session_pull(session, &done, &got, &err)) == MS_OK && got)
 *           show(done.pixels);
 *   }
 *   ms_session_destroy(&session);
 *
 * All work is done within open, push and pull, on the thread that calls: there are no callbacks and no
 * threads that call back. One thread at a time may use a session; ms_session_cancel() and
 * ms_session_get_progress() may be called from any thread meanwhile.
 *
 * Frames that are given come out as many and in order. What ms_run() makes of a clip, a session makes of its
 * frames, to the last bit: without looping (MS_LOOP_MODE_NONE), or where they say which are shown again.
 */
#ifndef MEMSAFE_SESSION_H
#define MEMSAFE_SESSION_H

#include "memsafe/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ms_session ms_session;

#define MS_SESSION_LANDMARKS 106
#define MS_SESSION_SPEECH_RATE 16000

typedef enum ms_pixel_format {
    MS_PIXEL_RGB24, /* 3 bytes a pixel */
    /* 3 floats a pixel, 0 to 1; rounded to 8 bits on their way in. From -0.25 to 1.25, as resampling may
       leave them, they are clipped; beyond that, or no number, the frame is refused. */
    MS_PIXEL_RGB_F32,
} ms_pixel_format;

typedef struct ms_session_params {
    ms_model *model; /* borrowed; one session or run at a time */
    int width, height;
    ms_pixel_format format; /* of frames pushed and pulled */
    int fps_num, fps_den;   /* of the frames, 0.01 to 1000: which speech belongs to which */

    bool given_faces; /* the frames that are pushed say where the face is; else it is looked for */
    int face;         /* number of the track to redraw, -1 = the largest face */
    int max_gap;      /* frames without a face that are bridged */

    uint64_t seed;
    int steps;
    double guidance;
    bool deepcache;
    int resolution; /* 0 = the model's */
    ms_paste paste;
    ms_rung rung;

    /* Frames that are held at most, pushed and not yet pulled: then push takes no more. 0 = enough for two
       windows; at least a window, max_gap and 2. */
    int held_frames;
    /* of speech for which there is room in the plan; more is taken while the budget allows it. 0 = 600 */
    double speech_s;
    const char *pressure_trace; /* as in ms_run_params */
    /* So many come out at most, the last of them at a window's end. More may be pushed while those wait: they
       say whether a gap closes behind the last, and do not come out. 0 = no limit */
    int64_t frames;
    /* Where faces are stays known, 28 bytes a frame: frames may be shown again (ms_session_frame.again). */
    bool keep_faces;
    bool allow_downscale; /* as in ms_run_params: ms_session_info.resolution is what it became */
} ms_session_params;

/* 25 frames a second, seed 1247, 20 steps, guidance 1.5, the largest face. */
MS_API void ms_session_params_init_sized(ms_session_params *ret_params, size_t params_bytes);
static inline void ms_session_params_init(ms_session_params *ret_params) {
    ms_session_params_init_sized(ret_params, sizeof(*ret_params));
}

/* Checks params, which is copied, and does no more: what follows can be watched and cancelled.
   MS_INVALID_ARGUMENT, MS_HOST_MEMORY. */
MS_API ms_status ms_session_create_sized(const ms_session_params *params, size_t params_bytes,
                                         ms_session **ret_session, ms_error *err);
static inline ms_status ms_session_create(const ms_session_params *params, ms_session **ret_session,
                                          ms_error *err) {
    return ms_session_create_sized(params, sizeof(*params), ret_session, err);
}

/*
 * Once, before the first push: takes the model, plans within its budget and loads what is not loaded yet of
 * it, which is when the time passes. MS_INVALID_ARGUMENT (held_frames, or another has the model), MS_BUDGET
 * (the message says what would be enough), MS_BAD_MODEL, MS_IO (a model file is missing or changed),
 * MS_HOST_MEMORY, MS_DEVICE_MEMORY, MS_CANCELLED. After an error the session can only be destroyed.
 */
MS_API ms_status ms_session_open(ms_session *session, ms_error *err);

/* Frames that were not pulled are lost. The model stays loaded. */
MS_API void ms_session_destroy(ms_session **session);

/* Speech: 16 kHz, one channel, -1 to 1, in pieces of any length or at once; kept with 16 bits. Frames are
   redrawn once all of it is there, since the loudest moment decides how the rest is heard.
   MS_INVALID_ARGUMENT after its end or for a sample that is no number; MS_HOST_MEMORY: the budget has no room
   for more. */
MS_API ms_status ms_session_push_speech(ms_session *session, const float *samples, int64_t count,
                                        ms_error *err);
/* MS_BAD_MEDIA: it is shorter than 201 samples. */
MS_API ms_status ms_session_end_speech(ms_session *session, ms_error *err);

typedef struct ms_session_frame {
    int64_t number; /* from 0, in the order of pushing; of a pushed frame not looked at */
    const void *pixels;
    ptrdiff_t stride_bytes; /* from a row to the next, may be negative; 0 = tight */
    /* Of a pushed frame, with given_faces: [106][2], pixels; NULL = this frame has no face. Of a pulled one
       NULL. */
    const float (*landmarks)[2];
    /* Of a pushed frame: the first of a scene. Needed with given_faces where the face jumps; else cuts are
       noticed. */
    bool begins_scene;
    /* Of a pulled one: the mouth was redrawn. Frames without a face and those after the speech pass
       through. */
    bool redrawn;
    /* Of a pushed frame, with keep_faces: 1 + the number of an earlier one whose picture it shows once more,
       as ms_run() does when it loops a clip: the face is where it was there. No new frames follow then. 0 = a
       new one. */
    int64_t again;
} ms_session_frame;

/* Takes a copy of the frame and looks for its face. *ret_taken false: there is no room, frames must be pulled
   first. MS_INVALID_ARGUMENT: after ms_session_end(), or what the frame says or has (floats out of range); it
   is not taken then, and another may be pushed. */
MS_API ms_status ms_session_push_sized(ms_session *session, const ms_session_frame *frame, size_t frame_bytes,
                                       bool *ret_taken, ms_error *err);
static inline ms_status ms_session_push(ms_session *session, const ms_session_frame *frame, bool *ret_taken,
                                        ms_error *err) {
    return ms_session_push_sized(session, frame, sizeof(*frame), ret_taken, err);
}

/* What waits for later frames waits no more: the next frame that is pushed begins a scene. */
MS_API ms_status ms_session_flush(ms_session *session, ms_error *err);

/* The same, and no more will be pushed. */
MS_API ms_status ms_session_end(ms_session *session, ms_error *err);

/*
 * The next frame, which is valid until the next call of push, pull or destroy; redraws a window where one is
 * complete. *ret_got false: none is ready before more is pushed, or all were pulled (ms_session_ended()).
 * After an error the session can only be destroyed; MS_CANCELLED, MS_HOST_MEMORY and MS_DEVICE_MEMORY (memory
 * that stayed out after everything was tried), MS_BAD_MODEL.
 */
MS_API ms_status ms_session_pull_sized(ms_session *session, ms_session_frame *ret_frame, size_t frame_bytes,
                                       bool *ret_got, ms_error *err);
static inline ms_status ms_session_pull(ms_session *session, ms_session_frame *ret_frame, bool *ret_got,
                                        ms_error *err) {
    return ms_session_pull_sized(session, ret_frame, sizeof(*ret_frame), ret_got, err);
}

/* All frames were pulled: as many as ms_session_params.frames says, or those before ms_session_end(). */
MS_API bool ms_session_ended(const ms_session *session);

/* From any thread: whatever is under way ends soon with MS_CANCELLED, as does every later call. */
MS_API void ms_session_cancel(ms_session *session);

typedef struct ms_session_progress {
    int64_t pushed, pulled; /* frames */
    int64_t redrawn;        /* faces that went back into their frames */
    const char *stage;      /* ms_stage_name(): what open or a pull is at, "" = nothing */
    int64_t part, parts;    /* of the stage: steps, pictures, bytes */
    double seconds;         /* since it was created */
} ms_session_progress;

/* From any thread. */
MS_API void ms_session_get_progress_sized(const ms_session *session, ms_session_progress *ret_progress,
                                          size_t progress_bytes);
static inline void ms_session_get_progress(const ms_session *session, ms_session_progress *ret_progress) {
    ms_session_get_progress_sized(session, ret_progress, sizeof(*ret_progress));
}

typedef struct ms_session_info {
    int window_frames;     /* that are redrawn together */
    int held_frames;       /* that can be held */
    int resolution;        /* of the redrawn face */
    int64_t speech_frames; /* that the speech asks for; 0 = it has not ended */
    ms_rung rung;
    size_t budget_bytes, planned_bytes; /* of the device's memory */
    double planned_window_s;            /* predicted time of a full window */
    uint64_t weights_read_bytes;        /* for this session: less than the model where it was loaded */
    int recoveries;                     /* allocations that failed and were got over */
    int changes;                        /* of the layout, under way */
    /* After MS_BUDGET of ms_session_open(): the budget that would be enough; 0 = not known, or opened. */
    size_t least_bytes;
    int wanted_resolution; /* more than resolution when allow_downscale had to lower it */
} ms_session_info;

/* On the session's thread. */
MS_API void ms_session_get_info_sized(const ms_session *session, ms_session_info *ret_info,
                                      size_t info_bytes);
static inline void ms_session_get_info(const ms_session *session, ms_session_info *ret_info) {
    ms_session_get_info_sized(session, ret_info, sizeof(*ret_info));
}

#ifdef __cplusplus
}
#endif
#endif
