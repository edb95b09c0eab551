#include "frames/frame_source.h"

#include "base/error.h"

struct ms_frame_source {
    ms_clip *clip;
    ms_face_stage *stage;
    ms_loop loop;
    int64_t wanted;      /* output frames */
    int64_t base;        /* of the clip: 0 of the following */
    int64_t next;        /* output frame */
    int64_t last_shown;  /* clip frame of the one before, -1 = none */
    int64_t clip_frames; /* seen; the clip's length once `known` */
    bool known;
    ms_pose_store *poses; /* of the clip's frames */
};

ms_status ms_frame_source_create(const ms_frame_source_params *params, ms_frame_source **ret_source,
                                 ms_error *err) {
    ms_frame_source *s = ms_mem_calloc(params->mem, MS_LEDGER_GENERAL, 1, sizeof(*s));
    if (!s)
        return ms_fail_alloc(err, params->mem, sizeof(*s), "the frames");
    s->clip = params->clip;
    s->stage = params->stage;
    s->poses = params->poses;
    s->loop = params->loop;
    s->wanted = params->wanted;
    s->base = params->base;
    s->last_shown = -1;
    *ret_source = s;
    return MS_OK;
}

void ms_frame_source_destroy(ms_frame_source **source) {
    if (!source || !*source)
        return;
    ms_mem_free(*source);
    *source = NULL;
}

int64_t ms_frame_source_clip_frames(const ms_frame_source *s) {
    return s->clip_frames;
}

/* The first time through the clip. */
static ms_status next_new(ms_frame_source *s, ms_output_frame *ret_frame, bool *ret_got, ms_error *err) {
    ms_posed_frame frame;
    MS_TRY(ms_face_stage_next(s->stage, &frame, ret_got, err));
    if (!*ret_got) {
        s->known = true;
        return MS_OK;
    }
    ms_status status = ms_pose_store_append(s->poses, &frame.pose, err);
    if (status != MS_OK) {
        ms_face_stage_put(s->stage, frame.rgb);
        return status;
    }
    s->clip_frames++;
    *ret_frame = (ms_output_frame){.shown = frame.number - s->base, .rgb = frame.rgb, .pose = frame.pose};
    return MS_OK;
}

/* A face goes on from one shown frame to the next when they are neighbours (in either direction, or the same)
   and no stretch begins between them. */
static ms_status goes_on(const ms_frame_source *s, int64_t from, int64_t to, bool *ret_goes_on,
                         ms_error *err) {
    ms_pose later = {.begins = true};
    if (from >= 0 && (to == from + 1 || to == from - 1))
        MS_TRY(ms_pose_store_get(s->poses, to > from ? to : from, &later, err));
    *ret_goes_on = from == to || !later.begins;
    return MS_OK;
}

/* A later pass, by number. */
static ms_status next_again(ms_frame_source *s, ms_output_frame *ret_frame, bool *ret_got, ms_error *err) {
    int64_t shown = ms_loop_index(s->loop, s->next, s->clip_frames);
    *ret_got = false;
    if (shown < 0)
        return MS_OK;
    uint8_t *rgb = ms_face_stage_take_buffer(s->stage, err);
    if (!rgb)
        return MS_HOST_MEMORY;
    ms_status status = ms_clip_get(s->clip, s->base + shown, rgb, ret_got, err);
    if (status == MS_OK && !*ret_got)
        status = ms_fail(err, MS_BAD_MEDIA, "frame %lld of the video can no longer be read",
                         (long long)(s->base + shown));
    ms_pose pose;
    bool on = false;
    if (status == MS_OK)
        status = ms_pose_store_get(s->poses, shown, &pose, err);
    if (status == MS_OK)
        status = goes_on(s, s->last_shown, shown, &on, err);
    if (status != MS_OK) {
        ms_face_stage_put(s->stage, rgb);
        return status;
    }
    pose.begins = !on;
    *ret_frame = (ms_output_frame){.shown = shown, .rgb = rgb, .pose = pose};
    return MS_OK;
}

ms_status ms_frame_source_next(ms_frame_source *s, ms_output_frame *ret_frame, bool *ret_got, ms_error *err) {
    *ret_got = false;
    if (s->next >= s->wanted)
        return MS_OK;
    if (!s->known)
        MS_TRY(next_new(s, ret_frame, ret_got, err));
    if (s->known && s->clip_frames > 0)
        MS_TRY(next_again(s, ret_frame, ret_got, err));
    if (*ret_got) {
        ret_frame->number = s->next++;
        s->last_shown = ret_frame->shown;
    }
    return MS_OK;
}

/* ---- going on later ---- */

static void visit_place(ms_state *state, ms_video_place *p) {
    ms_state_bool(state, &p->has_mark);
    ms_state_visit(state, &p->mark.timestamp, sizeof(p->mark.timestamp));
    ms_state_visit(state, &p->mark.fingerprint, sizeof(p->mark.fingerprint));
    ms_state_int64(state, &p->mark.first_frame, 0, MS_STATE_MOST_FRAMES);
    for (int i = 0; i < 5; i++)
        ms_state_int64(state, &p->mark.rate_state[i], -MS_STATE_MOST_FRAMES, MS_STATE_MOST_FRAMES);
    int64_t *const counts[] = {&p->packets, &p->packets_failed, &p->frames_missing, &p->frames_marred};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        ms_state_int64(state, counts[i], 0, MS_STATE_MOST_FRAMES);
    int64_t *const reach[] = {&p->reach.packet, &p->reach.frame, &p->reach.trouble_ts, &p->reach.refused};
    for (size_t i = 0; i < sizeof(reach) / sizeof(reach[0]); i++)
        ms_state_visit(state, reach[i], sizeof(*reach[i])); /* compared, not computed with */
}

static void visit(ms_frame_source *s, ms_state *state, ms_video_place *place) {
    ms_state_int64(state, &s->next, 0, s->wanted);
    ms_state_int64(state, &s->clip_frames, 0, MS_STATE_MOST_FRAMES);
    ms_state_int64(state, &s->last_shown, -1, MS_STATE_MOST_FRAMES);
    ms_state_bool(state, &s->known);
    ms_face_stage_visit(s->stage, state);
    visit_place(state, place);
}

ms_status ms_frame_source_save(ms_frame_source *s, ms_state *state, ms_video_place *ret_place,
                               ms_error *err) {
    ms_video_place place;
    ms_clip_save_place(s->clip, ms_face_stage_first_waiting(s->stage), &place);
    ms_state_begin_saving(state);
    visit(s, state, &place);
    *ret_place = place;
    return ms_state_whole(state) ? MS_OK : ms_fail(err, MS_INTERNAL, "the state does not fit its bytes");
}

ms_status ms_frame_source_restore(ms_frame_source *s, ms_state *state, int64_t next, ms_error *err) {
    ms_video_place place = {0};
    ms_state_begin_restoring(state);
    visit(s, state, &place);
    if (!ms_state_whole(state) || s->last_shown >= s->clip_frames || s->next != next ||
        s->clip_frames != ms_pose_store_count(s->poses))
        return ms_fail(err, MS_IO, "the journal is damaged: its last state makes no sense");
    ms_clip_go_on(s->clip, &place);
    return ms_face_stage_reread(s->stage, err);
}
