#include "predict/eta.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* Predictions weigh as much as measurements of this part of a stage, and of this
   part of all computing for what is common to the networks. */
#define PRIOR_SHARE 0.02
#define COMMON_PRIOR_SHARE 0.01
/* What is said follows what is estimated over this part of the run, and faster at
   its ends: over this part of the time since the start, and of what is left. */
#define SMOOTHING 0.02
#define SMOOTHING_AT_ENDS 0.1
/* A step under way is not finished before it says so. */
#define MOST_CREDIT 0.98

void ms_eta_set_predictions(ms_eta_plan *p, const double stage_s[MS_STAGE_COUNT], double ahead,
                            double behind) {
    double frames = fmax(p->frames, 1), window = fmin(fmax(p->window_frames, 1), frames);
    double face = stage_s[MS_STAGE_FACES] / frames, write = stage_s[MS_STAGE_WRITE] / frames,
           model = (stage_s[MS_STAGE_ENCODE] + stage_s[MS_STAGE_DENOISE] + stage_s[MS_STAGE_DECODE]) / frames;
    p->not_ahead = fmax(1 - ahead / window, 0);
    const double unit_s[MS_ETA_PARTS] = {[MS_ETA_LOAD] = stage_s[MS_STAGE_LOAD],
                                         [MS_ETA_AUDIO] = stage_s[MS_STAGE_AUDIO] / fmax(p->segments, 1),
                                         [MS_ETA_LEAD] = face,
                                         [MS_ETA_ENCODE] = stage_s[MS_STAGE_ENCODE] / frames,
                                         [MS_ETA_DENOISE] =
                                             stage_s[MS_STAGE_DENOISE] / frames / fmax(p->steps, 1),
                                         [MS_ETA_DECODE] = stage_s[MS_STAGE_DECODE] / frames,
                                         [MS_ETA_WRITE] = fmax(write - fmax(model, face), 0),
                                         [MS_ETA_TAIL] = write * fmin(behind, frames)};
    memcpy(p->unit_s, unit_s, sizeof(unit_s));
}

void ms_eta_begin(ms_eta *eta, const ms_eta_plan *plan) {
    *eta = (ms_eta){.plan = *plan, .current = MS_ETA_PARTS};
}

void ms_eta_set_costs(ms_eta *eta, const double unit_s[MS_ETA_PARTS]) {
    for (int i = 0; i < MS_ETA_PARTS; i++) {
        if (eta->plan.unit_s[i] > 0 && unit_s[i] > 0)
            eta->spent_s[i] *= unit_s[i] / eta->plan.unit_s[i];
        eta->plan.unit_s[i] = unit_s[i];
    }
}

void ms_eta_enter(ms_eta *eta, ms_eta_part part, double next, double now_s) {
    if (eta->current < MS_ETA_PARTS) /* what was not finished took its time all the same */
        eta->spent_s[eta->current] += now_s - eta->began_s;
    eta->current = part;
    eta->began_s = now_s;
    eta->next = next;
}

void ms_eta_advance(ms_eta *eta, double units, double next, double now_s) {
    if (eta->current == MS_ETA_PARTS)
        return;
    eta->done[eta->current] += units;
    ms_eta_enter(eta, (ms_eta_part)eta->current, next, now_s);
}

void ms_eta_frame(ms_eta *eta, bool face) {
    eta->frames++;
    eta->faces += face;
    if (eta->faces > 0)
        eta->since_first_face++;
    if (eta->faces > 0 && !face) {
        eta->faceless_between++;
        eta->spells += !eta->in_spell;
    }
    eta->in_spell = !face;
}

void ms_eta_keep(ms_eta *eta, double faces) {
    eta->kept += faces;
}

/* Frames with a face that there will be. Those without one before the first face
   are a beginning and say nothing of the rest; what comes between faces is expected
   to go on coming, the more so the more often it did. */
static double expected_faces(const ms_eta *eta) {
    double left = fmax(eta->plan.frames - eta->frames, 0), faceless = 0;
    if (eta->spells > 1)
        faceless = eta->faceless_between / eta->since_first_face * (eta->spells - 0.25) / eta->spells;
    double faces = eta->faces + left * (1 - faceless);
    return eta->plan.most_faces > 0 ? fmin(faces, eta->plan.most_faces) : faces;
}

static double kept_faces(const ms_eta *eta) {
    return fmax(eta->kept, eta->plan.kept_faces);
}

static void total_units(const ms_eta *eta, double ret_units[MS_ETA_PARTS]) {
    const ms_eta_plan *p = &eta->plan;
    double faces = fmax(expected_faces(eta) - kept_faces(eta), 0), lead = fmin(p->frames, p->window_frames);
    if (eta->done[MS_ETA_ENCODE] > 0) /* the first window was ended by a cut */
        lead = eta->done[MS_ETA_LEAD];
    const double units[MS_ETA_PARTS] = {[MS_ETA_LOAD] = 1,       [MS_ETA_AUDIO] = p->segments,
                                        [MS_ETA_LEAD] = lead,    [MS_ETA_FACES] = p->frames - lead,
                                        [MS_ETA_ENCODE] = faces, [MS_ETA_DENOISE] = faces * p->steps,
                                        [MS_ETA_DECODE] = faces, [MS_ETA_WRITE] = p->frames,
                                        [MS_ETA_TAIL] = 1};
    for (int i = 0; i < MS_ETA_PARTS; i++) /* more came than was expected, or something was made twice */
        ret_units[i] = fmax(units[i], eta->done[i]);
}

