/* Rows of results as pixels, and what they read. */
#ifndef MS_DEVICE_CUDA_KERNELS_WINDOW_CUH
#define MS_DEVICE_CUDA_KERNELS_WINDOW_CUH

#include "device/cuda/kernels/matmul.h"
#include "device/simt/simt.h"

/* Which tile a block makes. Blocks that run together share rows and columns: they go down eight tiles of
   rows, then on to the next columns. */
struct tile_place {
    int row, column; /* the first of the tile's */
};

SIMT_FN tile_place place_of_tile(const cuda_matmul_params &p, int rows, int columns) {
    const int down = (p.rows + rows - 1) / rows, across = (p.n_pad + columns - 1) / columns;
    const int at = simt_block_x(), band = at / (8 * across), within = at - band * 8 * across;
    const int high = down - 8 * band < 8 ? down - 8 * band : 8;
    const tile_place t = {(8 * band + within % high) * rows, within / high * columns};
    return t;
}

/* Of a row of results: which it is, and the pixel of the image under the first tap. outer -1: there is
   none. */
struct alignas(16) row_place {
    int outer, inner, y, x;
};

SIMT_FN row_place place_of_pixel(const cuda_window &w, int outer, int inner) {
    const int y = inner / w.dst_w;
    const row_place r = {outer, inner, (w.dst_y + y) * w.stride_h - w.pad_top,
                         (inner - y * w.dst_w) * w.stride_w - w.pad_left};
    return r;
}

SIMT_FN row_place place_of_row(const cuda_matmul_params &p, int row) {
    const int outer = row / p.inner;
    if (row < p.rows)
        return place_of_pixel(p.window, outer, row - outer * p.inner);
    const row_place none = {-1, 0, 0, 0};
    return none;
}

/* ms_nearest(). */
SIMT_FN int nearest(int at, int small, int large, float scale) {
    if (small == large)
        return at;
    const int from = (int)((float)at * scale);
    return from < small ? from : small - 1;
}

/* Where in each image's rows a tap reads; -1: padding. */
SIMT_FN int64_t pixel_of_tap(const cuda_window &w, const row_place &r, int ky, int kx) {
    const int y = r.y + ky, x = r.x + kx;
    if (r.outer < 0 || y < 0 || x < 0 || y >= w.in_h || x >= w.in_w)
        return -1;
    return (int64_t)(nearest(y, w.src_h, w.in_h, w.scale_h) - w.src_y) * w.src_w +
           nearest(x, w.src_w, w.in_w, w.scale_w);
}

#endif
