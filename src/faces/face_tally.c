#include "faces/face_tally.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* Faces that are there are found with 0.8 and more in the mean, by the demo's
   detector and by insightface's; a detector takes none below 0.5. */
#define DOUBTFUL_SCORE 0.65
#define DOUBTFUL_JITTER 0.025

/* Mean distance of the points, less the mean movement, as a part of the outline's width. */
static double apart(const float a[MS_LANDMARKS][2], const float b[MS_LANDMARKS][2]) {
    double dx = 0, dy = 0, left = INFINITY, right = -INFINITY, sum = 0;
    for (int i = 0; i < MS_LANDMARKS; i++) {
        dx += ((double)b[i][0] - (double)a[i][0]) / MS_LANDMARKS;
        dy += ((double)b[i][1] - (double)a[i][1]) / MS_LANDMARKS;
        left = fmin(left, (double)b[i][0]);
        right = fmax(right, (double)b[i][0]);
    }
    for (int i = 0; i < MS_LANDMARKS; i++)
        sum += hypot((double)b[i][0] - (double)a[i][0] - dx, (double)b[i][1] - (double)a[i][1] - dy);
    return sum / MS_LANDMARKS / fmax(right - left, 1);
}

void ms_face_tally_add(ms_face_tally *t, const ms_face_record *record, float score) {
    t->found++;
    t->score_sum += (double)score;
    if (t->have_last && !record->begins && record->frame == t->last.frame + 1) {
        t->pairs++;
        t->jitter_sum += apart((const float(*)[2])t->last.landmarks, (const float(*)[2])record->landmarks);
    }
    t->last = *record;
    t->have_last = true;
}

void ms_face_tally_miss(ms_face_tally *t, const ms_detection *faces, int count) {
    for (int i = 0; i < count; i++) {
        int size[2];
        if (ms_face_too_small(&faces[i], size) &&
            (int64_t)size[0] * size[1] > (int64_t)t->small[0] * t->small[1]) {
            t->small[0] = size[0];
            t->small[1] = size[1];
        }
    }
}

static void visit_sum(ms_state *state, double *sum) {
    ms_state_visit(state, sum, sizeof(*sum));
    if (!state->saving && !(*sum >= 0 && isfinite(*sum))) {
        state->failed = true;
        *sum = 0;
    }
}

void ms_face_tally_visit(ms_face_tally *t, ms_state *state) {
    ms_state_int64(state, &t->found, 0, MS_STATE_MOST_FRAMES);
    visit_sum(state, &t->score_sum);
    ms_state_int64(state, &t->pairs, 0, MS_STATE_MOST_FRAMES);
    visit_sum(state, &t->jitter_sum);
    if (!state->saving)
        t->have_last = false;
}

void ms_face_tally_report(const ms_face_tally *t, int64_t frames, int64_t without_face,
                          ms_run_faces_report *ret_report) {
    double score = t->found ? t->score_sum / (double)t->found : NAN;
    double jitter = t->pairs ? t->jitter_sum / (double)t->pairs : NAN;
    ms_run_faces_report r = {.score = score, .jitter = jitter};
    if (score < DOUBTFUL_SCORE)
        snprintf(r.doubt, sizeof(r.doubt),
                 "the detector was hardly sure of them (%.2f in the mean; 1 is certain, below 0.5 is none)",
                 score);
    else if (jitter > DOUBTFUL_JITTER)
        snprintf(r.doubt, sizeof(r.doubt),
                 "their points jump about from frame to frame (by %.1f %% of the face's width)",
                 100 * jitter);
    else if (2 * without_face > frames)
        snprintf(r.doubt, sizeof(r.doubt),
                 "more than half of the frames have none (%" PRId64 " of %" PRId64 ")", without_face, frames);
    *ret_report = r;
}