/* The networks run on the same cores: when those that ran took longer than predicted, so will the others. */
static bool is_computing(int part) {
    return part == MS_ETA_AUDIO || part == MS_ETA_ENCODE || part == MS_ETA_DENOISE || part == MS_ETA_DECODE;
}

/* What is done and what it took, with a step under way that takes longer than it
   should counted as if it ended now. */
typedef struct measured {
    double done[MS_ETA_PARTS], spent_s[MS_ETA_PARTS];
} measured;

static double common_ratio(const ms_eta *eta, const double total[MS_ETA_PARTS], const measured *m) {
    double spent = 0, predicted = 0, all = 0;
    for (int i = 0; i < MS_ETA_PARTS; i++) {
        if (!is_computing(i))
            continue;
        spent += m->spent_s[i];
        predicted += m->done[i] * eta->plan.unit_s[i];
        all += total[i] * eta->plan.unit_s[i];
    }
    double prior = COMMON_PRIOR_SHARE * all;
    return predicted + prior > 0 ? (spent + prior) / (predicted + prior) : 1;
}

static double corrected(const double total[MS_ETA_PARTS], const measured *m, int part, double predicted_s) {
    double prior = PRIOR_SHARE * total[part];
    if (m->done[part] + prior <= 0)
        return predicted_s;
    return (m->spent_s[part] + prior * predicted_s) / (m->done[part] + prior);
}

static double unit_seconds(const ms_eta *eta, const double total[MS_ETA_PARTS], const measured *m, int part) {
    if (part != MS_ETA_FACES)
        return corrected(total, m, part,
                         eta->plan.unit_s[part] * (is_computing(part) ? common_ratio(eta, total, m) : 1));
    /* What a face takes was seen at the first window, when nothing went on beside it. */
    double face = unit_seconds(eta, total, m, MS_ETA_LEAD);
    double model = unit_seconds(eta, total, m, MS_ETA_ENCODE) + unit_seconds(eta, total, m, MS_ETA_DECODE) +
                   unit_seconds(eta, total, m, MS_ETA_DENOISE) * eta->plan.steps;
    return corrected(total, m, part, fmax(face - model, eta->plan.not_ahead * face));
}

/* Units of the step under way that count as done. */
static double credit(const ms_eta *eta, const double total[MS_ETA_PARTS], measured *m, double now_s) {
    int part = eta->current;
    if (part == MS_ETA_PARTS)
        return 0;
    double next = fmin(eta->next, total[part] - eta->done[part]), since = now_s - eta->began_s;
    if (next <= 0)
        return 0;
    double expected = next * unit_seconds(eta, total, m, part);
    if (since < MOST_CREDIT * expected)
        return next * since / expected;
    m->done[part] += MOST_CREDIT * next;
    m->spent_s[part] += since;
    return MOST_CREDIT * next;
}

/* Of the work by its predicted costs: a machine that is slower than was thought does not make it go back. */
static double work_done(const ms_eta *eta, const double total[MS_ETA_PARTS], double under_way) {
    const measured nothing = {{0}, {0}};
    double done = 0, all = 0, frames = 0;
    for (int i = 0; i < MS_ETA_PARTS; i++) {
        double unit_s = unit_seconds(eta, total, &nothing, i);
        done += (eta->done[i] + (i == eta->current ? under_way : 0)) * unit_s;
        all += total[i] * unit_s;
        if (i != MS_ETA_LOAD && i != MS_ETA_LEAD && i != MS_ETA_TAIL)
            frames += total[i] * unit_s;
    }
    double redrawn = kept_faces(eta) * (unit_seconds(eta, total, &nothing, MS_ETA_ENCODE) +
                                        unit_seconds(eta, total, &nothing, MS_ETA_DENOISE) * eta->plan.steps +
                                        unit_seconds(eta, total, &nothing, MS_ETA_DECODE));
    double earlier = eta->plan.earlier_frames * (frames + redrawn) / eta->plan.frames + redrawn;
    return all > 0 ? (earlier + done) / (earlier + all) : 0;
}

ms_eta_value ms_eta_get(ms_eta *eta, double now_s) {
    if (eta->plan.frames <= 0)
        return (ms_eta_value){.fraction = -1, .left_s = -1};
    double total[MS_ETA_PARTS], left = 0;
    measured m;
    total_units(eta, total);
    memcpy(m.done, eta->done, sizeof(m.done));
    memcpy(m.spent_s, eta->spent_s, sizeof(m.spent_s));
    double under_way = credit(eta, total, &m, now_s);
    for (int i = 0; i < MS_ETA_PARTS; i++)
        left += fmax(total[i] - eta->done[i] - (i == eta->current ? under_way : 0), 0) *
                unit_seconds(eta, total, &m, i);
    double end = now_s + left;
    if (eta->shown_end_s > 0) {
        double slow = fmin(SMOOTHING * end, SMOOTHING_AT_ENDS * fmin(now_s, left));
        double follow = slow > 0 ? 1 - exp(-fmax(now_s - eta->shown_at_s, 0) / slow) : 1;
        end = eta->shown_end_s + (end - eta->shown_end_s) * follow;
    }
    eta->shown_end_s = end;
    eta->shown_at_s = now_s;
    eta->shown_fraction = fmax(eta->shown_fraction, fmin(work_done(eta, total, under_way), 1));
    return (ms_eta_value){.fraction = eta->shown_fraction, .left_s = fmax(end - now_s, 0)};
}
