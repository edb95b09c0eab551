#include "pictures/warp.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "pictures/fma.h"
#include "pictures/scratch.h"

typedef struct matrix3 {
    float m[3][3];
} matrix3;

static matrix3 multiply(const matrix3 *a, const matrix3 *b) {
    matrix3 r;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            r.m[i][j] = a->m[i][0] * b->m[0][j] + a->m[i][1] * b->m[1][j] + a->m[i][2] * b->m[2][j];
    return r;
}

static void swap_rows(matrix3 *a, int i, int j) {
    float row[3];
    memcpy(row, a->m[i], sizeof(row));
    memcpy(a->m[i], a->m[j], sizeof(row));
    memcpy(a->m[j], row, sizeof(row));
}

/* LU with partial pivoting, then both triangles solved for the identity; divisions are products with a
   rounded reciprocal (LAPACK sgetrf, sgetrs). Returns false for a zero pivot. */
static bool invert(const matrix3 *in, matrix3 *ret_out) {
    matrix3 a = *in;
    int order[3] = {0, 1, 2};
    for (int k = 0; k < 3; k++) {
        int pivot = k;
        for (int i = k + 1; i < 3; i++)
            if (fabsf(a.m[i][k]) > fabsf(a.m[pivot][k]))
                pivot = i;
        if (a.m[pivot][k] == 0.0f)
            return false;
        if (pivot != k) {
            swap_rows(&a, k, pivot);
            int t = order[k];
            order[k] = order[pivot];
            order[pivot] = t;
        }
        float reciprocal = 1.0f / a.m[k][k];
        for (int i = k + 1; i < 3; i++) {
            a.m[i][k] *= reciprocal;
            for (int j = k + 1; j < 3; j++)
                a.m[i][j] -= a.m[i][k] * a.m[k][j];
        }
    }
    for (int c = 0; c < 3; c++) {
        float y[3];
        for (int i = 0; i < 3; i++)
            y[i] = order[i] == c;
        for (int i = 1; i < 3; i++)
            for (int k = 0; k < i; k++)
                y[i] -= a.m[i][k] * y[k];
        for (int i = 2; i >= 0; i--) {
            for (int k = 2; k > i; k--)
                y[i] -= a.m[i][k] * y[k];
            y[i] *= 1.0f / a.m[i][i];
        }
        for (int i = 0; i < 3; i++)
            ret_out->m[i][c] = y[i];
    }
    return true;
}

static matrix3 from_affine(const float in[2][3]) {
    matrix3 a = {{{0}}};
    memcpy(a.m, in, 6 * sizeof(float));
    a.m[2][2] = 1.0f;
    return a;
}

static bool to_affine(const matrix3 *a, float ret_out[2][3]) {
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            if (!isfinite(a->m[i][j]))
                return false;
    memcpy(ret_out, a->m, 6 * sizeof(float));
    return true;
}

/* Pixels of a picture to [-1, 1]. */
static matrix3 normaliser(int width, int height) {
    return (matrix3){{{2.0f / (float)(width - 1), 0, -1}, {0, 2.0f / (float)(height - 1), -1}, {0, 0, 1}}};
}

bool ms_affine_invert(const float in[2][3], float ret_out[2][3]) {
    matrix3 a = from_affine(in), inverse;
    return invert(&a, &inverse) && to_affine(&inverse, ret_out);
}

bool ms_warp_map_init(const float dst_from_src[2][3], int src_width, int src_height, int dst_width,
                      int dst_height, ms_warp_map *ret_map) {
    if (src_width < 2 || src_height < 2 || dst_width < 2 || dst_height < 2)
        return false;
    matrix3 affine = from_affine(dst_from_src), source = normaliser(src_width, src_height);
    matrix3 destination = normaliser(dst_width, dst_height), from_source, product, inverse;
    if (!invert(&source, &from_source))
        return false;
    product = multiply(&affine, &from_source);
    product = multiply(&destination, &product);
    ms_warp_map map = {.src_width = src_width,
                       .src_height = src_height,
                       .dst_width = dst_width,
                       .dst_height = dst_height,
                       .half_width = (float)(src_width - 1) / 2,
                       .half_height = (float)(src_height - 1) / 2};
    if (!invert(&product, &inverse) || !to_affine(&inverse, map.m))
        return false;
    *ret_map = map;
    return true;
}

float ms_warp_grid(int i, int size) {
    float step = 2.0f / (float)(size - 1);
    return i < size / 2 ? fmaf(step, (float)i, -1.0f) : fmaf(-step, (float)(size - i - 1), 1.0f);
}

typedef struct warp_tables {
    float *x0, *x1; /* gx(x) m00 and gx(x) m10 */
} warp_tables;

static warp_tables lay_out(ms_scratch *scratch, int dst_width) {
    warp_tables t;
    t.x0 = ms_scratch_take(scratch, (size_t)dst_width, sizeof(float));
    t.x1 = ms_scratch_take(scratch, (size_t)dst_width, sizeof(float));
    return t;
}

size_t ms_warp_workspace_bytes(int dst_width) {
    ms_scratch scratch = ms_scratch_begin(NULL);
    lay_out(&scratch, dst_width);
    return ms_scratch_total(&scratch);
}

