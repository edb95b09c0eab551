/* Which of the drawn points are which of insightface's 106 landmarks (order of 2d106det). */
#include "pictures/align.h"
#include "world/face.h"

/* From the picture's left ear over the chin to the right. */
static const uint8_t contour_order[W_CONTOUR_POINTS] = {1,  9,  10, 11, 12, 13, 14, 15, 16, 2,  3,
                                                        4,  5,  6,  7,  8,  0,  24, 23, 22, 21, 20,
                                                        19, 18, 32, 31, 30, 29, 28, 27, 26, 25, 17};
static const uint8_t eye_order[2][W_EYE_POINTS] = {{35, 41, 40, 42, 39, 37, 33, 36},
                                                   {89, 95, 94, 96, 93, 91, 87, 90}};
static const uint8_t pupil_order[2][2] = {{34, 38}, {88, 92}};
/* From the outer end. */
static const uint8_t brow_order[2][W_BROW_POINTS] = {{43, 48, 49, 51, 50, 46, 47, 45, 44},
                                                     {101, 105, 104, 103, 102, 97, 98, 99, 100}};
static const uint8_t bridge_order[4] = {72, 73, 74, 86};
static const uint8_t nose_order[2][5] = {{75, 76, 77, 78, 79}, {81, 82, 83, 84, 85}};
static const uint8_t outer_order[W_LIP_OUTER] = {52, 64, 63, 71, 67, 68, 61, 58, 59, 53, 56, 55};
static const uint8_t inner_order[W_LIP_INNER] = {65, 66, 62, 70, 69, 57, 60, 54};

static void put(ms_face_record *r, const uint8_t *order, const w_vec *points, int count) {
    for (int i = 0; i < count; i++) {
        r->landmarks[order[i]][0] = points[i].x;
        r->landmarks[order[i]][1] = points[i].y;
    }
}

static void put_all(const w_face *f, int64_t frame, ms_face_record *ret_record) {
    ms_face_record *r = ret_record;
    *r = (ms_face_record){.frame = frame, .present = true};
    put(r, contour_order, f->contour, W_CONTOUR_POINTS);
    for (int e = 0; e < 2; e++) {
        const w_vec pupils[2] = {f->iris[e], f->iris[e]};
        put(r, eye_order[e], f->eye[e], W_EYE_POINTS);
        put(r, pupil_order[e], pupils, 2);
        put(r, brow_order[e], f->brow[e], W_BROW_POINTS);
    }
    put(r, bridge_order, f->bridge, 4);
    put(r, nose_order[0], f->nose_left, 5);
    put(r, nose_order[1], f->nose_right, 5);
    put(r, (const uint8_t[]){80}, &f->nose_base, 1);
    put(r, outer_order, f->lip_outer, W_LIP_OUTER);
    put(r, inner_order, f->lip_inner, W_LIP_INNER);
}

static void put_box(int width, int height, ms_face_record *r) {
    int box[4];
    const ms_detection none = {{0, 0, (float)width, (float)height}, 1, {{0}}};
    ms_face_box(&none, (const float(*)[2])r->landmarks, width, height, box);
    for (int i = 0; i < 4; i++)
        r->box[i] = (float)box[i];
}

void w_face_record(const w_face *f, int64_t frame, int width, int height, ms_face_record *ret_record) {
    put_all(f, frame, ret_record);
    ms_landmarks_round(ret_record->landmarks);
    put_box(width, height, ret_record);
}

void w_face_record_exact(const w_face *f, int64_t frame, int width, int height, ms_face_record *ret_record) {
    put_all(f, frame, ret_record);
    put_box(width, height, ret_record);
}
