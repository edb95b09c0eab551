/* Shared by session.c (its life, speech, what is asked of it) and session_frames.c (frames in and out,
   windows). */
#ifndef MS_SESSION_SESSION_INTERNAL_H
#define MS_SESSION_SESSION_INTERNAL_H

#include <stdatomic.h>

#include "faces/face_source.h"
#include "memsafe/session.h"
#include "pictures/restorer.h"
#include "session/pcm.h"
#include "session/redraw.h"

/* A frame from push to pull. */
typedef struct ms_held_frame {
    uint8_t *rgb; /* [height][width][3] */
    ms_pose pose;
    bool ends; /* a window ends with it, whatever comes */
    bool done; /* can be pulled */
    bool redrawn;
} ms_held_frame;

_Static_assert(MS_SESSION_LANDMARKS == MS_LANDMARKS, "what is pushed is what faces have");

struct ms_session {
    ms_session_params p;
    ms_model *model;
    bool opened; /* or tried to be */
    ms_mem *mem; /* the model's; NULL = it was not taken */
    ms_redraw redraw;
    ms_pcm *pcm;
    bool speech_ended;
    ms_face_finder *finder;
    ms_face_geometry geometry;
    ms_face_follow follow;
    const ms_session_frame *given; /* while its face is looked for */

    /* Frames first .. next - 1 are held, number n in ring[n % size]; of those before `known` it is known
       where the face is. */
    ms_held_frame *ring;
    int64_t size, first, known, next;
    bool ended;
    bool begins; /* the next frame begins a scene */

    /* With keep_faces: of the new frames, whose number is their place. shown: of the newest frame. */
    ms_pose *faces;
    int64_t n_faces, faces_room, shown;
    bool again; /* frames are shown again: there are no new ones any more */

    uint8_t *window_faces; /* [window frames][resolution][resolution][3] */
    void *align_work;
    size_t align_work_bytes;
    ms_restorer restorer;
    float *floats;                    /* a frame on its way out; NULL = frames are RGB24 */
    int64_t window_frames, delivered; /* delivered: of the window under way */

    char *pressure_trace; /* p.pressure_trace is this copy: the caller's string may be gone by now */
    size_t least_bytes;   /* of a budget that was too small */
    ms_status status;     /* what it failed with */
    ms_error err;
    atomic_bool cancelled;
    atomic_int_fast64_t pushed, pulled, redrawn, part, parts;
    _Atomic(const char *) stage;
};

/* A session that failed says the same again, and one that is not open yet says so. */
ms_status ms_session_check(const ms_session *session, ms_error *err);
ms_status ms_session_failed(ms_session *session, ms_status status, ms_error *err);

/* What progress says from here on. */
void ms_session_enter(ms_session *session, const char *stage);

/* Buffers of frames and their warps. */
ms_status ms_session_make_buffers(ms_session *session, ms_error *err);
void ms_session_free_buffers(ms_session *session);

/* Where faces come from. */
ms_face_source ms_session_given_faces(ms_session *session);

#endif
