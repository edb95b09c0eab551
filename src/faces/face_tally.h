/*
 * How sure the face nets were over a run. By it a run can tell that what the detector took for
 * faces may be none. Only what the networks found is counted, no track file and no bridged frame.
 */
#ifndef MS_FACES_FACE_TALLY_H
#define MS_FACES_FACE_TALLY_H

#include "base/state.h"
#include "faces/detect.h"
#include "faces/track.h"
#include "memsafe/run.h"

typedef struct ms_face_tally {
    int64_t found; /* frames */
    double score_sum;
    int64_t pairs; /* of successive frames with the same face */
    double jitter_sum;
    int small[2]; /* width and height of the largest face that was too small; 0 = none. Not saved */
    /* The last face; it is not saved: after a resume the first pair is left out. */
    bool have_last;
    ms_face_record last;
} ms_face_tally;

/* Counts a face that the networks found in a frame. begins: it is not the one of the frame before. */
void ms_face_tally_add(ms_face_tally *tally, const ms_face_record *record, float score);

/* Counts a frame without a usable face, and what the networks found in it. */
void ms_face_tally_miss(ms_face_tally *tally, const ms_detection *faces, int count);

void ms_face_tally_visit(ms_face_tally *tally, ms_state *state);

/* What a report says of them. */
void ms_face_tally_report(const ms_face_tally *tally, int64_t frames, int64_t without_face,
                          ms_run_faces_report *ret_report);

#endif
