#include "run/threads/face_thread.h"

#include <time.h>

#include "base/clock.h"
#include "planner/run_plan.h"

#define OTHERS_MS 200 /* between two looks at what others are making */
#define OWN_MS 5      /* and at what this run is making, which costs nothing */

ms_status ms_face_thread_make_buffers(ms_face_thread *t, ms_mem *mem, const ms_face_geometry *geometry,
                                      ms_error *err) {
    const size_t side = (size_t)geometry->resolution;
    t->geometry = *geometry;
    t->align_work_bytes = ms_align_face_workspace_bytes(geometry);
    t->align_work = ms_mem_alloc(mem, MS_LEDGER_FRAMES, t->align_work_bytes);
    if (!t->align_work)
        return ms_fail_alloc(err, mem, t->align_work_bytes, "warping faces");
    MS_TRY(ms_buffer_pool_create(mem, side * side * 3, true, &t->aligned, err));
    return ms_queue_create(mem, MS_RUN_READY_FRAMES, sizeof(ms_ready_frame), &t->ready, err);
}

void ms_face_thread_free_buffers(ms_face_thread *t) {
    ms_queue_destroy(&t->ready);
    ms_buffer_pool_destroy(&t->aligned);
    ms_mem_free(t->align_work);
    t->align_work = NULL;
}

static ms_status align(ms_face_thread *t, ms_ready_frame *f, ms_error *err) {
    const ms_video_info *info = ms_clip_info(t->clip);
    int side = t->geometry.resolution;
    f->face = ms_buffer_pool_take(t->aligned, "an aligned face", err);
    if (!f->face)
        return MS_HOST_MEMORY;
    const ms_image_view view = ms_image_view_rgb(f->frame.rgb, info->width, info->height);
    const ms_image face = ms_image_rgb(f->face, side, side);
    return ms_align_face(&t->geometry, &view, f->frame.pose.affine, &face, t->align_work, t->align_work_bytes,
                         err);
}

void ms_face_thread_drop(ms_face_thread *t, const ms_ready_frame *f) {
    ms_buffer_pool_put(t->pictures, f->frame.rgb);
    ms_buffer_pool_put(t->aligned, f->face);
}

ms_status ms_save_place(ms_frame_source *source, int64_t frame, ms_resume_point *ret_place, ms_error *err) {
    ms_video_place place;
    const ms_frame_order *order = ms_frame_source_order(source);
    MS_TRY(ms_frame_source_save(source, &ret_place->state, &place, err));
    ret_place->frame = frame;
    ret_place->clip_frames = order->clip_frames;
    ret_place->known = order->known;
    ret_place->has_mark = place.has_mark;
    ret_place->mark = place.mark;
    return MS_OK;
}

/* The clip has been gone through once. */
static ms_status end_forward(ms_face_thread *t, ms_error *err) {
    MS_TRY(t->check(t->arg, err));
    MS_TRY(ms_save_place(t->source, t->next, &t->end, err));
    t->found_all = true;
    ms_segment_work_end_forward(&t->work);
    return MS_OK;
}

/* While others make what is left, one of them may fail, and what this run makes may be lost. Before the wait
   the other threads are told (pause): what they have collected may be among what is waited for. */
static ms_status next_span(ms_face_thread *t, bool *ret_got, bool *ret_pause, ms_error *err) {
    ms_segment_work_state state = MS_SEGMENT_WORK_OTHERS;
    *ret_pause = false;
    for (;;) {
        MS_TRY(ms_segment_work_next(&t->work, ms_frame_source_order(t->source), &t->next, &state, err));
        *ret_got = state == MS_SEGMENT_WORK_SPAN;
        const bool others = state == MS_SEGMENT_WORK_OTHERS, own = state == MS_SEGMENT_WORK_OWN;
        if ((!others && !own) || atomic_load(&t->stop))
            break;
        if (!t->paused) {
            *ret_got = *ret_pause = t->paused = true;
            return MS_OK;
        }
        nanosleep(&(struct timespec){.tv_nsec = (own ? OWN_MS : OTHERS_MS) * 1000000}, NULL);
    }
    t->paused = false;
    return MS_OK;
}

/* The next frame that is to be made, from wherever it comes. begins: also where a span does. */
static ms_status next_frame(ms_face_thread *t, ms_output_frame *ret_frame, bool *ret_got, bool *ret_pause,
                            ms_error *err) {
    *ret_pause = false;
    if (t->work.forward) {
        MS_TRY(ms_frame_source_next(t->source, ret_frame, ret_got, err));
        if (*ret_got)
            return MS_OK;
        MS_TRY(end_forward(t, err));
        t->next = 0;
    }
    bool begins = t->next >= t->work.end;
    if (begins) {
        MS_TRY(next_span(t, ret_got, ret_pause, err));
        if (*ret_pause)
            return MS_OK;
        if (!*ret_got)
            return t->check(t->arg, err);
        ms_frame_source_jump(t->source, t->next);
    }
    MS_TRY(ms_frame_source_next(t->source, ret_frame, ret_got, err));
    ret_frame->pose.begins |= begins;
    return MS_OK;
}

static ms_status prepare(ms_face_thread *t, bool *ret_got, ms_error *err) {
    ms_ready_frame *f = &t->preparing;
    double began = ms_now_s();
    f->face = NULL;
    f->frame.rgb = NULL;
    MS_TRY(next_frame(t, &f->frame, ret_got, &f->pause, err));
    if (!*ret_got || f->pause)
        return MS_OK;
    t->next = f->frame.number + 1;
    f->forward = t->work.forward;
    f->wanted = ms_segment_work_wants(&t->work, f->frame.number);
    ms_status status = f->frame.pose.present ? align(t, f, err) : MS_OK;
    if (status == MS_OK && f->forward)
        status = ms_save_place(t->source, t->next, &f->after, err);
    if (status != MS_OK) {
        ms_face_thread_drop(t, f);
        return status;
    }
    t->worker.busy_s += ms_now_s() - began;
    return MS_OK;
}

static void *faces_main(void *arg) {
    ms_face_thread *t = arg;
    ms_worker *w = &t->worker;
    bool got = true;
    while (w->status == MS_OK && got) {
        w->status = prepare(t, &got, &w->err);
        if (w->status != MS_OK || !got)
            break;
        if (ms_queue_push(t->ready, &t->preparing, -1) != MS_QUEUE_DONE) {
            ms_face_thread_drop(t, &t->preparing);
            break;
        }
    }
    ms_queue_close(t->ready);
    return NULL;
}

ms_status ms_face_thread_start(ms_face_thread *t, ms_error *err) {
    if (pthread_create(&t->worker.thread, NULL, faces_main, t) != 0)
        return ms_fail(err, MS_HOST_MEMORY, "cannot start the thread that reads frames");
    t->worker.started = true;
    return MS_OK;
}

void ms_face_thread_stop(ms_face_thread *t) {
    if (!t->worker.started)
        return;
    atomic_store(&t->stop, true);
    ms_queue_abort(t->ready);
    pthread_join(t->worker.thread, NULL);
    t->worker.started = false;
    while (ms_queue_take_left(t->ready, &t->preparing))
        ms_face_thread_drop(t, &t->preparing);
}
