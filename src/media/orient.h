/* Turning and mirroring of packed RGB pictures, as a camera's orientation asks for. */
#ifndef MS_MEDIA_ORIENT_H
#define MS_MEDIA_ORIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which pixel of the stored picture (w x h) a pixel (x, y) of the shown one comes from: with transpose the
   shown picture is h wide and w high and reads (y, x), else (x, y); then flip_x, flip_y mirror the stored
   picture's columns and rows. */
typedef struct ms_orientation {
    bool transpose, flip_x, flip_y;
} ms_orientation;

/* From the 3x3 display matrix of a container (16.16 fixed point, row by row): quarter turns and mirrors as
   ffmpeg's autorotate takes them. Other angles give the identity and false. */
bool ms_orientation_from_matrix(const int32_t matrix[9], ms_orientation *ret);

/* Degrees clockwise that a player turns the stored picture by, and whether it is a mirror image as well. */
int ms_orientation_degrees(ms_orientation o, bool *ret_mirrored);

/* src is w x h; a pixel has 3 or 6 bytes; both strides in bytes. */
void ms_orient_rgb(ms_orientation o, int pixel_bytes, const uint8_t *src, ptrdiff_t src_stride, int w, int h,
                   uint8_t *dst, ptrdiff_t dst_stride);

#endif
