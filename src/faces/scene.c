#include "faces/scene.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROW_STEP 4 /* every fourth row is enough for a mean over a cell */

/* Mean of 77 R + 150 G + 29 B over 256 (BT.601's weights) in one cell. */
static uint8_t cell_mean(const ms_image_view *frame, int x0, int y0, int x1, int y1) {
    uint64_t sum = 0;
    int rows = 0;
    for (int y = y0; y < y1; y += ROW_STEP, rows++) {
        const uint8_t *p = frame->data + (size_t)y * frame->stride_bytes + (size_t)x0 * 3;
        uint32_t row = 0; /* at most 1024 columns of 65280 */
        for (int x = x0; x < x1; x++, p += 3)
            row += 77u * p[0] + 150u * p[1] + 29u * p[2];
        sum += row;
    }
    /* A cell has a row: reduce() asks for as many as there are cells.
       NOLINTNEXTLINE(clang-analyzer-core.DivideZero) */
    return (uint8_t)(sum / ((uint64_t)rows * (uint64_t)(x1 - x0)) >> 8);
}

static bool reduce(const ms_image_view *frame, uint8_t cells[MS_SCENE_GRID][MS_SCENE_GRID]) {
    if (!ms_image_view_valid(frame, 3) || frame->width < MS_SCENE_GRID || frame->height < MS_SCENE_GRID)
        return false;
    for (int j = 0; j < MS_SCENE_GRID; j++)
        for (int i = 0; i < MS_SCENE_GRID; i++)
            cells[j][i] =
                cell_mean(frame, frame->width * i / MS_SCENE_GRID, frame->height * j / MS_SCENE_GRID,
                          frame->width * (i + 1) / MS_SCENE_GRID, frame->height * (j + 1) / MS_SCENE_GRID);
    return true;
}

bool ms_scene_advance(ms_scene *scene, const ms_image_view *frame) {
    uint8_t cells[MS_SCENE_GRID][MS_SCENE_GRID];
    if (!reduce(frame, cells))
        return false;
    int sum = 0;
    for (int j = 0; j < MS_SCENE_GRID && scene->started; j++)
        for (int i = 0; i < MS_SCENE_GRID; i++)
            sum += abs(cells[j][i] - scene->cells[j][i]);
    float change = (float)sum / (MS_SCENE_GRID * MS_SCENE_GRID);
    bool cut = change >= MS_SCENE_THRESHOLD && change - scene->change >= MS_SCENE_THRESHOLD;
    memcpy(scene->cells, cells, sizeof(cells));
    scene->change = change;
    scene->started = true;
    return cut;
}
