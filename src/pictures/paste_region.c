#include "pictures/paste_region.h"

#include "base/error.h"
#include "pictures/mask.h"
#include "pictures/soft_mask.h"

/* Soft over 2 / 32 of the face: 8 pixels at 128, 32 at 512. More would reach the upper lip. */
#define EDGES 32

typedef struct region {
    const uint8_t *mask;
    float *weights;
    int resolution;
} region;

typedef struct region_layout {
    uint8_t *mask;
    void *mask_work;
    float *kernel;
    ms_soft_mask_rows rows;
    size_t mask_work_bytes, total_bytes;
} region_layout;

static region_layout lay_out(const ms_soft_mask *soft, int resolution, void *work) {
    region_layout l;
    size_t side = (size_t)resolution;
    ms_scratch scratch = ms_scratch_begin(work);
    l.mask_work_bytes = ms_face_mask_workspace_bytes(resolution);
    l.mask = ms_scratch_take(&scratch, side, side);
    l.mask_work = ms_scratch_take(&scratch, l.mask_work_bytes, 1);
    l.kernel = ms_scratch_take(&scratch, (size_t)soft->taps, sizeof(float));
    l.rows = ms_soft_mask_lay_out(&scratch, soft);
    l.total_bytes = ms_scratch_total(&scratch);
    return l;
}

static ms_soft_mask soft_edge(int resolution) {
    ms_soft_mask soft = {.image_width = resolution,
                         .image_height = resolution,
                         .x1 = resolution,
                         .y1 = resolution,
                         .edge_px = resolution / EDGES};
    ms_soft_mask_init(&soft);
    return soft;
}

size_t ms_paste_region_workspace_bytes(int resolution) {
    ms_soft_mask soft = soft_edge(resolution);
    return lay_out(&soft, resolution, NULL).total_bytes;
}

/* How much of a row's pixels the model was asked for. */
static float redrawn(const region *r, int x, int y) {
    return (float)(255 - r->mask[(size_t)y * (size_t)r->resolution + (size_t)x]) / 255.0f;
}

static void give_row(void *arg, int y, float *ret_row) {
    const region *r = arg;
    for (int x = 0; x < r->resolution; x++)
        ret_row[x] = redrawn(r, x, y);
}

/* The erosion's window is of even length, so that the blur reaches a pixel too far
   on two sides; and what is kept in part may weigh no more than in part. */
static void take_row(void *arg, int y, const float *soft) {
    region *r = arg;
    float *row = r->weights + (size_t)y * (size_t)r->resolution;
    for (int x = 0; x < r->resolution; x++) {
        float w = soft[x] * redrawn(r, x, y);
        row[x] = w < 1.0f ? w : 1.0f; /* the kernel's sum may be a rounding more than 1 */
    }
}

ms_status ms_paste_region(int resolution, float *ret_weights, void *work, size_t work_bytes, ms_error *err) {
    ms_soft_mask soft = soft_edge(resolution);
    region_layout l = lay_out(&soft, resolution, work);
    if (!work || work_bytes < l.total_bytes)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the pasted region needs %zu bytes of workspace, got %zu",
                       l.total_bytes, work_bytes);
    MS_TRY(ms_face_mask(resolution, l.mask, l.mask_work, l.mask_work_bytes, err));
    ms_soft_mask_kernel(&soft, l.kernel);
    region r = {l.mask, ret_weights, resolution};
    for (size_t i = 0; i < (size_t)resolution * (size_t)resolution; i++)
        ret_weights[i] = 0; /* rows that are all zero are not given */
    ms_soft_mask_run(&soft, &l.rows, 0, resolution, give_row, take_row, &r);
    return MS_OK;
}
