#include "pipeline/frame_source.h"

#include "base/error.h"

struct ms_frame_source {
    ms_mem *mem;
    ms_clip *clip;
    ms_face_stage *stage;
    ms_loop loop;
    int64_t wanted;      /* output frames */
    int64_t next;        /* output frame */
    int64_t last_shown;  /* clip frame of the one before, -1 = none */
    int64_t clip_frames; /* seen; the clip's length once `known` */
    bool known;
    ms_pose *poses; /* of the clip's frames */
    int64_t pose_capacity;
};

ms_status ms_frame_source_create(ms_mem *mem, ms_clip *clip, ms_face_stage *stage, ms_loop loop,
                                 int64_t wanted, ms_frame_source **ret_source, ms_error *err) {
    ms_frame_source *s = ms_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*s));
    if (!s)
        return ms_fail_alloc(err, mem, sizeof(*s), "the frames");
    s->mem = mem;
    s->clip = clip;
    s->stage = stage;
    s->loop = loop;
    s->wanted = wanted;
    s->last_shown = -1;
    *ret_source = s;
    return MS_OK;
}

void ms_frame_source_destroy(ms_frame_source **source) {
    if (!source || !*source)
        return;
    ms_free((*source)->poses);
    ms_free(*source);
    *source = NULL;
}

int64_t ms_frame_source_clip_frames(const ms_frame_source *s) {
    return s->clip_frames;
}

static ms_status keep_pose(ms_frame_source *s, const ms_pose *pose, ms_error *err) {
    if (s->clip_frames == s->pose_capacity) {
        int64_t wanted = s->pose_capacity ? 2 * s->pose_capacity : 1024;
        size_t bytes = (size_t)wanted * sizeof(*s->poses);
        ms_pose *fresh = s->poses ? ms_realloc(s->poses, bytes) : ms_alloc(s->mem, MS_LEDGER_GENERAL, bytes);
        if (!fresh)
            return ms_fail_alloc(err, s->mem, bytes, "the faces' positions");
        s->poses = fresh;
        s->pose_capacity = wanted;
    }
    s->poses[s->clip_frames++] = *pose;
    return MS_OK;
}

/* The first time through the clip. */
static ms_status next_new(ms_frame_source *s, ms_output_frame *ret_frame, bool *ret_got, ms_error *err) {
    ms_posed_frame frame;
    MS_TRY(ms_face_stage_next(s->stage, &frame, ret_got, err));
    if (!*ret_got) {
        s->known = true;
        return MS_OK;
    }
    ms_status status = keep_pose(s, &frame.pose, err);
    if (status != MS_OK) {
        ms_face_stage_put(s->stage, frame.rgb);
        return status;
    }
    *ret_frame = (ms_output_frame){.shown = frame.number, .rgb = frame.rgb, .pose = frame.pose};
    return MS_OK;
}

/* A face goes on from one shown frame to the next when they are neighbours (in either direction, or the same)
   and no stretch begins between them. */
static bool goes_on(const ms_frame_source *s, int64_t from, int64_t to) {
    if (from == to)
        return true;
    if (to == from + 1)
        return !s->poses[to].begins;
    if (to == from - 1)
        return !s->poses[from].begins;
    return false;
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
    ms_status status = ms_clip_get(s->clip, shown, rgb, ret_got, err);
    if (status == MS_OK && !*ret_got)
        status =
            ms_fail(err, MS_BAD_MEDIA, "frame %lld of the video can no longer be read", (long long)shown);
    if (status != MS_OK) {
        ms_face_stage_put(s->stage, rgb);
        return status;
    }
    *ret_frame = (ms_output_frame){.shown = shown, .rgb = rgb, .pose = s->poses[shown]};
    ret_frame->pose.begins = !goes_on(s, s->last_shown, shown);
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
