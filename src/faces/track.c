#include "faces/track.h"

#include <math.h>
#include <string.h>

#include "faces/detect.h"

/* One frame's faces that may be followed, largest first. */
typedef struct sighting {
    int face;
    int number; /* of its track, -1 = none yet */
    const ms_detection *detection;
} sighting;

void ms_tracker_init(ms_tracker *tracker, ms_face_choice choice, int index, int64_t max_gap) {
    *tracker = (ms_tracker){.choice = choice, .index = index, .max_gap = max_gap, .current = -1};
}

static float area_of(const float box[4]) {
    return (box[2] - box[0]) * (box[3] - box[1]);
}

static float overlap(const float a[4], const float b[4]) {
    float w = fminf(a[2], b[2]) - fmaxf(a[0], b[0]), h = fminf(a[3], b[3]) - fmaxf(a[1], b[1]);
    float both = w > 0 && h > 0 ? w * h : 0;
    return both / (area_of(a) + area_of(b) - both);
}

/* Usable faces by falling size (the first of equals first), the largest MS_TRACK_CAPACITY of them. */
static int sort_faces(const ms_detection *faces, int count, sighting list[MS_TRACK_CAPACITY]) {
    int n = 0;
    for (int i = 0; i < count; i++) {
        if (!ms_face_usable(&faces[i]))
            continue;
        int at = n < MS_TRACK_CAPACITY ? n++ : MS_TRACK_CAPACITY;
        for (; at > 0 && ms_face_size(list[at - 1].detection) < ms_face_size(&faces[i]); at--)
            if (at < MS_TRACK_CAPACITY)
                list[at] = list[at - 1];
        if (at < MS_TRACK_CAPACITY)
            list[at] = (sighting){i, -1, &faces[i]};
    }
    return n;
}

static void see(ms_tracker *t, int track, int64_t frame, sighting *s) {
    memcpy(t->tracks[track].box, s->detection->box, sizeof(t->tracks[track].box));
    t->tracks[track].last_frame = frame;
    s->number = t->tracks[track].number;
}

/* Pairs by falling overlap; of equal ones the older track and the larger face. */
static void pair_faces(ms_tracker *t, int64_t frame, sighting *list, int n) {
    for (;;) {
        float best = 0;
        int track = -1, face = -1;
        for (int i = 0; i < t->count; i++)
            for (int k = 0; k < n && t->tracks[i].last_frame != frame; k++) {
                float o = list[k].number < 0 ? overlap(t->tracks[i].box, list[k].detection->box) : 0;
                if (o >= MS_TRACK_MIN_OVERLAP && o > best) {
                    best = o;
                    track = i;
                    face = k;
                }
            }
        if (track < 0)
            return;
        see(t, track, frame, &list[face]);
    }
}

/* Follows a jump if there was one; returns the number of the track that jumped, or -1. */
static int follow_jump(ms_tracker *t, int64_t frame, sighting *list, int n) {
    int lost = -1, lost_count = 0, found = -1, found_count = 0;
    for (int i = 0; i < t->count; i++)
        if (t->tracks[i].last_frame == frame - 1) {
            lost = i;
            lost_count++;
        }
    for (int k = 0; k < n; k++)
        if (list[k].number < 0) {
            found = k;
            found_count++;
        }
    if (lost_count != 1 || found_count != 1)
        return -1;
    float before = area_of(t->tracks[lost].box), after = area_of(list[found].detection->box);
    if (!(after <= 2 * before && before <= 2 * after))
        return -1;
    see(t, lost, frame, &list[found]);
    return t->tracks[lost].number;
}

/* Makes room by forgetting the track that was not seen for longest. False when all are in this frame. */
static bool forget_oldest(ms_tracker *t, int64_t frame) {
    int oldest = 0;
    for (int i = 1; i < t->count; i++)
        if (t->tracks[i].last_frame < t->tracks[oldest].last_frame)
            oldest = i;
    if (t->tracks[oldest].last_frame == frame)
        return false;
    if (t->tracks[oldest].number == t->current)
        t->current = -1;
    t->tracks[oldest] = t->tracks[--t->count];
    return true;
}

