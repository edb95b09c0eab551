#include "pipeline/face_stage.h"

#include <string.h>

#include "base/error.h"

typedef struct waiting {
    int64_t number;
    uint8_t *rgb;
} waiting;

struct ms_face_stage {
    ms_face_stage_params p;
    ms_gap_filler filler;
    ms_align_state smoothing;
    ms_scene scene;
    int64_t next; /* frame to be read */
    bool ended;
    waiting *queue; /* ring of max_gap + 2: what is held back and the frame that shows why */
    int64_t queue_size, queue_first, queue_count;
    uint8_t **spare; /* pool of frame buffers */
    int64_t n_spare, spare_capacity;
};

ms_status ms_face_stage_create(const ms_face_stage_params *params, ms_face_stage **ret_stage, ms_error *err) {
    ms_face_stage *s = ms_calloc(params->mem, MS_LEDGER_GENERAL, 1, sizeof(*s));
    if (!s)
        return ms_fail_alloc(err, params->mem, sizeof(*s), "the face stage");
    s->p = *params;
    s->queue_size = params->max_gap + 2;
    s->queue = ms_alloc_array(params->mem, MS_LEDGER_GENERAL, (size_t)s->queue_size, sizeof(*s->queue));
    if (!s->queue) {
        ms_face_stage_destroy(&s);
        return ms_fail_alloc(err, params->mem, (size_t)params->max_gap * sizeof(waiting), "the face stage");
    }
    ms_gap_filler_init(&s->filler, 0, params->max_gap);
    *ret_stage = s;
    return MS_OK;
}

void ms_face_stage_destroy(ms_face_stage **stage) {
    if (!stage || !*stage)
        return;
    ms_face_stage *s = *stage;
    for (int64_t i = 0; i < s->queue_count; i++)
        ms_free(s->queue[(s->queue_first + i) % s->queue_size].rgb);
    for (int64_t i = 0; i < s->n_spare; i++)
        ms_free(s->spare[i]);
    ms_free(s->queue);
    ms_free(s->spare);
    ms_free(s);
    *stage = NULL;
}

uint8_t *ms_face_stage_take_buffer(ms_face_stage *s, ms_error *err) {
    if (s->n_spare > 0)
        return s->spare[--s->n_spare];
    size_t bytes = ms_clip_frame_bytes(s->p.clip);
    uint8_t *rgb = ms_alloc(s->p.mem, MS_LEDGER_FRAMES, bytes);
    if (!rgb)
        ms_fail_alloc(err, s->p.mem, bytes, "a frame");
    return rgb;
}

void ms_face_stage_put(ms_face_stage *s, uint8_t *rgb) {
    if (!rgb)
        return;
    if (s->n_spare == s->spare_capacity) {
        int64_t wanted = s->spare_capacity ? 2 * s->spare_capacity : 16;
        size_t bytes = (size_t)wanted * sizeof(*s->spare);
        uint8_t **fresh =
            s->spare ? ms_realloc(s->spare, bytes) : ms_alloc(s->p.mem, MS_LEDGER_GENERAL, bytes);
        if (!fresh) { /* a pool that cannot grow gives the frame back instead */
            ms_free(rgb);
            return;
        }
        s->spare = fresh;
        s->spare_capacity = wanted;
    }
    s->spare[s->n_spare++] = rgb;
}

static ms_image_view view_of(const ms_face_stage *s, const uint8_t *rgb) {
    const ms_video_info *info = ms_clip_info(s->p.clip);
    return (ms_image_view){.data = rgb,
                           .width = info->width,
                           .height = info->height,
                           .channels = 3,
                           .stride_bytes = (size_t)info->width * 3};
}

/* Reads one frame, finds its face and hands the record to the gap filler. */
static ms_status read_frame(ms_face_stage *s, ms_error *err) {
    bool got = false;
    uint8_t *rgb = ms_face_stage_take_buffer(s, err);
    if (!rgb)
        return MS_HOST_MEMORY;
    ms_status status = ms_clip_get(s->p.clip, s->next, rgb, &got, err);
    if (status != MS_OK || !got) {
        ms_face_stage_put(s, rgb);
        if (status == MS_OK) {
            s->ended = true;
            ms_gap_filler_finish(&s->filler);
        }
        return status;
    }
    ms_image_view view = view_of(s, rgb);
    ms_face_record record = {0};
    bool cut = ms_scene_advance(&s->scene, &view);
    s->queue[(s->queue_first + s->queue_count++) % s->queue_size] = (waiting){.number = s->next, .rgb = rgb};
    status = s->p.source.find(s->p.source.arg, &view, s->next, cut, &record, err);
    if (status != MS_OK) {
        ms_error_where(err, "faces", s->next);
        return status;
    }
    record.frame = s->next++;
    record.begins = record.begins || cut;
    if (!ms_gap_filler_push(&s->filler, &record))
        return ms_fail(err, MS_INTERNAL, "frame %lld came out of order", (long long)record.frame);
    return MS_OK;
}

static ms_pose pose_of(ms_face_stage *s, const ms_face_record *record) {
    ms_pose pose = {
        .present = record->present, .interpolated = record->interpolated, .begins = record->begins};
    if (!pose.present)
        return pose;
    float points[3][2];
    if (record->begins)
        s->smoothing = (ms_align_state){0};
    ms_align_points(record->landmarks, points);
    /* Landmarks that determine no transform are no usable face. */
    pose.present =
        ms_align_affine(&s->p.geometry, (const float(*)[2])points, &s->smoothing, pose.affine, NULL) == MS_OK;
    return pose;
}

ms_status ms_face_stage_next(ms_face_stage *s, ms_posed_frame *ret_frame, bool *ret_got, ms_error *err) {
    ms_face_record record;
    while (!ms_gap_filler_take(&s->filler, &record)) {
        if (s->ended) {
            *ret_got = false;
            return MS_OK;
        }
        MS_TRY(read_frame(s, err));
    }
    waiting w = s->queue[s->queue_first];
    if (s->queue_count == 0 || w.number != record.frame)
        return ms_fail(err, MS_INTERNAL, "frame %lld has no pixels", (long long)record.frame);
    s->queue_first = (s->queue_first + 1) % s->queue_size;
    s->queue_count--;
    *ret_frame =
        (ms_posed_frame){.number = w.number, .rgb = w.rgb, .pose = pose_of(s, &record), .record = record};
    *ret_got = true;
    return MS_OK;
}
