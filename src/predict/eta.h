/*
 * How far a run is and how long it will still take: predicted costs, corrected by
 * what was measured so far. Pure functions, without a clock or a thread: the caller
 * says how much is done and how many seconds have passed.
 *
 * What counts is the time of the thread that runs the windows. What the face and
 * the write thread do beside it costs nothing until it has to wait for them. So
 * waiting has parts of its own, and all parts together are the run.
 */
#ifndef MS_PREDICT_ETA_H
#define MS_PREDICT_ETA_H

#include "memsafe/run.h"

typedef enum ms_eta_part {
    MS_ETA_LOAD,    /* units: 1 is all of the weights */
    MS_ETA_AUDIO,   /* segments of 30 s */
    MS_ETA_LEAD,    /* frames of the first window, waited for */
    MS_ETA_FACES,   /* frames after those, waited for */
    MS_ETA_ENCODE,  /* frames with a face */
    MS_ETA_DENOISE, /* frames with a face times full steps */
    MS_ETA_DECODE,  /* frames with a face */
    MS_ETA_WRITE,   /* frames, waiting until the write thread takes one */
    MS_ETA_TAIL,    /* 1: what is left to write behind the last window */
    MS_ETA_PARTS
} ms_eta_part;

/* What is predicted, and what is to be done. */
typedef struct ms_eta_plan {
    double frames;         /* frames to be made in this run; 0 = not known */
    double earlier_frames; /* frames that an earlier run has finished */
    /* Of frames, those that the earlier run has redrawn, as far as is known at the start */
    double kept_faces;
    double most_faces; /* frames that may have a face: the range's. 0 = all */
    double window_frames;
    /* full steps of a window; a cached step counts as the part of a full one that it takes */
    double steps;
    double segments;             /* of speech */
    double not_ahead;            /* part of a window whose faces are not found while the one before it runs */
    double unit_s[MS_ETA_PARTS]; /* predicted seconds of a unit; MS_ETA_FACES follows from the others */
} ms_eta_plan;

/* Fills in unit_s from the predicted seconds of each whole stage; the rest of the
   plan is there already. ahead: frames whose faces are found while a window runs;
   behind: frames that may wait to be written, the encoder's included. */
void ms_eta_set_predictions(ms_eta_plan *plan, const double stage_s[MS_STAGE_COUNT], double ahead,
                            double behind);

typedef struct ms_eta {
    ms_eta_plan plan;
    double done[MS_ETA_PARTS], spent_s[MS_ETA_PARTS]; /* spent for what is done */
    int current;                                      /* part that time belongs to; MS_ETA_PARTS = none */
    double began_s;                                   /* of what is under way now */
    double next;                                      /* units that it will be */
    double frames, faces;                             /* that came so far */
    double kept;             /* of faces, those that need not go through the networks */
    double faceless_between; /* frames without a face since the first with one */
    double since_first_face;
    int spells; /* of those without a face */
    bool in_spell;
    double shown_end_s, shown_at_s; /* the time of the end as it was said last; 0 = not yet */
    double shown_fraction;
} ms_eta;

typedef struct ms_eta_value {
    /* Of the time of the whole job, earlier runs' share included; 0 to 1, never falls; -1 = not known */
    double fraction;
    double left_s; /* -1 = not known */
} ms_eta_value;

void ms_eta_begin(ms_eta *eta, const ms_eta_plan *plan);

/* Takes other costs from now on, say of another layout. What was measured counts as
   if it had been measured with these. */
void ms_eta_set_costs(ms_eta *eta, const double unit_s[MS_ETA_PARTS]);

/* Time from now on is spent on that part (MS_ETA_PARTS: on none), and `next` units of it are under way. */
void ms_eta_enter(ms_eta *eta, ms_eta_part part, double next, double now_s);

/* So many units of the current part were finished now; the next step is of `next` units. */
void ms_eta_advance(ms_eta *eta, double units, double next, double now_s);

/* A frame came from the face thread. */
void ms_eta_frame(ms_eta *eta, bool face);

/* So many faces that came were redrawn by an earlier run. */
void ms_eta_keep(ms_eta *eta, double faces);

/* For the same time it says the same again. The value is smoothed over two per cent of the run. */
ms_eta_value ms_eta_get(ms_eta *eta, double now_s);

#endif