/* Bilinear weights of one position: north-west, north-east, south-west, south-east. */
typedef struct corners {
    float nw, ne, sw, se;
    int x, y; /* of north-west */
} corners;

/* x and y are within one pixel of the picture. */
MS_INLINE_BODY corners corners_of(float x, float y) {
    float xf = floorf(x), yf = floorf(y), w = x - xf, e = 1.0f - w, n = y - yf, s = 1.0f - n;
    return (corners){s * e, s * w, n * e, n * w, (int)xf, (int)yf};
}

/* One sample whose neighbours may lie outside: those count as zero, their weights go to the fill. */
MS_INLINE_BODY void sample_edge(const ms_image_view *src, corners k, float fill, uint8_t *out) {
    static const uint8_t none[3] = {0, 0, 0};
    const float weight[4] = {k.nw, k.ne, k.sw, k.se};
    const uint8_t *p[4];
    float ones = 0;
    for (int i = 0; i < 4; i++) {
        int x = k.x + (i & 1), y = k.y + (i >> 1);
        bool inside = x >= 0 && x < src->width && y >= 0 && y < src->height;
        p[i] = inside ? src->data + (size_t)y * src->stride_bytes + (size_t)x * 3 : none;
        if (inside)
            ones += weight[i];
    }
    float rest = (1.0f - ones) * fill;
    for (int c = 0; c < 3; c++) {
        float v = fmaf(p[3][c], k.se, fmaf(p[2][c], k.sw, fmaf(p[1][c], k.ne, p[0][c] * k.nw)));
        out[c] = (uint8_t)(v + rest);
    }
}

MS_INLINE_BODY void sample_inside(const ms_image_view *src, corners k, float fill, uint8_t *out) {
    const uint8_t *a = src->data + (size_t)k.y * src->stride_bytes + (size_t)k.x * 3;
    const uint8_t *b = a + src->stride_bytes;
    float rest = (1.0f - (((k.nw + k.ne) + k.sw) + k.se)) * fill;
    for (int c = 0; c < 3; c++) {
        float v = fmaf(b[c + 3], k.se, fmaf(b[c], k.sw, fmaf(a[c + 3], k.ne, a[c] * k.nw)));
        out[c] = (uint8_t)(v + rest);
    }
}

MS_INLINE_BODY void warp_row_body(const ms_image_view *src, const ms_warp_map *map, const warp_tables *t,
                                  int row, uint8_t fill, uint8_t *out) {
    float gy = ms_warp_grid(row, map->dst_height), y0 = gy * map->m[0][1], y1 = gy * map->m[1][1];
    float width = (float)src->width, height = (float)src->height;
    for (int d = 0; d < map->dst_width; d++, out += 3) {
        float x = ((t->x0[d] + y0) + map->m[0][2] + 1.0f) * map->half_width;
        float y = ((t->x1[d] + y1) + map->m[1][2] + 1.0f) * map->half_height;
        if (x >= 0.0f && x < width - 1.0f && y >= 0.0f && y < height - 1.0f)
            sample_inside(src, corners_of(x, y), fill, out);
        else if (x > -1.0f && x < width && y > -1.0f && y < height)
            sample_edge(src, corners_of(x, y), fill, out);
        else
            memset(out, fill, 3);
    }
}
MS_FMA_VARIANTS(warp_row,
                (const ms_image_view *src, const ms_warp_map *map, const warp_tables *t, int row,
                 uint8_t fill, uint8_t *out),
                (src, map, t, row, fill, out))

ms_status ms_warp_u8(const ms_image_view *src, const float dst_from_src[2][3], const ms_image *dst,
                     uint8_t fill, void *work, size_t work_bytes, ms_error *err) {
    ms_warp_map map;
    if (!ms_image_view_valid(src, 3) || !ms_image_valid(dst, 3))
        return ms_fail(err, MS_INVALID_ARGUMENT, "cannot warp %dx%dx%d to %dx%dx%d", src->width, src->height,
                       src->channels, dst->width, dst->height, dst->channels);
    if (!work || work_bytes < ms_warp_workspace_bytes(dst->width))
        return ms_fail(err, MS_INVALID_ARGUMENT, "warping needs %zu bytes of workspace, got %zu",
                       ms_warp_workspace_bytes(dst->width), work_bytes);
    if (!ms_warp_map_init(dst_from_src, src->width, src->height, dst->width, dst->height, &map))
        return ms_fail(err, MS_INVALID_ARGUMENT, "affine matrix [%g %g %g; %g %g %g] cannot be inverted",
                       dst_from_src[0][0], dst_from_src[0][1], dst_from_src[0][2], dst_from_src[1][0],
                       dst_from_src[1][1], dst_from_src[1][2]);
    ms_scratch scratch = ms_scratch_begin(work);
    warp_tables t = lay_out(&scratch, dst->width);
    for (int x = 0; x < dst->width; x++) {
        float gx = ms_warp_grid(x, dst->width);
        t.x0[x] = gx * map.m[0][0];
        t.x1[x] = gx * map.m[1][0];
    }
    for (int y = 0; y < dst->height; y++)
        warp_row(src, &map, &t, y, fill, dst->data + (size_t)y * dst->stride_bytes);
    return MS_OK;
}
