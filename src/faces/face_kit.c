#include "faces/face_kit.h"

#include "base/error.h"

ms_status ms_face_kit_open(const ms_face_kit_params *p, ms_face_kit *kit, ms_error *err) {
    const ms_compute_params dev = {.device = p->device,
                                   .mem = p->mem,
                                   .threads = p->threads,
                                   .isa_limit = MS_ISA_COUNT - 1,
                                   .must_compute = true};
    MS_TRY(ms_compute_open(&dev, &kit->compute, err));
    MS_TRY(ms_face_nets_open(&kit->compute, p->detector, p->landmarks, &kit->nets, err));
    MS_TRY(ms_face_nets_make_arena(kit->nets, err));
    const ms_face_finder_params finder = {
        .mem = p->mem, .track = p->track, .nets = kit->nets, .face = p->face, .max_gap = p->max_gap};
    return ms_face_finder_create(&finder, &kit->finder, err);
}

void ms_face_kit_close(ms_face_kit *kit) {
    ms_face_finder_destroy(&kit->finder);
    ms_face_nets_close(&kit->nets);
    ms_compute_close(&kit->compute);
}
