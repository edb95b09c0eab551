/* Who is drawn, in front of what, and how they move: everything that a seed decides once for a clip. */
#ifndef WORLD_PERSON_H
#define WORLD_PERSON_H

#include "world/wmath.h"

typedef enum w_hair_style {
    W_HAIR_CROP,
    W_HAIR_PARTED,
    W_HAIR_BOB,
    W_HAIR_LONG,
    W_HAIR_TIED,
    W_HAIR_CURLY,
    W_HAIR_SHAVED,
    W_HAIR_STYLES,
} w_hair_style;

typedef enum w_beard {
    W_BEARD_NONE,
    W_BEARD_STUBBLE,
    W_BEARD_MOUSTACHE,
    W_BEARD_FULL,
} w_beard;

typedef enum w_glasses {
    W_GLASSES_NONE,
    W_GLASSES_ROUND,
    W_GLASSES_SQUARE,
} w_glasses;

typedef enum w_scene {
    W_SCENE_STUDIO, /* a backdrop */
    W_SCENE_LIGHTS, /* lamps far out of focus */
    W_SCENE_ROOM,   /* a wall with a picture and a shelf, out of focus */
    W_SCENES,
} w_scene;

/* Lengths are in half face widths. */
typedef struct w_person {
    uint64_t seed;
    w_rgb skin, shade, shine, blush;
    float cheek, jaw, chin_width, chin, forehead;                /* outline */
    float eye_gap, eye_width, eye_height, eye_tilt;              /* from nose to centre; half sizes */
    float brow_height, brow_arch, brow_thick, brow_tilt;         /* above the eye */
    float nose_width, nose_length, lips, mouth_width, mouth_row; /* lips: thickness */
    float lash;                                                  /* 0 to 1 */
    float age;                                                   /* 0 to 1: lines */
    w_rgb iris, hair, brow, lip, cloth, wall, accent;
    w_hair_style hair_style;
    float hair_volume, part; /* part: -1 left to 1 right */
    w_beard beard;
    w_glasses glasses;
    w_rgb frame;
    w_scene scene;
    int collar;       /* kind of neckline, 0 to 2 */
    float light;      /* from -1 (left) to 1 (right) */
    float grain;      /* noise of the camera */
    float size;       /* half face width, as a part of the picture's shorter side */
    float voice_turn; /* -1 deep to 1 high */
} w_person;

void w_person_init(w_person *ret_person, uint64_t seed);

#endif
