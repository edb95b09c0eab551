/*
 * The landmark network's crop. cv2.warpAffine (OpenCV 4.9) works in fixed point: the matrix is inverted in
 * double, columns and rows are rounded to 1/1024 pixel each, their sum to 1/32, and the bilinear weights are
 * products of 32nds.
 */
#include "faces/detect.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

#define POSITION_BITS 10
#define FRACTION_BITS 5
#define FRACTIONS (1 << FRACTION_BITS)

/* cv2.invertAffineTransform; sums in its order. */
static bool invert(const double m[2][3], double ret_inverse[2][3]) {
    double det = m[0][0] * m[1][1] - m[0][1] * m[1][0], d = 1.0 / det;
    double inverse[2][3] = {{m[1][1] * d, -m[0][1] * d, 0}, {-m[1][0] * d, m[0][0] * d, 0}};
    for (int i = 0; i < 2; i++)
        inverse[i][2] = -inverse[i][0] * m[0][2] - inverse[i][1] * m[1][2];
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            if (!isfinite(inverse[i][j]))
                return false;
    memcpy(ret_inverse, inverse, sizeof(inverse));
    return true;
}

ms_status ms_landmark_crop_fit(const float box[4], ms_landmark_crop *ret_crop, ms_error *err) {
    float width = box[2] - box[0], height = box[3] - box[1], longer = width > height ? width : height;
    float scale = (float)MS_LANDMARK_SIDE / (longer * 1.5f);
    float centre[2] = {(box[2] + box[0]) / 2.0f, (box[3] + box[1]) / 2.0f};
    ms_landmark_crop crop = {.crop_from_frame = {{scale, 0, 0}, {0, scale, 0}}};
    for (int i = 0; i < 2; i++)
        crop.crop_from_frame[i][2] = -(double)(centre[i] * scale) + MS_LANDMARK_SIDE / 2;
    if (!(longer > 0.0f) || !isfinite(crop.crop_from_frame[0][2]) || !isfinite(crop.crop_from_frame[1][2]) ||
        !invert(crop.crop_from_frame, crop.frame_from_crop))
        return ms_fail(err, MS_NO_FACE, "face box (%g, %g)-(%g, %g) has no size", box[0], box[1], box[2],
                       box[3]);
    *ret_crop = crop;
    return MS_OK;
}

/* Rounded to 1/1024; far outside any picture it is only kept in range. */
static int32_t position(double v) {
    double limit = 1 << 29;
    v *= 1 << POSITION_BITS;
    return (int32_t)lrint(v < -limit ? -limit : v > limit ? limit : v);
}

static void sample(const ms_image_view *src, int32_t x, int32_t y, uint8_t *out) {
    static const uint8_t black[3] = {0, 0, 0};
    int32_t xi = x >> FRACTION_BITS, yi = y >> FRACTION_BITS;
    int32_t fx = x & (FRACTIONS - 1), fy = y & (FRACTIONS - 1);
    int32_t weight[4] = {(FRACTIONS - fx) * (FRACTIONS - fy), fx * (FRACTIONS - fy), (FRACTIONS - fx) * fy,
                         fx * fy};
    const uint8_t *p[4];
    for (int i = 0; i < 4; i++) {
        int32_t px = xi + (i & 1), py = yi + (i >> 1);
        bool inside = px >= 0 && px < src->width && py >= 0 && py < src->height;
        p[i] = inside ? src->data + (size_t)py * src->stride_bytes + (size_t)px * 3 : black;
    }
    for (int c = 0; c < 3; c++) {
        int32_t sum = p[0][c] * weight[0] + p[1][c] * weight[1] + p[2][c] * weight[2] + p[3][c] * weight[3];
        out[c] = (uint8_t)((sum + (1 << (2 * FRACTION_BITS - 1))) >> (2 * FRACTION_BITS));
    }
}

ms_status ms_landmark_crop_warp(const ms_landmark_crop *crop, const ms_image_view *frame,
                                const ms_image *ret_rgb, ms_error *err) {
    const double(*m)[3] = crop->frame_from_crop;
    const int32_t half = 1 << (POSITION_BITS - FRACTION_BITS - 1);
    if (!ms_image_view_valid(frame, 3) || !ms_image_valid(ret_rgb, 3))
        return ms_fail(err, MS_INVALID_ARGUMENT, "cannot crop landmarks' %dx%dx%d out of %dx%dx%d",
                       ret_rgb->width, ret_rgb->height, ret_rgb->channels, frame->width, frame->height,
                       frame->channels);
    for (int y = 0; y < ret_rgb->height; y++) {
        uint8_t *out = ret_rgb->data + (size_t)y * ret_rgb->stride_bytes;
        int32_t x0 = position(m[0][1] * y + m[0][2]) + half, y0 = position(m[1][1] * y + m[1][2]) + half;
        for (int x = 0; x < ret_rgb->width; x++, out += 3)
            sample(frame, (x0 + position(m[0][0] * x)) >> (POSITION_BITS - FRACTION_BITS),
                   (y0 + position(m[1][0] * x)) >> (POSITION_BITS - FRACTION_BITS), out);
    }
    return MS_OK;
}

void ms_landmarks_decode(const ms_landmark_crop *crop, const float output[2 * MS_LANDMARKS],
                         float ret_landmarks[MS_LANDMARKS][2]) {
    const double(*m)[3] = crop->frame_from_crop;
    for (int i = 0; i < MS_LANDMARKS; i++) {
        float x = (output[2 * i] + 1.0f) * (MS_LANDMARK_SIDE / 2);
        float y = (output[2 * i + 1] + 1.0f) * (MS_LANDMARK_SIDE / 2);
        ret_landmarks[i][0] = (float)(m[0][0] * x + m[0][1] * y + m[0][2]);
        ret_landmarks[i][1] = (float)(m[1][0] * x + m[1][1] * y + m[1][2]);
    }
}
