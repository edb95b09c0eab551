/*
 * Everything around the two face networks but not the networks: their inputs from a frame, faces and
 * landmarks from their outputs, and the choice of usable faces (insightface 0.7.3: RetinaFace.detect as
 * it runs SCRFD, Landmark.get, face_align.transform; FaceDetector in latentsync/utils/face_detector.py).
 *
 * The reference hands insightface RGB frames, which insightface takes for BGR and swaps:
 * the networks see the planes in the order blue, green, red, and so they do here.
 */
#ifndef MS_FACES_DETECT_H
#define MS_FACES_DETECT_H

#include "memsafe/status.h"
#include "pictures/align.h"
#include "pictures/image.h"

#define MS_DETECT_SIDE 512 /* of the detector's square input */
#define MS_DETECT_THRESHOLD 0.5f
#define MS_DETECT_NMS 0.4f   /* boxes that overlap more are the same face */
#define MS_SCRFD_LEVELS 3    /* strides 8, 16, 32 */
#define MS_SCRFD_ANCHORS 2   /* per cell */
#define MS_LANDMARK_SIDE 192 /* of the landmark network's square input */

/* Order of a network input's values; the last letter varies fastest. Channels are blue, green, red. */
typedef enum ms_blob_layout {
    MS_BLOB_HWC,
    MS_BLOB_CHW,
} ms_blob_layout;

/* value = (sample - mean) * scale */
typedef struct ms_blob_format {
    ms_blob_layout layout;
    float mean, scale;
} ms_blob_format;

/* The detector's: (x - 127.5) / 128. A landmark network that subtracts and scales by itself (2d106det does)
   takes mean 0, scale 1. */
static inline ms_blob_format ms_detect_blob_format(ms_blob_layout layout) {
    return (ms_blob_format){layout, 127.5f, 1.0f / 128.0f};
}

/* An RGB picture as the top left part of a side x side network input; the rest is as a black picture. */
void ms_blob_fill(const ms_image_view *rgb, int side, const ms_blob_format *format, float *ret_blob);

/* The frame is scaled so that its longer side fills the square; the other side is truncated. */
typedef struct ms_letterbox {
    int width, height; /* of the scaled frame, in the square's top left corner */
    float scale;       /* scaled height / frame height: what boxes are divided by, on both axes */
} ms_letterbox;

/* MS_INVALID_ARGUMENT for a frame so long that its short side vanishes. */
ms_status ms_letterbox_fit(int frame_width, int frame_height, int side, ms_letterbox *ret_fit, ms_error *err);

size_t ms_letterbox_workspace_bytes(int side);

/* ret_blob: [side][side][3] or [3][side][side]. The picture is resized as cv2.resize does (bilinear). */
ms_status ms_letterbox_blob(const ms_image_view *frame, int side, const ms_blob_format *format,
                            float *ret_blob, ms_letterbox *ret_fit, void *work, size_t work_bytes,
                            ms_error *err);

typedef struct ms_detection {
    float box[4]; /* x1, y1, x2, y2 in frame pixels, not clipped */
    float score;
    float key_points[5][2]; /* eyes, nose, mouth corners */
} ms_detection;

/* One stride's outputs: rows of two anchors for each cell, row = (y * width + x) * 2 + anchor. Distances are
   in strides, from the cell's top left corner. */
typedef struct ms_scrfd_output {
    const float *score;      /* [rows] */
    const float *box;        /* [rows][4] to the left, up, right, down */
    const float *key_points; /* [rows][10] */
} ms_scrfd_output;

size_t ms_scrfd_workspace_bytes(int side);

/* outputs: strides 8, 16, 32 for a side x side input, side a multiple of 32. Faces come by falling score
   (equal ones by their row, finer strides first), at most capacity of them. Rows whose numbers are not finite
   are passed over. */
ms_status ms_scrfd_decode(const ms_scrfd_output outputs[MS_SCRFD_LEVELS], int side, float scale,
                          ms_detection *ret_faces, int capacity, int *ret_count, void *work,
                          size_t work_bytes, ms_error *err);

/* The square around a face that the landmark network sees: 1.5 times the box's longer side, centred. */
typedef struct ms_landmark_crop {
    double crop_from_frame[2][3], frame_from_crop[2][3];
} ms_landmark_crop;

/* MS_NO_FACE for a box without size. */
ms_status ms_landmark_crop_fit(const float box[4], ms_landmark_crop *ret_crop, ms_error *err);

/* crop: RGB, MS_LANDMARK_SIDE square; black outside the frame (cv2.warpAffine). */
ms_status ms_landmark_crop_warp(const ms_landmark_crop *crop, const ms_image_view *frame,
                                const ms_image *ret_rgb, ms_error *err);

/* output: the network's 212 numbers, x and y in turn, -1 to 1 across the crop. ret_landmarks: frame pixels,
   not rounded. */
void ms_landmarks_decode(const ms_landmark_crop *crop, const float output[2 * MS_LANDMARKS],
                         float ret_landmarks[MS_LANDMARKS][2]);

/* The least size of a face's box, after truncation of its corners. */
#define MS_FACE_MIN_WIDTH 50
#define MS_FACE_MIN_HEIGHT 80

/* Large enough, width / height from 0.2 to 1.5, score 0.5. */
bool ms_face_usable(const ms_detection *face);

/* Sure enough, but smaller than that; the truncated box's sides go to ret_size. */
bool ms_face_too_small(const ms_detection *face, int ret_size[2]);

/* Width times height of the truncated box: what "the largest face" compares. */
int64_t ms_face_size(const ms_detection *face);

/* Index of the largest usable face, the first of equals; -1 = none. */
int ms_face_largest(const ms_detection *faces, int count);

/* Rounds landmarks to whole pixels (half to even), in place. */
void ms_landmarks_round(float landmarks[MS_LANDMARKS][2]);

/* The face's box as the reference reports it, from rounded landmarks (or from the detection where those make
   no box), widened a little and clipped to the frame. */
void ms_face_box(const ms_detection *face, const float landmarks[MS_LANDMARKS][2], int frame_width,
                 int frame_height, int ret_box[4]);

#endif
