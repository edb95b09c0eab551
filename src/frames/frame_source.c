#include "frames/frame_source.h"

#include "base/error.h"

struct ms_frame_source {
    ms_clip *clip;
    ms_buffer_pool *pictures;
    ms_face_stage *stage;
    ms_frame_order order; /* clip_frames: seen so far */
    int64_t base;         /* of the clip: its frame 0 there */
    int64_t next;         /* output frame */
};

ms_status ms_frame_source_create(const ms_frame_source_params *params, ms_frame_source **ret_source,
                                 ms_error *err) {
    ms_frame_source *s = ms_mem_calloc(params->mem, MS_LEDGER_GENERAL, 1, sizeof(*s));
    if (!s)
        return ms_fail_alloc(err, params->mem, sizeof(*s), "the frames");
    s->clip = params->clip;
    s->pictures = params->pictures;
    s->stage = params->stage;
    s->order = (ms_frame_order){.poses = params->poses, .loop = params->loop, .wanted = params->wanted};
    s->base = params->base;
    *ret_source = s;
    return MS_OK;
}

void ms_frame_source_destroy(ms_frame_source **source) {
    if (!source || !*source)
        return;
    ms_mem_free(*source);
    *source = NULL;
}

const ms_frame_order *ms_frame_source_order(const ms_frame_source *s) {
    return &s->order;
}

/* The first time through the clip. */
static ms_status next_new(ms_frame_source *s, ms_output_frame *ret_frame, bool *ret_got, ms_error *err) {
    ms_posed_frame frame;
    MS_TRY(ms_face_stage_next(s->stage, &frame, ret_got, err));
    if (!*ret_got) {
        s->order.known = true;
        return MS_OK;
    }
    ms_status status = ms_pose_store_append(s->order.poses, &frame.pose, err);
    if (status != MS_OK) {
        ms_buffer_pool_put(s->pictures, frame.rgb);
        return status;
    }
    s->order.clip_frames++;
    *ret_frame = (ms_output_frame){.shown = frame.number - s->base, .rgb = frame.rgb, .pose = frame.pose};
    return MS_OK;
}

/* One whose pose is there, by number. */
static ms_status next_again(ms_frame_source *s, ms_output_frame *ret_frame, bool *ret_got, ms_error *err) {
    int64_t shown;
    ms_pose pose;
    *ret_got = false;
    if (s->next >= ms_frame_order_frames(&s->order))
        return MS_OK;
    MS_TRY(ms_frame_order_get(&s->order, s->next, &shown, &pose, err));
    uint8_t *rgb = ms_buffer_pool_take(s->pictures, "a frame", err);
    if (!rgb)
        return MS_HOST_MEMORY;
    ms_status status = ms_clip_get(s->clip, s->base + shown, rgb, ret_got, err);
    if (status == MS_OK && !*ret_got)
        status = ms_fail(err, MS_BAD_MEDIA, "frame %lld of the video can no longer be read",
                         (long long)(s->base + shown));
    if (status != MS_OK) {
        ms_buffer_pool_put(s->pictures, rgb);
        return status;
    }
    *ret_frame = (ms_output_frame){.shown = shown, .rgb = rgb, .pose = pose};
    return MS_OK;
}

ms_status ms_frame_source_next(ms_frame_source *s, ms_output_frame *ret_frame, bool *ret_got, ms_error *err) {
    *ret_got = false;
    if (s->next >= s->order.wanted)
        return MS_OK;
    bool is_new = !s->order.known && s->next >= s->order.clip_frames;
    if (is_new)
        MS_TRY(next_new(s, ret_frame, ret_got, err));
    if (!is_new || s->order.known) /* it may have come to the clip's end just now */
        MS_TRY(next_again(s, ret_frame, ret_got, err));
    if (*ret_got)
        ret_frame->number = s->next++;
    return MS_OK;
}

void ms_frame_source_jump(ms_frame_source *s, int64_t frame) {
    s->next = frame;
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
    ms_state_int64(state, &s->next, 0, s->order.wanted);
    ms_state_int64(state, &s->order.clip_frames, 0, MS_STATE_MOST_FRAMES);
    ms_state_bool(state, &s->order.known);
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
    if (!ms_state_whole(state) || s->next != next ||
        s->order.clip_frames != ms_pose_store_count(s->order.poses))
        return ms_fail(err, MS_IO, "the journal is damaged: its last state makes no sense");
    ms_clip_go_on(s->clip, &place);
    return ms_face_stage_reread(s->stage, err);
}
