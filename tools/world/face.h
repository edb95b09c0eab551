/*
 * The face as geometry: where every point that is drawn lies in the picture at one moment. Points
 * are given on a face seen from the front (half face widths; x to the right of the picture, y
 * down, eyes at y = 0), laid on a rounded head, turned by the pose and projected in parallel.
 */
#ifndef WORLD_FACE_H
#define WORLD_FACE_H

#include "faces/track.h"
#include "world/paint.h"
#include "world/person.h"

/* What the mouth does. All 0 is a relaxed closed mouth. */
typedef struct w_mouth {
    float open;   /* 0 to 1 */
    float wide;   /* -1 (pursed) to 1 (spread) */
    float round;  /* 0 to 1: lips pushed forward */
    float press;  /* 0 to 1: lips pressed together, as for p, b, m */
    float tuck;   /* 0 to 1: lower lip under the upper teeth, as for f, v */
    float tongue; /* 0 to 1: tongue up behind the upper teeth, as for l, th */
} w_mouth;

/* One moment of a person. */
typedef struct w_moment {
    float yaw, pitch, roll; /* turns; positive: to the picture's right, down, clockwise */
    float x, y;             /* of the head's centre from its resting place, half face widths */
    float blink;            /* 0 open to 1 closed */
    float gaze_x, gaze_y;   /* -1 to 1 */
    float brow_raise;       /* -1 to 1 */
    w_mouth mouth;
} w_moment;

#define W_CONTOUR_POINTS 33
#define W_EYE_POINTS 8  /* from the left corner over the upper lid to the right corner, and back below */
#define W_BROW_POINTS 9 /* five above, four below, from the outer end and back */
#define W_LIP_OUTER 12  /* from the left corner over the upper lip, and back below */
#define W_LIP_INNER 8

/* All in picture pixels. [2]: the picture's left and right. */
typedef struct w_face {
    const w_person *person;
    w_moment now;
    float unit;                      /* pixels in a half face width */
    w_vec rest;                      /* the head's resting place in the picture */
    float turn[3][3];                /* rotation of the pose */
    float jaw_drop;                  /* half face widths */
    w_vec contour[W_CONTOUR_POINTS]; /* ear to ear over the chin, from the picture's left */
    w_vec eye[2][W_EYE_POINTS], iris[2];
    w_vec brow[2][W_BROW_POINTS];
    w_vec bridge[4], nose_left[5], nose_right[5], nose_base; /* [3] of bridge: the tip */
    w_vec lip_outer[W_LIP_OUTER], lip_inner[W_LIP_INNER];
    float mouth_opening, mouth_width; /* between the lips' inner edges, and corner to corner; pixels */
} w_face;

void w_face_pose(w_face *ret_face, const w_person *person, const w_moment *now, int width, int height);

/* A point of the front view, `lift` above the head's surface, in the picture. */
w_vec w_face_at(const w_face *face, float x, float y, float lift);

/* The same for what lies below the nose and moves with the jaw. */
w_vec w_face_jaw_at(const w_face *face, float x, float y, float lift);

/* Half axes of an upright ellipse on the face, for glows. */
w_vec w_face_across(const w_face *face, float length);
w_vec w_face_down(const w_face *face, float length);

/* The ground truth in insightface's 106-point order, with the box that the official detector would report.
   box and points are within the picture. */
void w_face_record(const w_face *face, int64_t frame, int width, int height, ms_face_record *ret_record);

/* The same with points that are not rounded to whole pixels. */
void w_face_record_exact(const w_face *face, int64_t frame, int width, int height,
                         ms_face_record *ret_record);

#endif
