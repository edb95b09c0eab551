/* The face thread: frames in order, each with its face aligned. */
#include "run/run_job.h"

static ms_status align(ms_job *j, ms_ready_frame *f, ms_error *err) {
    const ms_video_info *info = ms_clip_info(j->clip);
    int side = j->geometry.resolution;
    f->face = ms_buffer_pool_take(j->aligned, "an aligned face", err);
    if (!f->face)
        return MS_HOST_MEMORY;
    ms_image_view view = {.data = f->frame.rgb,
                          .width = info->width,
                          .height = info->height,
                          .channels = 3,
                          .stride_bytes = (size_t)info->width * 3};
    ms_image face = {
        .data = f->face, .width = side, .height = side, .channels = 3, .stride_bytes = (size_t)side * 3};
    return ms_align_face(&j->geometry, &view, f->frame.pose.affine, &face, j->align_work, j->align_work_bytes,
                         err);
}

static void drop(ms_job *j, const ms_ready_frame *f) {
    ms_face_stage_put(j->stage, f->frame.rgb);
    ms_buffer_pool_put(j->aligned, f->face);
}

static ms_status prepare(ms_job *j, bool *ret_got, ms_error *err) {
    ms_ready_frame *f = &j->preparing;
    double began = ms_now_s();
    ms_video_place place;
    f->face = NULL;
    MS_TRY(ms_frame_source_next(j->source, &f->frame, ret_got, err));
    if (!*ret_got)
        return ms_job_check_video(j, err);
    ms_status status = f->frame.pose.present ? align(j, f, err) : MS_OK;
    if (status == MS_OK)
        status = ms_frame_source_save(j->source, &f->after.state, &place, err);
    if (status != MS_OK) {
        drop(j, f);
        return status;
    }
    f->after.frame = f->frame.number + 1;
    f->after.clip_frames = ms_frame_source_clip_frames(j->source);
    f->after.has_mark = place.has_mark;
    f->after.mark = place.mark;
    j->faces_worker.busy_s += ms_now_s() - began;
    return MS_OK;
}

static void *faces_main(void *arg) {
    ms_job *j = arg;
    ms_worker *w = &j->faces_worker;
    bool got = true;
    while (w->status == MS_OK && got) {
        w->status = prepare(j, &got, &w->err);
        if (w->status != MS_OK || !got)
            break;
        if (ms_queue_push(j->ready, &j->preparing, -1) != MS_QUEUE_DONE) {
            drop(j, &j->preparing);
            break;
        }
    }
    ms_queue_close(j->ready);
    return NULL;
}

ms_status ms_job_start_faces(ms_job *j, ms_error *err) {
    if (pthread_create(&j->faces_worker.thread, NULL, faces_main, j) != 0)
        return ms_fail(err, MS_HOST_MEMORY, "cannot start the thread that reads frames");
    j->faces_worker.started = true;
    return MS_OK;
}

void ms_job_stop_faces(ms_job *j) {
    if (!j->faces_worker.started)
        return;
    atomic_store(&j->stop, true);
    ms_queue_abort(j->ready);
    pthread_join(j->faces_worker.thread, NULL);
    j->faces_worker.started = false;
    while (ms_queue_take_left(j->ready, &j->taken))
        drop(j, &j->taken);
}
