#include "frames/face_stage.h"

#include <string.h>

#include "base/error.h"

#define MOVE_FRAMES 16 /* that are decoded between two looks whether to stop */

typedef struct waiting {
    int64_t number;
    uint8_t *rgb;
} waiting;

struct ms_face_stage {
    ms_face_stage_params p;
    ms_face_follow follow;
    bool ended;
    bool there;     /* the clip has come to the first frame */
    waiting *queue; /* ring of max_gap + 2: what is held back and the frame that shows why */
    int64_t queue_size, queue_first, queue_count;
};

ms_status ms_face_stage_create(const ms_face_stage_params *params, ms_face_stage **ret_stage, ms_error *err) {
    ms_face_stage *s = ms_mem_calloc(params->mem, MS_LEDGER_GENERAL, 1, sizeof(*s));
    if (!s)
        return ms_fail_alloc(err, params->mem, sizeof(*s), "the face stage");
    s->p = *params;
    s->queue_size = params->max_gap + 2;
    s->queue = ms_alloc_array(params->mem, MS_LEDGER_GENERAL, (size_t)s->queue_size, sizeof(*s->queue));
    if (!s->queue) {
        ms_face_stage_destroy(&s);
        return ms_fail_alloc(err, params->mem, (size_t)params->max_gap * sizeof(waiting), "the face stage");
    }
    ms_face_follow_init(&s->follow, params->source, &params->geometry, params->first_frame, params->max_gap);
    *ret_stage = s;
    return MS_OK;
}

void ms_face_stage_destroy(ms_face_stage **stage) {
    if (!stage || !*stage)
        return;
    ms_face_stage *s = *stage;
    for (int64_t i = 0; i < s->queue_count; i++)
        /* Without a queue queue_count is 0. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
        ms_buffer_pool_put(s->p.pictures, s->queue[(s->queue_first + i) % s->queue_size].rgb);
    ms_mem_free(s->queue);
    ms_mem_free(s);
    *stage = NULL;
}

static ms_image_view view_of(const ms_face_stage *s, const uint8_t *rgb) {
    const ms_video_info *info = ms_clip_info(s->p.clip);
    return ms_image_view_rgb(rgb, info->width, info->height);
}

/* The pixels of a frame, to the end of those that wait. */
static ms_status read_pixels(ms_face_stage *s, int64_t number, uint8_t **ret_rgb, ms_error *err) {
    bool got = false;
    if (s->queue_count == s->queue_size)
        return ms_fail(err, MS_INTERNAL, "%lld frames wait for a face", (long long)s->queue_count);
    uint8_t *rgb = ms_buffer_pool_take(s->p.pictures, "a frame", err);
    if (!rgb)
        return MS_HOST_MEMORY;
    ms_status status = ms_clip_get(s->p.clip, number, rgb, &got, err);
    if (status != MS_OK || !got) {
        ms_buffer_pool_put(s->p.pictures, rgb);
        *ret_rgb = NULL;
        return status;
    }
    s->queue[(s->queue_first + s->queue_count++) % s->queue_size] = (waiting){.number = number, .rgb = rgb};
    *ret_rgb = rgb;
    return MS_OK;
}

static bool looked_at(const ms_face_stage *s, int64_t number) {
    return number >= s->p.look_first && (s->p.look_end == 0 || number < s->p.look_end);
}

/* Reads one frame and looks for its face. */
static ms_status read_frame(ms_face_stage *s, ms_error *err) {
    uint8_t *rgb = NULL;
    MS_TRY(read_pixels(s, s->follow.next, &rgb, err));
    if (!rgb) {
        s->ended = true;
        ms_face_follow_finish(&s->follow);
        return MS_OK;
    }
    ms_image_view view = view_of(s, rgb);
    return ms_face_follow_look(&s->follow, looked_at(s, s->follow.next) ? &view : NULL, false, err);
}

static ms_status check_stopped(ms_face_stage *s, ms_error *err) {
    if (s->p.stopped && s->p.stopped(s->p.arg))
        return ms_fail(err, MS_CANCELLED, "stopped at frame %lld of the video", (long long)s->follow.next);
    return MS_OK;
}

/* To the first frame, a few at a time: it may be an hour into the video. */
static ms_status move_on(ms_face_stage *s, ms_error *err) {
    int64_t at = ms_clip_tell(s->p.clip);
    while (at < s->p.first_frame) {
        MS_TRY(check_stopped(s, err));
        at = at + MOVE_FRAMES < s->p.first_frame ? at + MOVE_FRAMES : s->p.first_frame;
        MS_TRY(ms_clip_move_on(s->p.clip, at, err));
    }
    s->there = true;
    return MS_OK;
}

ms_status ms_face_stage_next(ms_face_stage *s, ms_posed_frame *ret_frame, bool *ret_got, ms_error *err) {
    ms_face_record record;
    ms_pose pose;
    if (!s->there)
        MS_TRY(move_on(s, err));
    while (!ms_face_follow_take(&s->follow, &record, &pose)) {
        if (s->ended) {
            *ret_got = false;
            return MS_OK;
        }
        MS_TRY(check_stopped(s, err));
        MS_TRY(read_frame(s, err));
    }
    waiting w = s->queue[s->queue_first];
    if (s->queue_count == 0 || w.number != record.frame)
        return ms_fail(err, MS_INTERNAL, "frame %lld has no pixels", (long long)record.frame);
    s->queue_first = (s->queue_first + 1) % s->queue_size;
    s->queue_count--;
    *ret_frame = (ms_posed_frame){.number = w.number, .rgb = w.rgb, .pose = pose, .record = record};
    *ret_got = true;
    return MS_OK;
}

/* ---- going on later ---- */

void ms_face_stage_visit(ms_face_stage *s, ms_state *state) {
    ms_state_bool(state, &s->ended);
    ms_face_follow_visit(&s->follow, state);
    int64_t held = s->follow.next - ms_face_follow_first(&s->follow);
    /* One place stays free: the next frame is read before one of these is given out. */
    if (held < 0 || held >= s->queue_size)
        state->failed = true;
}

int64_t ms_face_stage_first_waiting(const ms_face_stage *s) {
    return ms_face_follow_first(&s->follow);
}

ms_status ms_face_stage_reread(ms_face_stage *s, ms_error *err) {
    s->there = s->follow.next > s->p.first_frame;
    for (int64_t number = ms_face_follow_first(&s->follow); number < s->follow.next; number++) {
        uint8_t *rgb = NULL;
        MS_TRY(read_pixels(s, number, &rgb, err));
        if (!rgb)
            return ms_fail(err, MS_BAD_MEDIA, "frame %lld of the video can no longer be read",
                           (long long)number);
    }
    return MS_OK;
}
