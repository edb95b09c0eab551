#include "faces/face_source.h"

#include <limits.h>
#include <string.h>

#include "base/error.h"
#include "faces/track_file.h"

struct ms_face_finder {
    ms_face_finder_params p;
    /* A track file, one line ahead. */
    ms_track_reader *track;
    ms_face_record ahead;
    bool have_ahead;
    /* With the networks. */
    ms_tracker tracker;
    ms_face_tally tally;
};

static ms_status read_ahead(ms_face_finder *f, ms_error *err) {
    return ms_track_reader_next(f->track, &f->ahead, &f->have_ahead, err);
}

ms_status ms_face_finder_create(const ms_face_finder_params *params, ms_face_finder **ret_finder,
                                ms_error *err) {
    ms_face_finder *f = ms_mem_calloc(params->mem, MS_LEDGER_GENERAL, 1, sizeof(*f));
    if (!f)
        return ms_fail_alloc(err, params->mem, sizeof(*f), "face detection");
    f->p = *params;
    ms_tracker_init(&f->tracker, params->face < 0 ? MS_FACE_LARGEST : MS_FACE_INDEX, params->face,
                    params->max_gap);
    ms_status status = MS_OK;
    if (params->track) {
        MS_GOTO(ms_track_reader_open(params->mem, params->track, &f->track, err));
        MS_GOTO(read_ahead(f, err));
    }
    *ret_finder = f;
    return MS_OK;
fail:
    ms_face_finder_destroy(&f);
    return status;
}

void ms_face_finder_destroy(ms_face_finder **finder) {
    if (!finder || !*finder)
        return;
    ms_face_finder *f = *finder;
    ms_track_reader_close(&f->track);
    ms_mem_free(f);
    *finder = NULL;
}

static ms_status find_in_track(ms_face_finder *f, int64_t number, ms_face_record *ret_record, ms_error *err) {
    while (f->have_ahead && f->ahead.frame < number)
        MS_TRY(read_ahead(f, err));
    if (f->have_ahead && f->ahead.frame == number) {
        *ret_record = f->ahead;
        ret_record->present = true;
    }
    return MS_OK;
}

static ms_status find_landmarks(ms_face_finder *f, const ms_image_view *frame, const ms_detection *face,
                                ms_face_record *ret_record, ms_error *err) {
    bool found;
    MS_TRY(ms_face_nets_points(f->p.nets, frame, face->box, ret_record->landmarks, &found, err));
    if (!found)
        return MS_OK;
    ms_landmarks_round(ret_record->landmarks);
    int box[4];
    ms_face_box(face, (const float(*)[2])ret_record->landmarks, frame->width, frame->height, box);
    for (int i = 0; i < 4; i++)
        ret_record->box[i] = (float)box[i];
    ret_record->present = true;
    return MS_OK;
}

static ms_status find(void *arg, const ms_image_view *frame, int64_t number, bool cut,
                      ms_face_record *ret_record, ms_error *err) {
    ms_face_finder *f = arg;
    *ret_record = (ms_face_record){.frame = number};
    if (f->track)
        return find_in_track(f, number, ret_record, err);
    ms_detection faces[MS_FACE_NETS_MAX];
    int count = 0;
    MS_TRY(ms_face_nets_detect(f->p.nets, frame, faces, &count, err));
    ms_tracked tracked = ms_tracker_advance(&f->tracker, number, faces, count, cut);
    if (tracked.face < 0) {
        ms_face_tally_miss(&f->tally, faces, count);
        return MS_OK;
    }
    ret_record->begins = tracked.jumped;
    MS_TRY(find_landmarks(f, frame, &faces[tracked.face], ret_record, err));
    if (ret_record->present)
        ms_face_tally_add(&f->tally, ret_record, faces[tracked.face].score);
    return MS_OK;
}

/* A track file is read again from its beginning: lines of earlier frames are passed over. */
static void visit(void *arg, ms_state *state) {
    ms_face_finder *f = arg;
    ms_tracker *t = &f->tracker;
    ms_face_tally_visit(&f->tally, state);
    ms_state_int(state, &t->count, 0, MS_TRACK_CAPACITY);
    ms_state_int(state, &t->next_number, 0, INT_MAX);
    ms_state_int(state, &t->current, -1, INT_MAX);
    for (int i = 0; i < t->count; i++) {
        ms_state_int(state, &t->tracks[i].number, 0, INT_MAX);
        ms_state_floats(state, t->tracks[i].box, 4);
        ms_state_int64(state, &t->tracks[i].last_frame, -1, MS_STATE_MOST_FRAMES);
    }
}

const ms_face_tally *ms_face_finder_tally(const ms_face_finder *finder) {
    return &finder->tally;
}

ms_face_source ms_face_finder_source(ms_face_finder *finder) {
    return (ms_face_source){.find = find, .visit = visit, .arg = finder};
}

ms_status ms_fail_no_face(const char *video, int face, const char *track, int64_t frames,
                          const ms_face_tally *tally, ms_error *err) {
    if (track)
        return ms_fail(err, MS_NO_FACE, "%s: no usable face in %lld frames: %s has none for them", video,
                       (long long)frames, track);
    if (face >= 0)
        return ms_fail_hint(err, MS_NO_FACE, MS_HINT_FACE, "%s: no usable face number %d in %lld frames",
                            video, face, (long long)frames);
    if (tally->small[0])
        return ms_fail(err, MS_NO_FACE,
                       "%s: no usable face in %lld frames: the largest has %dx%d pixels, at least %dx%d are "
                       "needed; enlarge the video first",
                       video, (long long)frames, tally->small[0], tally->small[1], MS_FACE_MIN_WIDTH,
                       MS_FACE_MIN_HEIGHT);
    return ms_fail(err, MS_NO_FACE, "%s: no usable face in %lld frames", video, (long long)frames);
}
