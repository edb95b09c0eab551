#include "score/regions.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "pictures/mask.h"

#define SIDE MS_REGION_SIDE
#define STRIP (SIDE / 20)

struct ms_region_map {
    ms_face_geometry geometry;
    uint8_t kind[SIDE][SIDE];
};

/* Does a value of the other kind lie within STRIP pixels, along rows and columns? */
static bool near_other(const uint8_t *mask, int x, int y, bool mouth) {
    int x0 = x > STRIP ? x - STRIP : 0, x1 = x + STRIP < SIDE ? x + STRIP : SIDE - 1;
    int y0 = y > STRIP ? y - STRIP : 0, y1 = y + STRIP < SIDE ? y + STRIP : SIDE - 1;
    for (int v = y0; v <= y1; v++)
        for (int u = x0; u <= x1; u++)
            if ((mask[v * SIDE + u] < 128) != mouth)
                return true;
    return false;
}

static uint8_t kind_at(const uint8_t *mask, int x, int y) {
    bool mouth = mask[y * SIDE + x] < 128;
    bool edge = x < STRIP || y < STRIP || x >= SIDE - STRIP || y >= SIDE - STRIP;
    /* The mouth is whole; its strip is taken from the face's side. */
    if (mouth)
        return MS_REGION_MOUTH;
    return edge || near_other(mask, x, y, false) ? MS_REGION_NONE : MS_REGION_FACE;
}

ms_status ms_region_map_create(ms_mem *mem, ms_region_map **ret_map, ms_error *err) {
    size_t work_bytes = ms_face_mask_workspace_bytes(SIDE);
    ms_region_map *m = ms_mem_alloc(mem, MS_LEDGER_GENERAL, sizeof(*m));
    uint8_t *mask = ms_alloc_array(mem, MS_LEDGER_GENERAL, SIDE, SIDE);
    void *work = ms_mem_alloc(mem, MS_LEDGER_GENERAL, work_bytes);
    ms_status status;
    if (!m || !mask || !work) {
        status = ms_fail_alloc(err, mem, sizeof(*m) + work_bytes, "the map of the face");
        goto fail;
    }
    MS_GOTO(ms_face_geometry_init(SIDE, &m->geometry, err));
    MS_GOTO(ms_face_mask(SIDE, mask, work, work_bytes, err));
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            m->kind[y][x] = kind_at(mask, x, y);
    *ret_map = m;
    m = NULL;
fail:
    ms_mem_free(work);
    ms_mem_free(mask);
    ms_mem_free(m);
    return status;
}

void ms_region_map_destroy(ms_region_map **map) {
    if (!map || !*map)
        return;
    ms_mem_free(*map);
    *map = NULL;
}

const ms_face_geometry *ms_region_map_geometry(const ms_region_map *map) {
    return &map->geometry;
}

void ms_region_map_draw(const ms_region_map *map, const float affine[2][3], int width, int height,
                        uint8_t *ret_regions) {
    /* Pixel centres of the frame in the square's pixels. */
    double sx = (double)SIDE / map->geometry.crop_width, sy = (double)SIDE / map->geometry.crop_height;
    for (int y = 0; y < height; y++) {
        uint8_t *row = ret_regions + (size_t)y * (size_t)width;
        for (int x = 0; x < width; x++) {
            double u = (double)affine[0][0] * x + (double)affine[0][1] * y + (double)affine[0][2];
            double v = (double)affine[1][0] * x + (double)affine[1][1] * y + (double)affine[1][2];
            double p = floor((u + 0.5) * sx), q = floor((v + 0.5) * sy);
            bool around = !(p >= -STRIP && p < SIDE + STRIP && q >= -STRIP && q < SIDE + STRIP);
            bool within = p >= 0 && p < SIDE && q >= 0 && q < SIDE;
            row[x] = around ? MS_REGION_AROUND : within ? map->kind[(int)q][(int)p] : MS_REGION_NONE;
        }
    }
}
