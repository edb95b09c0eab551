#include "pictures/restorer.h"

#include "base/error.h"
#include "pictures/paste_region.h"

static ms_status make_region(ms_mem *mem, ms_restorer *r, ms_error *err) {
    const int side = r->geometry.resolution;
    const size_t work_bytes = ms_paste_region_workspace_bytes(side);
    void *work = ms_mem_alloc(mem, MS_LEDGER_STAGING, work_bytes);
    r->region = ms_alloc_array(mem, MS_LEDGER_FRAMES, (size_t)side * (size_t)side, sizeof(float));
    ms_status status = work && r->region ? ms_paste_region(side, r->region, work, work_bytes, err)
                                         : ms_fail_alloc(err, mem, work_bytes, "the pasted region");
    ms_mem_free(work);
    return status;
}

ms_status ms_restorer_make(ms_mem *mem, ms_pool *pool, const ms_face_geometry *geometry, int width,
                           int height, bool mouth, ms_restorer *r, ms_error *err) {
    *r = (ms_restorer){.geometry = *geometry,
                       .pool = pool,
                       .work_bytes =
                           ms_restore_workspace_bytes(geometry, width, height, ms_pool_threads(pool))};
    r->work = ms_mem_alloc(mem, MS_LEDGER_FRAMES, r->work_bytes);
    if (!r->work)
        return ms_fail_alloc(err, mem, r->work_bytes, "warping faces");
    return mouth ? make_region(mem, r, err) : MS_OK;
}

void ms_restorer_free(ms_restorer *r) {
    ms_mem_free(r->work);
    ms_mem_free(r->region);
    *r = (ms_restorer){0};
}

ms_status ms_restorer_put(const ms_restorer *r, const float *face, const float affine[2][3],
                          const ms_image *frame, ms_error *err) {
    const ms_restore_args args = {.geometry = &r->geometry,
                                  .face = face,
                                  .affine = affine,
                                  .frame = frame,
                                  .work = r->work,
                                  .work_bytes = r->work_bytes,
                                  .pool = r->pool,
                                  .region = r->region};
    return ms_restore_face(&args, NULL, err);
}
