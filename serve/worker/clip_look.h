/* Looking into an uploaded file: what it is, and pictures of it. Called in a worker only. */
#ifndef SERVE_CLIP_LOOK_H
#define SERVE_CLIP_LOOK_H

#include <stdbool.h>

#include "memsafe/status.h"

typedef struct clip_look clip_look;

typedef struct clip_facts {
    bool has_video, has_audio;
    int width, height;       /* as it is shown, but not turned */
    double fps;              /* 0 = not known */
    double video_s, audio_s; /* 0 = not known */
} clip_facts;

/* MS_BAD_MEDIA: no video or sound that this build can read. what: "video", for messages. */
ms_status clip_look_open(const char *path, const char *what, clip_look **ret_clip, clip_facts *ret_facts,
                         ms_error *err);
void clip_look_close(clip_look **clip);

/* Saves the picture that is shown at a time as JPEG, at most so many pixels wide. */
ms_status clip_look_save(clip_look *clip, double seconds, int most_width, const char *path, ms_error *err);

/* Saves RGB, [height][width][3], likewise. */
ms_status picture_save(const uint8_t *rgb, int width, int height, int most_width, const char *path,
                       ms_error *err);

#endif