static void begin_tracks(ms_tracker *t, int64_t frame, sighting *list, int n) {
    for (int k = 0; k < n; k++) {
        if (list[k].number >= 0)
            continue;
        int number = t->next_number++;
        if (t->count == MS_TRACK_CAPACITY && !forget_oldest(t, frame))
            continue;
        t->tracks[t->count] = (ms_track){.number = number};
        see(t, t->count++, frame, &list[k]);
    }
}

/* With MS_FACE_LARGEST: drops a track that was not seen for too long. */
static void let_go(ms_tracker *t, int64_t frame) {
    for (int i = 0; i < t->count; i++)
        if (t->tracks[i].number == t->current && frame - t->tracks[i].last_frame > t->max_gap + 1)
            t->current = -1;
}

ms_tracked ms_tracker_advance(ms_tracker *t, int64_t frame, const ms_detection *faces, int count,
                              bool scene_cut) {
    sighting list[MS_TRACK_CAPACITY];
    int n = sort_faces(faces, count, list);
    if (t->choice == MS_FACE_LARGEST_EACH)
        return (ms_tracked){n ? list[0].face : -1, false};
    if (scene_cut) {
        t->count = t->next_number = 0;
        t->current = -1;
    }
    pair_faces(t, frame, list, n);
    int jumped = follow_jump(t, frame, list, n);
    begin_tracks(t, frame, list, n);
    if (t->choice == MS_FACE_INDEX)
        t->current = t->index;
    else
        let_go(t, frame);
    if (t->current < 0 && n)
        t->current = list[0].number;
    for (int k = 0; k < n; k++)
        if (list[k].number == t->current && t->current >= 0)
            return (ms_tracked){list[k].face, jumped == t->current};
    return (ms_tracked){-1, false};
}

void ms_gap_filler_init(ms_gap_filler *filler, int64_t first_frame, int64_t max_gap) {
    *filler = (ms_gap_filler){.max_gap = max_gap, .next_frame = first_frame, .pushed = first_frame};
}

/* Frames are held back only while they may yet be bridged. */
static bool held_back(const ms_gap_filler *f) {
    return f->has_before && !f->has_after && f->pushed - f->next_frame <= f->max_gap;
}

bool ms_gap_filler_push(ms_gap_filler *f, const ms_face_record *record) {
    if (record->frame != f->pushed || f->has_after || (f->next_frame < f->pushed && !held_back(f)))
        return false;
    f->pushed++;
    if (!record->present) {
        if (record->begins || f->pushed - f->next_frame > f->max_gap)
            f->has_before = false;
        return true;
    }
    f->bridge = f->has_before && !record->begins;
    f->after = *record;
    f->after.begins = !f->bridge;
    f->after.interpolated = false;
    f->has_after = true;
    return true;
}

void ms_gap_filler_finish(ms_gap_filler *f) {
    f->has_before = false;
}

static void interpolate(const ms_face_record *a, const ms_face_record *b, ms_face_record *ret) {
    float t = (float)(ret->frame - a->frame) / (float)(b->frame - a->frame);
    for (int i = 0; i < 4; i++)
        ret->box[i] = rintf(a->box[i] + (b->box[i] - a->box[i]) * t);
    for (int i = 0; i < MS_LANDMARKS; i++)
        for (int c = 0; c < 2; c++)
            ret->landmarks[i][c] = a->landmarks[i][c] + (b->landmarks[i][c] - a->landmarks[i][c]) * t;
    ret->present = ret->interpolated = true;
}

bool ms_gap_filler_take(ms_gap_filler *f, ms_face_record *ret_record) {
    if (f->next_frame == f->pushed || held_back(f))
        return false;
    if (f->has_after && f->next_frame == f->after.frame) {
        *ret_record = f->before = f->after;
        f->has_before = true;
        f->has_after = false;
    } else {
        ms_face_record empty = {.frame = f->next_frame};
        if (f->has_after && f->bridge)
            interpolate(&f->before, &f->after, &empty);
        *ret_record = empty;
    }
    f->next_frame++;
    return true;
}
