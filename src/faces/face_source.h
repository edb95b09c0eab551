/* Where faces come from: a track file, or the two networks with a tracker that stays on one person. */
#ifndef MS_FACES_FACE_SOURCE_H
#define MS_FACES_FACE_SOURCE_H

#include "faces/face_follow.h"
#include "faces/face_nets.h"
#include "faces/face_tally.h"

typedef struct ms_face_finder ms_face_finder;

typedef struct ms_face_finder_params {
    ms_mem *mem;
    const char *track;  /* a track file; NULL = the networks */
    ms_face_nets *nets; /* with an arena; borrowed. NULL with a track file */
    int face;           /* track to follow, -1 = the largest face */
    int64_t max_gap;
} ms_face_finder_params;

ms_status ms_face_finder_create(const ms_face_finder_params *params, ms_face_finder **ret_finder,
                                ms_error *err);
void ms_face_finder_destroy(ms_face_finder **finder);

/* Frames must be asked for in order. */
ms_face_source ms_face_finder_source(ms_face_finder *finder);

/* How sure the networks were so far; empty for a track file. */
const ms_face_tally *ms_face_finder_tally(const ms_face_finder *finder);

/* MS_NO_FACE, after so many frames without one: it says what was looked for, and by
   the tally what was found. track: NULL = the networks. */
ms_status ms_fail_no_face(const char *video, int face, const char *track, int64_t frames,
                          const ms_face_tally *tally, ms_error *err);

#endif
