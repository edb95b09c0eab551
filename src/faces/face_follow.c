#include "faces/face_follow.h"

#include "base/error.h"

void ms_face_follow_init(ms_face_follow *f, ms_face_source source, const ms_face_geometry *geometry,
                         int64_t first_frame, int64_t max_gap) {
    *f = (ms_face_follow){.source = source, .geometry = *geometry, .next = first_frame};
    ms_gap_filler_init(&f->filler, first_frame, max_gap);
}

static ms_status find_face(ms_face_follow *f, const ms_image_view *view, bool begins,
                           ms_face_record *ret_record, ms_error *err) {
    const ms_scene before = f->scene;
    bool cut = ms_scene_advance(&f->scene, view) || begins;
    *ret_record = (ms_face_record){0};
    ms_status status = f->source.find(f->source.arg, view, f->next, cut, ret_record, err);
    if (status != MS_OK) {
        f->scene = before;
        ms_error_where(err, "faces", f->next);
        return status;
    }
    ret_record->begins = ret_record->begins || cut;
    return MS_OK;
}

ms_status ms_face_follow_look(ms_face_follow *f, const ms_image_view *view, bool begins, ms_error *err) {
    ms_face_record record = {.begins = true};
    if (view)
        MS_TRY(find_face(f, view, begins, &record, err));
    record.frame = f->next++;
    if (!ms_gap_filler_push(&f->filler, &record))
        return ms_fail(err, MS_INTERNAL, "frame %lld came out of order", (long long)record.frame);
    return MS_OK;
}

void ms_face_follow_finish(ms_face_follow *f) {
    ms_gap_filler_finish(&f->filler);
}

static ms_pose pose_of(ms_face_follow *f, const ms_face_record *record) {
    ms_pose pose = {
        .present = record->present, .interpolated = record->interpolated, .begins = record->begins};
    if (!pose.present)
        return pose;
    float points[3][2];
    if (record->begins)
        f->smoothing = (ms_align_state){0};
    ms_align_points(record->landmarks, points);
    /* Landmarks that determine no transform are no usable face. */
    pose.present =
        ms_align_affine(&f->geometry, (const float(*)[2])points, &f->smoothing, pose.affine, NULL) == MS_OK;
    return pose;
}

bool ms_face_follow_take(ms_face_follow *f, ms_face_record *ret_record, ms_pose *ret_pose) {
    if (!ms_gap_filler_take(&f->filler, ret_record))
        return false;
    *ret_pose = pose_of(f, ret_record);
    return true;
}

int64_t ms_face_follow_first(const ms_face_follow *f) {
    return f->filler.next_frame;
}

static void visit_record(ms_state *state, ms_face_record *r) {
    ms_state_int64(state, &r->frame, -MS_STATE_MOST_FRAMES, MS_STATE_MOST_FRAMES);
    ms_state_bool(state, &r->present);
    ms_state_bool(state, &r->interpolated);
    ms_state_bool(state, &r->begins);
    ms_state_floats(state, r->box, sizeof(r->box) / sizeof(float));
    ms_state_floats(state, &r->landmarks[0][0], sizeof(r->landmarks) / sizeof(float));
}

static void visit_filler(ms_state *state, ms_gap_filler *g) {
    ms_state_int64(state, &g->max_gap, g->max_gap, g->max_gap);
    ms_state_int64(state, &g->next_frame, 0, MS_STATE_MOST_FRAMES);
    ms_state_int64(state, &g->pushed, 0, MS_STATE_MOST_FRAMES);
    ms_state_bool(state, &g->has_before);
    ms_state_bool(state, &g->has_after);
    ms_state_bool(state, &g->bridge);
    visit_record(state, &g->before);
    visit_record(state, &g->after);
}

void ms_face_follow_visit(ms_face_follow *f, ms_state *state) {
    ms_state_int64(state, &f->next, 0, MS_STATE_MOST_FRAMES);
    visit_filler(state, &f->filler);
    ms_state_bool(state, &f->smoothing.started);
    ms_state_floats(state, f->smoothing.bias, 2);
    ms_state_bool(state, &f->scene.started);
    ms_state_visit(state, f->scene.cells, sizeof(f->scene.cells));
    ms_state_floats(state, &f->scene.change, 1);
    if (f->source.visit)
        f->source.visit(f->source.arg, state);
    if (f->filler.pushed != f->next || f->filler.next_frame > f->next)
        state->failed = true;
}
