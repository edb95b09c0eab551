/* FaceDetector.__call__ in latentsync/utils/face_detector.py. */
#include "faces/detect.h"

#include <math.h>

/* Towards zero; what no int can hold is pulled to the edge of a range that no picture reaches. */
static int truncated(float v) {
    float limit = 1 << 24;
    return (int)(v > -limit ? (v < limit ? v : limit) : -limit);
}

static void truncated_box(const ms_detection *face, int ret_box[4]) {
    for (int i = 0; i < 4; i++)
        ret_box[i] = truncated(face->box[i]);
}

bool ms_face_usable(const ms_detection *face) {
    int box[4];
    truncated_box(face, box);
    int width = box[2] - box[0], height = box[3] - box[1];
    if (width < MS_FACE_MIN_WIDTH || height < MS_FACE_MIN_HEIGHT || !(face->score >= MS_DETECT_THRESHOLD))
        return false;
    double aspect = (double)width / height;
    return aspect <= 1.5 && aspect >= 0.2;
}

bool ms_face_too_small(const ms_detection *face, int ret_size[2]) {
    int box[4];
    truncated_box(face, box);
    int width = box[2] - box[0], height = box[3] - box[1];
    bool small = width > 0 && height > 0 && (width < MS_FACE_MIN_WIDTH || height < MS_FACE_MIN_HEIGHT);
    if (!small || !(face->score >= MS_DETECT_THRESHOLD))
        return false;
    ret_size[0] = width;
    ret_size[1] = height;
    return true;
}

int64_t ms_face_size(const ms_detection *face) {
    int box[4];
    truncated_box(face, box);
    return (int64_t)(box[2] - box[0]) * (box[3] - box[1]);
}

int ms_face_largest(const ms_detection *faces, int count) {
    int best = -1;
    for (int i = 0; i < count; i++)
        if (ms_face_usable(&faces[i]) && (best < 0 || ms_face_size(&faces[i]) > ms_face_size(&faces[best])))
            best = i;
    return best;
}

void ms_landmarks_round(float landmarks[MS_LANDMARKS][2]) {
    for (int i = 0; i < MS_LANDMARKS; i++)
        for (int c = 0; c < 2; c++)
            landmarks[i][c] = rintf(landmarks[i][c]);
}

void ms_face_box(const ms_detection *face, const float landmarks[MS_LANDMARKS][2], int frame_width,
                 int frame_height, int ret_box[4]) {
    /* The landmarks that the box goes by: the face's outline, both brows, eyes' and nose's bridge. */
    static const uint8_t outline[] = {1,  10, 12, 14, 16, 3,  5,  7,   0,   23,  21,  19,  32, 30, 28,
                                      26, 17, 43, 48, 49, 51, 50, 102, 103, 104, 105, 101, 73, 74, 86};
    float left = INFINITY, right = -INFINITY, bottom = -INFINITY;
    for (size_t i = 0; i < sizeof(outline); i++) {
        const float *p = landmarks[outline[i]];
        left = fminf(left, p[0]);
        right = fmaxf(right, p[0]);
        bottom = fmaxf(bottom, p[1]);
    }
    /* As far above the nose's bridge as the chin is below it. */
    float bridge = (landmarks[74][1] + landmarks[73][1]) / 2.0f;
    int box[4] = {truncated(left), truncated(bridge - (bottom - bridge)), truncated(right),
                  truncated(bottom)};
    if (box[3] <= box[1] || box[2] <= box[0] || box[0] < 0)
        truncated_box(face, box);
    box[3] += (int)((box[2] - box[0]) * 0.1);
    box[0] -= (int)((box[2] - box[0]) * 0.05);
    box[2] += (int)((box[2] - box[0]) * 0.05);
    ret_box[0] = box[0] > 0 ? box[0] : 0;
    ret_box[1] = box[1] > 0 ? box[1] : 0;
    ret_box[2] = box[2] < frame_width ? box[2] : frame_width;
    ret_box[3] = box[3] < frame_height ? box[3] : frame_height;
}
