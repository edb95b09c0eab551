/* What finds faces outside of a run: a device for the nets, the nets, and a finder over them. */
#ifndef MS_FACES_FACE_KIT_H
#define MS_FACES_FACE_KIT_H

#include "faces/face_source.h"

typedef struct ms_face_kit_params {
    ms_mem *mem;
    const char *detector, *landmarks; /* the nets' files */
    const char *device;               /* as ms_run_params has it */
    int threads;                      /* 0 = all */
    const char *track;                /* a track file, read in place of detecting; NULL = none */
    int face, max_gap;                /* as ms_detect_params */
} ms_face_kit_params;

typedef struct ms_face_kit {
    ms_compute compute;
    ms_face_nets *nets;
    ms_face_finder *finder;
} ms_face_kit;

/* ret_kit: all zero before. It is to be closed, also after a failure. */
ms_status ms_face_kit_open(const ms_face_kit_params *params, ms_face_kit *ret_kit, ms_error *err);
void ms_face_kit_close(ms_face_kit *kit);

#endif
