/*
 * Affine warps as kornia.geometry.transform.warp_affine (0.8.0) does them through torch on a CPU: the matrix
 * is normalised to [-1, 1] coordinates (align_corners), inverted by LU in float32, turned into a grid, and
 * sampled bilinearly with zeros outside. All roundings are the reference's; which products it fuses was found
 * by comparing bytes with torch 2.15 on AVX-512.
 */
#ifndef MS_PICTURES_WARP_H
#define MS_PICTURES_WARP_H

#include "memsafe/status.h"
#include "pictures/image.h"

/* Where in the source a destination pixel lies. With gx(x) from ms_warp_grid():
   x_src = (((gx(x) m00 + gy(y) m01) + m02) + 1) half_width, and y_src alike. */
typedef struct ms_warp_map {
    float m[2][3];                 /* normalised source <- normalised destination */
    float half_width, half_height; /* (source size - 1) / 2 */
    int src_width, src_height, dst_width, dst_height;
} ms_warp_map;

/* dst_from_src: in pixels. False when the matrix is singular or not finite, or a side is shorter than 2. */
bool ms_warp_map_init(const float dst_from_src[2][3], int src_width, int src_height, int dst_width,
                      int dst_height, ms_warp_map *ret_map);

/* ret_out <- in^-1 for an affine matrix, as kornia.geometry.transform.invert_affine_transform. */
bool ms_affine_invert(const float in[2][3], float ret_out[2][3]);

/* Element i of torch.linspace(-1, 1, size). */
float ms_warp_grid(int i, int size);

/* Warps 8-bit RGB: out <- src, the part of a sample that falls outside src is `fill`, truncated to 8 bits. */
size_t ms_warp_workspace_bytes(int dst_width);
ms_status ms_warp_u8(const ms_image_view *src, const float dst_from_src[2][3], const ms_image *dst,
                     uint8_t fill, void *work, size_t work_bytes, ms_error *err);

#endif
