#include "frames/face_source.h"

#include <limits.h>
#include <string.h>

#include "base/error.h"
#include "faces/face_points.h"
#include "faces/track_file.h"
#include "models/onnx/scrfd.h"

#define MAX_FACES 64 /* of one frame; the best ones */

struct ms_face_finder {
    ms_face_finder_params p;
    void *arena;
    /* A track file, one line ahead. */
    ms_track_reader *track;
    ms_face_record ahead;
    bool have_ahead;
    /* The networks. */
    ms_scrfd *scrfd;
    ms_face_points *points;
    ms_tracker tracker;
    ms_face_tally tally;
    float *blob;    /* detector's input */
    float *outputs; /* its outputs */
    void *work;
    size_t work_bytes;
};

static ms_status open_networks(ms_face_finder *f, size_t *ret_arena_bytes, ms_error *err) {
    const ms_face_finder_params *p = &f->p;
    ms_mem *mem = p->compute.mem;
    size_t detect = 0, points = 0, letterbox = ms_letterbox_workspace_bytes(MS_DETECT_SIDE);
    MS_TRY(ms_scrfd_open(&p->compute, p->detector, &f->scrfd, err));
    MS_TRY(ms_scrfd_prepare(f->scrfd, MS_DETECT_SIDE, MS_DETECT_SIDE, &detect, err));
    MS_TRY(ms_face_points_create(&p->compute, p->landmarks, &f->points, &points, err));
    *ret_arena_bytes = detect > points ? detect : points;
    ms_tracker_init(&f->tracker, p->face < 0 ? MS_FACE_LARGEST : MS_FACE_INDEX, p->face, p->max_gap);
    f->work_bytes = ms_scrfd_workspace_bytes(MS_DETECT_SIDE);
    if (letterbox > f->work_bytes)
        f->work_bytes = letterbox;
    size_t side = MS_DETECT_SIDE;
    f->blob = ms_alloc_array(mem, MS_LEDGER_STAGING, 3 * side * side, sizeof(float));
    f->outputs = ms_alloc_array(mem, MS_LEDGER_STAGING, ms_scrfd_output_floats(f->scrfd), sizeof(float));
    f->work = ms_alloc(mem, MS_LEDGER_STAGING, f->work_bytes);
    if (!f->blob || !f->outputs || !f->work)
        return ms_fail_alloc(err, mem, 3 * side * side * sizeof(float), "face detection");
    return MS_OK;
}

static ms_status read_ahead(ms_face_finder *f, ms_error *err) {
    return ms_track_reader_next(f->track, &f->ahead, &f->have_ahead, err);
}

ms_status ms_face_finder_create(const ms_face_finder_params *params, ms_face_finder **ret_finder,
                                size_t *ret_arena_bytes, ms_error *err) {
    ms_face_finder *f = ms_calloc(params->compute.mem, MS_LEDGER_GENERAL, 1, sizeof(*f));
    if (!f)
        return ms_fail_alloc(err, params->compute.mem, sizeof(*f), "face detection");
    f->p = *params;
    size_t arena_bytes = 0;
    ms_status status;
    if (params->track) {
        MS_GOTO(ms_track_reader_open(params->compute.mem, params->track, &f->track, err));
        MS_GOTO(read_ahead(f, err));
    } else {
        MS_GOTO(open_networks(f, &arena_bytes, err));
    }
    *ret_arena_bytes = arena_bytes;
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
    ms_scrfd_close(&f->scrfd);
    ms_face_points_destroy(&f->points);
    ms_free(f->blob);
    ms_free(f->outputs);
    ms_free(f->work);
    ms_free(f);
    *finder = NULL;
}

void ms_face_finder_set_arena(ms_face_finder *f, void *arena) {
    f->arena = arena;
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

static ms_status detect(ms_face_finder *f, const ms_image_view *frame, ms_detection *faces, int *ret_count,
                        ms_error *err) {
    const ms_blob_format format = ms_detect_blob_format(MS_BLOB_CHW);
    ms_letterbox fit;
    ms_scrfd_heads heads;
    ms_scrfd_output outputs[MS_SCRFD_LEVELS];
    MS_TRY(ms_letterbox_blob(frame, MS_DETECT_SIDE, &format, f->blob, &fit, f->work, f->work_bytes, err));
    MS_TRY(ms_scrfd_run(f->scrfd, f->arena, f->blob, f->outputs, &heads, err));
    for (int i = 0; i < MS_SCRFD_LEVELS; i++)
        outputs[i] = (ms_scrfd_output){heads.level[i].score, heads.level[i].bbox, heads.level[i].kps};
    return ms_scrfd_decode(outputs, MS_DETECT_SIDE, fit.scale, faces, MAX_FACES, ret_count, f->work,
                           f->work_bytes, err);
}

static ms_status find_landmarks(ms_face_finder *f, const ms_image_view *frame, const ms_detection *face,
                                ms_face_record *ret_record, ms_error *err) {
    bool found;
    MS_TRY(ms_face_points_find(f->points, f->arena, frame, face->box, ret_record->landmarks, &found, err));
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
    ms_detection faces[MAX_FACES];
    int count = 0;
    MS_TRY(detect(f, frame, faces, &count, err));
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
        return ms_fail(err, MS_NO_FACE, "%s: no usable face number %d in %lld frames (--face counts from 0)",
                       video, face, (long long)frames);
    if (tally->small[0])
        return ms_fail(err, MS_NO_FACE,
                       "%s: no usable face in %lld frames: the largest has %dx%d pixels, at least %dx%d are "
                       "needed; enlarge the video first",
                       video, (long long)frames, tally->small[0], tally->small[1], MS_FACE_MIN_WIDTH,
                       MS_FACE_MIN_HEIGHT);
    return ms_fail(err, MS_NO_FACE, "%s: no usable face in %lld frames", video, (long long)frames);
}
