/*
 * Staying on one person, in two stages that are both of fixed size:
 *
 * ms_tracker joins the detections of successive frames into tracks and picks one of them.
 * - Boxes of a frame and the last boxes of the tracks are paired by overlap (intersection over union),
 *   largest first, down to 0.3. A usable face that is left over begins a track; tracks are numbered
 *   within a scene by first appearance, those that appear in the same frame by falling size.
 * - When, from one frame to the next, exactly one track is lost and exactly one begins, and the boxes'
 *   areas are within a factor of 2, it is the same person after a jump; the track goes on there.
 * - A track whose face is not seen rests where it was: a face that appears there goes on with it.
 * - A scene cut ends all tracks, and numbering begins again.
 *
 * ms_gap_filler bridges frames without a face: up to max_gap of them between two sightings
 * that no cut or jump parts get landmarks interpolated linearly; longer gaps stay empty.
 * It holds frames back until it knows, so its answers lag by at most max_gap frames.
 */
#ifndef MS_FACES_TRACK_H
#define MS_FACES_TRACK_H

#include "faces/detect.h"

#define MS_TRACK_CAPACITY 32        /* faces that are followed at the same time; the largest ones */
#define MS_TRACK_DEFAULT_MAX_GAP 12 /* about half a second at 25 frames a second */
#define MS_TRACK_MIN_OVERLAP 0.3f

typedef enum ms_face_choice {
    /* The largest face of the first frame that has one, then that track until it was not seen for more than
       max_gap frames. */
    MS_FACE_LARGEST,
    /* The track with a given number, in every scene. */
    MS_FACE_INDEX,
    /* The largest of each frame, whoever it is: what the reference does. Gaps should not be bridged then. */
    MS_FACE_LARGEST_EACH,
} ms_face_choice;

typedef struct ms_track {
    int number;
    float box[4];
    int64_t last_frame;
} ms_track;

typedef struct ms_tracker {
    ms_face_choice choice;
    int index;       /* for MS_FACE_INDEX, from 0 */
    int64_t max_gap; /* frames */
    /* the rest is the tracker's own */
    int count, next_number, current; /* current: number of the track that is followed, -1 = none */
    ms_track tracks[MS_TRACK_CAPACITY];
} ms_tracker;

void ms_tracker_init(ms_tracker *tracker, ms_face_choice choice, int index, int64_t max_gap);

typedef struct ms_tracked {
    int face;    /* index into the detections, -1 = the person is not in this frame */
    bool jumped; /* not where it was: smoothing over time has to begin again */
} ms_tracked;

/* frame: rising. faces: what ms_scrfd_decode() gave; those that are not usable are passed over. scene_cut:
   this frame begins a scene. */
ms_tracked ms_tracker_advance(ms_tracker *tracker, int64_t frame, const ms_detection *faces, int count,
                              bool scene_cut);

/* The one face of one frame. */
typedef struct ms_face_record {
    int64_t frame;
    bool present;
    bool interpolated;
    bool begins;            /* first of an unbroken stretch: windows and smoothing over time begin here */
    bool has_mouth_opening; /* only what a track file says */
    float mouth_opening;    /* pixels between the lips' inner edges */
    float box[4];
    float landmarks[MS_LANDMARKS][2];
} ms_face_record;

typedef struct ms_gap_filler {
    int64_t max_gap;
    /* the filler's own */
    int64_t next_frame; /* not given out yet */
    int64_t pushed;     /* frames below this were pushed */
    bool has_before, has_after, bridge;
    ms_face_record before, after; /* the sightings around the frames that are held back */
} ms_gap_filler;

void ms_gap_filler_init(ms_gap_filler *filler, int64_t first_frame, int64_t max_gap);

/* record: the next frame's, present or not; `begins` says that a cut or a jump lies before it. All records
   that are ready must have been taken first: false otherwise, or when the frame is not the next one. */
bool ms_gap_filler_push(ms_gap_filler *filler, const ms_face_record *record);

/* No more frames: what is held back comes out empty. */
void ms_gap_filler_finish(ms_gap_filler *filler);

/* The next record that is ready, frame by frame without holes; false = none until more is pushed. */
bool ms_gap_filler_take(ms_gap_filler *filler, ms_face_record *ret_record);

#endif
