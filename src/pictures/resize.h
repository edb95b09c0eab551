/*
 * Picture resizing with the arithmetic of the libraries that the reference calls, so that the bytes are
 * theirs: cv2.resize (OpenCV 4.9) for 8-bit bilinear and Lanczos-4, torch's interpolate(mode="bicubic",
 * antialias=True) for the rest. A resize to the same size is a copy, as it is there.
 */
#ifndef MS_PICTURES_RESIZE_H
#define MS_PICTURES_RESIZE_H

#include "base/pool.h"
#include "pictures/image.h"

typedef enum ms_resize_filter {
    /* 2 taps of 11-bit coefficients, horizontal first; the vertical pass drops 4 bits, then 16, then
       rounds 2. Halving both sides exactly is the mean of 2x2 instead, rounded half up. */
    MS_RESIZE_BILINEAR,
    /* 8 taps of 11-bit coefficients in both directions, one rounding at the end. */
    MS_RESIZE_LANCZOS4,
} ms_resize_filter;

/* channels: 1 or 3. */
size_t ms_resize_u8_workspace_bytes(ms_resize_filter filter, int dst_width, int channels);

/* src and dst have the same number of channels (1 or 3) and do not overlap. Centres are aligned, edge pixels
   repeat: x_src = (x + 1/2) src/dst - 1/2. MS_INVALID_ARGUMENT: sizes, or a workspace that is too small. */
ms_status ms_resize_u8(ms_resize_filter filter, const ms_image_view *src, const ms_image *dst, void *work,
                       size_t work_bytes, ms_error *err);

/*
 * Antialiased bicubic (Keys, a = -1/2), as torch's CPU kernel in float32: horizontal, then vertical; when a
 * side shrinks, the kernel widens with it. Interleaved samples; strides count elements.
 */
typedef struct ms_resize_bicubic_args {
    const float *src;      /* [src_height][src_width][channels], or NULL when src_u8 is given */
    const uint8_t *src_u8; /* the same in 8 bits */
    int src_width, src_height;
    size_t src_stride;
    float *dst;      /* NULL when dst_u8 is given */
    uint8_t *dst_u8; /* rounded half to even and clamped, as torchvision's Resize does for 8-bit input */
    int dst_width, dst_height;
    size_t dst_stride;
    int channels; /* 1 to 4 */
} ms_resize_bicubic_args;

/* threads: those of the pool that will run it, 1 without one. 0 when a size is out of range. */
size_t ms_resize_bicubic_workspace_bytes(int src_width, int src_height, int dst_width, int dst_height,
                                         int channels, int threads);
ms_status ms_resize_bicubic(const ms_resize_bicubic_args *args, void *work, size_t work_bytes, ms_pool *pool,
                            ms_error *err);

#endif
