/*
 * How sure the face nets were over a run: what tells a face that is none, which a detector takes for
 * one now and then. Only what the networks found is counted, no track file and no bridged frame.
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
    int64_t pairs; /* of frames after each other on one face */
    double jitter_sum;
    int small[2]; /* width and height of the largest face that was too small; 0 = none. Not saved */
    /* The last face; it is not saved: after a resume the first pair is left out. */
    bool have_last;
    ms_face_record last;
} ms_face_tally;

/* A frame's face that the networks found. begins: not the one of the frame before. */
void ms_face_tally_add(ms_face_tally *tally, const ms_face_record *record, float score);

/* A frame without a usable face: what the networks found in it. */
void ms_face_tally_miss(ms_face_tally *tally, const ms_detection *faces, int count);

void ms_face_tally_visit(ms_face_tally *tally, ms_state *state);

/* What a report says of them. */
void ms_face_tally_report(const ms_face_tally *tally, int64_t frames, int64_t without_face,
                          ms_run_faces_report *ret_report);

#endif
