#include "media/orient.h"

#include <math.h>
#include <string.h>

#include <libavutil/display.h>

bool ms_orientation_from_matrix(const int32_t matrix[9], ms_orientation *ret) {
    *ret = (ms_orientation){0};
    double counter_clockwise = av_display_rotation_get(matrix);
    if (isnan(counter_clockwise))
        return false;
    double theta = fmod(-round(counter_clockwise) + 720, 360);
    if (fabs(theta - 90) < 1) {
        /* Clockwise, or its mirror image, the transposition. */
        *ret = (ms_orientation){.transpose = true, .flip_y = matrix[3] <= 0};
    } else if (fabs(theta - 180) < 1) {
        *ret = (ms_orientation){.flip_x = matrix[0] < 0, .flip_y = matrix[4] < 0};
    } else if (fabs(theta - 270) < 1) {
        *ret = (ms_orientation){.transpose = true, .flip_x = true, .flip_y = matrix[3] < 0};
    } else if (theta < 1 || theta > 359) {
        *ret = (ms_orientation){.flip_y = matrix[4] < 0};
    } else {
        return false;
    }
    return true;
}

int ms_orientation_degrees(ms_orientation o, bool *ret_mirrored) {
    /* Even permutations of the axes and signs are turns, odd ones mirror. */
    *ret_mirrored = o.transpose ^ o.flip_x ^ o.flip_y;
    if (!o.transpose)
        return o.flip_y ? 180 : 0; /* a mirror in x: 0, in y: 180 and mirrored */
    return o.flip_y ? 90 : 270;
}

static void copy_pixel(uint8_t *dst, const uint8_t *src, int bytes) {
    if (bytes == 3)
        memcpy(dst, src, 3);
    else
        memcpy(dst, src, 6);
}

static void transpose(ms_orientation o, int bytes, const uint8_t *src, ptrdiff_t src_stride, int w, int h,
                      uint8_t *dst, ptrdiff_t dst_stride) {
    enum { TILE = 32 }; /* both sides of a tile stay in the first-level cache */
    for (int y0 = 0; y0 < w; y0 += TILE) {
        for (int x0 = 0; x0 < h; x0 += TILE) {
            for (int y = y0; y < w && y < y0 + TILE; y++) {
                ptrdiff_t column = bytes * (ptrdiff_t)(o.flip_x ? w - 1 - y : y);
                uint8_t *out = dst + y * dst_stride + bytes * (ptrdiff_t)x0;
                for (int x = x0; x < h && x < x0 + TILE; x++, out += bytes)
                    copy_pixel(out, src + (o.flip_y ? h - 1 - x : x) * src_stride + column, bytes);
            }
        }
    }
}

void ms_orient_rgb(ms_orientation o, int bytes, const uint8_t *src, ptrdiff_t src_stride, int w, int h,
                   uint8_t *dst, ptrdiff_t dst_stride) {
    if (o.transpose) {
        transpose(o, bytes, src, src_stride, w, h, dst, dst_stride);
        return;
    }
    for (int y = 0; y < h; y++) {
        const uint8_t *in = src + (o.flip_y ? h - 1 - y : y) * src_stride;
        uint8_t *out = dst + y * dst_stride;
        if (!o.flip_x) {
            memcpy(out, in, (size_t)bytes * (size_t)w);
            continue;
        }
        for (int x = 0; x < w; x++)
            copy_pixel(out + bytes * (ptrdiff_t)x, in + bytes * (ptrdiff_t)(w - 1 - x), bytes);
    }
}
